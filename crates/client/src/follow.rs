//! The federation's log as the broker sends it, believed only as far as it is proven: every signature is checked here,
//! the state is folded here, and the root has to be the one that the broker signed.

mod equivocation;
pub mod kept;
pub mod own;
mod states;

use std::sync::Arc;
use std::time::Duration;

use comity_identity::Root;
use comity_identity::store::StoreError;
use comity_membership::federation::MAX_AHEAD;
use comity_membership::{Diverged, Entry, Equivocation, Log, NotTaken};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{WatchRequest, WatchResponse};
use comity_runtime::genesis;
use comity_transparency::checkpoint::CheckpointError;
use comity_transparency::{Checkpoint, NoteVerifier};
use comity_types::{Clock, Digest, Timestamp};
use tokio::time::timeout;
use tonic::Status;

use crate::connection::Connection;
use crate::identity::Identity;

pub use equivocation::Behind;
pub(crate) use states::States;

/// Longest wait for the next part of the log: the broker sends at least a checkpoint every 5 s.
const PART_DEADLINE: Duration = Duration::from_secs(20);

/// A log that is followed, with the last checkpoint that it agreed with.
#[derive(Debug, Clone)]
pub struct Followed {
    clock: Arc<dyn Clock>,
    log: Log,
    key: NoteVerifier,
    checkpoint: Option<String>,
    /// The root after each entry: what a checkpoint of an earlier size is held against.
    roots: Vec<Digest>,
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
    /// The identity, which pins what the log is founded on, cannot be read.
    #[error("the identity cannot be read")]
    Identity(#[from] StoreError),
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
    /// The checkpoint is of a log that ended before: the broker has lost entries, or hides them. By itself no proof of two
    /// pasts.
    #[error(
        "the broker's log has {signed} entries, and it has shown {known} before (hint: its data may have been restored from an old copy: ask its operator, and sign nothing until it has them again)"
    )]
    Behind {
        /// What was signed.
        signed: u64,
        /// What is known.
        known: u64,
    },
    /// The checkpoint is of another log.
    #[error(transparent)]
    Diverged(#[from] Diverged),
    /// An entry is a second statement at a position that is taken, and those signed it who have to.
    #[error("the broker's log is not believed")]
    Equivocated(#[from] Box<Equivocation>),
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
        Self { clock, log, key: genesis::log_verifier(root), checkpoint: None, roots: Vec::new() }
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
            let entry = self.log.take(&part.entry)?;
            self.roots.push(self.log.tree().root());
            return Ok(Part::Entry(Box::new(entry)));
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
            let known = self.log.tree().size();
            self.check_past(&checkpoint)?;
            let signed = checkpoint.size;
            return Err(match signed < known {
                true => FollowError::Behind { signed, known },
                false => FollowError::OtherSize { signed, sent: known },
            });
        };
        agrees?;
        self.checkpoint = Some(note.to_owned());
        Ok(())
    }

    /// Holds a checkpoint of this size or an earlier one against what was taken in. Of a later one nothing can be said.
    ///
    /// # Errors
    /// It is none, or of another log.
    pub fn check(&self, note: &str) -> Result<(), FollowError> {
        Ok(self.check_past(&Checkpoint::open(note, &self.log.origin(), &self.key)?)?)
    }

    /// Whether a checkpoint of before is one of this log, which has come as far again.
    ///
    /// # Errors
    /// It is none, or of another log, or of more entries than this log has.
    pub fn still_holds(&self, note: &str) -> Result<(), FollowError> {
        let known = Checkpoint::open(note, &self.log.origin(), &self.key)?;
        self.check_past(&known)?;
        let (signed, known) = (self.log.tree().size(), known.size);
        if known > signed { Err(FollowError::Behind { signed, known }) } else { Ok(()) }
    }

    fn check_past(&self, checkpoint: &Checkpoint) -> Result<(), Diverged> {
        let Checkpoint { size, root: there, .. } = checkpoint;
        let place = usize::try_from(*size).ok().and_then(|size| size.checked_sub(1));
        match place.and_then(|place| self.roots.get(place)) {
            Some(here) if here != there => Err(Diverged { size: *size, here: *here, there: *there }),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes in an entry that is kept where the next one is to stand.
    fn take_next(&mut self, entry: &[u8]) -> Result<(), FollowError> {
        let epoch = self.log.federation().epoch().saturating_add(1);
        let part = WatchResponse { epoch, entry: entry.to_vec().into(), checkpoint: String::new() };
        self.take(&part).map(drop)
    }

    /// Takes in an entry whose signatures were checked when it was first taken in.
    fn take_again(&mut self, entry: &[u8]) -> Result<(), FollowError> {
        self.log.take_again(entry)?;
        self.roots.push(self.log.tree().root());
        Ok(())
    }
}

/// The federation's log as it stands at the broker now, verified here from the founding that the identity pins: every signature,
/// every step, and the root of the tree against the checkpoint that the log's key has signed. Nobody's word is taken, and nothing is
/// kept: whoever asks again reads it again, and notices no other past than before ([`own::read`] does).
///
/// # Errors
/// The identity cannot be read, the broker cannot be reached, refuses, or sends what is not to be believed.
pub async fn verified(identity: &Identity, connection: &Connection) -> Result<Log, FollowError> {
    let root_sha256 = identity.dir().identity()?.federation_root;
    let empty = Followed::new(identity.root(), root_sha256, Arc::clone(identity.clock()));
    Ok(read(connection, empty, |_, _| {}).await?.log)
}

/// The log as it stands at the broker now, each entry handed to `each` once it is proven.
///
/// # Errors
/// The broker cannot be reached, refuses, or sends what is not to be believed. That two statements stand at one position is
/// [`Equivocated`](FollowError::Equivocated) where `followed` was empty, and any other refused entry where it was not: who had to
/// sign both is found in the log from its founding on.
pub async fn read(
    connection: &Connection,
    mut followed: Followed,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<Followed, FollowError> {
    let mut lines = Vec::new();
    let read = read_on(connection, &mut followed, |_, epoch, entry| {
        each(epoch, entry);
        lines.push(entry.to_vec());
    });
    let Err(Stopped { error, entry, .. }) = read.await else { return Ok(followed) };
    let convicted = entry.and_then(|entry| followed.convict(&lines, &entry, &error));
    Err(convicted.map_or(error, |(equivocation, _)| Box::new(equivocation).into()))
}

/// Why the log is not followed any further, and the broker's word that was refused.
#[derive(Debug)]
struct Stopped {
    error: FollowError,
    /// The signed note, where it was one.
    note: Option<String>,
    /// The entry, where it was one.
    entry: Option<Vec<u8>>,
    /// What came behind it, where another statement stands at its position.
    behind: Option<Behind>,
}

impl<E: Into<FollowError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self { error: error.into(), note: None, entry: None, behind: None }
    }
}

/// As [`read`], going on where `followed` is.
async fn read_on(
    connection: &Connection,
    followed: &mut Followed,
    mut each: impl FnMut(&Followed, u64, &[u8]),
) -> Result<(), Stopped> {
    let after_epoch = followed.log.federation().epoch();
    let mut parts = MembershipClient::new(connection.channel()).watch(WatchRequest { after_epoch }).await?.into_inner();
    loop {
        let part = timeout(PART_DEADLINE, parts.message()).await.map_err(|_| FollowError::Silent)??;
        let part = part.ok_or_else(|| Status::unavailable("the broker ended its log"))?;
        match followed.take(&part) {
            Ok(Part::Entry(_)) => each(followed, part.epoch, &part.entry),
            Ok(Part::Checkpoint) => return Ok(()),
            Err(error) => {
                let note = Some(&part.checkpoint).filter(|note| !note.is_empty()).cloned();
                let entry = note.is_none().then(|| part.entry.to_vec());
                let of_two = equivocation::is_of_two(&error);
                let behind = if of_two { Behind::read(&mut parts, &part.entry).await } else { None };
                return Err(Stopped { error, note, entry, behind });
            }
        }
    }
}
