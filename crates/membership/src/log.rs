//! The log as whoever follows it has it: the state, the tree over the entries, and whether a checkpoint agrees.

use comity_transparency::{Checkpoint, Tree};
use comity_types::{Digest, Timestamp};
use rpds::VectorSync;

use crate::federation::{Federation, Refused};
use crate::prepared::Prepared;
use crate::signed::{Body, Entry, Genesis};

/// Longest entry, in bytes: what a broker keeps of one is half of this.
pub const MAX_ENTRY_BYTES: usize = 2 * 1024 * 1024;

/// The state at the last epoch, with the tree that everybody has who saw the same entries.
#[derive(Debug, Clone)]
pub struct Log {
    genesis: Genesis,
    federation: Federation,
    tree: Tree,
    roots: Roots,
}

/// The root of the tree after each entry. Copied in an instant.
#[derive(Debug, Clone, Default)]
pub struct Roots(VectorSync<Digest>);

impl Roots {
    /// The root when the log had `size` entries, at least one; none if it has not come as far.
    #[must_use]
    pub fn at(&self, size: u64) -> Option<Digest> {
        self.0.get(usize::try_from(size.checked_sub(1)?).ok()?).copied()
    }
}

/// Why an entry is not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotTaken {
    /// It is none of this version.
    #[error("entry {epoch} cannot be read (hint: this program may need an update)")]
    Malformed {
        /// Its place.
        epoch: u64,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// It is longer than [`MAX_ENTRY_BYTES`].
    #[error("entry {epoch} has {bytes} bytes, at most {MAX_ENTRY_BYTES} are read")]
    TooLong {
        /// Its place.
        epoch: u64,
        /// Its length.
        bytes: usize,
    },
    /// It says what an entry says, in other bytes than those that [`Entry::to_json`] makes: two would see the same
    /// statements and have different trees, and a line break in it would tear the file that it is kept in.
    #[error(
        "entry {epoch} is not written as entries are (hint: an entry is one line of JSON without spaces, its fields in order)"
    )]
    OtherSpelling {
        /// Its place.
        epoch: u64,
    },
    /// It is not founded on the root document that is pinned.
    #[error("the log is founded on another root document than the one that is pinned")]
    OtherRoot,
    /// It does not fit the state, or those did not sign who have to.
    #[error("entry {epoch} is refused")]
    Refused {
        /// Its place.
        epoch: u64,
        /// Why.
        #[source]
        source: Box<Refused>,
    },
}

/// The log has another past than the one that a checkpoint is of: somebody was shown something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "two logs have {size} entries and different roots, {here} here and {there} there: the broker has shown different federations to different members (hint: keep both logs, they are the evidence, and tell the other members)"
)]
pub struct Diverged {
    /// How many entries both have.
    pub size: u64,
    /// The root here.
    pub here: Digest,
    /// The root that was signed.
    pub there: Digest,
}

impl Log {
    /// The log of the federation that was founded so; nothing is in it yet.
    #[must_use]
    pub fn new(genesis: Genesis) -> Self {
        Self { genesis, federation: Federation::default(), tree: Tree::default(), roots: Roots::default() }
    }

    /// Takes the next entry in, by its bytes.
    ///
    /// # Errors
    /// It is none, or does not follow; nothing has changed then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Entry, NotTaken> {
        self.enter(bytes, Federation::apply)
    }

    /// Takes an entry in again whose signatures were checked when it was first taken in. It counts for nothing until a
    /// checkpoint that agreed then agrees again.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn take_again(&mut self, bytes: &[u8]) -> Result<Entry, NotTaken> {
        self.enter(bytes, Federation::apply_again)
    }

    fn enter(
        &mut self,
        bytes: &[u8],
        apply: impl Fn(&mut Federation, &Entry) -> Result<(), Refused>,
    ) -> Result<Entry, NotTaken> {
        let epoch = self.federation.epoch().saturating_add(1);
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(NotTaken::TooLong { epoch, bytes: bytes.len() });
        }
        let malformed = |source| NotTaken::Malformed { epoch, source };
        let entry = Entry::from_json(bytes).map_err(malformed)?;
        if entry.to_json().map_err(malformed)? != bytes {
            return Err(NotTaken::OtherSpelling { epoch });
        }
        if let Body::Founded(genesis) = &entry.body
            && *genesis != self.genesis
        {
            return Err(NotTaken::OtherRoot);
        }
        let refused = |source| NotTaken::Refused { epoch, source: Box::new(source) };
        apply(&mut self.federation, &entry).map_err(refused)?;
        self.push(bytes);
        Ok(entry)
    }

    /// Takes a statement in as the next entry, at this instant, and gives the entry's bytes: those that
    /// [`Entry::to_json`] makes.
    ///
    /// # Errors
    /// It does not follow, or is too long; nothing has changed then.
    pub fn take_prepared(&mut self, prepared: &Prepared, at: Timestamp) -> Result<Vec<u8>, NotTaken> {
        let epoch = self.federation.epoch().saturating_add(1);
        let bytes = format!(r#"{{"epoch":{epoch},"at":"{at}","body":{{"signed":{}}}}}"#, prepared.json).into_bytes();
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(NotTaken::TooLong { epoch, bytes: bytes.len() });
        }
        let refused = |source| NotTaken::Refused { epoch, source: Box::new(source) };
        self.federation.apply_prepared(prepared, at).map_err(refused)?;
        self.push(&bytes);
        Ok(bytes)
    }

    fn push(&mut self, entry: &[u8]) {
        self.tree.push(entry);
        self.roots.0.push_back_mut(self.tree.root());
    }

    /// What it is founded on.
    #[must_use]
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The roots of its past.
    #[must_use]
    pub const fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The state.
    #[must_use]
    pub const fn federation(&self) -> &Federation {
        &self.federation
    }

    /// The tree.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The name of the log, which its checkpoints carry.
    #[must_use]
    pub fn origin(&self) -> String {
        origin(&self.genesis.federation)
    }

    /// Whether a checkpoint of this size is one of this log; `None` if it is of another size, which says nothing.
    ///
    /// # Errors
    /// It has another root.
    pub fn agrees(&self, checkpoint: &Checkpoint) -> Option<Result<(), Diverged>> {
        let (size, here) = (self.tree.size(), self.tree.root());
        (checkpoint.size == size).then(|| {
            if checkpoint.root == here { Ok(()) } else { Err(Diverged { size, here, there: checkpoint.root }) }
        })
    }
}

/// The name of a federation's membership log.
#[must_use]
pub fn origin(federation: &comity_types::TrustDomain) -> String {
    format!("{federation}/membership")
}

#[cfg(test)]
mod tests;
