//! The log as a member keeps it beside its identity: read once, verified once, and continued from there. Whoever keeps it
//! notices when the broker shows another past than before, and keeps what proves it.
//!
//! An entry that is read again is known by the root of the tree, which the broker's log key has signed and which this
//! member has agreed with when it checked every signature. Where the copy is not whole, all is read and checked anew; the
//! checkpoint still counts.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use comity_membership::equivocation::Evidence as Statements;

use super::kept::{self, CHECKPOINT_FILE, EVIDENCE_FILE, Evidence, Heard, LOG_FILE, ROLLBACK_FILE};
use super::{FollowError, Followed, Stopped, read_on};
use crate::connection::Connection;

/// Why the log is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnError {
    /// It cannot be read, or is not believed for itself.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The broker has shown two logs, or two statements at one position; what proves it is kept.
    #[error("the broker has equivocated: it has shown two pasts, or two statements at one position; the evidence is in {} (hint: sign nothing; show it to the other operators, who check it by `comity log verify {} --root root.json`; when they have explained it, move the file away)", evidence.display(), evidence.display())]
    Forked {
        /// Where the evidence is.
        evidence: PathBuf,
        /// What was found, where it was found now.
        #[source]
        source: Option<Box<FollowError>>,
    },
    /// The broker's log is shorter than it was; both checkpoints are kept.
    #[error("the broker's log is shorter than before; both of its checkpoints are in {}", evidence.display())]
    Behind {
        /// Where they are.
        evidence: PathBuf,
        /// How much shorter.
        #[source]
        source: Box<FollowError>,
    },
}

/// How much of the copy is checked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The root of the tree: its signatures were checked when it was first taken in, by whoever could write the copy.
    ByRoot,
    /// Each signature, as if it came from the broker now.
    BySignature,
}

/// The log as it stands at the broker now, continued from the copy in `dir` where that is whole; each entry is handed to
/// `each`, the kept ones too. The copy goes on, unless another program writes it at this moment.
///
/// # Errors
/// The broker cannot be reached, refuses, or sends what is not to be believed, or what contradicts the copy.
pub async fn read(
    connection: &Connection,
    empty: Followed,
    dir: &Path,
    copied: Copied,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<Followed, OwnError> {
    let evidence = dir.join(EVIDENCE_FILE);
    if evidence.exists() {
        return Err(OwnError::Forked { evidence, source: None });
    }
    let heard = kept::heard(dir).ok().flatten();
    let mut copy = Copy::open(dir);
    let mut followed =
        copy.as_mut().and_then(|copy| copy.taken(&empty, heard.as_ref(), copied, &mut each)).unwrap_or(empty);
    let mut fresh = Vec::new();
    let read = read_on(connection, &mut followed, |_, epoch, entry| {
        each(epoch, entry);
        fresh.extend_from_slice(entry);
        fresh.push(b'\n');
    });
    if let Err(stopped) = read.await {
        let whole = copy.as_ref().map_or(0, |copy| copy.whole);
        let stopped = stopped.convicted(&followed, &lines(dir, whole, &fresh));
        return Err(stopped.kept(heard.as_ref(), dir));
    }
    if let Some(heard) = &heard {
        // Of a copy that was not whole the checkpoint still says what was shown.
        let now = followed.checkpoint().unwrap_or_default().to_owned();
        followed.still_holds(&heard.checkpoint).map_err(|error| {
            // What the log is now proves it together with the note of before.
            Convicted::from(Stopped { error, note: Some(now), entry: None, behind: None }).kept(Some(heard), dir)
        })?;
    }
    if let (Some(copy), Some(checkpoint)) = (copy, followed.checkpoint()) {
        let heard = Heard { checkpoint: checkpoint.to_owned(), at: followed.clock.now() };
        // A copy that cannot be kept is read anew the next time.
        let _kept = copy.go_on(&fresh, &heard).is_ok();
    }
    Ok(followed)
}

/// The log as far as the copy in `dir` has it: what was believed when it was last read, and may be of before. None where
/// there is no whole copy, or another program writes it at this moment.
#[must_use]
pub fn kept(empty: &Followed, dir: &Path) -> Option<Followed> {
    let heard = kept::heard(dir).ok().flatten()?;
    Copy::open(dir)?.taken(empty, Some(&heard), Copied::ByRoot, &mut |_, _| {})
}

/// The entries so far: what is whole of the copy, and what came behind it.
fn lines(dir: &Path, whole: u64, fresh: &[u8]) -> Vec<Vec<u8>> {
    let mut text = std::fs::read(dir.join(LOG_FILE)).unwrap_or_default();
    text.truncate(usize::try_from(whole).unwrap_or(usize::MAX));
    text.extend_from_slice(fresh);
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// What stopped a reader, with what proves it where that is another thing than a checkpoint.
#[derive(Debug)]
struct Convicted {
    stopped: Stopped,
    statements: Option<Statements>,
}

impl From<Stopped> for Convicted {
    fn from(stopped: Stopped) -> Self {
        Self { stopped, statements: None }
    }
}

impl Stopped {
    /// By these entries, which are the log so far.
    fn convicted(mut self, followed: &Followed, lines: &[Vec<u8>]) -> Convicted {
        let convicted = self.entry.take().and_then(|entry| followed.convict(lines, &entry, &self.error));
        let Some((equivocation, statements)) = convicted else { return self.into() };
        let statements = match &self.behind {
            Some(behind) => followed.with_shown(lines, behind, statements),
            None => statements,
        };
        self.error = Box::new(equivocation).into();
        Convicted { stopped: self, statements: Some(statements) }
    }
}

impl Convicted {
    /// Keeps what was signed, where it goes against what was signed before.
    fn kept(self, heard: Option<&Heard>, dir: &Path) -> OwnError {
        let Self { stopped: Stopped { error, note, .. }, statements } = self;
        let kept = match (&error, statements, note) {
            (FollowError::Equivocated(_), Some(statements), _) => kept::keep_statements(&statements, dir),
            (FollowError::Diverged(_), _, Some(then)) => checkpoints(heard, then).keep(dir, EVIDENCE_FILE),
            (FollowError::Behind { .. }, _, Some(then)) => {
                return match checkpoints(heard, then).keep(dir, ROLLBACK_FILE) {
                    Ok(evidence) => OwnError::Behind { evidence, source: Box::new(error) },
                    Err(_) => error.into(),
                };
            }
            _ => return error.into(),
        };
        match kept {
            Ok(evidence) => OwnError::Forked { evidence, source: Some(Box::new(error)) },
            Err(_) => error.into(),
        }
    }
}

/// The broker's word of before, and the one that goes against it.
fn checkpoints(heard: Option<&Heard>, then: String) -> Evidence {
    Evidence { agreed: heard.cloned(), then, log: LOG_FILE.to_owned() }
}

/// The files, held by this program alone.
struct Copy {
    dir: PathBuf,
    log: File,
    whole: u64,
}

impl Copy {
    /// None where another program holds them, or they cannot be made.
    fn open(dir: &Path) -> Option<Self> {
        let options = OpenOptions::new().create(true).read(true).append(true).open(dir.join(LOG_FILE));
        let log = options.ok()?;
        log.try_lock().ok()?;
        Some(Self { dir: dir.to_owned(), log, whole: 0 })
    }

    /// What is in it, if a checkpoint that agreed when it was verified is of all of it, or of its beginning.
    fn taken(
        &mut self,
        empty: &Followed,
        heard: Option<&Heard>,
        copied: Copied,
        each: &mut impl FnMut(u64, &[u8]),
    ) -> Option<Followed> {
        let note = &heard?.checkpoint;
        let signed: usize = note.lines().nth(1)?.parse().ok()?;
        let mut text = Vec::new();
        self.log.read_to_end(&mut text).ok()?;
        let (mut followed, mut whole) = (empty.clone(), 0);
        let lines = text.split_inclusive(|byte| *byte == b'\n').take(signed);
        for line in lines {
            let entry = line.strip_suffix(b"\n")?;
            match copied {
                Copied::ByRoot => followed.take_again(entry).ok()?,
                Copied::BySignature => followed.take_next(entry).ok()?,
            }
            whole += line.len() as u64;
        }
        followed.agree(note).ok()?;
        // Not before it is known to be what was verified.
        for (epoch, line) in (1..).zip(text.split(|byte| *byte == b'\n').take(signed)) {
            each(epoch, line);
        }
        self.whole = whole;
        Some(followed)
    }

    /// Adds what is new. The checkpoint comes last: what it is not of, is read again.
    fn go_on(mut self, fresh: &[u8], heard: &Heard) -> io::Result<()> {
        self.log.set_len(self.whole)?;
        self.log.write_all(fresh)?;
        self.log.sync_data()?;
        kept::replace(&self.dir.join(CHECKPOINT_FILE), &serde_json::to_vec_pretty(heard)?)
    }
}

#[cfg(test)]
mod tests;
