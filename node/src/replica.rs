//! The node's own copy of the federation's state, folded from the broker's statements.

use std::sync::Arc;
use std::time::Duration;

use comity_client::connection::Channel;
use comity_membership::federation::Refused;
use comity_membership::{Entry, Federation};
use comity_proto::membership::WatchRequest;
use comity_proto::membership::membership_client::MembershipClient;
use comity_types::Digest;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::retry::{Pace, Retry, Trouble};

#[cfg(test)]
mod tests;

/// A copy of the state. Clones are the same copy.
#[derive(Debug, Clone)]
pub struct Replica {
    state: watch::Sender<Arc<Federation>>,
    root_sha256: Digest,
    /// Somebody waits for more: the broker is asked again at once.
    wanted: Arc<Notify>,
}

/// The copy has not come as far as a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node knows the federation up to epoch {known}, the request was decided at epoch {needed}")]
pub struct Behind {
    /// How far it is.
    pub known: u64,
    /// How far it should be.
    pub needed: u64,
}

/// Why the state does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The broker ended the stream, or cannot be reached.
    #[error("the broker's statements cannot be read")]
    Lost(#[from] Box<Status>),
    /// A statement is none of this version.
    #[error("statement {epoch} cannot be read (hint: this node may need an update)")]
    Malformed {
        /// Its position.
        epoch: u64,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A statement does not stand where the broker says.
    #[error("statement {found} was sent as statement {sent}")]
    Misplaced {
        /// Where the broker says it stands.
        sent: u64,
        /// Where it says itself.
        found: u64,
    },
    /// A statement does not fit the state.
    #[error("statement {epoch} does not fit what was said before")]
    Refused {
        /// Its position.
        epoch: u64,
        /// Why.
        #[source]
        source: Refused,
    },
    /// The statements are another federation's.
    #[error("the broker's statements are founded on another root document")]
    OtherRoot,
}

impl Replica {
    /// An empty copy of the federation whose root document has this digest.
    #[must_use]
    pub fn new(root_sha256: Digest) -> Self {
        Self { state: watch::Sender::new(Arc::default()), root_sha256, wanted: Arc::default() }
    }

    /// The state as far as it is known.
    #[must_use]
    pub fn federation(&self) -> Arc<Federation> {
        Arc::clone(&self.state.borrow())
    }

    /// The state at `epoch` or later.
    ///
    /// # Errors
    /// If it does not come before `deadline` has passed.
    pub async fn wait_for(&self, epoch: u64, deadline: Duration) -> Result<Arc<Federation>, Behind> {
        let mut state = self.state.subscribe();
        if state.borrow().epoch() < epoch {
            self.wanted.notify_one();
        }
        let arrived = timeout(deadline, state.wait_for(|state| state.epoch() >= epoch)).await;
        match arrived {
            Ok(Ok(state)) => Ok(Arc::clone(&state)),
            Ok(Err(_)) | Err(_) => Err(Behind { known: self.federation().epoch(), needed: epoch }),
        }
    }

    /// Waits until something is found in the state, however long that takes.
    pub async fn find<T>(&self, found: impl Fn(&Federation) -> Option<T>) -> T {
        let mut state = self.state.subscribe();
        loop {
            if let Some(found) = found(&state.borrow_and_update()) {
                return found;
            }
            // This copy keeps the sender: the state does not end.
            let _changed = state.changed().await.is_ok();
        }
    }

    /// Takes in the statement that the broker sent as number `sent`.
    ///
    /// # Errors
    /// It is malformed, misplaced or does not fit; nothing has changed then.
    pub fn take(&self, sent: u64, json: &[u8]) -> Result<(), ReplicaError> {
        let entry = Entry::from_json(json).map_err(|source| ReplicaError::Malformed { epoch: sent, source })?;
        if entry.epoch != sent {
            return Err(ReplicaError::Misplaced { sent, found: entry.epoch });
        }
        let mut next = Federation::clone(&self.state.borrow());
        next.apply(&entry).map_err(|source| ReplicaError::Refused { epoch: sent, source })?;
        if next.root_sha256() != Some(self.root_sha256) {
            return Err(ReplicaError::OtherRoot);
        }
        self.state.send_replace(Arc::new(next));
        Ok(())
    }

    /// Follows the broker until `stop`; comes back after every loss.
    pub async fn follow(self, broker: Channel, pace: Pace, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow_for_ever(broker, pace)).await.unwrap_or(());
    }

    async fn follow_for_ever(self, broker: Channel, pace: Pace) {
        let mut retry = Retry::new(pace);
        loop {
            let lost = match self.follow_once(broker.clone(), pace, &mut retry).await {
                Ok(()) => ReplicaError::Lost(Box::new(Status::unavailable("the stream ended"))),
                Err(lost) => lost,
            };
            let trouble = trouble(&lost);
            if retry.is_news(&trouble) {
                log(&lost, &trouble);
            }
            // Ended early by a request that waits: whoever sent it is there.
            let _early = timeout(retry.pause(&trouble), self.wanted.notified()).await.is_ok();
        }
    }

    /// One stream, to its end. It works once it has brought a statement that fits, or has lasted: a broker that
    /// takes the call and ends it at once is as good as away.
    async fn follow_once(&self, broker: Channel, pace: Pace, retry: &mut Retry) -> Result<(), ReplicaError> {
        let request = WatchRequest { after_epoch: self.federation().epoch() };
        let mut statements = MembershipClient::new(broker).watch(request).await.map_err(Box::new)?.into_inner();
        if let Ok(first) = timeout(pace.settle, statements.message()).await {
            let Some(statement) = first.map_err(Box::new)? else { return Ok(()) };
            self.take(statement.epoch, &statement.entry)?;
        }
        if retry.worked() {
            tracing::info!(epoch = self.federation().epoch(), "following the broker again");
        }
        while let Some(statement) = statements.message().await.map_err(Box::new)? {
            self.take(statement.epoch, &statement.entry)?;
        }
        Ok(())
    }
}

fn trouble(lost: &ReplicaError) -> Trouble {
    if let ReplicaError::Lost(status) = lost { Trouble::of(status) } else { Trouble::unusable(lost) }
}

/// A broker that restarts is daily business; one that refuses this node or says what does not fit is not.
fn log(lost: &ReplicaError, trouble: &Trouble) {
    let (reason, said) = (trouble.topic(), trouble.said());
    if !matches!(lost, ReplicaError::Lost(_)) {
        tracing::error!(error = said, "the broker's statements are not believed");
    } else if trouble.is_away() {
        tracing::info!(reason, said, "lost the broker, following it again");
    } else {
        tracing::warn!(reason, said, "the broker does not let this node follow, trying again");
    }
}
