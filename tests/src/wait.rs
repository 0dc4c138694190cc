//! Waiting for a state with a deadline: never for a time, never for "something changed".

use std::path::Path;
use std::time::Duration;

/// How long a state may take to come about before a scenario fails: generous, because two cores are shared.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a state is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Waits until `state` gives a value.
///
/// # Panics
/// If it does not within [`PATIENCE`]; `what` says what was waited for.
pub fn until<T>(what: &str, state: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, state).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain until {what}"))
}

/// The value that `state` gives before the deadline, if it does.
pub fn within<T>(deadline: Duration, mut state: impl FnMut() -> Option<T>) -> Option<T> {
    let glances = deadline.as_millis() / GLANCE.as_millis();
    for _ in 0..=glances {
        if let Some(value) = state() {
            return Some(value);
        }
        std::thread::sleep(GLANCE);
    }
    None
}

/// Waits until a program has written a file, and gives its text.
///
/// # Panics
/// If it does not within [`PATIENCE`].
#[must_use]
pub fn for_file(path: &Path) -> String {
    until(&format!("{} is there", path.display()), || std::fs::read_to_string(path).ok()).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_comes_about_is_returned_and_one_that_does_not_ends_the_wait() {
        let mut glances = 0;
        assert_eq!(
            until("the third glance", || (glances == 2).then_some(7).or_else(|| {
                glances += 1;
                None
            })),
            7
        );
        assert_eq!(within(Duration::from_millis(50), || None::<u8>), None);
    }
}
