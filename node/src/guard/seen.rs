//! Which tries were let in: each once, remembered until its permit has expired.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use comity_types::{DecisionId, Timestamp};

use super::Lie;

/// Tries that are remembered at once. A permit lives two minutes at most, so this is
/// over two thousand requests a second, in some tens of megabytes.
const MAX_REMEMBERED: usize = 262_144;

/// A decision, and which try of it.
pub(super) type Try = (DecisionId, u32);

#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    tries: HashSet<Try>,
    by_expiry: BTreeMap<Timestamp, Vec<Try>>,
}

impl Seen {
    /// Takes a try, once, until `expires_at`. A full memory refuses: it never forgets early.
    pub(super) fn claim(&self, claimed: Try, expires_at: Timestamp, now: Timestamp) -> Result<(), Lie> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now);
        if memory.tries.contains(&claimed) {
            return Err(Lie::Replayed);
        }
        if memory.tries.len() >= MAX_REMEMBERED {
            return Err(Lie::Full);
        }
        memory.tries.insert(claimed);
        memory.by_expiry.entry(expires_at).or_default().push(claimed);
        Ok(())
    }
}

impl Memory {
    fn forget(&mut self, now: Timestamp) {
        while let Some(oldest) = self.by_expiry.first_entry().filter(|entry| *entry.key() <= now) {
            for forgotten in oldest.remove() {
                self.tries.remove(&forgotten);
            }
        }
    }
}
