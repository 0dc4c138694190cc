//! The federation's log as the broker sends it, believed only as far as it is proven: every signature is checked here,
//! the state is folded here, and the root has to be the one that the broker signed.

pub mod kept;

use std::sync::Arc;
use std::time::Duration;

use comity_identity::Root;
use comity_membership::federation::MAX_AHEAD;
use comity_membership::{Diverged, Entry, Log, NotTaken};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{WatchRequest, WatchResponse};
use comity_runtime::genesis;
use comity_transparency::checkpoint::CheckpointError;
use comity_transparency::{Checkpoint, NoteVerifier};
use comity_types::{Clock, Digest, Timestamp};
use tokio::time::timeout;
use tonic::Status;

use crate::connection::Connection;

/// Longest wait for the next part of the log: the broker sends at least a checkpoint every 5 s.
const PART_DEADLINE: Duration = Duration::from_secs(20);

/// A log that is followed, with the last checkpoint that it agreed with.
#[derive(Debug, Clone)]
pub struct Followed {
    clock: Arc<dyn Clock>,
    log: Log,
    key: NoteVerifier,
    checkpoint: Option<String>,
}

/// What the broker sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// An entry, which was taken in.
    Entry(Box<Entry>),
    /// A checkpoint, which agrees with what was taken in.
    Checkpoint,
}

/// Why the log is not followed any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The broker cannot be reached, or refuses.
    #[error("the broker's log cannot be read")]
    Call(#[source] Box<Status>),
    /// Nothing came.
    #[error("the broker sent nothing for {} s", PART_DEADLINE.as_secs())]
    Silent,
    /// An entry does not stand where the broker says.
    #[error("entry {expected} was to come, and entry {sent} was sent")]
    Misplaced {
        /// Which should have come.
        expected: u64,
        /// Which came.
        sent: u64,
    },
    /// An entry is of a time that has not come: its brakes and invites would end when the broker wants.
    #[error("entry {epoch} is of {at}, which has not come (hint: the clock of the broker or of this machine is wrong)")]
    FromTheFuture {
        /// Its place.
        epoch: u64,
        /// When it is said to have got its place.
        at: Timestamp,
    },
    /// An entry is refused: it is forged, or does not fit.
    #[error("the broker's log is not believed")]
    NotTaken(#[from] NotTaken),
    /// What the broker calls a checkpoint is none.
    #[error("the broker's checkpoint is refused")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is older or newer than what was sent before it.
    #[error("a checkpoint of {signed} entries came after {sent}")]
    OtherSize {
        /// What was signed.
        signed: u64,
        /// What was sent.
        sent: u64,
    },
    /// The checkpoint is of another log.
    #[error(transparent)]
    Diverged(#[from] Diverged),
}

impl From<Status> for FollowError {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

impl Followed {
    /// The log of the federation that has this root document; nothing is known of it yet.
    #[must_use]
    pub fn new(root: &Root, root_sha256: Digest, clock: Arc<dyn Clock>) -> Self {
        let log = Log::new(genesis::genesis(root, root_sha256));
        Self { clock, log, key: genesis::log_verifier(root), checkpoint: None }
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// The last checkpoint that it agreed with: a signed note.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&str> {
        self.checkpoint.as_deref()
    }

    /// Takes the next part in.
    ///
    /// # Errors
    /// It is not to be believed; nothing has changed then.
    pub fn take(&mut self, part: &WatchResponse) -> Result<Part, FollowError> {
        if part.checkpoint.is_empty() {
            let expected = self.log.federation().epoch().saturating_add(1);
            if part.epoch != expected {
                return Err(FollowError::Misplaced { expected, sent: part.epoch });
            }
            if let Ok(Entry { at, .. }) = Entry::from_json(&part.entry)
                && at > self.clock.now().plus(MAX_AHEAD)
            {
                return Err(FollowError::FromTheFuture { epoch: part.epoch, at });
            }
            return Ok(Part::Entry(Box::new(self.log.take(&part.entry)?)));
        }
        self.agree(&part.checkpoint)?;
        Ok(Part::Checkpoint)
    }

    /// Holds a checkpoint against what was taken in.
    ///
    /// # Errors
    /// It is none, of another size, or of another log.
    pub fn agree(&mut self, note: &str) -> Result<(), FollowError> {
        let checkpoint = Checkpoint::open(note, &self.log.origin(), &self.key)?;
        let Some(agrees) = self.log.agrees(&checkpoint) else {
            let sent = self.log.tree().size();
            return Err(FollowError::OtherSize { signed: checkpoint.size, sent });
        };
        agrees?;
        self.checkpoint = Some(note.to_owned());
        Ok(())
    }
}

/// The log as it stands at the broker now, each entry handed to `each` once it is proven.
///
/// # Errors
/// The broker cannot be reached, refuses, or sends what is not to be believed.
pub async fn read(
    connection: &Connection,
    mut followed: Followed,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<Followed, FollowError> {
    let after_epoch = followed.log.federation().epoch();
    let mut parts = MembershipClient::new(connection.channel()).watch(WatchRequest { after_epoch }).await?.into_inner();
    loop {
        let part = timeout(PART_DEADLINE, parts.message()).await.map_err(|_| FollowError::Silent)??;
        let part = part.ok_or_else(|| Status::unavailable("the broker ended its log"))?;
        match followed.take(&part)? {
            Part::Entry(_) => each(part.epoch, &part.entry),
            Part::Checkpoint => return Ok(followed),
        }
    }
}
