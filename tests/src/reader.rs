//! Somebody who follows the README: runs its blocks as they stand there, one after the other, in one terminal.
//!
//! What a reader fills in are variables. Two programs have a stand-in, because the real ones cannot run in here:
//!
//! | program | why not | what its stand-in does |
//! |---|---|---|
//! | `cargo` | it would build for minutes, and replace programs that other scenarios run at this moment | runs, or "installs", what was built beside the tests; `xtask test` would run this very test, so that `--help` shows that it is there |
//! | `npm` | it asks its registry at every call, and a test must not need a network that `cargo xtask test` has used already | gives what `cargo xtask test` has installed, if all that is asked for is there |

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::clients::{npm, python};
use crate::program::{Program, built, run, said, workspace};
use crate::readme::{Block, Readme};

/// What is exported in one block is there in the next, as in one terminal.
fn terminal(name: &str) -> String {
    format!(
        "if [ -e .terminal-{name} ]; then . ./.terminal-{name}; fi\ntrap 'export -p > .terminal-{name}' EXIT\n. ./.block-{name}\n"
    )
}

/// See the table above. `$BUILT` has the programs, `$BIN` is where cargo installs.
const CARGO: &str = r#"#!/usr/bin/env bash
set -euo pipefail
case "$*" in
"run --release --bin "*" -- "*) exec "$BUILT/$4" "${@:6}" --once ;;
"xtask "*) exec "$BUILT/xtask" "${@:2}" --help ;;
"install --locked --path "*)
    # The first: one behind a feature is not installed.
    program=$(sed -n '/^\[\[bin\]\]/,/^$/s/^name = "\(.*\)"/\1/p' "$4/Cargo.toml" | head -n 1)
    ln -s "$BUILT/$program" "$BIN/$program" ;;
*) echo "the stand-in of cargo cannot: $*" >&2; exit 2 ;;
esac
"#;

/// See the table above. `$NPM` has the packages.
const NPM: &str = r#"#!/usr/bin/env bash
set -euo pipefail
[ "$1" = install ] || { echo "the stand-in of npm cannot: $*" >&2; exit 2; }
for package in "${@:2}"; do [ -e "$NPM/$package/package.json" ]; done
ln -s "$NPM" node_modules
"#;

/// A reader, in a folder of their own with a copy of the repository's files.
#[derive(Debug)]
pub struct Reader<'a> {
    readme: &'a Readme,
    folder: PathBuf,
    terminal: &'static str,
    variables: Vec<(String, OsString)>,
}

impl<'a> Reader<'a> {
    /// A reader with a new folder, who has installed nothing.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(readme: &'a Readme, folder: PathBuf) -> Self {
        for made in ["stand-ins", "bin"] {
            std::fs::create_dir_all(folder.join(made)).unwrap();
        }
        for (name, text) in [("cargo", CARGO), ("npm", NPM)] {
            let path = folder.join("stand-ins").join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        for shared in ["proto", "deploy", "cli", "node", "broker"] {
            std::os::unix::fs::symlink(workspace().join(shared), folder.join(shared)).unwrap();
        }
        let programs = built("comity").parent().unwrap().to_owned();
        let path = [folder.join("stand-ins"), folder.join("bin"), python().parent().unwrap().to_owned()];
        let system = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(path.into_iter().chain(std::env::split_paths(&system))).unwrap();
        let mut reader = Self { readme, variables: Vec::new(), terminal: "first", folder };
        reader.fill_in("PATH", path);
        reader.fill_in("BUILT", programs);
        reader.fill_in("BIN", reader.folder.join("bin"));
        reader.fill_in("NPM", npm().join("node_modules"));
        // What pip is asked for was installed by `cargo xtask test`: it finds that, or fails without the network.
        reader.fill_in("PIP_NO_INDEX", "1");
        reader
    }

    /// The same reader in another terminal, in the same folder: what was filled in is known, what a block exported is not.
    #[must_use]
    pub fn in_another_terminal(&self, terminal: &'static str) -> Self {
        let (folder, variables) = (self.folder.clone(), self.variables.clone());
        Self { readme: self.readme, folder, terminal, variables }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives a variable the value that the reader knows.
    pub fn fill_in(&mut self, variable: &str, value: impl Into<OsString>) {
        self.variables.push((variable.to_owned(), value.into()));
    }

    /// Runs a block to its end.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn try_to_follow(&self, name: &str) -> Output {
        run(&mut self.shell(&script(self.readme.take(name), &self.folder)))
    }

    /// Runs a block to its end, and gives what it wrote to standard output.
    ///
    /// # Panics
    /// If it fails.
    pub fn follow(&self, name: &str) -> String {
        let output = self.try_to_follow(name);
        assert!(output.status.success(), "the README's block {name} failed: {}\n{}", output.status, said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a block of one command that serves until it is told to end.
    #[must_use]
    pub fn stay(&self, name: &str) -> Program {
        // The program takes the shell's place, so that it is the one to be told.
        let script = format!("exec {}", self.readme.take(name).code);
        Program::start(name, &mut self.shell(&script), &self.folder)
    }

    fn shell(&self, script: &str) -> Command {
        std::fs::write(self.folder.join(format!(".block-{}", self.terminal)), script).unwrap();
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", &terminal(self.terminal)])
            .current_dir(&self.folder)
            .envs(self.variables.clone());
        shell
    }
}

/// A block as it is run: a script as it stands, a program from the file that the README tells to save it as.
fn script(block: &Block, folder: &Path) -> String {
    let saved = |name: &str, run: &str| {
        std::fs::write(folder.join(name), &block.code).unwrap();
        format!("{run} {name}")
    };
    match block.language.as_str() {
        "sh" => block.code.clone(),
        "python" => saved("app.py", "python"),
        "ts" => saved("app.ts", "npx tsx"),
        other => panic!("README.md:{}: nobody knows how to run {other:?}", block.line),
    }
}
