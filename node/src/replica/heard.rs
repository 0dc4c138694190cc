//! When a checkpoint of the broker's last agreed, by two clocks: the wall's, which is told to people and outlives a restart,
//! and one that only goes on, since whoever sets the first one back would make an old state fresh (decision 16).

use std::time::Duration;

use comity_types::Timestamp;
use tokio::time::Instant;

/// The last time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    at: Timestamp,
    /// Nothing if it was in an earlier run.
    since: Option<Instant>,
}

impl Heard {
    /// Just now.
    pub(super) fn now(at: Timestamp) -> Self {
        Self { at, since: Some(Instant::now()) }
    }

    /// Before this run, as the disk says.
    pub(super) const fn before(at: Timestamp) -> Self {
        Self { at, since: None }
    }

    /// Whether it was in this run.
    pub(super) const fn is_of_this_run(&self) -> bool {
        self.since.is_some()
    }

    /// How long ago: what the slower of the two clocks says is not believed. Nothing is known where the wall's has gone back
    /// behind what an earlier run has noted.
    pub(super) fn age(&self, now: Timestamp) -> Option<Duration> {
        let wall = (self.at <= now).then(|| now.since(self.at));
        let run = self.since.map(|since| since.elapsed());
        wall.max(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_wall_clock_that_is_set_back_makes_nothing_younger() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let long_ago = Instant::now().checked_sub(HOUR).unwrap();
        let heard = Heard { at: now, since: Some(long_ago) };
        for wall in [now, now.minus(HOUR), now.plus(HOUR / 2)] {
            assert!(heard.age(wall).unwrap() >= HOUR, "{wall}");
        }
        assert!(heard.age(now.plus(2 * HOUR)).unwrap() >= 2 * HOUR, "a machine that slept");
        let kept = Heard::before(now);
        assert_eq!(kept.age(now.plus(HOUR)), Some(HOUR));
        assert_eq!(kept.age(now.minus(HOUR)), None, "which of the two is wrong, nobody knows");
    }
}
