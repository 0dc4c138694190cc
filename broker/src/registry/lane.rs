//! Whose turn it is to change something: one at a time, and what stops harm before all else that waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use comity_membership::{By, Scope, Statement};
use tokio::sync::oneshot;

/// What waits before what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Operators suspend somebody. Before an organisation's own suspensions, of which one that means harm can say many.
    Stop,
    /// An organisation suspends what is its own.
    OwnStop,
    /// What operators say beside that: they are few.
    Governance,
    /// All else, of which every member can say as much as its budget holds.
    Ordinary,
}

/// How many kinds of urgency there are.
const URGENCIES: usize = 4;

impl Urgency {
    /// That of a statement which those have signed who have to.
    #[must_use]
    pub fn of(statement: &Statement) -> Self {
        if let Statement::Suspended { by, .. } = statement {
            return match by {
                By::Federation | By::Brake => Self::Stop,
                By::Organisation => Self::OwnStop,
            };
        }
        match statement.scope() {
            Some(Scope::Root | Scope::Governance(_) | Scope::Tables | Scope::Brake(_)) => Self::Governance,
            Some(Scope::Organisation(_) | Scope::Member(_)) | None => Self::Ordinary,
        }
    }
}

/// Gives turns. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    taken: bool,
    /// By urgency, and then by who came first. Whoever has gone meanwhile is passed over. Bounded by the calls in flight.
    queues: [VecDeque<oneshot::Sender<Turn>>; URGENCIES],
}

/// A turn, until it is dropped: then the next one's has come.
#[derive(Debug)]
pub(super) struct Turn(Option<Lane>);

impl Lane {
    /// Waits for a turn.
    pub(super) async fn turn(&self, urgency: Urgency) -> Turn {
        let turn = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.taken {
                let (given, turn) = oneshot::channel();
                if let Some(queue) = waiting.queues.get_mut(urgency as usize) {
                    queue.push_back(given);
                }
                Some(turn)
            } else {
                waiting.taken = true;
                None
            }
        };
        match turn {
            None => Turn(Some(self.clone())),
            // Whoever has the turn gives it on before the lane is gone.
            Some(turn) => turn.await.unwrap_or(Turn(None)),
        }
    }

    /// How many wait, by urgency.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> [usize; URGENCIES] {
        self.0.lock().unwrap().queues.each_ref().map(VecDeque::len)
    }

    fn give_on(&self) {
        loop {
            let next = {
                let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let next = waiting.queues.iter_mut().find_map(VecDeque::pop_front);
                waiting.taken = next.is_some();
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Whoever waited has gone: not dropped as a turn, which would give on from within.
                Err(mut unwanted) => unwanted.0 = None,
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lane) = self.0.take() {
            lane.give_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    const ALL: [Urgency; URGENCIES] = [Urgency::Stop, Urgency::OwnStop, Urgency::Governance, Urgency::Ordinary];

    proptest! {
        /// One at a time, the most urgent first, and of those who came first; whoever leaves is in nobody's way.
        #[test]
        fn turns_come_by_urgency_and_then_in_order(waiters in prop::collection::vec((0..URGENCIES, any::<bool>()), 0..40)) {
            let lane = Lane::default();
            let first = lane.turn(Urgency::Ordinary).now_or_never().expect("nobody waits");
            let mut waiting: Vec<_> = waiters
                .iter()
                .map(|(urgency, leaves)| (*urgency, *leaves, Some(Box::pin(lane.turn(ALL[*urgency])))))
                .collect();
            for (_, leaves, turn) in &mut waiting {
                prop_assert!(turn.as_mut().unwrap().as_mut().now_or_never().is_none());
                if *leaves {
                    *turn = None;
                }
            }
            let mut expected: Vec<usize> = (0..waiting.len()).filter(|i| !waiting[*i].1).collect();
            expected.sort_by_key(|i| (waiting[*i].0, *i));
            let mut held = first;
            for next in expected {
                drop(held);
                for (i, (_, _, turn)) in waiting.iter_mut().enumerate() {
                    let Some(turn) = turn.as_mut().filter(|_| i != next) else { continue };
                    prop_assert!(turn.as_mut().now_or_never().is_none(), "{} came before {}", i, next);
                }
                held = waiting[next].2.take().unwrap().now_or_never().expect("its turn has come");
            }
            drop(held);
            prop_assert_eq!(lane.waiting(), [0; URGENCIES]);
            prop_assert!(lane.turn(Urgency::Ordinary).now_or_never().is_some());
        }
    }

    #[test]
    fn a_turn_that_was_given_to_somebody_who_left_is_given_on() {
        let lane = Lane::default();
        let held = lane.turn(Urgency::Ordinary).now_or_never().unwrap();
        let (mut leaves, mut stays) = (Box::pin(lane.turn(Urgency::Stop)), Box::pin(lane.turn(Urgency::Ordinary)));
        assert!(leaves.as_mut().now_or_never().is_none() && stays.as_mut().now_or_never().is_none());
        drop(held);
        drop(leaves);
        assert!(stays.as_mut().now_or_never().is_some());
    }
}
