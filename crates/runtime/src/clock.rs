//! The system's clock: the one place that reads it.

use std::time::UNIX_EPOCH;

use comity_types::{Clock, Timestamp};

/// What the operating system says that the time is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// A clock that stands before 1970 or after 9999 is read as 1970: every certificate is then refused.
    fn now(&self) -> Timestamp {
        let epoch = || Timestamp::from_millis(0).ok();
        let millis = since_epoch().and_then(|millis| Timestamp::from_millis(millis).ok());
        #[expect(clippy::expect_used, reason = "0 ms is 1970-01-01, which is an instant")]
        millis.or_else(epoch).expect("1970 is an instant")
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn since_epoch() -> Option<i64> {
    let elapsed = std::time::SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(elapsed.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_after_this_was_written_and_does_not_go_back() {
        let first = SystemClock.now();
        assert!(first > "2025-01-01".parse().unwrap());
        assert!(SystemClock.now() >= first);
    }
}
