//! The files of the data directory in which it stands which tries were let in.
//!
//! ```text
//! tries           comity/node-tries@v1 <run of the machine> <since when all is here, in ms>
//!                 <decision> <try> <until when it counts, in ms>       a line each, written before the try runs
//! tries.before    the one before: what is in neither has expired
//! ```
//! A line is not synced, which would cost a request more than everything else here: it survives the end of the program, and
//! not that of the machine. So the head names the machine's run, and what is of another counts for nothing but its end.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use comity_runtime::files::write_durably;
use comity_types::{DecisionId, Timestamp};

use super::Try;
use crate::guard::{CLOCK_TOLERANCE, MAX_PERMIT_LIFE};

const FILE: &str = "tries";
const BEFORE: &str = "tries.before";
/// What the first line begins with.
const FORMAT: &str = "comity/node-tries@v1";
/// How long a file is written to: no permit that was let in before counts for longer than that.
const A_FILE: Duration = MAX_PERMIT_LIFE.saturating_add(CLOCK_TOLERANCE.saturating_mul(2));
/// Where Linux says which run of the machine this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
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
    begun: Timestamp,
    boot: String,
    since: Timestamp,
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

/// A try that was let in, and until when its permit counts.
type Let = (Try, Timestamp);

/// Which run of the machine this is.
pub(super) fn boot() -> Option<String> {
    fs::read_to_string(BOOT).ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty())
}

impl Kept {
    /// What is kept in `dir`, which was written in this run of the machine; and the tries in it.
    pub(super) fn open(dir: &Path, boot: Option<&str>, now: Timestamp) -> Result<(Self, Vec<Let>), SeenError> {
        let (path, before) = (dir.join(FILE), dir.join(BEFORE));
        let read = |path| boot.map_or(Ok(None), |boot| read(path, boot));
        let (newer, older) = (read(&path)?, read(&before)?);
        let since = newer.as_ref().map_or(now, |(since, _)| *since);
        let mut tries: Vec<_> = [newer, older].into_iter().flatten().flat_map(|(_, tries)| tries).collect();
        tries.retain(|(_, expires_at)| *expires_at > now);
        let boot = boot.unwrap_or(UNKNOWN).to_owned();
        let mut text = head(&boot, since);
        tries.iter().for_each(|(claimed, expires_at)| text.push_str(&line(*claimed, *expires_at)));
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
            Self { dir: dir.to_owned(), file, length: text.len() as u64, is_torn: false, begun: now, boot, since };
        Ok((kept, tries))
    }

    /// From when on all is known that was let in: what was issued before may have been.
    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Writes down a try. When this returns, the next run of the program knows it.
    pub(super) fn keep(&mut self, claimed: Try, expires_at: Timestamp, now: Timestamp) -> io::Result<()> {
        if now >= self.begun.plus(A_FILE) {
            self.begin_another(now)?;
        }
        if self.is_torn {
            self.file.set_len(self.length)?;
        }
        let line = line(claimed, expires_at);
        self.is_torn = true;
        self.file.write_all(line.as_bytes())?;
        (self.length, self.is_torn) = (self.length + line.len() as u64, false);
        Ok(())
    }

    fn begin_another(&mut self, now: Timestamp) -> io::Result<()> {
        let head = head(&self.boot, self.since);
        let beside = self.dir.join("tries.new");
        fs::write(&beside, &head)?;
        let file = File::options().append(true).open(&beside)?;
        match fs::rename(self.path(), self.dir.join(BEFORE)) {
            // Moved already, when this was begun before and could not be ended.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::rename(&beside, self.path())?;
        (self.file, self.length, self.is_torn, self.begun) = (file, head.len() as u64, false, now);
        Ok(())
    }
}

fn head(boot: &str, since: Timestamp) -> String {
    format!("{FORMAT} {boot} {}\n", since.as_millis())
}

fn line((decision, attempt): Try, expires_at: Timestamp) -> String {
    format!("{decision} {attempt} {}\n", expires_at.as_millis())
}

/// Since when all is known, and the tries that are in a file; none where it is missing, or of another run of the machine.
fn read(path: &Path, boot: &str) -> Result<Option<(Timestamp, Vec<Let>)>, SeenError> {
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
        claimed(line).ok_or_else(|| SeenError::Damaged { path: path.to_owned(), line: index + 2 })
    });
    Ok(Some((since, tries.collect::<Result<_, _>>()?)))
}

fn since(head: &str, boot: &str) -> Option<Timestamp> {
    let since = head.strip_prefix(FORMAT)?.strip_prefix(' ')?.strip_prefix(boot)?.strip_prefix(' ')?;
    millis(since)
}

fn claimed(line: &str) -> Option<Let> {
    let mut parts = line.split(' ');
    let (decision, attempt, expires_at) = (parts.next()?, parts.next()?, parts.next()?);
    let decision: DecisionId = decision.parse().ok()?;
    let whole = parts.next().is_none();
    whole.then_some(((decision, attempt.parse().ok()?), millis(expires_at)?))
}

fn millis(text: &str) -> Option<Timestamp> {
    Timestamp::from_millis(text.parse().ok()?).ok()
}
