//! Waits between tries of what will work again some time.

use std::time::Duration;

/// The first wait before something that failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest: a broker that is back is found within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long to wait before each further try: twice as long each time, up to a limit.
#[derive(Debug, Clone, Copy)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Backoff {
    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = std::iter::repeat_with(|| backoff.next_pause()).take(20).collect();
        assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE && pauses[19] == LONGEST_PAUSE, "{pauses:?}");
    }
}
