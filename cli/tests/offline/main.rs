//! Tables and policy without a server: the real program, files in, verdicts out.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod json_form;
mod policy;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Data was printed, and the answer is yes.
const DONE: i32 = 0;
/// The answer is no.
const NO: i32 = 1;
/// The command or a file was wrong.
const FAULT: i32 = 2;

/// What the program did: its status, its data and its talk.
struct Answer {
    status: Option<i32>,
    data: String,
    talk: String,
}

fn comity(words: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    let Output { status, stdout, stderr } =
        command.env_remove("COMITY_IDENTITY").env_remove("COMITY_TABLES").args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { status: status.code(), data: text(stdout), talk: text(stderr) }
}

/// Ends with `status`; what was printed and said has every one of `words`.
fn ends(command: &[&str], status: i32, words: &[&str]) -> Answer {
    let answer = comity(command);
    let all = format!("{}{}", answer.data, answer.talk);
    assert_eq!(answer.status, Some(status), "{command:?}: {all}");
    for word in words {
        assert!(all.contains(word), "{command:?}: no {word:?} in {all}");
    }
    answer
}

/// Ends with `status`; gives its data as JSON.
fn json(command: &[&str], status: i32) -> serde_json::Value {
    let answer = ends(&[command, &["-o", "json"]].concat(), status, &[]);
    serde_json::from_str(&answer.data).unwrap()
}

/// A file of the repository.
fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A folder with files, and the paths of the files.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}
