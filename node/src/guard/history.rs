//! The checkpoints that permits came with, and whether the log is one log.
//!
//! Two of one size with different roots convict it at once. Of other sizes, each has to turn out to be what the log has
//! published ([`LogWatch`](crate::log_watch::LogWatch) holds them against that): until it does it waits, and not for ever. A
//! node whose log is convicted runs nothing more of what it proves, nor after a restart: one of two histories is a lie.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use comity_runtime::files::write_durably;
use comity_transparency::witness::{Evidence, EvidenceError, Finding};
use comity_transparency::{Checkpoint, CheckpointNote, Verifier};
use comity_types::Timestamp;
use comity_witness::{Silence, Silent};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::Lie;

/// Most checkpoints that are remembered after they were held against what is published, the largest of them: each comes with
/// many permits, and is some 300 bytes.
const MAX_HELD: usize = 1024;
/// Most checkpoints that wait: a broker makes one for each batch, some hundred a second under load; of 300 bytes they take 5 MiB.
const MAX_WAITING: usize = 16 * 1024;
/// How long a checkpoint may wait. A broker publishes four times a second, witnesses have two seconds to cosign, and this node
/// looks every second: the rest is for a broker that starts again. Whoever hides requests from the published log has as long.
pub const PUBLISHED_WITHIN: Duration = Duration::from_secs(15);

/// How long a request waits for a look that is overdue: a few round trips to the broker.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the log has shown so far. Clones are the same.
#[derive(Debug, Clone)]
pub struct LogHistory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shown: Mutex<Shown>,
    origin: String,
    /// Where evidence goes.
    evidence: PathBuf,
    /// The logs of which this node's witness cosigns nothing.
    silent: Option<watch::Receiver<Vec<Silent>>>,
    /// Somebody waits for the next look at what is published.
    wanted: Notify,
    /// How often that was looked at.
    looks: watch::Sender<u64>,
}

/// Why this node cannot know whether the log was convicted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceFault {
    /// The file cannot be read.
    #[error("{} cannot be read: it may hold what convicts the decision log", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It convicts nobody.
    #[error(
        "{} is not what this node kept against the decision log, which it convicted (hint: look who changed it; the node runs nothing until the file is as it was, or is moved away where everybody agrees which log counts)",
        path.display()
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[derive(Debug, Default)]
struct Shown {
    /// Those that are of the published log, by size.
    held: BTreeMap<u64, CheckpointNote>,
    /// Those of which it is not known yet, and since when each waits.
    waiting: BTreeMap<u64, (CheckpointNote, Timestamp)>,
    /// Since when the oldest of those waits.
    waiting_since: Option<Timestamp>,
    is_convicted: bool,
    /// What convicts it, and is not on disk yet.
    unkept: Option<Evidence>,
}

impl Shown {
    fn at(&self, size: u64) -> Option<&CheckpointNote> {
        self.held.get(&size).or_else(|| self.waiting.get(&size).map(|(note, _)| note))
    }

    fn wait(&mut self, note: CheckpointNote, now: Timestamp) {
        self.waiting.insert(note.checkpoint().size, (note, now));
        self.waiting_since = Some(self.waiting_since.map_or(now, |since| since.min(now)));
    }
}

impl LogHistory {
    /// Of the log with this origin and these keys. What convicts it goes to `evidence`, and counts if it is there already;
    /// what this node's witness has caught counts too, and what it kept against the log and cannot read (`silent`).
    ///
    /// # Errors
    /// There is a file, and it cannot be read or is no evidence against this log: it was when it was written, and a node that
    /// goes on because a byte of it is lost would serve a broker that was convicted.
    pub fn new(
        origin: &str,
        keys: &[Verifier],
        evidence: PathBuf,
        silent: Option<watch::Receiver<Vec<Silent>>>,
    ) -> Result<Self, EvidenceFault> {
        let is_convicted = is_evidence(origin, keys, &evidence)?;
        if is_convicted {
            tracing::error!(evidence = %evidence.display(), log = origin, "the decision log has signed two histories, this node runs nothing of it");
        }
        let shown = Mutex::new(Shown { is_convicted, ..Shown::default() });
        let (wanted, looks) = (Notify::new(), watch::Sender::new(0));
        Ok(Self(Arc::new(Inner { shown, origin: origin.to_owned(), evidence, silent, wanted, looks })))
    }

    /// Takes in a checkpoint that the log signed, and the note that it came as.
    pub(crate) fn take(&self, note: &str, checkpoint: &Checkpoint, now: Timestamp) -> Result<(), Lie> {
        let mut shown = self.shown();
        self.check_shown(&shown, now)?;
        let known = shown.at(checkpoint.size);
        if known.is_some_and(|known| known.checkpoint().root == checkpoint.root) {
            return Ok(());
        }
        let note = CheckpointNote::parse(note).map_err(|_| Lie::Checkpoint)?;
        if let Some(known) = known {
            let evidence = Evidence::between(known.clone(), note, Vec::new());
            self.found_guilty(&mut shown, &evidence);
            return Err(Lie::Contradicted);
        }
        if shown.waiting.len() >= MAX_WAITING {
            return Err(Lie::Unpublished);
        }
        shown.wait(note, now);
        Ok(())
    }

    /// Takes in one that was shown before a restart, and waits since then.
    pub(crate) fn remember(&self, note: CheckpointNote, since: Timestamp) {
        self.shown().wait(note, since);
    }

    /// Whether what the log proves counts.
    ///
    /// # Errors
    /// It is convicted, or has not published for too long what it proved to this node.
    pub fn check(&self, now: Timestamp) -> Result<(), Lie> {
        self.check_shown(&self.shown(), now)
    }

    fn check_shown(&self, shown: &Shown, now: Timestamp) -> Result<(), Lie> {
        if shown.is_convicted {
            return Err(Lie::Contradicted);
        }
        match self.silence() {
            Some(Silence::Contradicted) => return Err(Lie::Contradicted),
            Some(Silence::Evidence) => return Err(Lie::EvidenceUnread),
            // What a witness has signed accuses nobody.
            Some(Silence::Memory) | None => {}
        }
        let waits_too_long = |since: Timestamp| now > since.plus(PUBLISHED_WITHIN);
        if shown.waiting_since.is_some_and(waits_too_long) { Err(Lie::Unpublished) } else { Ok(()) }
    }

    /// Why this node's witness cosigns nothing of this log, if so.
    fn silence(&self) -> Option<Silence> {
        self.silent().into_iter().find(|log| log.origin == self.0.origin).map(|log| log.why)
    }

    /// The logs of which this node's witness, if it is one, cosigns nothing.
    #[must_use]
    pub fn silent(&self) -> Vec<Silent> {
        self.0.silent.as_ref().map(|silent| silent.borrow().clone()).unwrap_or_default()
    }

    /// Waits for a look at what is published, if one is overdue: a broker that was away comes back with a request at once.
    pub async fn catch_up(&self, now: Timestamp) {
        if self.check(now) != Err(Lie::Unpublished) {
            return;
        }
        let mut looks = self.0.looks.subscribe();
        self.0.wanted.notify_one();
        // Whether it was in time, the permit's check says.
        let _looked = timeout(PATIENCE, looks.changed()).await.is_ok();
    }

    /// Ends when a look at what is published is wanted at once.
    pub(crate) async fn wanted(&self) {
        self.0.wanted.notified().await;
    }

    /// What is published was looked at, or could not be.
    pub(crate) fn looked(&self) {
        self.0.looks.send_modify(|looks| *looks += 1);
    }

    /// Those that are not known to be of the published log, smallest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<CheckpointNote> {
        self.waiting_since().into_iter().map(|(note, _)| note).collect()
    }

    /// The same, and since when each waits.
    pub(crate) fn waiting_since(&self) -> Vec<(CheckpointNote, Timestamp)> {
        self.shown().waiting.values().cloned().collect()
    }

    /// How long the oldest of those waits.
    #[must_use]
    pub fn waits_for(&self, now: Timestamp) -> Duration {
        self.shown().waiting_since.map(|since| now.since(since)).unwrap_or_default()
    }

    /// How many those are.
    #[must_use]
    pub fn count_waiting(&self) -> usize {
        self.shown().waiting.len()
    }

    /// These turned out to be of the published log.
    pub(crate) fn held(&self, notes: Vec<CheckpointNote>) {
        let mut shown = self.shown();
        for note in notes {
            shown.waiting.remove(&note.checkpoint().size);
            shown.held.insert(note.checkpoint().size, note);
        }
        while shown.held.len() > MAX_HELD {
            shown.held.pop_first();
        }
        shown.waiting_since = shown.waiting.values().map(|(_, since)| *since).min();
    }

    /// The log contradicts itself, provably.
    pub(crate) fn convict(&self, evidence: &Evidence) {
        let mut shown = self.shown();
        if !shown.is_convicted {
            self.found_guilty(&mut shown, evidence);
        }
    }

    /// Whether it is known to.
    pub(crate) fn is_convicted(&self) -> bool {
        self.shown().is_convicted
    }

    /// Keeps both checkpoints, for people to look at and for the next start.
    fn found_guilty(&self, shown: &mut Shown, evidence: &Evidence) {
        shown.is_convicted = true;
        shown.unkept = Some(evidence.clone());
        tracing::error!("the decision log has signed two histories, this node runs nothing more of it");
        self.keep_evidence(shown);
    }

    /// Tries again to keep what convicts the log, if that failed. True if it is kept, or there is none.
    pub(crate) fn is_kept(&self) -> bool {
        let mut shown = self.shown();
        self.keep_evidence(&mut shown);
        shown.unkept.is_none()
    }

    fn keep_evidence(&self, shown: &mut Shown) {
        let Some(evidence) = &shown.unkept else { return };
        let file = self.0.evidence.display();
        match write_durably(&self.0.evidence, evidence.to_string().as_bytes()) {
            Ok(()) => {
                shown.unkept = None;
                tracing::info!(evidence = %file, "what convicts the decision log is kept");
            }
            Err(error) => {
                tracing::error!(evidence = %file, %error, "what convicts the decision log cannot be kept, trying again: until then a restart would forget it");
            }
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is evidence against the log; a file that is none is an error.
fn is_evidence(origin: &str, keys: &[Verifier], path: &Path) -> Result<bool, EvidenceFault> {
    let damaged =
        |source: Box<dyn std::error::Error + Send + Sync>| EvidenceFault::Damaged { path: path.to_owned(), source };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged(error.into())),
        Err(source) => return Err(EvidenceFault::File { path: path.to_owned(), source }),
    };
    let evidence: Evidence = text.parse().map_err(|error: EvidenceError| damaged(error.into()))?;
    if evidence.origin() != origin {
        return Err(damaged(format!("it is about the log {}, and not {origin}", evidence.origin()).into()));
    }
    match evidence.check(keys) {
        Ok(finding) if is_proof(finding) => Ok(true),
        Ok(_) => Err(damaged("its proof does not connect the two checkpoints".into())),
        Err(error) => Err(damaged(error.into())),
    }
}

/// Whether nothing can explain what the log signed.
pub(crate) const fn is_proof(finding: Finding) -> bool {
    match finding {
        Finding::Fork | Finding::Impossible | Finding::Rollback => true,
        Finding::Unconnected => false,
    }
}
