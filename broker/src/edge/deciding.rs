//! How many calls are decided at once: as many as the broker, on this machine and now, makes durable within a time that is set
//! (`limits.decision_time`, [`TARGET`] unless it is).
//!
//! The count of calls in flight cannot say that: most of them wait for a model, and cost nothing meanwhile. What tells of load
//! is how long a call takes from its whole message to its durable decision, which has the processor's queue in it, the log's and
//! the disk's, and no model's time. Where even the least of a while is above the target, fewer are decided at once; where it is
//! not, a few more again (docs/decisions/0035). Whoever has few of them is let in all the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use comity_proto::error::Failure;
use comity_types::TrustDomain;
use tokio::time::Instant;
use tonic::Code;

use super::capacity::pause::Pause;

/// How long a decision may take, under load: less than people notice beside a model's first word, and more than a disk that
/// stalls now and then.
pub const TARGET: Duration = Duration::from_millis(100);
/// Fewest that are decided at once, whatever the disk does: a batch of the log, which costs one signature and one sync.
const FEWEST: usize = 64;
/// What is left of those that took too long, and what is added where they did not: a quarter less, and a twentieth more.
const LESS: f64 = 0.75;
const MORE: f64 = 1.05;
/// How many of each organisation are let in beyond: a program that asks one thing after another, and a few more.
const FIRST: usize = 4;

/// Counts the calls that are being decided. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Deciding(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: Bounds,
    /// When whoever is refused is to come back.
    pause: Pause,
    state: Mutex<State>,
}

/// What the limit moves within.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Most that are decided at once.
    most: f64,
    /// How long a decision may take; it is looked at for as long before it is judged, so that a change is seen before the next.
    target: Duration,
}

#[derive(Debug)]
struct State {
    by: HashMap<TrustDomain, usize>,
    all: usize,
    limit: f64,
    since: Instant,
    /// Of this while: the shortest time that a decision took, and the most that were decided at once.
    least: Option<Duration>,
    peak: usize,
}

/// One call that is being decided, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    deciding: Deciding,
    organisation: TrustDomain,
    began: Instant,
}

impl Deciding {
    /// With no more than `most`, however fast they are, and fewer where they take longer than `target`; whoever is refused comes
    /// back as `pause` says.
    #[must_use]
    pub fn new(most: usize, target: Duration, pause: Pause) -> Self {
        let most = most.max(FEWEST) as f64;
        let state = State { by: HashMap::new(), all: 0, limit: most, since: Instant::now(), least: None, peak: 0 };
        Self(Arc::new(Inner { bounds: Bounds { most, target }, pause, state: Mutex::new(state) }))
    }

    /// Whether a call of this organisation would be decided now: asked before its message is read, which is cheaper to refuse.
    ///
    /// # Errors
    /// Those of [`Deciding::enter`].
    pub fn room(&self, organisation: &TrustDomain) -> Result<(), Failure> {
        self.may(&self.state(), organisation).map(drop)
    }

    /// A call of this organisation, whose message is there, is to be decided.
    ///
    /// # Errors
    /// As many are as can be in time.
    pub fn enter(&self, organisation: &TrustDomain) -> Result<Turn, Failure> {
        let mut state = self.state();
        let own = self.may(&state, organisation)?;
        state.all += 1;
        state.peak = state.peak.max(state.all);
        state.by.insert(organisation.clone(), own + 1);
        Ok(Turn { deciding: self.clone(), organisation: organisation.clone(), began: Instant::now() })
    }

    /// How many it has, if it may have another.
    fn may(&self, state: &State, organisation: &TrustDomain) -> Result<usize, Failure> {
        let own = state.by.get(organisation).copied().unwrap_or_default();
        if state.all as f64 >= state.limit && own >= FIRST {
            return Err(overloaded(state.all).retrying_after(self.0.pause.next()));
        }
        Ok(own)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The decision is durable.
    pub fn decided(self) {
        let bounds = self.deciding.0.bounds;
        self.deciding.state().took(self.began.elapsed(), bounds);
    }
}

impl State {
    fn took(&mut self, time: Duration, Bounds { most, target }: Bounds) {
        let least = self.least.map_or(time, |least| least.min(time));
        self.least = Some(least);
        if self.since.elapsed() < target {
            return;
        }
        self.limit = if least > target {
            (self.limit.min(self.peak as f64) * LESS).max(FEWEST as f64)
        } else {
            (self.limit * MORE).min(most)
        };
        (self.since, self.least, self.peak) = (Instant::now(), None, self.all);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.deciding.state();
        state.all = state.all.saturating_sub(1);
        if let Some(own) = state.by.get_mut(&self.organisation) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                state.by.remove(&self.organisation);
            }
        }
    }
}

fn overloaded(deciding: usize) -> Failure {
    let message = format!(
        "the broker is deciding {deciding} calls, which is as many as it can in time (hint: try again after what RetryInfo says)"
    );
    Failure::new(Code::ResourceExhausted, "BROKER_OVERLOADED", message).with("deciding", deciding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organisation(name: &str) -> TrustDomain {
        name.parse().unwrap()
    }

    /// One after another as they come, so many at once where they are let in, each decided this long after it came; for so
    /// many rounds. Gives how many were let in, in the last round.
    async fn rounds(deciding: &Deciding, whose: &TrustDomain, offered: usize, each: Duration, rounds: usize) -> usize {
        let mut let_in = 0;
        for _ in 0..rounds {
            let turns: Vec<_> = (0..offered).filter_map(|_| deciding.enter(whose).ok()).collect();
            let_in = turns.len();
            // They wait for each other, as they do for one processor.
            tokio::time::advance(each * u32::try_from(let_in).unwrap()).await;
            turns.into_iter().for_each(Turn::decided);
        }
        let_in
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_are_decided_at_once_as_can_be_in_time_and_the_others_are_told_when_the_machine_is_slow() {
        let (deciding, greedy) = (Deciding::new(400, TARGET, Pause::default()), organisation("a.example"));
        // A machine that decides a thousand a second.
        let let_in = rounds(&deciding, &greedy, 400, Duration::from_millis(1), 100).await;
        assert!((64..=130).contains(&let_in), "{let_in} take that many milliseconds");
        // One that decides a hundred thousand.
        let let_in = rounds(&deciding, &greedy, 400, Duration::from_micros(10), 2000).await;
        assert_eq!(let_in, 400);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_who_lets_decisions_take_longer_has_more_of_them_decided_at_once() {
        let patient = Deciding::new(400, 3 * TARGET, Pause::default());
        let let_in = rounds(&patient, &organisation("a.example"), 400, Duration::from_millis(1), 100).await;
        assert!((200..=360).contains(&let_in), "{let_in} take that many milliseconds");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_few_is_let_in_however_many_another_has() {
        let (deciding, greedy, honest) =
            (Deciding::new(100, TARGET, Pause::default()), organisation("a.example"), organisation("b.example"));
        let held: Vec<_> = (0..200).filter_map(|_| deciding.enter(&greedy).ok()).collect();
        assert_eq!(held.len(), 100);
        assert_eq!(deciding.enter(&greedy).unwrap_err().reason, "BROKER_OVERLOADED");
        assert!(deciding.room(&greedy).unwrap_err().retry_after.is_some() && deciding.room(&honest).is_ok());
        let few: Vec<_> = (0..200).filter_map(|_| deciding.enter(&honest).ok()).collect();
        assert_eq!(few.len(), FIRST);
        drop((held, few));
        let state = deciding.state();
        assert_eq!((state.all, state.by.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_stalls_refuses_nobody_where_few_ask() {
        let (deciding, whose) = (Deciding::new(4096, TARGET, Pause::default()), organisation("a.example"));
        assert_eq!(rounds(&deciding, &whose, 50, Duration::from_secs(1), 20).await, 50);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_are_never_decided_are_no_sign_and_leave_nothing() {
        let (deciding, whose) = (Deciding::new(4096, TARGET, Pause::default()), organisation("a.example"));
        for _ in 0..100 {
            let turns: Vec<_> = (0..1000).map(|_| deciding.enter(&whose).unwrap()).collect();
            tokio::time::advance(Duration::from_secs(60)).await;
            drop(turns);
        }
        assert!(deciding.state().limit >= 4096.0);
    }
}
