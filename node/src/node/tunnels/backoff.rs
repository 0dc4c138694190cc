//! How long to wait before a tunnel is dialled again: with full jitter, so that the nodes of a broker that comes back
//! do not come back all at once.

use std::time::Duration;

use crate::retry::up_to;

/// The longest first pause: a broker that was restarted is found soon.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause of all.
const LONGEST: Duration = Duration::from_secs(30);
/// How long a tunnel has to stand for the next pause to be a first one.
const STABLE: Duration = Duration::from_secs(60);

/// The pauses of one tunnel.
#[derive(Debug)]
pub(super) struct Backoff {
    limit: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { limit: FIRST }
    }
}

impl Backoff {
    /// The pause after a try that failed: anything up to the limit, which doubles.
    pub(super) fn next(&mut self) -> Duration {
        let pause = up_to(self.limit);
        self.limit = (self.limit * 2).min(LONGEST);
        pause
    }

    /// The pause after a tunnel that ended when it had stood for so long.
    pub(super) fn after(&mut self, stood: Duration) -> Duration {
        if stood >= STABLE {
            *self = Self::default();
        }
        self.next()
    }

    /// The pause before a tunnel is replaced, which is no failure: short, and not none, since the broker may have
    /// asked all of its nodes.
    #[expect(clippy::unused_self, reason = "the pauses of a tunnel are asked of one place")]
    pub(super) fn short(&self) -> Duration {
        up_to(FIRST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_random_below_a_limit_that_doubles_and_has_an_end() {
        let mut limit = FIRST;
        let mut backoff = Backoff::default();
        for _ in 0..12 {
            assert_eq!(backoff.limit, limit);
            assert!(backoff.next() <= limit);
            limit = (limit * 2).min(LONGEST);
        }
        assert_eq!(backoff.limit, LONGEST);
        let pauses: std::collections::BTreeSet<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(pauses.len() > 10 && pauses.iter().all(|pause| *pause <= LONGEST), "{pauses:?}");
    }

    #[test]
    fn only_a_tunnel_that_stood_for_long_starts_over() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            let _pause = backoff.next();
        }
        let _pause = backoff.after(STABLE - Duration::from_secs(1));
        assert_eq!(backoff.limit, FIRST * 64);
        assert!(backoff.after(STABLE) <= FIRST);
        assert!(backoff.short() <= FIRST);
    }
}
