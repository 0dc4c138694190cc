//! Which tries were let in: each once, remembered until its permit has expired, also by the next run of this node. Of a decision
//! of whose answer this node has handed over the first piece, no further try is let in, and nothing of another is handed over: what
//! is signed as done is done once, and who breaks off before that is signed has had it.
//!
//! A try is on file before it runs ([`kept`]), so that a node that ends, however it does, and starts again, lets in what it has
//! not run and nothing else. What the end of the machine takes with it is covered by time: a node whose machine has started
//! anew, or that has no file, lets in no permit that was issued before.
//!
//! Two clocks say that a permit has ended, the wall's and one that only goes on: a wall clock that jumps ahead and back must make
//! nothing run twice. What was let in while it was ahead is remembered until it comes there again.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use comity_types::{DecisionId, Timestamp};

use self::kept::{A_FILE, Kept, Let, Moment};
use super::{CLOCK_TOLERANCE, Lie};

mod kept;
#[cfg(test)]
mod tests;

pub use self::kept::SeenError;

/// Tries that are remembered at once. A permit lives two minutes at most, so this is
/// over two thousand requests a second, in some tens of megabytes.
const MAX_REMEMBERED: usize = 262_144;

/// A decision, and which try of it, from 1; or [`ANSWERED`].
pub(super) type Try = (DecisionId, u32);

/// What stands for a try where a decision was answered: no permit has this number.
const ANSWERED: u32 = 0;

/// The memory of tries.
#[derive(Debug)]
pub struct Seen(Mutex<Memory>);

#[derive(Debug)]
struct Memory {
    tries: HashSet<Try>,
    /// Of which one try at least was let in, so that they are no more than those.
    answered: HashSet<DecisionId>,
    /// As long ago as permits count at most, in the order in which they were let in.
    young: VecDeque<Let>,
    /// Longer ago, and not over by the wall clock, which was set back since.
    old: BTreeMap<Timestamp, Vec<Let>>,
    /// How many may be remembered.
    most: usize,
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
        Self::open_on(data_dir, kept::boot().as_deref(), Moment::now(now))
    }

    /// The same, in this run of the machine; none where nobody knows which it is.
    fn open_on(data_dir: &Path, boot: Option<&str>, now: Moment) -> Result<Self, SeenError> {
        let (kept, mut kept_tries) = Kept::open(data_dir, boot, now)?;
        kept_tries.sort_by_key(|one| one.at);
        let (tries, answered, young, old) = (HashSet::new(), HashSet::new(), VecDeque::new(), BTreeMap::new());
        // What an earlier run has let in takes no room from this one.
        let most = MAX_REMEMBERED.saturating_add(kept_tries.len());
        let mut memory = Memory { tries, answered, young, old, most, kept, cannot_keep: false };
        kept_tries.into_iter().for_each(|one| memory.remember(one));
        Ok(Self(Mutex::new(memory)))
    }

    /// Takes a try of a permit that was issued then, once, until `expires_at`. A full memory refuses: it never forgets early.
    pub(super) fn claim(&self, claimed: Try, counts: (Timestamp, Timestamp), now: Timestamp) -> Result<(), Lie> {
        self.claim_at(claimed, counts, Moment::now(now))
    }

    fn claim_at(&self, claimed: Try, (issued_at, until): (Timestamp, Timestamp), now: Moment) -> Result<(), Lie> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now);
        if memory.tries.contains(&claimed) {
            return Err(Lie::Replayed);
        }
        if memory.answered.contains(&claimed.0) {
            return Err(Lie::Answered);
        }
        if is_unknown(memory.kept.since(), issued_at, now) {
            return Err(Lie::BeforeStart);
        }
        if memory.tries.len() >= memory.most {
            return Err(Lie::Full);
        }
        let one = Let { claimed, until, at: now.run };
        memory.keep(&one)?;
        memory.remember(one);
        Ok(())
    }

    /// A try of a decision is about to be answered: no other one is, and none is let in, until no permit of the decision counts
    /// any more. Refuses where another one was, and where it cannot be written down.
    pub(super) fn answered(&self, decision: DecisionId, until: Timestamp, now: Timestamp) -> Result<(), Lie> {
        self.answered_at(decision, until, Moment::now(now))
    }

    fn answered_at(&self, decision: DecisionId, until: Timestamp, now: Moment) -> Result<(), Lie> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.answered.contains(&decision) {
            return Err(Lie::Answered);
        }
        let one = Let { claimed: (decision, ANSWERED), until, at: now.run };
        memory.keep(&one)?;
        memory.remember(one);
        Ok(())
    }
}

/// Whether a permit of this time may have been let in before all was known. Where the wall clock was set back since then, it
/// says nothing of what is earlier: every permit may, until those of then have ended by the other clock.
fn is_unknown(since: Moment, issued_at: Timestamp, now: Moment) -> bool {
    if now.wall.plus(CLOCK_TOLERANCE) >= since.wall {
        issued_at.plus(CLOCK_TOLERANCE) < since.wall
    } else {
        now.run < since.run.saturating_add(A_FILE)
    }
}

impl Seen {
    /// Whether what is let in can be kept, or nothing is run. Where it could not, this tries again: nobody sends anything to a
    /// node that says that it does not serve.
    pub(super) fn can_keep(&self) -> bool {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.cannot_keep && memory.kept.probe().is_ok() {
            memory.cannot_keep = false;
        }
        !memory.cannot_keep
    }
}

impl Memory {
    fn keep(&mut self, one: &Let) -> Result<(), Lie> {
        let Err(error) = self.kept.keep(one, self.old.values().flatten()) else {
            self.cannot_keep = false;
            return Ok(());
        };
        if !std::mem::replace(&mut self.cannot_keep, true) {
            let file = self.kept.path();
            tracing::error!(file = %file.display(), %error, "cannot keep which requests were let in, this node runs nothing: the next run would run them again");
        }
        Err(Lie::Unkept)
    }

    fn remember(&mut self, one: Let) {
        let (decision, number) = one.claimed;
        let is_new = if number == ANSWERED { self.answered.insert(decision) } else { self.tries.insert(one.claimed) };
        if is_new {
            self.young.push_back(one);
        }
    }

    fn forget(&mut self, now: Moment) {
        while let Some(one) = self.young.pop_front_if(|one| one.has_aged(now)) {
            self.old.entry(one.until).or_default().push(one);
        }
        while let Some(over) = self.old.first_entry().filter(|entry| *entry.key() <= now.wall) {
            for one in over.remove() {
                match one.claimed {
                    (decision, ANSWERED) => self.answered.remove(&decision),
                    _ => self.tries.remove(&one.claimed),
                };
            }
        }
    }
}
