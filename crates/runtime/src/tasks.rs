//! The only place where tasks are spawned, so that a program can wait for all of them before it ends.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one program. Clones are the same group.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// How a group of tasks ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "tasks that did not end may have left work undone"]
pub enum Closed {
    /// All tasks ended by themselves.
    Drained,
    /// The deadline came first.
    Abandoned {
        /// How many tasks still ran.
        tasks: usize,
    },
}

impl Tasks {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` beside everything else. `name` is for the log, should it panic.
    ///
    /// Work that may last has to watch [`Tasks::token`]; work that is spawned after it was cancelled still runs.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        // Boxed where it is made: what is wrapped is moved with each wrapping, and when it has ended.
        let work = Box::pin(work);
        drop(self.tracker.spawn(async move {
            let watch = PanicWatch(name);
            work.await;
            drop(watch);
        }));
    }

    /// Cancelled as soon as the group is to end.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// How many tasks run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Cancels the token and waits until every task has ended, for no longer than `deadline`.
    pub async fn close(&self, deadline: Duration) -> Closed {
        self.stop.cancel();
        self.tracker.close();
        match timeout(deadline, self.tracker.wait()).await {
            Ok(()) => Closed::Drained,
            Err(_) => Closed::Abandoned { tasks: self.tracker.len() },
        }
    }
}

/// Says which task panicked; the panic itself stays with the runtime.
struct PanicWatch(&'static str);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.0, "task panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn closing_asks_tasks_to_stop_and_waits_for_them() {
        let tasks = Tasks::new();
        let token = tasks.token();
        tasks.spawn("patient", async move { token.cancelled().await });
        assert_eq!(tasks.running(), 1);
        assert_eq!(tasks.close(Duration::from_secs(10)).await, Closed::Drained);
        assert_eq!(tasks.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_abandoned_at_the_deadline() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending());
        assert_eq!(tasks.close(Duration::from_secs(10)).await, Closed::Abandoned { tasks: 1 });
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_task_and_no_other() {
        let tasks = Tasks::new();
        tasks.spawn("clumsy", async { panic!("on purpose") });
        tasks.spawn("calm", async {});
        assert_eq!(tasks.close(Duration::from_secs(10)).await, Closed::Drained);
    }
}
