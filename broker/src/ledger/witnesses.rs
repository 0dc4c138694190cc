//! The broker's logs before their witnesses: nothing is appended at a start before enough of them have confirmed that a log
//! did not shrink, and whatever is published is cosigned from then on.
//!
//! ```text
//! start ─▶ confirm: every witness, until the quorum cosigns ─▶ the log takes entries
//! published ─▶ circle ─▶ cosigned, for receipts and for whoever follows
//! a witness shows what this log signed and does not have ─▶ evidence ─▶ the log ends
//! ```
//! `decisions` and `membership` say what is done with each of the two. Only the log's own signature accuses it: a witness that says more than it can show stops nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use comity_runtime::files::write_durably;
use comity_transparency::CheckpointNote;
use comity_transparency::witness::Evidence;
use comity_types::Digest;
use comity_witness::{Circle, Missed, Proofs, Round};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::log::{LogError, Published};

mod decisions;
mod membership;

pub use membership::MembershipLog;

/// Between two rounds at a start: witnesses that start with the broker are there in some of them.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
/// Between two rounds while a quorum is missing, though nothing new was published: they come back.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Why a log must not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// It has fewer leaves than it signed once.
    #[error("the {log} has {have} leaves, and has signed {seen}: the witness {witness} shows it, see {} (hint: this is an old copy of the data directory, and what is missing was promised to somebody; bring back the newest copy. To others the file proves nothing as long as this copy has signed nothing since, for what it had signed was true once: `comity log verify FILE` says which it is)", path.display())]
    RolledBack {
        /// Which log.
        log: &'static str,
        /// Who showed it.
        witness: String,
        /// How many leaves there are.
        have: u64,
        /// How many there were.
        seen: u64,
        /// What it showed.
        path: PathBuf,
    },
    /// It signed something else.
    #[error("the {log} has signed two histories: the witness {witness} shows the other, see {} (hint: two brokers with one key, or an old copy that went on; `comity log verify FILE` says what it proves, to anybody)", path.display())]
    Forked {
        /// Which log.
        log: &'static str,
        /// Who showed it.
        witness: String,
        /// The evidence.
        path: PathBuf,
    },
    /// The log cannot be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What is published is no checkpoint of it.
    #[error("what is published is no checkpoint of this log: {0}")]
    Published(String),
}

/// A log that can be shown to witnesses. Clones are the same log.
pub trait Witnessed: Clone + Send + Sync + 'static {
    /// What messages call it.
    const NAME: &'static str;
    /// What it proves by.
    type Proofs: Proofs + Send;
    /// What tells that there is more of it.
    type Change: Send + Sync;

    /// The newest checkpoint that others may see, a signed note, and the proofs that lead to it.
    fn shown(&self) -> (Arc<str>, Self::Proofs);

    /// Tells whenever a newer one is shown.
    fn changes(&self) -> watch::Receiver<Self::Change>;

    /// Waits until all that is durable is shown.
    fn flush(&self) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Keeps a checkpoint that enough witnesses have cosigned.
    fn keep(&self, cosigned: Published) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Where what accuses it is kept.
    fn evidence(&self) -> PathBuf;

    /// Ends it: somebody has proven that it is not what it says. Nothing is appended or signed from then on.
    fn end(&self, cause: &str);
}

/// A log with its witnesses.
#[derive(Debug)]
pub struct Witnesses<L> {
    circle: Circle,
    log: L,
    /// What was said of the last round, so that it is not said again.
    said: (bool, Vec<String>),
}

impl<L: Witnessed> Witnesses<L> {
    /// The witnesses of this log.
    #[must_use]
    pub const fn new(circle: Circle, log: L) -> Self {
        Self { circle, log, said: (true, Vec::new()) }
    }

    /// Waits until enough witnesses have cosigned what the log was recovered with: an honest one among them that has seen
    /// more does not.
    ///
    /// # Errors
    /// A witness shows that the log has signed more, or something else; or the log fails.
    pub async fn confirm(&mut self) -> Result<(), WitnessError> {
        loop {
            let round = self.round().await?;
            if round.judgement.quorum_met {
                return self.keep(round).await;
            }
            self.say(
                &round,
                &format!(
                    "the broker waits for enough witnesses of its {} (hint: are they up? see [witnesses] in broker.toml)",
                    L::NAME
                ),
            );
            sleep(CONFIRM_EVERY).await;
            self.circle.wake();
        }
    }

    /// Has everything cosigned that is published, until `stop`. What shows that the log is not what it says ends it.
    pub async fn run(mut self, stop: CancellationToken) {
        if let Some(Err(error)) = stop.run_until_cancelled(self.follow()).await {
            self.log.end(&comity_runtime::chain::text(&error));
        }
    }

    async fn follow(&mut self) -> Result<(), WitnessError> {
        let mut published = self.log.changes();
        loop {
            published.mark_unchanged();
            let round = self.round().await?;
            let is_enough = round.judgement.quorum_met;
            if is_enough {
                self.say(&round, "some witnesses do not cosign");
                self.keep(round).await?;
            } else {
                self.say(&round, "too few witnesses cosign: whoever asks for them waits");
            }
            let changed = published.changed();
            if is_enough {
                if changed.await.is_err() {
                    return Ok(());
                }
            } else {
                if let Ok(Err(_)) = tokio::time::timeout(RETRY_EVERY, changed).await {
                    return Ok(());
                }
                // Nodes that count them run nothing until enough of them cosign again.
                self.circle.wake();
            }
        }
    }

    /// Asks all of them about what is published now.
    async fn round(&mut self) -> Result<Round, WitnessError> {
        let (note, proofs) = self.log.shown();
        let note = CheckpointNote::parse(&note).map_err(|e| WitnessError::Published(e.to_string()))?;
        let round = self.circle.ask(&note, &proofs).await.map_err(|e| WitnessError::Published(e.to_string()))?;
        for (witness, missed) in &round.missed {
            match missed {
                Missed::Fork(evidence) => {
                    let path = self.evidence(&evidence.to_string())?;
                    return Err(WitnessError::Forked { log: L::NAME, witness: witness.to_string(), path });
                }
                Missed::Ahead(note) => self.check_ahead(&witness.to_string(), note).await?,
                Missed::Resting
                | Missed::Call(_)
                | Missed::Refused { .. }
                | Missed::Answer(_)
                | Missed::SaysAhead { .. }
                | Missed::NoProof { .. } => {}
            }
        }
        Ok(round)
    }

    /// What is durable is signed before it is published, and whoever gets it may show it to a witness. Only what is not
    /// even durable is lost.
    async fn check_ahead(&self, witness: &str, note: &CheckpointNote) -> Result<(), WitnessError> {
        self.log.flush().await?;
        let ours = CheckpointNote::parse(&self.log.shown().0);
        let ours = ours.map_err(|error| WitnessError::Published(error.to_string()))?;
        let (have, seen) = (ours.checkpoint().size, note.checkpoint().size);
        if seen <= have {
            return Ok(());
        }
        // Fewer leaves than it signed before, at a later time.
        let path = self.evidence(&Evidence::between(note.clone(), ours, Vec::new()).to_string())?;
        Err(WitnessError::RolledBack { log: L::NAME, witness: witness.to_owned(), have, seen, path })
    }

    async fn keep(&self, round: Round) -> Result<(), WitnessError> {
        let (checkpoint, note) = (round.note.checkpoint().clone(), round.note.to_string().into());
        Ok(self.log.keep(Published { checkpoint, note }).await?)
    }

    /// Keeps what accuses the log: its file.
    fn evidence(&self, text: &str) -> Result<PathBuf, WitnessError> {
        let dir = self.log.evidence();
        let path = dir.join(Digest::of(text.as_bytes()).to_string());
        let kept = std::fs::create_dir_all(&dir).and_then(|()| write_durably(&path, text.as_bytes()));
        kept.map_err(|source| LogError::io(&path, source))?;
        Ok(path)
    }

    /// Says who is missing, when that has changed.
    fn say(&mut self, round: &Round, what: &str) {
        let missing = round.missed.iter().map(|(name, _)| name.to_string()).collect();
        let now = (round.judgement.quorum_met, missing);
        if now == self.said {
            return;
        }
        let why: Vec<_> = round.missed.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        if why.is_empty() {
            tracing::info!(log = L::NAME, witnesses = self.circle.len(), "all witnesses cosign");
        } else {
            tracing::warn!(log = L::NAME, missing = why.join("; "), "{what}");
        }
        self.said = now;
    }
}
