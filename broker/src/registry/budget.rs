//! How many bytes of changes somebody may still add to the registry: a token bucket each, in memory only. What is in
//! the log, everyone keeps and reads for ever.
//! A restart fills them again, which operators cause and members do not.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use comity_types::Timestamp;

use super::publishing::MAX_PUBLICATION_BYTES;

/// What a change costs beside its bytes, in bytes: it is synced to the disk by itself, and this is the block of
/// most disks. Without it, the smallest of changes would be had by the tens of thousands.
const CHANGE_BYTES: u64 = 4 * 1024;

/// What is kept for suspensions alone, in bytes: some 200 with a sentence of reason each, or 50 of the longest.
const STOP_BYTES: u64 = 1024 * 1024;

/// How much somebody may add.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// A whole bucket, in bytes.
    capacity: u64,
    /// What of it is kept for what stops harm, in bytes.
    reserve: u64,
    /// What flows back, in bytes a second; into the reserve first.
    refill: u64,
}

/// What somebody spends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spends {
    /// What stops harm: all that is left may be spent on it.
    Stop,
    /// All else: the reserve is not touched.
    Ordinary,
}

impl Rate {
    /// A node's offers. At once, two of the largest publications, so that a node that was set up wrong can be mended;
    /// or some 380 of the smallest. Then 2.6 MiB a day, within which a node of 256 offers changes its prices every hour,
    /// and with which a node that means harm needs a year for 1 GB of disk.
    pub(super) const OFFERS: Self =
        Self { capacity: 2 * (MAX_PUBLICATION_BYTES as u64 + CHANGE_BYTES), reserve: 0, refill: 32 };
    /// What an organisation signs. At once, invites and admissions of 1,500 apps; then 44 MB a day. Beside that, some 200
    /// suspensions of its own, whatever else it has signed: more it need not say, since one of itself stops them all.
    pub(super) const STATEMENTS: Self =
        Self { capacity: 16 * 1024 * 1024 + STOP_BYTES, reserve: STOP_BYTES, refill: 512 };
    /// What one operator writes of proposals, by signing them and by taking that back: as much at once as may wait of five
    /// operators, then 44 MB a day. What comes into force by it is not held to it.
    pub(super) const PROPOSALS: Self = Self { capacity: 10 * 1024 * 1024, reserve: 0, refill: 512 };
    /// What one operator alone brings into force: brakes, and what it takes back of them. At once, some 200, of whole
    /// organisations where it has to; then one in 40 seconds, 11 MB a day. What they say together is not held to it.
    pub(super) const BRAKES: Self = Self { capacity: STOP_BYTES + STOP_BYTES / 4, reserve: STOP_BYTES, refill: 128 };
}

/// The buckets of all. Holds one for each who has added something since the start: at most as many as there are
/// members, since nobody else's signature is taken.
#[derive(Debug)]
pub(super) struct Budget<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

/// What somebody had left when it last took something.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    bytes: u64,
    at: Timestamp,
}

impl<K: Clone + Eq + Hash> Budget<K> {
    /// Whole buckets.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes the cost of a change of `bytes` out of the bucket of `whose`; all of it, or else nothing. What does not stop
    /// harm leaves the reserve.
    ///
    /// # Errors
    /// There is not enough; says after how many whole seconds there will be.
    pub(super) fn take(&self, whose: &K, on: Spends, bytes: usize, now: Timestamp) -> Result<(), Duration> {
        let cost = CHANGE_BYTES.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = Bucket { bytes: self.rate.capacity, at: now };
        let bucket = buckets.get(whose).map_or(whole, |bucket| bucket.refilled(self.rate, now));
        let kept = if on == Spends::Stop { 0 } else { self.rate.reserve };
        let missing = cost.saturating_add(kept).saturating_sub(bucket.bytes);
        if missing > 0 {
            return Err(Duration::from_secs(missing.div_ceil(self.rate.refill)));
        }
        buckets.insert(whose.clone(), Bucket { bytes: bucket.bytes - cost, ..bucket });
        Ok(())
    }
}

impl Bucket {
    /// A clock that was set back refills nothing until it has caught up.
    fn refilled(self, rate: Rate, now: Timestamp) -> Self {
        let millis = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let refill = millis.saturating_mul(rate.refill) / 1000;
        Self { bytes: self.bytes.saturating_add(refill).min(rate.capacity), at: self.at.max(now) }
    }
}

#[cfg(test)]
mod tests {
    use comity_types::SpiffeId;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> Timestamp {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn node(name: &str) -> SpiffeId {
        format!("spiffe://org-a.example/node/{name}").parse().unwrap()
    }

    /// How many changes of `bytes` are taken at once.
    fn taken(budget: &Budget<SpiffeId>, bytes: usize, at: Timestamp) -> usize {
        std::iter::repeat_with(|| budget.take(&node("n1"), Spends::Ordinary, bytes, at))
            .take_while(Result::is_ok)
            .count()
    }

    #[test]
    fn two_of_the_largest_changes_are_had_at_once_and_a_third_is_not() {
        assert_eq!(taken(&Budget::new(Rate::OFFERS), MAX_PUBLICATION_BYTES, now()), 2);
    }

    #[test]
    fn many_small_changes_are_bounded_as_few_large_ones_are() {
        let smallest = taken(&Budget::new(Rate::OFFERS), 1, now());
        assert!((300..500).contains(&smallest), "{smallest}");
    }

    #[test]
    fn what_is_kept_for_suspensions_nothing_else_takes_and_they_end_as_well() {
        let budget = Budget::new(Rate::STATEMENTS);
        let take = |on, at| budget.take(&node("n1"), on, 1024, at);
        let count = |on| std::iter::repeat_with(|| take(on, now())).take_while(Result::is_ok).count();
        assert!(count(Spends::Ordinary) > 3000);
        let stops = count(Spends::Stop);
        assert!((200..250).contains(&stops), "{stops}");
        // What flows back is kept for them first.
        let wait = take(Spends::Stop, now()).unwrap_err();
        assert!(take(Spends::Ordinary, now().plus(wait)).is_err());
        assert_eq!(take(Spends::Stop, now().plus(wait)), Ok(()));
        let wait = take(Spends::Ordinary, now().plus(wait)).unwrap_err();
        assert_eq!(take(Spends::Ordinary, now().plus(2 * wait)), Ok(()));
    }

    #[test]
    fn every_node_has_a_budget_of_its_own() {
        let budget = Budget::new(Rate::OFFERS);
        taken(&budget, MAX_PUBLICATION_BYTES, now());
        assert!(budget.take(&node("n1"), Spends::Ordinary, MAX_PUBLICATION_BYTES, now()).is_err());
        assert_eq!(budget.take(&node("n2"), Spends::Ordinary, MAX_PUBLICATION_BYTES, now()), Ok(()));
    }

    #[test]
    fn there_is_room_after_the_time_that_was_told_and_not_before() {
        let budget = Budget::new(Rate::OFFERS);
        taken(&budget, 100_000, now());
        let wait = budget.take(&node("n1"), Spends::Ordinary, 100_000, now()).unwrap_err();
        assert!(
            budget.take(&node("n1"), Spends::Ordinary, 100_000, now().plus(wait - Duration::from_secs(1))).is_err()
        );
        assert_eq!(budget.take(&node("n1"), Spends::Ordinary, 100_000, now().plus(wait)), Ok(()));
    }

    #[test]
    fn a_bucket_holds_no_more_for_all_the_time_that_passes() {
        let budget = Budget::new(Rate::OFFERS);
        taken(&budget, MAX_PUBLICATION_BYTES, now());
        assert_eq!(taken(&budget, MAX_PUBLICATION_BYTES, now().plus(1000 * DAY)), 2);
    }

    #[test]
    fn a_clock_that_is_set_back_and_forth_refills_nothing() {
        let budget = Budget::new(Rate::OFFERS);
        taken(&budget, 1, now());
        assert_eq!(taken(&budget, 1, now().minus(DAY)), 0);
        assert_eq!(taken(&budget, 1, now()), 0);
    }
}
