//! Child processes: programs that run until the demo ends, and commands that are waited for. None outlives the
//! demo: each is asked to end by its own id, and what is dropped is killed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::DemoError;

/// Longest that a command may take: an answer of a small model on a slow machine, with room.
const COMMAND_TIME: Duration = Duration::from_secs(180);
/// Longest until a program serves: a node loads its model first.
const READY_TIME: Duration = Duration::from_secs(120);
/// Between two looks at a file that a program writes when it is ready.
const LOOK: Duration = Duration::from_millis(50);
/// How long a program may take to end by itself before it is killed.
const END_TIME: Duration = Duration::from_secs(10);
/// Lines of a log that a failure shows.
const SHOWN_LINES: usize = 20;

/// The programs that run.
#[derive(Debug)]
pub(super) struct Processes {
    logs: PathBuf,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Processes {
    /// None yet. Logs go to files in `logs`.
    pub(super) fn new(logs: PathBuf) -> Self {
        Self { logs, running: Vec::new() }
    }

    /// Starts a program.
    pub(super) fn start(&mut self, name: &str, command: &mut Command) -> Result<(), DemoError> {
        fs::create_dir_all(&self.logs).map_err(DemoError::system(format!("write {}", self.logs.display())))?;
        let log = self.logs.join(format!("{name}.log"));
        let child = spawn(command, &log).map_err(DemoError::system(format!("start the {name}")))?;
        self.running.push(Running { name: name.to_owned(), child, log });
        Ok(())
    }

    /// Waits until the program has written `file`, and gives its text.
    pub(super) async fn ready(&mut self, name: &str, file: &Path) -> Result<String, DemoError> {
        let deadline = Instant::now() + READY_TIME;
        loop {
            match fs::read_to_string(file) {
                Ok(text) => return Ok(text.trim().to_owned()),
                Err(_) if Instant::now() < deadline && self.runs(name) => sleep(LOOK).await,
                Err(_) => return Err(DemoError::NotReady { name: name.to_owned(), log: self.tail(name) }),
            }
        }
    }

    /// Ends all of them, the last that was started first.
    pub(super) async fn stop(&mut self) {
        while let Some(running) = self.running.pop() {
            end(running.child).await;
        }
    }

    fn runs(&mut self, name: &str) -> bool {
        let found = self.running.iter_mut().find(|running| running.name == name);
        found.is_some_and(|running| matches!(running.child.try_wait(), Ok(None)))
    }

    fn tail(&self, name: &str) -> String {
        let log = self.running.iter().find(|running| running.name == name).map(|running| &running.log);
        let text = log.and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)).copied().collect::<Vec<_>>().join("\n")
    }
}

fn spawn(command: &mut Command, log: &Path) -> io::Result<Child> {
    let out = File::create(log)?;
    let err = out.try_clone()?;
    command.stdin(Stdio::null()).stdout(out).stderr(err).kill_on_drop(true).spawn()
}

/// Asks with SIGTERM, and kills what does not end in time.
async fn end(mut child: Child) {
    let Some(id) = child.id() else { return };
    let mut ask = Command::new("sh");
    ask.args(["-c", "kill -TERM \"$1\"", "sh", &id.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let asked = ask.status().await.is_ok_and(|status| status.success());
    let ended = asked && timeout(END_TIME, child.wait()).await.is_ok();
    if !ended {
        // It fails where the process has ended by itself, which is what is wanted.
        let _killed = child.kill().await.is_ok();
    }
}

/// Runs a command to its end, and keeps what it says.
pub(super) async fn finish(command: &mut Command) -> Result<Output, DemoError> {
    wait(command.stdout(Stdio::piped()).stderr(Stdio::piped())).await
}

/// Runs a command to its end and keeps its data; what it complains about goes to the terminal as it is.
pub(super) async fn finish_aloud(command: &mut Command) -> Result<Output, DemoError> {
    wait(command.stdout(Stdio::piped()).stderr(Stdio::inherit())).await
}

/// Runs a command to its end; all that it says goes to the terminal as it is.
pub(super) async fn show(command: &mut Command) -> Result<Output, DemoError> {
    wait(command.stdout(Stdio::inherit()).stderr(Stdio::inherit())).await
}

async fn wait(command: &mut Command) -> Result<Output, DemoError> {
    let line = line(command);
    let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
    let child = child.map_err(DemoError::system(format!("run `{line}`")))?;
    let output = timeout(COMMAND_TIME, child.wait_with_output()).await;
    output
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(DemoError::system(format!("wait for `{line}`")))
}

/// Runs a command that has to succeed, and gives what it printed.
pub(super) async fn succeed(command: &mut Command) -> Result<String, DemoError> {
    let output = finish(command).await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(command, &output))
}

/// The failure of a command.
pub(super) fn failed(command: &Command, output: &Output) -> DemoError {
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    DemoError::Failed { command: line(command), status: output.status.to_string(), said }
}

/// The program's name and its first words: invites, which are secrets, come later.
pub(super) fn line(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = command.get_args().skip_while(|word| *word == "--identity").take(2);
    std::iter::once(program).chain(words).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_program_that_ends_before_it_is_ready_is_reported_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::new(folder.path().to_owned());
        processes.start("node", &mut shell("echo no such model >&2; exit 1")).unwrap();
        let error = processes.ready("node", &folder.path().join("ready")).await.unwrap_err();
        assert!(error.to_string().contains("no such model"), "{error}");
    }

    #[tokio::test]
    async fn what_was_started_has_ended_when_stop_returns() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let mut processes = Processes::new(folder.path().to_owned());
        processes
            .start("node", &mut shell(&format!("echo $$ > {0}.tmp; mv {0}.tmp {0}; exec sleep 600", pid.display())))
            .unwrap();
        let id = processes.ready("node", &pid).await.unwrap();
        processes.stop().await;
        assert!(!Path::new("/proc").join(id).exists());
    }

    #[tokio::test]
    async fn a_command_that_fails_is_reported_with_what_it_said() {
        let error = succeed(&mut shell("echo out of luck >&2; exit 3")).await.unwrap_err();
        assert!(error.to_string().contains("out of luck") && error.to_string().contains('3'), "{error}");
    }
}
