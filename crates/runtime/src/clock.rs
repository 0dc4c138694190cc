//! The system's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use comity_types::{Clock, Timestamp};

/// Tells the time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the Clock that everything else asks")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A machine whose clock lies outside the range has no usable time: 1970 makes every certificate not yet valid.
        let epoch = Timestamp::from_millis(0);
        let now = i64::try_from(since_epoch.as_millis()).ok().and_then(|millis| Timestamp::from_millis(millis).ok());
        now.or_else(|| epoch.ok()).unwrap_or_else(|| unreachable!("1970 is an instant"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_past_the_day_that_this_was_written() {
        assert!(SystemClock.now() > "2025-01-01".parse().unwrap());
    }
}
