//! The files of the data directory in which it stands which tries were let in.
//!
//! ```text
//! tries           comity/node-tries@v2 <run of the machine> <since when all is here, in ms> <the same, in ms of the run>
//!                 <decision> <try> <until when it counts, in ms> <when it was let in, in ms of the run>
//!                                      a line each, written before the try runs; the try 0 says that the decision was
//!                                      answered, and is written before the first piece of that is handed over
//! tries.before    the one before: what is in neither has expired
//! ```
//! How old a line is, and when the files take turns, the machine's run says, which nobody sets; until when a permit counts, the
//! wall clock says. What is over by one of them may count again by the other, and is kept until it is over by both.
//!
//! A line is not synced, which would cost a request more than everything else here: it survives the end of the program, and
//! not that of the machine. So the head names the machine's run, and what is of another counts for nothing but its end.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use comity_runtime::files::write_durably;
use comity_types::{DecisionId, Timestamp};
use tokio::time::Instant;

use super::Try;
use crate::guard::{CLOCK_TOLERANCE, MAX_PERMIT_LIFE};

const FILE: &str = "tries";
const BEFORE: &str = "tries.before";
/// What the first line begins with.
const FORMAT: &str = "comity/node-tries@v2";
/// How long a file is written to, and a try remembered at least: no permit that was let in counts for longer than that.
pub(super) const A_FILE: Duration = MAX_PERMIT_LIFE.saturating_add(CLOCK_TOLERANCE.saturating_mul(2));
/// Bytes of a line, at least.
const A_LINE: usize = 64;
/// Where Linux says which run of the machine this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Where Linux says for how long the machine has run, asleep or not.
const UPTIME: &str = "/proc/uptime";
/// What stands for a run of which nobody knows which it is: it equals none.
const UNKNOWN: &str = "unknown";

/// The file that is written to.
#[derive(Debug)]
pub(super) struct Kept {
    dir: PathBuf,
    pub(super) file: File,
    /// How much of it is whole lines.
    length: u64,
    /// A write has failed, and may have left a part of a line behind them.
    is_torn: bool,
    /// When it was begun.
    begun: Duration,
    boot: String,
    since: Moment,
}

/// A time by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// By the wall's.
    pub(super) wall: Timestamp,
    /// Since the machine's run began: it only goes on.
    pub(super) run: Duration,
}

impl Moment {
    /// Now, where the wall clock says so.
    pub(super) fn now(wall: Timestamp) -> Self {
        Self { wall, run: run_for() }
    }
}

/// Why what was kept cannot be gone on from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeenError {
    /// A file cannot be read or written.
    #[error("{} cannot be read or written: it holds which requests this node has let in", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was kept.
    #[error(
        "{}, line {line}, is not what this node kept of the requests that it let in (hint: look who changed it; once the node has been down for {} s, every permit has ended: then remove the file, and start again)",
        path.display(),
        A_FILE.as_secs()
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where.
        line: usize,
    },
}

/// A try that was let in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Let {
    pub(super) claimed: Try,
    /// Until when its permit counts, by the wall clock.
    pub(super) until: Timestamp,
    /// When it was, in the machine's run.
    pub(super) at: Duration,
}

impl Let {
    /// Whether no permit of it can count any more, whichever clock is right.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.until <= now.wall && self.has_aged(now)
    }

    /// Whether it is as long ago as permits count.
    pub(super) fn has_aged(&self, now: Moment) -> bool {
        now.run >= self.at.saturating_add(A_FILE)
    }
}

/// How long the machine has run; where the system does not say it, this program.
fn run_for() -> Duration {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let uptime = fs::read_to_string(UPTIME).ok();
    let seconds = uptime.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_else(|| BEGUN.elapsed())
}

/// Which run of the machine this is.
pub(super) fn boot() -> Option<String> {
    fs::read_to_string(BOOT).ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty())
}

impl Kept {
    /// What is kept in `dir`, which was written in this run of the machine; and the tries in it.
    pub(super) fn open(dir: &Path, boot: Option<&str>, now: Moment) -> Result<(Self, Vec<Let>), SeenError> {
        let (path, before) = (dir.join(FILE), dir.join(BEFORE));
        let read = |path| boot.map_or(Ok(None), |boot| read(path, boot));
        let (newer, older) = (read(&path)?, read(&before)?);
        let since = newer.as_ref().map_or(now, |(since, _)| *since);
        let mut tries: Vec<_> = [newer, older].into_iter().flatten().flat_map(|(_, tries)| tries).collect();
        tries.retain(|one| !one.is_over(now));
        let boot = boot.unwrap_or(UNKNOWN).to_owned();
        let mut text = head(&boot, since);
        tries.iter().for_each(|one| text.push_str(&line(one)));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SeenError::File { path, source }
        };
        write_durably(&path, text.as_bytes()).map_err(failed(&path))?;
        match fs::remove_file(&before) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&before)(error)),
            Ok(()) | Err(_) => {}
        }
        let file = File::options().append(true).open(&path).map_err(failed(&path))?;
        let kept =
            Self { dir: dir.to_owned(), file, length: text.len() as u64, is_torn: false, begun: now.run, boot, since };
        Ok((kept, tries))
    }

    /// From when on all is known that was let in: what was issued before may have been.
    pub(super) const fn since(&self) -> Moment {
        self.since
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Writes down a try that is let in now. When this returns, the next run of the program knows it. Of what was let in before
    /// the two files, `older` still counts.
    pub(super) fn keep<'a>(&mut self, one: &Let, older: impl Iterator<Item = &'a Let>) -> io::Result<()> {
        if one.at >= self.begun.saturating_add(A_FILE) {
            self.begin_another(one.at, older)?;
        }
        if self.is_torn {
            self.file.set_len(self.length)?;
        }
        let line = line(one);
        self.is_torn = true;
        self.file.write_all(line.as_bytes())?;
        (self.length, self.is_torn) = (self.length + line.len() as u64, false);
        Ok(())
    }

    /// Writes as much as a try takes, and takes it back. What the end of the program leaves of it is no whole line.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        self.is_torn = true;
        self.file.set_len(self.length)?;
        self.file.write_all(&[b' '; A_LINE])?;
        self.file.set_len(self.length)?;
        self.is_torn = false;
        Ok(())
    }

    fn begin_another<'a>(&mut self, now: Duration, older: impl Iterator<Item = &'a Let>) -> io::Result<()> {
        let mut text = head(&self.boot, self.since);
        older.for_each(|one| text.push_str(&line(one)));
        let beside = self.dir.join("tries.new");
        fs::write(&beside, &text)?;
        let file = File::options().append(true).open(&beside)?;
        match fs::rename(self.path(), self.dir.join(BEFORE)) {
            // Moved already, when this was begun before and could not be ended.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::rename(&beside, self.path())?;
        (self.file, self.length, self.is_torn, self.begun) = (file, text.len() as u64, false, now);
        Ok(())
    }
}

fn head(boot: &str, since: Moment) -> String {
    format!("{FORMAT} {boot} {} {}\n", since.wall.as_millis(), since.run.as_millis())
}

fn line(Let { claimed: (decision, attempt), until, at }: &Let) -> String {
    format!("{decision} {attempt} {} {}\n", until.as_millis(), at.as_millis())
}

/// Since when all is known, and the tries that are in a file; none where it is missing, or of another run of the machine.
fn read(path: &Path, boot: &str) -> Result<Option<(Moment, Vec<Let>)>, SeenError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // The end of the machine may leave anything.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(source) => return Err(SeenError::File { path: path.to_owned(), source }),
    };
    // The last line was being written when the program ended, if it does not end: that try did not run.
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let Some(since) = lines.next().and_then(|head| since(head, boot)) else { return Ok(None) };
    let tries = lines.enumerate().map(|(index, line)| {
        // The head is line 1.
        one(line).ok_or_else(|| SeenError::Damaged { path: path.to_owned(), line: index + 2 })
    });
    Ok(Some((since, tries.collect::<Result<_, _>>()?)))
}

fn since(head: &str, boot: &str) -> Option<Moment> {
    let since = head.strip_prefix(FORMAT)?.strip_prefix(' ')?.strip_prefix(boot)?.strip_prefix(' ')?;
    let (wall, run) = since.split_once(' ')?;
    Some(Moment { wall: millis(wall)?, run: run_millis(run)? })
}

fn one(line: &str) -> Option<Let> {
    let mut parts = line.split(' ');
    let (decision, attempt, until, at) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let decision: DecisionId = decision.parse().ok()?;
    let whole = parts.next().is_none();
    let claimed = (decision, attempt.parse().ok()?);
    whole.then_some(Let { claimed, until: millis(until)?, at: run_millis(at)? })
}

fn millis(text: &str) -> Option<Timestamp> {
    Timestamp::from_millis(text.parse().ok()?).ok()
}

fn run_millis(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}
