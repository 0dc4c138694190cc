//! A child process with its log in a file. It is ended by its own id, and a warning
//! or an error in its log that the scenario did not expect fails the scenario.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use crate::wait;

/// How long a program gets to end after it was asked to.
const ENDING: Duration = Duration::from_secs(15);
/// Longest that a program which ends by itself may take: the demonstration, with two cores that are shared. A
/// scenario that hangs is a failure, not a CI job that never ends.
const LONGEST: Duration = Duration::from_secs(300);
/// The state of a socket that listens, as Linux writes it.
const LISTENING: &str = "0A";
/// How many lines of a log a failure shows.
const SHOWN_LINES: usize = 60;

/// A program of the workspace, as it was built beside the tests.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.ancestors().nth(2).expect("tests stand in target/<profile>/deps");
    let program = folder.join(name);
    assert!(program.exists(), "{name} was not built: run `cargo xtask test --prepare` first");
    program
}

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stand in the workspace").to_owned()
}

/// A child process that runs until it is told to end.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    expected: Vec<String>,
}

impl Program {
    /// Starts a program; both its outputs go into `<folder>/<name>.log`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let err = out.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { name: name.to_owned(), child, log, expected: Vec::new() }
    }

    /// Lets warnings and errors pass whose line has this text: they are what the scenario is about.
    pub fn expect_log(&mut self, text: &str) {
        self.expected.push(text.to_owned());
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// True if it listens on a TCP socket of its own.
    ///
    /// # Panics
    /// If the system does not say.
    #[must_use]
    pub fn listens(&self) -> bool {
        let sockets = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
        let open: Vec<PathBuf> =
            std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().filter_map(sockets).collect();
        let tables =
            ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default());
        tables.iter().flat_map(|table| table.lines().skip(1)).any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[3] == LISTENING && open.contains(&PathBuf::from(format!("socket:[{}]", fields[9])))
        })
    }

    /// Sends it a signal, such as `-HUP`.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{signal} to {}", self.name);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Ends it at once, as a power cut would.
    pub fn cut(&mut self) {
        self.child.kill().unwrap();
        let _status = self.child.wait().unwrap();
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Panics
    /// If it does not in time.
    pub fn stop(&mut self) -> ExitStatus {
        self.try_stop().unwrap_or_else(|| panic!("{} did not end within {ENDING:?} of SIGTERM", self.name))
    }

    fn try_stop(&mut self) -> Option<ExitStatus> {
        if let Some(status) = self.ended() {
            return Some(status);
        }
        let _sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
        wait::within(ENDING, || self.child.try_wait().ok().flatten())
    }

    /// Lines that report a warning or an error which nobody expected.
    fn complaints(&self) -> Vec<String> {
        // A log that is gone would have nothing to complain about.
        let log = std::fs::read_to_string(&self.log).unwrap();
        let odd = |line: &&str| line.contains(" WARN ") || line.contains("ERROR") || line.contains("panicked at");
        let known = |line: &&str| self.expected.iter().any(|text| line.contains(text));
        log.lines().filter(odd).filter(|line| !known(line)).map(str::to_owned).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let stopped = self.try_stop().is_some();
        if !stopped {
            self.cut();
        }
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.name, tail(&self.log()));
            return;
        }
        assert!(stopped, "{} did not end within {ENDING:?} of SIGTERM", self.name);
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{} logged what nobody expected:\n{}", self.name, complaints.join("\n"));
    }
}

/// Runs a program to its end.
///
/// # Panics
/// If it does not start, or has not ended after `LONGEST`: with all that it said.
pub fn run(command: &mut Command) -> Output {
    // Into files, not pipes: whoever it left behind may hold a pipe open, and reading it would not end.
    let [mut stdout, mut stderr] = [(); 2].map(|()| tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let ended = wait::within(LONGEST, || child.try_wait().unwrap());
    if ended.is_none() {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let output = Output { status, stdout: written(&mut stdout), stderr: written(&mut stderr) };
    assert!(ended.is_some(), "{command:?} had not ended after {LONGEST:?}: {}", said(&output));
    output
}

/// All that was written to a file that is open.
fn written(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// What a program wrote to its standard output, if it succeeded.
///
/// # Panics
/// If it did not: with all that it said.
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that a program said.
#[must_use]
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every folder below `top`, itself included.
#[must_use]
pub(crate) fn folders_below(top: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(top) else { return Vec::new() };
    let mut folders: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .flat_map(|entry| folders_below(&entry.path()))
        .collect();
    folders.push(top.to_owned());
    folders
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_that_nobody_expected_fails_the_scenario() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::start("noisy", Command::new("echo").arg("12:00  WARN odd thing"), folder.path());
        wait::until("the program has ended", || program.ended());
        assert_eq!(program.complaints().len(), 1);
        program.expect_log("odd thing");
        assert!(program.complaints().is_empty());
    }

    #[test]
    fn a_log_that_is_gone_fails_the_scenario() {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::start("quiet", &mut Command::new("true"), folder.path());
        drop(folder);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(program))).is_err());
    }

    #[test]
    fn a_program_that_is_dropped_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::start("sleeper", Command::new("sleep").arg("600"), folder.path());
        let id = program.id();
        drop(program);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}
