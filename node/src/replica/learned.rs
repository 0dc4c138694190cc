//! Since when which epochs are known here, as far back as anybody asks.

use std::collections::VecDeque;
use std::time::Duration;

use comity_types::Timestamp;
use tokio::time::Instant;

/// For how long after this node has heard of a newer epoch an older one may still be decided by. A broker decides by the
/// newest, and anew where that has changed 10 s ago; the rest is for a request that is long on its way. Whoever decides by an
/// older one passes over a suspension, or over what the caller's organisation demands by now.
pub const EPOCH_TOLERANCE: Duration = Duration::from_secs(30);
/// Epochs that come within this count as one that came with the first: so what is remembered has a bound, and nothing is
/// allowed for longer than it should be.
const GRAIN: Duration = Duration::from_secs(1);

/// Epochs, and when each was heard of, oldest first: at most one for each second of [`EPOCH_TOLERANCE`], and the one before.
#[derive(Debug, Clone, Default)]
pub(super) struct Learned(VecDeque<Since>);

/// An epoch, and when it was heard of by two clocks: whoever sets the wall's back would have what is over count on.
#[derive(Debug, Clone)]
struct Since {
    epoch: u64,
    at: Timestamp,
    here: Instant,
}

impl Since {
    /// Whether it is as long ago by either clock.
    fn is_past(&self, time: Duration, now: Timestamp) -> bool {
        now > self.at.plus(time) || self.here.elapsed() > time
    }
}

impl Learned {
    /// This epoch is known from now on.
    pub(super) fn note(&mut self, epoch: u64, now: Timestamp) {
        match self.0.back_mut() {
            Some(last) if !last.is_past(GRAIN, now) => last.epoch = epoch.max(last.epoch),
            Some(_) | None => self.0.push_back(Since { epoch, at: now, here: Instant::now() }),
        }
        while self.0.get(1).is_some_and(|next| next.is_past(EPOCH_TOLERANCE, now)) {
            self.0.pop_front();
        }
    }

    /// The oldest epoch that may be decided by now: the newest that was known before [`EPOCH_TOLERANCE`] began.
    pub(super) fn oldest(&self, now: Timestamp) -> u64 {
        let known = self.0.iter().rev().find(|since| since.is_past(EPOCH_TOLERANCE, now));
        known.map_or(0, |since| since.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        "2026-11-22T09:00:00Z".parse::<Timestamp>().unwrap().plus(Duration::from_millis(millis))
    }

    #[test]
    fn an_epoch_is_too_old_once_a_newer_one_is_known_for_longer_than_that() {
        let mut learned = Learned::default();
        learned.note(3, at(0));
        learned.note(5, at(10_000));
        assert_eq!(learned.oldest(at(30_000)), 0);
        assert_eq!(learned.oldest(at(40_000)), 3);
        assert_eq!(learned.oldest(at(40_001)), 5);
        learned.note(6, at(100_000));
        assert_eq!((learned.oldest(at(100_000)), learned.oldest(at(130_001))), (5, 6));
    }

    #[test]
    fn epochs_that_follow_each_other_all_the_time_take_no_more_than_their_room_and_end_in_time() {
        let mut learned = Learned::default();
        for epoch in 0..20_000 {
            learned.note(epoch, at(epoch * 10));
            let known_then = (epoch * 10).saturating_sub(30_000) / 10;
            let oldest = learned.oldest(at(epoch * 10));
            assert!(learned.0.len() <= 33, "{}", learned.0.len());
            // Within the second, never later.
            assert!(oldest >= known_then.saturating_sub(1) && oldest <= known_then + 100, "{oldest} of {known_then}");
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_back_makes_no_epoch_count_on() {
        let minute = Duration::from_secs(60);
        let mut learned = Learned::default();
        learned.note(3, at(0));
        learned.0[0].here = Instant::now().checked_sub(2 * minute).unwrap();
        learned.note(5, at(0));
        learned.0[1].here = Instant::now().checked_sub(minute).unwrap();
        assert_eq!(learned.oldest(at(0)), 5);
    }
}
