//! Whether the decision log is the same for this node as for everybody.
//!
//! A permit proves that a decision is in a tree that the log signed, not that anybody else sees that tree. So whenever permits
//! have come, their checkpoints are held against what the log publishes, by proof:
//!
//! ```text
//! permits ─▶ LogHistory: waiting ─▶ published checkpoint, continues the one before ─▶ each is what it was at its size ─▶ held
//! ```
//! Two histories are evidence for strangers, and this node runs nothing more; what is not published in time stops it until it
//! is. What waits is on disk before the log is asked: a restart forgets nothing of it but what came in the last second.
//!
//! Without a policy, "published" is what the broker shows to this node; with one, what enough witnesses have cosigned.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use comity_client::Connection;
use comity_client::decisions::{DecisionLog, DecisionsError, Files, FilesError, FromBroker};
use comity_client::witnessed::{self, PolicyNotMet};
use comity_identity::Root;
use comity_runtime::files::write_durably;
use comity_transparency::CheckpointNote;
use comity_transparency::policy::Policy;
use comity_types::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::guard::LogHistory;
use crate::guard::history::is_proof;
use crate::retry::{Pace, Retry, Trouble};

#[cfg(test)]
mod tests;

/// How far the log was seen, and which checkpoints wait; in the data directory.
const FILE: &str = "decision-log.json";
/// How long a look may take; the next goes on from what it held. A third of what a node waits, so that one read that hangs
/// does not stop it.
const LOOK_DEADLINE: Duration = Duration::from_secs(5);
/// Between two tries to keep what convicts the log.
const KEEP_AGAIN: Duration = Duration::from_secs(5);
/// Between two looks while permits come.
const EVERY: Duration = Duration::from_secs(1);

/// Holds what permits came with against what the log publishes.
#[derive(Debug)]
pub struct LogWatch {
    log: DecisionLog,
    policy: Option<Policy>,
    history: LogHistory,
    file: PathBuf,
    kept: Kept,
    cannot_keep: bool,
    published: Option<CheckpointNote>,
}

/// What is on disk, as JSON: signed notes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The newest published checkpoint that was verified.
    published: Option<String>,
    /// Those of permits that were not held against it yet.
    waiting: Vec<Waiting>,
}

/// A checkpoint that waits: a restart does not give the log more time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    checkpoint: String,
    since: Timestamp,
}

/// Why the log cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogWatchError {
    /// What was kept cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was kept.
    #[error(
        "{} is not what this node kept of the decision log (hint: look who changed it; without the file, what was seen of the log before no longer counts)",
        path.display()
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The policy cannot say anything of this log.
    #[error("decision_log.policy: {0} (hint: docs/witnesses.md)")]
    Policy(#[from] PolicyNotMet),
}

impl LogWatch {
    /// Goes on from what was kept in the data directory; what waited there waits in `history`.
    ///
    /// # Errors
    /// What was kept cannot be used, or the policy cannot say anything of this federation's log.
    pub fn open(
        data_dir: &Path,
        root: &Root,
        policy: Option<Policy>,
        history: LogHistory,
        clock: &dyn Clock,
    ) -> Result<Self, LogWatchError> {
        if let Some(policy) = &policy {
            witnessed::asks_for_somebody(policy, &root.federation, &root.decision_log)?;
        }
        Self::open_log(data_dir, DecisionLog::of(root), policy, history, clock)
    }

    fn open_log(
        data_dir: &Path,
        log: DecisionLog,
        policy: Option<Policy>,
        history: LogHistory,
        clock: &dyn Clock,
    ) -> Result<Self, LogWatchError> {
        let file = data_dir.join(FILE);
        let kept = read(&file)?;
        let note = |text: &String| {
            log.signed(text).map_err(|source| LogWatchError::Damaged { path: file.clone(), source: source.into() })
        };
        let published = kept.published.as_ref().map(note).transpose()?;
        for Waiting { checkpoint, since } in &kept.waiting {
            history.remember(note(checkpoint)?, (*since).min(clock.now()));
        }
        Ok(Self { log, policy, history, file, kept, cannot_keep: false, published })
    }

    /// Looks while permits come, until `stop`.
    pub async fn follow(self, connection: Connection, pace: Pace, stop: CancellationToken) {
        let files = FromBroker::new(&connection);
        stop.run_until_cancelled(self.follow_for_ever(files, pace)).await.unwrap_or(());
    }

    async fn follow_for_ever(mut self, mut files: impl Files, pace: Pace) {
        let (mut retry, every) = (Retry::new(pace), EVERY.min(pace.look));
        loop {
            // Ended early by a request that waits.
            let _early = timeout(every, self.history.wanted()).await.is_ok();
            let trouble = match timeout(LOOK_DEADLINE.min(pace.call_deadline), self.look(&mut files)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some((self.judge(&error), matches!(error, DecisionsError::Files(_)))),
                Err(_) => {
                    let late = Status::deadline_exceeded("the broker does not show its decision log");
                    Some((Trouble::of(&late), true))
                }
            };
            if self.history.is_convicted() {
                // Said already, with where the evidence is; nothing that follows would change it.
                return kept_at_last(&self.history, pace).await;
            }
            match trouble {
                None if retry.worked() => {
                    tracing::info!("what permits came with is in the published decision log again");
                }
                None => {}
                Some((trouble, is_unreachable)) => self.log(&trouble, is_unreachable, &mut retry),
            }
            self.history.looked();
        }
    }

    /// Holds everything that waits against what is published now; what is not published yet goes on waiting.
    async fn look(&mut self, files: &mut impl Files) -> Result<(), DecisionsError> {
        let waiting = self.history.waiting_since();
        self.keep(&waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let published = self.log.published(files, self.published.as_ref(), self.policy.as_ref()).await?;
        let (covered, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(note, _)| note.checkpoint().size <= published.checkpoint().size);
        let covered: Vec<_> = covered.into_iter().map(|(note, _)| note).collect();
        // Each part that is held stays so, also where this look is cut short.
        let history = &self.history;
        self.log.hold(files, &published, &covered, |held| history.held(held.to_vec())).await?;
        self.published = Some(published);
        self.keep(&later);
        Ok(())
    }

    /// Convicts the log if that is proven; says what is the matter.
    fn judge(&self, error: &DecisionsError) -> Trouble {
        if let DecisionsError::Contradiction { finding, evidence } = error
            && is_proof(*finding)
        {
            self.history.convict(evidence);
        }
        if let DecisionsError::Files(FilesError::Call(status)) = error {
            return Trouble::of(status);
        }
        Trouble::unusable(error)
    }

    fn log(&self, trouble: &Trouble, is_unreachable: bool, retry: &mut Retry) {
        if !retry.is_news(trouble) {
            return;
        }
        let (why, waiting) = (trouble.said(), self.history.count_waiting());
        if is_unreachable {
            // That a broker is away, or does not let this node take part, is said by who follows it.
            tracing::info!(why, waiting, "the published decision log cannot be read, trying again");
        } else {
            tracing::warn!(
                why,
                waiting,
                "permits came with checkpoints that are not shown to be in the published decision log"
            );
        }
    }

    /// Puts it on disk, where it is not there already.
    fn keep(&mut self, waiting: &[(CheckpointNote, Timestamp)]) {
        let published = self.published.as_ref().map(ToString::to_string);
        let kept = Kept { published, waiting: waiting.iter().map(Waiting::of).collect() };
        if kept == self.kept {
            return;
        }
        let written =
            serde_json::to_vec(&kept).map_err(io::Error::from).and_then(|text| write_durably(&self.file, &text));
        match written {
            Ok(()) => (self.kept, self.cannot_keep) = (kept, false),
            Err(error) => {
                if !std::mem::replace(&mut self.cannot_keep, true) {
                    let file = self.file.display();
                    tracing::error!(%file, %error, "cannot keep how far the decision log was seen: a restart would forget it");
                }
            }
        }
    }
}

/// Keeps what convicts the log, however often that has to be tried, and never ends.
async fn kept_at_last(history: &LogHistory, pace: Pace) {
    while !history.is_kept() {
        sleep(KEEP_AGAIN.min(pace.longest_pause_away)).await;
    }
    std::future::pending::<()>().await;
}

impl Waiting {
    fn of((note, since): &(CheckpointNote, Timestamp)) -> Self {
        Self { checkpoint: note.to_string(), since: *since }
    }
}

fn read(path: &Path) -> Result<Kept, LogWatchError> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|source| LogWatchError::Damaged { path: path.to_owned(), source: source.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(source) => Err(LogWatchError::File { path: path.to_owned(), source }),
    }
}
