//! The state that a request is decided by, and the instant: or that there is none now.
//!
//! Whoever verifies a receipt holds that its decision lies within the time of its epoch, from the entry that began it to the
//! entry that ended it, give or take 5 s (`EPOCH_TOLERANCE` of the client). Rather than a decision that contradicts this, there
//! is none.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use comity_types::Timestamp;
use tokio::time::Instant;

use super::{Registry, Snapshot};

/// How far the broker's time may be before the newest entry's: well under the 5 s that verifiers bear with.
const BEHIND: Duration = Duration::from_secs(2);
/// How long an entry that has its stamp may wait to be durable while requests are still decided by the state before it: as well
/// under 5 s, and far above what a disk takes that works.
const STALLED: Duration = Duration::from_secs(2);

/// Why nothing can be decided now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecidable {
    /// The newest entry of the membership log is of a time to come.
    #[error(
        "the membership log's newest entry is of {last}, and the broker's clock says {now}: nothing is decided before that time (hint: is the broker's clock right? `timedatectl`)"
    )]
    Behind {
        /// Of when the entry is.
        last: Timestamp,
        /// What the broker takes the time to be.
        now: Timestamp,
    },
    /// An entry has been on its way to the disk for too long: it may be a suspension.
    #[error("a change of the federation has waited {}s to be durable: nothing is decided until it is (hint: the disk of the broker's data_dir is slow or hangs)", waits.as_secs())]
    Stalled {
        /// For how long.
        waits: Duration,
    },
}

impl Undecidable {
    /// Which of them, in a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Behind { .. } => "clock",
            Self::Stalled { .. } => "stalled",
        }
    }
}

impl Registry {
    /// The newest state, and the time: what a decision is made by and of.
    ///
    /// # Errors
    /// A receipt of what is decided now would contradict the membership log.
    pub fn to_decide_by(&self) -> Result<(Arc<Snapshot>, Timestamp), Undecidable> {
        // Before the state is: an entry whose stamp is not seen here is stamped after this line, and so no earlier than the
        // time that is read below, but for what lies between two lines.
        let stamped = self.0.stamped.since();
        let (snapshot, now) = (self.snapshot(), self.0.clock.now());
        let waits = stamped.map_or(Duration::ZERO, |since| since.elapsed());
        if waits > STALLED {
            return Err(Undecidable::Stalled { waits });
        }
        match snapshot.federation().at().filter(|last| *last > now.plus(BEHIND)) {
            Some(last) => Err(Undecidable::Behind { last, now }),
            None => Ok((snapshot, now)),
        }
    }
}

/// Since when an entry has had its stamp without being in force, if one has.
#[derive(Debug, Default)]
pub(super) struct Stamped(RwLock<Option<Instant>>);

impl Stamped {
    /// An entry gets its stamp now; dropped once it is in force, or will not be.
    pub(super) fn begin(&self) -> Stamping<'_> {
        self.set(Some(Instant::now()));
        Stamping(self)
    }

    fn since(&self) -> Option<Instant> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// While an entry has its stamp and is not in force. There is one at a time: each has the turn.
#[derive(Debug)]
pub(super) struct Stamping<'a>(&'a Stamped);

impl Drop for Stamping<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}
