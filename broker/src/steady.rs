//! The time that the broker stamps what it keeps with: entries, decisions, checkpoints.
//!
//! A wall clock that jumps for a moment would stamp an entry of the membership log hours ahead, and every decision after it
//! would be "before" its own epoch: receipts of an honest broker that contradict themselves. So this time goes on with the
//! monotonic clock, and follows a step of the wall's only once that has stood for a while. Certificates are held against the
//! wall's own time: a machine that slept must not believe those that have ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_types::{Clock, Timestamp};
use tokio::time::Instant;

/// How far the wall clock may be from what the monotonic one says before it has made a step: far above how clocks drift between
/// two looks, and below what receipts (5 s) and nodes bear with.
const STEP: Duration = Duration::from_secs(1);
/// How long a step has to stand until it is followed: what sets a clock wrongly and then rightly, as at boot or when a machine
/// moves, does both within seconds.
const STANDS: Duration = Duration::from_secs(30);

/// A clock that goes on evenly.
#[derive(Debug)]
pub(crate) struct Steady {
    wall: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The last time that was given, and when that was.
    last: Timestamp,
    at: Instant,
    step: Option<Step>,
}

/// A step that is not followed yet: since when, and where the wall clock stood then.
#[derive(Debug, Clone, Copy)]
struct Step {
    since: Instant,
    wall: Timestamp,
}

impl Steady {
    /// Begins at what the wall clock says.
    pub(crate) fn new(wall: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(State { last: wall.now(), at: Instant::now(), step: None });
        Self { wall, state }
    }
}

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.step_to(self.wall.now(), Instant::now())
    }
}

impl State {
    fn step_to(&mut self, wall: Timestamp, here: Instant) -> Timestamp {
        let steady = self.last.plus(here.saturating_duration_since(self.at));
        let now = if are_near(wall, steady) {
            self.back_in_step();
            // Drift is followed; but never back.
            wall.max(self.last)
        } else {
            self.apart(wall, steady, here)
        };
        (self.last, self.at) = (now, here);
        now
    }

    fn back_in_step(&mut self) {
        if self.step.take().is_some() {
            tracing::info!("the wall clock is back from its step, which was not followed");
        }
    }

    /// The wall clock is elsewhere.
    fn apart(&mut self, wall: Timestamp, steady: Timestamp, here: Instant) -> Timestamp {
        let same = |step: &Step| are_near(wall, step.wall.plus(here.saturating_duration_since(step.since)));
        let Some(step) = self.step.filter(same) else {
            tracing::warn!(%wall, %steady, stands_for = ?STANDS, "the wall clock has made a step; it is followed if it stands");
            self.step = Some(Step { since: here, wall });
            return steady;
        };
        if here.saturating_duration_since(step.since) < STANDS {
            return steady;
        }
        tracing::warn!(%wall, %steady, "the wall clock's step has stood, and is followed");
        self.step = None;
        wall
    }
}

fn are_near(one: Timestamp, other: Timestamp) -> bool {
    one.since(other).max(other.since(one)) <= STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    /// A wall clock that the test sets, and the time that the broker makes of it.
    struct Scene {
        start: Timestamp,
        here: Instant,
        state: State,
    }

    impl Scene {
        fn new() -> Self {
            let (start, here) = ("2026-11-23T10:00:00Z".parse().unwrap(), Instant::now());
            Self { start, here, state: State { last: start, at: here, step: None } }
        }

        /// The time after so long, where the wall clock says `wall`; as seconds since the start.
        fn at(&mut self, after: Duration, wall: Timestamp) -> Duration {
            self.state.step_to(wall, self.here + after).since(self.start)
        }
    }

    #[test]
    fn a_step_of_the_wall_clock_is_followed_once_it_has_stood() {
        for ahead in [true, false] {
            let mut scene = Scene::new();
            let start = scene.start;
            let stepped = |after| if ahead { start.plus(after).plus(MINUTE) } else { start.plus(after).minus(MINUTE) };
            assert_eq!(scene.at(MINUTE * 9, start.plus(MINUTE * 9)), MINUTE * 9);
            let since = MINUTE * 10;
            for seconds in 0..30 {
                let after = since + SECOND * seconds;
                assert_eq!(scene.at(after, stepped(after)), after, "not followed yet");
            }
            let after = since + STANDS;
            assert_eq!(scene.at(after, stepped(after)), stepped(after).since(start), "followed");
        }
    }

    #[test]
    fn a_step_that_is_taken_back_leaves_no_trace() {
        let mut scene = Scene::new();
        let start = scene.start;
        for round in 0..10 {
            let after = MINUTE * round;
            assert_eq!(scene.at(after + SECOND, start.plus(MINUTE * 600)), after + SECOND);
            assert_eq!(scene.at(after + SECOND * 25, start.plus(MINUTE * 600)), after + SECOND * 25);
            assert_eq!(scene.at(after + SECOND * 50, start.plus(after + SECOND * 50)), after + SECOND * 50);
        }
    }

    #[test]
    fn drift_is_followed_and_time_never_goes_back_by_it() {
        let mut scene = Scene::new();
        let start = scene.start;
        let half = SECOND / 2;
        assert_eq!(scene.at(MINUTE, start.plus(MINUTE + half)), MINUTE + half);
        assert_eq!(scene.at(MINUTE, start.plus(MINUTE)), MINUTE + half, "it waits for the wall clock");
        assert_eq!(scene.at(MINUTE + SECOND, start.plus(MINUTE + SECOND)), MINUTE + SECOND);
    }
}
