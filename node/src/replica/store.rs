//! The log on disk: a line of JSON to an entry, as it came, and beside it the last checkpoint with when it came.
//!
//! `comity log verify` reads the same files. They can be made again from the broker at any time, so that nothing is
//! synced; what a crash leaves torn is cut off. What they are for is a node that starts while the broker is away, and one
//! that is shown another past than before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use comity_client::follow::kept::{
    self, CHECKPOINT_FILE, EVIDENCE_FILE, Evidence, Heard, LOG_FILE, REFUSED_FILE, ROLLBACK_FILE, RefusedEntry,
};
use comity_client::follow::{Behind, FollowError, Followed, Part};
use comity_membership::Equivocation;
use comity_membership::equivocation::Evidence as Statements;
use comity_proto::membership::WatchResponse;
use comity_types::Timestamp;
use serde::Serialize;

/// How often the checkpoint is written although it is the same: what a restart may forget of how fresh it was.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// What proves equivocation.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// A checkpoint of another past than the one that was agreed with.
    Checkpoint(String),
    /// Two statements at one position.
    Statements(Box<Statements>),
}

/// The files of one replica.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    log: Mutex<Option<File>>,
    written: Mutex<Option<Heard>>,
}

impl Store {
    /// Opens or makes the files in `dir` and takes in what is in them, each signature checked as if it came from the
    /// broker. Says when the last checkpoint came, if it is of all of that. If it is not, it still says what was shown, and
    /// is held against what comes: see [`holds`](Self::holds).
    pub(super) fn open(dir: &Path, followed: &mut Followed) -> (Self, Option<Timestamp>) {
        let path = dir.join(LOG_FILE);
        let heard = kept::heard(dir).unwrap_or_else(|error| {
            let path = dir.join(CHECKPOINT_FILE);
            tracing::warn!(path = %path.display(), error = crate::error_chain(&error), "the last checkpoint cannot be read");
            None
        });
        let empty = followed.clone();
        let mut whole = replay(&path, followed);
        let (heard, at) = match heard.map(|heard| (followed.agree(&heard.checkpoint), heard)) {
            None => (None, None),
            Some((Ok(()), heard)) => (Some(heard.clone()), Some(heard.at)),
            Some((Err(FollowError::Checkpoint(error)), _)) => {
                let path = dir.join(CHECKPOINT_FILE);
                tracing::warn!(path = %path.display(), error = crate::error_chain(&error), "the last checkpoint is none of this federation's");
                (None, None)
            }
            Some((Err(error), heard)) => {
                if matches!(error, FollowError::Diverged(_)) {
                    // The file is not what was agreed with: all is asked for again.
                    tracing::warn!(path = %path.display(), error = crate::error_chain(&error), "the federation's log on disk is not the one that was shown");
                    (*followed, whole) = (empty, 0);
                }
                (Some(heard), None)
            }
        };
        let log = open(&path, whole).inspect_err(|error| unkept(&path, error)).ok();
        (Self { dir: dir.to_owned(), log: Mutex::new(log), written: Mutex::new(heard) }, at)
    }

    /// Whether the last checkpoint that this node agreed with, now or before it was started, is of the past of this log.
    ///
    /// # Errors
    /// It is of another, or the log has not come as far again.
    pub(super) fn holds(&self, followed: &Followed) -> Result<(), FollowError> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.as_ref().map_or(Ok(()), |heard| followed.still_holds(&heard.checkpoint))
    }

    /// Keeps an entry, which is one line: [`Log::take`](comity_membership::Log::take) takes no other.
    pub(super) fn entry(&self, entry: &[u8]) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let line = [entry, b"\n"].concat();
        let written = log.as_mut().map_or(Ok(()), |file| file.write_all(&line));
        if let Err(error) = written {
            // A line that is torn would hide all that follow; the next start asks the broker for them.
            unkept(&self.dir.join(LOG_FILE), &error);
            *log = None;
        }
    }

    /// Keeps a checkpoint.
    pub(super) fn heard(&self, checkpoint: &str, at: Timestamp) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let same = written.as_ref().filter(|heard| heard.checkpoint == checkpoint);
        if same.is_some_and(|heard| at.since(heard.at) < WRITE_EVERY) {
            return;
        }
        let heard = Heard { checkpoint: checkpoint.to_owned(), at };
        let path = self.dir.join(CHECKPOINT_FILE);
        match write(&path, &heard) {
            Ok(()) => *written = Some(heard),
            Err(error) => unkept(&path, &error),
        }
    }

    /// Whether an entry that was refused so is a second statement at a position that is taken, by the log on disk.
    pub(super) fn convict(
        &self,
        followed: &Followed,
        part: &WatchResponse,
        why: &FollowError,
    ) -> Option<(Equivocation, Statements)> {
        let FollowError::NotTaken(_) = why else { return None };
        let text = fs::read(self.dir.join(LOG_FILE)).ok()?;
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        followed.convict(&lines, &part.entry, why)
    }

    /// Keeps what proves equivocation: of two pasts the checkpoint that was signed before stands in its file, the log beside
    /// it. Says where.
    pub(super) fn evidence(&self, proof: &Proof) -> Option<PathBuf> {
        let kept = match proof {
            Proof::Checkpoint(note) => self.keep(EVIDENCE_FILE, note),
            Proof::Statements(statements) => kept::keep_statements(statements, &self.dir),
        };
        kept.inspect_err(|error| {
            let path = self.dir.join(EVIDENCE_FILE);
            tracing::error!(path = %path.display(), %error, "what proves equivocation cannot be kept, trying again: until then a restart would forget it");
        })
        .ok()
    }

    /// Adds to the evidence of two statements, which is kept, what the broker signed of the log that has both.
    pub(super) fn shown(&self, followed: &Followed, behind: &Behind) -> io::Result<()> {
        let statements: Statements = serde_json::from_slice(&fs::read(self.dir.join(EVIDENCE_FILE))?)?;
        let text = fs::read(self.dir.join(LOG_FILE))?;
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        kept::keep_statements(&followed.with_shown(&lines, behind, statements), &self.dir).map(drop)
    }

    /// Keeps that the broker's log is shorter than it was, which proves nothing by itself. Says where.
    pub(super) fn rollback(&self, checkpoint: &str) -> Option<PathBuf> {
        let kept = self.keep(ROLLBACK_FILE, checkpoint);
        kept.inspect_err(|error| unkept(&self.dir.join(ROLLBACK_FILE), error)).ok()
    }

    /// Keeps an entry that does not fit, and why.
    pub(super) fn refused(&self, part: &WatchResponse, why: &FollowError) {
        let agreed = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let entry = String::from_utf8_lossy(&part.entry).into_owned();
        let refused = RefusedEntry { agreed, epoch: part.epoch, entry, why: crate::error_chain(why) };
        match refused.keep(&self.dir) {
            Ok(path) => {
                tracing::error!(path = %path.display(), "an entry of the broker's log does not fit, it is kept");
            }
            Err(error) => unkept(&self.dir.join(REFUSED_FILE), &error),
        }
    }

    fn keep(&self, name: &str, then: &str) -> io::Result<PathBuf> {
        let agreed = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let evidence = Evidence { agreed, then: then.to_owned(), log: LOG_FILE.to_owned() };
        evidence.keep(&self.dir, name)
    }
}

/// Takes in the entries of the file; gives how many bytes of it are whole and hold.
fn replay(path: &Path, followed: &mut Followed) -> u64 {
    let Ok(text) = fs::read(path) else { return 0 };
    let mut whole = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let Some(entry) = line.strip_suffix(b"\n") else { break };
        let epoch = followed.log().federation().epoch().saturating_add(1);
        let part = WatchResponse { epoch, entry: entry.to_vec().into(), checkpoint: String::new() };
        match followed.take(&part) {
            Ok(Part::Entry(_) | Part::Checkpoint) => whole += line.len() as u64,
            Err(error) => {
                tracing::warn!(path = %path.display(), epoch, error = crate::error_chain(&error), "the federation's log is not whole, the rest is asked for again");
                break;
            }
        }
    }
    whole
}

fn open(path: &Path, whole: u64) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    file.set_len(whole)?;
    Ok(file)
}

fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, serde_json::to_vec_pretty(value)?)?;
    fs::rename(&aside, path)
}

fn unkept(path: &Path, error: &io::Error) {
    tracing::warn!(path = %path.display(), error = %error, "the federation's log cannot be kept on disk");
}
