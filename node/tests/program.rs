//! How the real program ends, and what it says: mistakes in the command, in files, and what there is not.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;
use std::process::{Command, Output};

/// The answer is no, or there is no such thing.
const REFUSED: i32 = 1;
/// The command or a file was wrong, or something failed.
const FAULT: i32 = 2;

fn node(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_comity-node")).args(words).output().unwrap()
}

fn fails(words: &[&str], status: i32, said: &[&str]) {
    let output = node(words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{words:?}: {stderr}");
    for word in said {
        assert!(stderr.contains(word), "{words:?}: no {word:?} in {stderr}");
    }
}

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("node.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn exit_statuses_are_documented() {
    let help = String::from_utf8(node(&["--help"]).stdout).unwrap();
    for line in ["0   Done", "1   Refused or not found", "2   A mistake", "75  `join` stopped waiting"] {
        assert!(help.contains(line), "no {line:?} in {help}");
    }
}

#[test]
fn mistakes_in_the_command_and_in_files_are_faults_that_say_what_mends_them() {
    let folder = tempfile::tempdir().unwrap();
    fails(&[], FAULT, &["Usage"]);
    fails(&["run"], FAULT, &["--config"]);
    for command in ["run", "check"] {
        fails(&[command, "--config", "nothere.toml"], FAULT, &["cannot read nothere.toml: No such file", "(hint: "]);
        let broken = file(folder.path(), "[node]\nlisten = 7\n");
        fails(&[command, "--config", &broken], FAULT, &["line 2", "listen"]);
    }
    let empty = file(folder.path(), "[node]\nlisten = \"nowhere\"\ndata_dir = \"data\"\n");
    fails(&["check", "--config", &empty], FAULT, &["LINE", "   2  node.listen", "offers"]);
    fails(&["run", "--config", &empty], FAULT, &["node.listen", "offers"]);
}

#[test]
fn a_model_that_there_is_not_is_not_found() {
    fails(&["model", "fetch", "gpt"], REFUSED, &["gpt", "model list"]);
}
