//! One life of a victim: started, listened to, and killed.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::said::Said;
use crate::victim::Fails;

/// Longest life of a victim that is to end by itself: far beyond what a busy machine needs.
const LONGEST: Duration = Duration::from_secs(120);

/// How a life begins and ends.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    pub(super) dir: PathBuf,
    pub(super) keys: PathBuf,
    pub(super) life: u64,
    pub(super) seed: u64,
    pub(super) tasks: u64,
    pub(super) fails: Option<Fails>,
    /// Whether what it did not sync is lost with the kill.
    pub(super) volatile: bool,
    /// No file of it may become longer than so many blocks of 512 bytes.
    pub(super) blocks: Option<u64>,
    pub(super) until: Until,
}

/// When it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// So long after it was started.
    Started(Duration),
    /// So long after the log was open.
    Opened(Duration),
    /// It is not: its log fails.
    Failed,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) said: Vec<Said>,
    /// Whether it was killed; else it ended by itself.
    pub(super) killed: bool,
}

/// Lives it.
///
/// # Errors
/// It cannot be started, or neither ends nor can be killed.
#[expect(clippy::disallowed_methods, reason = "when a kill comes is the operating system's time")]
pub(super) fn live(orders: &Orders) -> Result<Life> {
    let mut child = start(orders)?;
    let started = Instant::now();
    let out = child.stdout.take().context("a victim without an output")?;
    let (sender, lines) = mpsc::channel();
    let listens = std::thread::spawn(move || listen(out, &sender));
    let mut said = Vec::new();
    let mut due = match orders.until {
        Until::Started(after) => started + after,
        Until::Opened(_) | Until::Failed => started + LONGEST,
    };
    let ended = loop {
        match lines.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let (Said::Opened { .. }, Until::Opened(after)) = (&line, orders.until) {
                    due = Instant::now() + after;
                }
                said.push(line);
                // Where it says more than is read in time.
                if Instant::now() >= due {
                    break None;
                }
            }
            Err(RecvTimeoutError::Timeout) => break None,
            Err(RecvTimeoutError::Disconnected) => break Some(child.wait()?),
        }
    };
    let killed = match ended {
        Some(status) => is_death(status),
        None => {
            // SIGKILL, as `kill -9` sends it.
            child.kill()?;
            is_death(child.wait()?)
        }
    };
    said.extend(lines.iter());
    ensure!(listens.join().is_ok(), "what a victim said could not be read");
    ensure!(
        ended.is_some() || !matches!(orders.until, Until::Failed),
        "the log neither failed nor ended in {LONGEST:?}"
    );
    ensure!(!killed || ended.is_none(), "the victim died by itself: {ended:?}");
    Ok(Life { said, killed })
}

fn is_death(status: ExitStatus) -> bool {
    status.code().is_none()
}

fn start(orders: &Orders) -> Result<Child> {
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let mut command = match orders.blocks {
        None => Command::new(program),
        Some(blocks) => {
            // Whoever ignores SIGXFSZ gets EFBIG instead, and hands that on to what it becomes.
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(program);
            shell
        }
    };
    command.arg("victim").arg("--dir").arg(&orders.dir).arg("--keys").arg(&orders.keys);
    command.arg("--life").arg(orders.life.to_string()).arg("--seed").arg(orders.seed.to_string());
    command.arg("--tasks").arg(orders.tasks.to_string());
    if let Some(fails) = orders.fails {
        command.arg("--fails").arg(fails.to_string());
    }
    if orders.volatile {
        command.arg("--volatile");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start a victim")
}

/// Hands on every line that is whole.
fn listen(out: impl Read, lines: &mpsc::Sender<Said>) {
    let mut out = BufReader::new(out);
    let mut line = Vec::new();
    while matches!(out.read_until(b'\n', &mut line), Ok(1..)) {
        if line.ends_with(b"\n")
            && let Ok(said) = serde_json::from_slice(&line)
        {
            // Nobody listens any more where the campaign has ended.
            let _heard = lines.send(said).is_ok();
        }
        line.clear();
    }
}
