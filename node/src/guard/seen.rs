//! Which tries were let in: each once, remembered until its permit has expired, also by the next run of this node.
//!
//! A try is on file before it runs ([`kept`]), so that a node that ends, however it does, and starts again, lets in what it has
//! not run and nothing else. What the end of the machine takes with it is covered by time: a node whose machine has started
//! anew, or that has no file, lets in no permit that was issued before.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use comity_types::{DecisionId, Timestamp};

use self::kept::Kept;
use super::{CLOCK_TOLERANCE, Lie};

mod kept;
#[cfg(test)]
mod tests;

pub use self::kept::SeenError;

/// Tries that are remembered at once. A permit lives two minutes at most, so this is
/// over two thousand requests a second, in some tens of megabytes.
const MAX_REMEMBERED: usize = 262_144;

/// A decision, and which try of it.
pub(super) type Try = (DecisionId, u32);

/// The memory of tries.
#[derive(Debug)]
pub struct Seen(Mutex<Memory>);

#[derive(Debug)]
struct Memory {
    tries: HashSet<Try>,
    by_expiry: BTreeMap<Timestamp, Vec<Try>>,
    kept: Kept,
    /// Whether a write has failed, and that was said.
    cannot_keep: bool,
}

impl Seen {
    /// Goes on from what was kept in the data directory.
    ///
    /// # Errors
    /// It cannot be read or written, or is not what was kept.
    pub fn open(data_dir: &Path, now: Timestamp) -> Result<Self, SeenError> {
        Self::open_on(data_dir, kept::boot().as_deref(), now)
    }

    /// The same, in this run of the machine; none where nobody knows which it is.
    fn open_on(data_dir: &Path, boot: Option<&str>, now: Timestamp) -> Result<Self, SeenError> {
        let (kept, tries) = Kept::open(data_dir, boot, now)?;
        let mut memory = Memory { tries: HashSet::new(), by_expiry: BTreeMap::new(), kept, cannot_keep: false };
        tries.into_iter().for_each(|(claimed, expires_at)| memory.remember(claimed, expires_at));
        Ok(Self(Mutex::new(memory)))
    }

    /// Takes a try of a permit that was issued then, once, until `expires_at`. A full memory refuses: it never forgets early.
    pub(super) fn claim(
        &self,
        claimed: Try,
        (issued_at, expires_at): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Result<(), Lie> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now);
        if memory.tries.contains(&claimed) {
            return Err(Lie::Replayed);
        }
        let since = memory.kept.since();
        // A clock that was set back since then says nothing of what is earlier.
        if now >= since && issued_at.plus(CLOCK_TOLERANCE) < since {
            return Err(Lie::BeforeStart);
        }
        if memory.tries.len() >= MAX_REMEMBERED {
            return Err(Lie::Full);
        }
        memory.keep(claimed, expires_at, now)?;
        memory.remember(claimed, expires_at);
        Ok(())
    }
}

impl Memory {
    fn keep(&mut self, claimed: Try, expires_at: Timestamp, now: Timestamp) -> Result<(), Lie> {
        let Err(error) = self.kept.keep(claimed, expires_at, now) else {
            self.cannot_keep = false;
            return Ok(());
        };
        if !std::mem::replace(&mut self.cannot_keep, true) {
            let file = self.kept.path();
            tracing::error!(file = %file.display(), %error, "cannot keep which requests were let in, this node runs nothing: the next run would run them again");
        }
        Err(Lie::Unkept)
    }

    fn remember(&mut self, claimed: Try, expires_at: Timestamp) {
        if self.tries.insert(claimed) {
            self.by_expiry.entry(expires_at).or_default().push(claimed);
        }
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some(oldest) = self.by_expiry.first_entry().filter(|entry| *entry.key() <= now) {
            for forgotten in oldest.remove() {
                self.tries.remove(&forgotten);
            }
        }
    }
}
