//! What is appended in one turn of the program's tasks goes to the sequencer together.
//!
//! ```text
//! append ─▶ queue ─ the first in it has the bell rung, once all that was ready has had its turn ─▶ sequencer takes all
//! ```
//! A sequencer that is woken by every entry takes the processor from the tasks that are about to bring the next one, where
//! they share it, and signs and syncs for one or two entries at a time. So it is woken once for all of them. Nothing waits for
//! time to pass: where nobody else is ready, the turn is over at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as bell;

use tokio::sync::mpsc as queue;

/// Where work is queued.
#[derive(Debug)]
pub(super) struct Queue<T> {
    queue: queue::Sender<T>,
    /// Dropped last: it rings for the end of the queue.
    rope: Rings,
}

/// What rings. Clones ring the same bell.
#[derive(Debug, Clone)]
struct Rope {
    bell: bell::SyncSender<()>,
    /// Whether it is going to be rung.
    is_to_ring: Arc<AtomicBool>,
}

/// Where it is taken.
#[derive(Debug)]
pub(super) struct Works<T> {
    queue: queue::Receiver<T>,
    bell: bell::Receiver<()>,
    /// Whether all is taken that the last ring was for.
    waits: bool,
}

/// Rings when it goes, also with a task that is given up.
#[derive(Debug)]
struct Rings(Rope);

/// Nobody takes anything any more.
#[derive(Debug)]
pub(super) struct Closed;

/// A queue in which so many wait at once; beyond, who queues waits for room.
pub(super) fn queue<T>(room: usize) -> (Queue<T>, Works<T>) {
    let (sender, receiver) = queue::channel(room);
    // A second ring before the first is heard would say the same.
    let (rings, bell) = bell::sync_channel(1);
    let rope = Rope { bell: rings, is_to_ring: Arc::new(AtomicBool::new(false)) };
    (Queue { queue: sender, rope: Rings(rope) }, Works { queue: receiver, bell, waits: true })
}

impl<T> Queue<T> {
    /// Queues work. It is taken at the end of this turn, whoever is polled after it.
    pub(super) async fn send(&self, work: T) -> Result<(), Closed> {
        self.queue.send(work).await.map_err(|_| Closed)?;
        if !self.rope.0.is_to_ring.swap(true, Ordering::AcqRel) {
            let rings = Rings(self.rope.0.clone());
            #[expect(clippy::disallowed_methods, reason = "it lasts for a turn, and rings where a shutdown ends it")]
            tokio::spawn(async move {
                let _rings = rings;
                tokio::task::yield_now().await;
            });
        }
        Ok(())
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        // Who queues from here on rings again; what was queued until here is there for whoever hears this.
        self.0.is_to_ring.swap(false, Ordering::AcqRel);
        let _heard_already = self.0.bell.try_send(());
    }
}

impl<T> Works<T> {
    /// Waits for work, and takes as much as there is, `most` at once. False when nobody can queue any more and all is taken.
    pub(super) fn take(&mut self, taken: &mut Vec<T>, most: usize) -> bool {
        while taken.is_empty() {
            if self.waits && self.bell.recv().is_err() {
                return false;
            }
            while taken.len() < most {
                match self.queue.try_recv() {
                    Ok(work) => taken.push(work),
                    Err(queue::error::TryRecvError::Empty) => break,
                    Err(queue::error::TryRecvError::Disconnected) => {
                        // Whoever is to ring in this turn may be waiting for this to end.
                        self.waits = false;
                        return !taken.is_empty();
                    }
                }
            }
            self.waits = taken.len() < most;
        }
        true
    }

    /// Nothing more can be queued; takes what there was, until the last one who queues has seen that.
    pub(super) fn close(mut self, mut refuse: impl FnMut(T)) {
        self.queue.close();
        while let Some(work) = self.queue.blocking_recv() {
            refuse(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::join_all;

    use super::*;

    async fn taken(mut works: Works<u32>) -> (Vec<u32>, Works<u32>) {
        let taking = tokio::task::spawn_blocking(move || {
            let mut taken = Vec::new();
            works.take(&mut taken, 8);
            (taken, works)
        });
        taking.await.unwrap()
    }

    #[tokio::test]
    async fn what_is_queued_in_one_turn_is_taken_at_once_and_in_order() {
        let (queue, works) = queue(16);
        let all = [1, 2, 3].map(|work| queue.send(work));
        for sent in join_all(all).await {
            sent.unwrap();
        }
        assert!(works.bell.try_recv().is_err(), "it is rung before the turn ends");
        assert_eq!(taken(works).await.0, [1, 2, 3]);
    }

    #[tokio::test]
    async fn work_is_taken_though_nobody_polls_whoever_queued_it_again() {
        let (queue, works) = queue(16);
        assert!(queue.send(1).now_or_never().is_some_and(|sent| sent.is_ok()));
        assert_eq!(taken(works).await.0, [1]);
    }

    #[test]
    fn work_is_taken_though_the_program_ends_within_the_turn() {
        let (queue, mut works) = queue(16);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(queue.send(1)).unwrap();
        drop(runtime);
        let mut taken = Vec::new();
        assert!(works.take(&mut taken, 8));
        assert_eq!(taken, [1]);
    }

    #[tokio::test]
    async fn more_than_is_taken_at_once_is_taken_without_another_ring() {
        let (queue, works) = queue(16);
        join_all((0..11).map(|work| queue.send(work))).await;
        let (first, works) = taken(works).await;
        assert_eq!(first, (0..8).collect::<Vec<_>>());
        assert_eq!(taken(works).await.0, [8, 9, 10]);
    }

    #[tokio::test]
    async fn what_is_queued_is_taken_after_the_last_handle_has_gone_within_the_turn_and_then_it_is_over() {
        let (queue, mut works) = queue(16);
        queue.send(1).await.unwrap();
        drop(queue);
        // As whoever drops a log does: nothing else has its turn meanwhile.
        let mut taken = Vec::new();
        assert!(works.take(&mut taken, 8));
        assert_eq!(taken, [1]);
        assert!(!works.take(&mut Vec::new(), 8));
    }

    #[tokio::test]
    async fn who_queues_where_nobody_takes_is_told() {
        let (queue, works) = queue(16);
        queue.send(1).await.unwrap();
        let refused = tokio::task::spawn_blocking(move || {
            let mut refused = Vec::new();
            works.close(|work| refused.push(work));
            refused
        });
        assert_eq!(refused.await.unwrap(), [1]);
        assert!(queue.send(2).await.is_err());
    }
}
