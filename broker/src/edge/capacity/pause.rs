//! When to come back: within the time that calls hold their places, and everybody at another moment of it.
//!
//! Whoever is refused a place would have got one when a call ended, which takes as long as calls take. If all came back then,
//! they would be refused together again; so their pauses are spread over that time, evenly: the next is always as far from
//! those before it as it can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Shortest pause: whoever asks again sooner pays for a connection's turn, and so do we.
const SHORTEST: Duration = Duration::from_millis(100);
/// Longest time over which pauses are spread: of answers that take minutes, some end all the time.
const LONGEST: Duration = Duration::from_secs(10);
/// How many calls the time is averaged over, about.
const CALLS: u64 = 64;
/// The golden ratio's part after the point, in 64 bits: its multiples, without what stands before the point, are never near
/// each other.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Says when to come back. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct Pause(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How long a call holds its place, on average, in nanoseconds.
    held: AtomicU64,
    told: AtomicU64,
}

/// Notes how long a place was held, when it is dropped.
#[derive(Debug)]
pub struct Holding {
    pause: Pause,
    since: Instant,
}

impl Pause {
    /// A place is taken now.
    pub(crate) fn hold(&self) -> Holding {
        Holding { pause: self.clone(), since: Instant::now() }
    }

    /// When whoever is refused now is to come back.
    pub(crate) fn next(&self) -> Duration {
        let turn = self.0.told.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN);
        let longest = Duration::from_nanos(self.0.held.load(Ordering::Relaxed)).clamp(SHORTEST, LONGEST);
        // 32 bits of the turn are more than enough, and the product fits.
        SHORTEST + longest.mul_f64((turn >> 32) as f64 / f64::from(u32::MAX))
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let held = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX / CALLS);
        let average = &self.pause.0.held;
        let before = average.load(Ordering::Relaxed);
        // Where two end at once, one of them may not count: it is an average.
        average.store(before - before / CALLS + held / CALLS, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_back_when_told_does_not_come_with_the_others() {
        let pause = Pause::default();
        for _ in 0..16 * CALLS {
            let held = pause.hold();
            tokio::time::advance(Duration::from_secs(4)).await;
            drop(held);
        }
        let mut told: Vec<_> = (0..1000).map(|_| pause.next()).collect();
        told.sort();
        let (first, last) = (told[0], told[999]);
        assert!(first >= SHORTEST && last > Duration::from_millis(3_800) && last < SHORTEST + Duration::from_secs(4));
        // In any tenth of that time, a tenth of them, or hardly more.
        for tenth in 0..10 {
            let within = |at: &&Duration| (**at - SHORTEST).as_millis() / 400 == tenth;
            assert!((85..=120).contains(&told.iter().filter(within).count()), "{tenth}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_has_a_least_and_a_most_whatever_calls_take() {
        let pause = Pause::default();
        assert!((0..100).all(|_| (SHORTEST..=2 * SHORTEST).contains(&pause.next())));
        let held: Vec<_> = (0..1000).map(|_| pause.hold()).collect();
        tokio::time::advance(Duration::from_secs(3600)).await;
        drop(held);
        assert!((0..100).all(|_| (SHORTEST..=SHORTEST + LONGEST).contains(&pause.next())));
    }
}
