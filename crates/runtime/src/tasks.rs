//! The only spawn, so that shutdown can wait for what is under way.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The tasks of a program. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
}

/// Whether all tasks ended in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// They did.
    All,
    /// So many were still running.
    Left(usize),
}

impl Tasks {
    /// Runs `future` beside everything else. `name` appears in its log lines.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let task = self.tracker.track_future(future.instrument(tracing::info_span!("task", name)));
        drop(tokio::spawn(task));
    }

    /// Is cancelled when the program is to end.
    #[must_use]
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Tells all tasks to end and waits for them, at most until `deadline` has passed.
    pub async fn close(&self, deadline: Duration) -> Drained {
        self.token.cancel();
        self.tracker.close();
        match tokio::time::timeout(deadline, self.tracker.wait()).await {
            Ok(()) => Drained::All,
            Err(_) => Drained::Left(self.tracker.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn closing_waits_for_what_is_under_way() {
        let tasks = Tasks::default();
        let token = tasks.token().clone();
        tasks.spawn("waits", async move { token.cancelled().await });
        assert_eq!(tasks.close(Duration::from_secs(5)).await, Drained::All);
    }

    #[tokio::test]
    async fn closing_does_not_wait_beyond_its_deadline() {
        let tasks = Tasks::default();
        tasks.spawn("never ends", std::future::pending());
        assert_eq!(tasks.close(Duration::from_millis(1)).await, Drained::Left(1));
    }
}
