//! Equivocation: somebody has signed two different statements at one position.
//!
//! In the broker's own journal it is damage, and the broker does not start. From a member it is refused like any other
//! statement that does not follow: a member that could stop the broker by it could stop the federation. Whoever looks after
//! the broker is told, and what proves it to anybody is kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use comity_membership::equivocation::{Checked, Evidence};
use comity_membership::{Body, Entry, Genesis, NotTaken, Payload, Refused, Scope};
use comity_transparency::Envelope;
use comity_types::Digest;

use super::{Inner, Registry, RegistryError};

/// What evidence is called here, as nodes and operators call theirs.
const EVIDENCE_FILE: &str = "equivocation.json";
/// Where what proves that members signed twice is kept, beside the journal.
const FOLDER: &str = "equivocations";
/// Most files in there, of one position each: a file has the log up to the first of the two statements, some MiB at most, and
/// a member can make as many as it likes.
const MAX_KEPT: usize = 16;

/// What is known of statements that were signed twice.
#[derive(Debug)]
pub(super) struct Alarms {
    dir: PathBuf,
    /// One is looked into at a time: it takes the log from its beginning.
    turn: Mutex<()>,
    is_full: AtomicBool,
}

impl Alarms {
    /// Beside this journal.
    pub(super) fn beside(journal: &Path) -> Self {
        Self { dir: journal.with_file_name(FOLDER), turn: Mutex::default(), is_full: AtomicBool::default() }
    }

    /// Where evidence of this position goes; none where it is there already, or no more is kept.
    fn free(&self, scope: &Scope, version: u64) -> Option<PathBuf> {
        let name = Digest::of(format!("{version} {scope}").as_bytes());
        let path = self.dir.join(name.to_string());
        if path.exists() {
            return None;
        }
        let kept = fs::read_dir(&self.dir).map_or(0, Iterator::count);
        if kept < MAX_KEPT {
            return Some(path);
        }
        if !self.is_full.swap(true, Ordering::Relaxed) {
            let dir = self.dir.display();
            tracing::warn!(%dir, most = MAX_KEPT, "no more evidence of statements that were signed twice is kept: look at what is there, and move it away");
        }
        None
    }
}

impl Registry {
    /// Looks into a statement that was refused for its version: if it was signed at a position that is taken, by a key that
    /// signed what stands there, that is counted, said and kept. Two who sign at once, each with a key of their own, are no case of it.
    pub async fn suspect(&self, envelope: Bytes) {
        let inner = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || inner.look_into(&envelope)).await {
            Ok(Some(Alarm { why, kept })) => {
                tracing::warn!(why, %kept, "a second statement was signed at a position that is taken, it was refused");
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "cannot look into a statement that was refused"),
        }
    }
}

/// What is told of a statement that was signed twice.
struct Alarm {
    why: String,
    kept: Kept,
}

impl Inner {
    fn look_into(&self, envelope: &[u8]) -> Option<Alarm> {
        let second: Envelope = serde_json::from_slice(envelope).ok()?;
        let said = Payload::peek(&second).ok()?;
        let (scope, snapshot) = (said.statement.scope()?, self.snapshot.load_full());
        let stands = snapshot.federation().position(&scope, said.version)?;
        let first = self.entry(stands.epoch)?;
        let prepared = snapshot.federation().prepare(second.clone()).ok()?;
        if !is_twice(&first, &said, &second)? || !snapshot.federation().is_signed(&prepared) {
            return None;
        }
        self.metrics.equivocated();
        // What is kept already is looked for before anybody waits for a turn.
        self.alarms.free(&scope, said.version)?;
        let _turn = self.alarms.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.alarms.free(&scope, said.version)?;
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (equivocation, evidence) = Evidence::of(&self.genesis, &entries, &second, Checked::Before).ok()?;
        let kept = fs::create_dir_all(&path).and_then(|()| keep(&evidence, &path));
        Some(Alarm { why: equivocation.to_string(), kept: Kept::of(Some(kept)) })
    }

    fn entry(&self, epoch: u64) -> Option<Entry> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(usize::try_from(epoch.checked_sub(1)?).ok()?)?;
        Entry::from_json(entry).ok()
    }
}

/// Whether one key is said to have signed both, and they say different things: signed again after an answer was lost, a
/// statement is the same.
fn is_twice(first: &Entry, said: &Payload, second: &Envelope) -> Option<bool> {
    let Body::Signed(signed) = &first.body else { return None };
    let stands = first.payload().ok()??;
    let signed_first = |key| signed.signatures.iter().any(|signature| signature.keyid == key);
    let by_one = second.signatures.iter().any(|signature| signed_first(signature.keyid));
    Some(by_one && stands.statement != said.statement)
}

/// What a start says of a frame that was refused so, if that is a second statement at one position: what proves it is kept
/// in `into`, unless nothing is to be changed.
pub(super) fn in_journal(
    path: &Path,
    frames: &[Vec<u8>],
    position: usize,
    (genesis, why): (&Genesis, &NotTaken),
    into: Option<&Path>,
) -> Option<RegistryError> {
    let NotTaken::Refused { source, .. } = why else { return None };
    let Refused::Equivocation { .. } = **source else { return None };
    let (before, frame) = (frames.get(..position)?, frames.get(position)?);
    let Body::Signed(second) = Entry::from_json(frame).ok()?.body else { return None };
    let (equivocation, evidence) = Evidence::of(genesis, before, &second, Checked::Before).ok()?;
    let kept = into.map(|folder| keep(&evidence, folder));
    Some(RegistryError::Equivocated {
        path: path.to_owned(),
        position: position.saturating_add(1),
        kept: Kept::of(kept),
        source: Box::new(equivocation),
    })
}

/// Keeps it in `folder`, whole; gives the file.
fn keep(evidence: &Evidence, folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join(EVIDENCE_FILE);
    let aside = path.with_extension("new");
    fs::write(&aside, serde_json::to_vec_pretty(evidence)?)?;
    fs::rename(&aside, &path)?;
    Ok(path)
}

/// Where evidence is.
#[derive(Debug)]
pub enum Kept {
    /// In this file.
    In(PathBuf),
    /// Nowhere: nothing was to be changed, or it could not be written.
    Nowhere(Option<io::Error>),
}

impl Kept {
    fn of(kept: Option<io::Result<PathBuf>>) -> Self {
        match kept {
            Some(Ok(path)) => Self::In(path),
            Some(Err(error)) => Self::Nowhere(Some(error)),
            None => Self::Nowhere(None),
        }
    }
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::In(path) => write!(f, "the evidence is in {}", path.display()),
            Self::Nowhere(Some(error)) => write!(f, "the evidence cannot be kept: {error}"),
            Self::Nowhere(None) => f.write_str("the journal is the evidence"),
        }
    }
}
