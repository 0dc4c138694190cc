//! How many further tries requests may get: when nodes fail because they are overloaded, each request that is tried three
//! times is three requests more for those that still answer.
//!
//! Of what an organisation had sent to nodes within about [`WINDOW`], at most [`SHARE`] may be further tries, beside a few that
//! are always granted to it, whatever others have used up. Of either, hedges have at most [`HEDGES`]: a caller that has a second
//! node asked whenever it may leaves what a failure needs. A try that no node has worked on is none: a veto, or a connection that
//! was not made. One that was granted, and that nothing was sent for, is given back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use comity_types::TrustDomain;
use tokio::time::Instant;

/// What of the requests may be further tries: one in five is enough for a node of five that has failed, and no storm.
pub const SHARE: f64 = 0.2;
/// What an organisation is granted beside that: three requests that come alone get both of their further tries, and more.
pub const FLOOR_OF_ONE: f64 = 10.0;
/// How much of what may be tried further may be hedges: half of it is left for what fails.
pub const HEDGES: f64 = 0.5;
/// How fast requests and tries are forgotten: what is left after so long is a third. A failure of a node is known by then.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Organisations of which nothing is left are dropped when there are more than this, so that those who have left take no room.
const KEPT: usize = 1024;

/// What a further try is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Further {
    /// A try has failed.
    Retry,
    /// A try is slow, and another node is asked beside it.
    Hedge,
}

impl Further {
    /// In a word, for metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hedge => "hedge",
        }
    }
}

/// The budget.
#[derive(Debug, Default)]
pub struct Retries(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts(HashMap<TrustDomain, Count>);

/// Requests, and further tries, of which older ones count less.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    requests: f64,
    /// All of them, hedges included.
    further: f64,
    hedges: f64,
    at: Option<Instant>,
}

impl Retries {
    /// A request of `caller` goes to its first node.
    pub fn asked(&self, caller: &TrustDomain, now: Instant) {
        self.counts().of(caller, now).requests += 1.0;
    }

    /// One more try of a request of `caller`, if there is one left for it.
    pub fn take(&self, caller: &TrustDomain, what: Further, now: Instant) -> bool {
        let mut counts = self.counts();
        let own = counts.of(caller, now);
        let granted = own.has_room(what);
        if granted {
            own.add(what, 1.0);
        }
        granted
    }

    /// One that was granted is not made: nothing was sent for it.
    pub fn give_back(&self, caller: &TrustDomain, what: Further, now: Instant) {
        self.counts().of(caller, now).add(what, -1.0);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn of(&mut self, caller: &TrustDomain, now: Instant) -> &mut Count {
        if self.0.len() > KEPT {
            self.0.retain(|_, count| !count.at(now).is_over());
        }
        self.0.entry(caller.clone()).or_default().at(now)
    }
}

impl Count {
    /// As it is now.
    fn at(&mut self, now: Instant) -> &mut Self {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let left = (-passed.as_secs_f64() / WINDOW.as_secs_f64()).exp();
        let Self { requests, further, hedges, .. } = *self;
        *self = Self { requests: requests * left, further: further * left, hedges: hedges * left, at: Some(now) };
        self
    }

    fn has_room(&self, what: Further) -> bool {
        let most = self.requests.mul_add(SHARE, FLOOR_OF_ONE);
        let has_share = match what {
            Further::Retry => true,
            Further::Hedge => self.hedges + 1.0 <= most * HEDGES,
        };
        has_share && self.further + 1.0 <= most
    }

    /// Counts one more, or one less.
    fn add(&mut self, what: Further, one: f64) {
        self.further = (self.further + one).max(0.0);
        if what == Further::Hedge {
            self.hedges = (self.hedges + one).max(0.0);
        }
    }

    /// Whether it is as good as one that never counted anything.
    fn is_over(&self) -> bool {
        self.requests < 1.0 && self.further < 1.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn organisation(number: usize) -> TrustDomain {
        format!("org-{number}.example").parse().unwrap()
    }

    /// How many are granted of so many that are wanted.
    fn granted(retries: &Retries, caller: &TrustDomain, wanted: usize, now: Instant) -> usize {
        (0..wanted).filter(|_| retries.take(caller, Further::Retry, now)).count()
    }

    #[test]
    fn a_few_are_always_granted_and_of_many_requests_a_fifth() {
        let (retries, caller, now) = (Retries::default(), organisation(0), Instant::now());
        assert_eq!(granted(&retries, &caller, 100, now), 10);
        (0..100).for_each(|_| retries.asked(&caller, now));
        assert_eq!(granted(&retries, &caller, 100, now), 20);
    }

    #[test]
    fn one_callers_failures_leave_the_others_theirs() {
        let (retries, now) = (Retries::default(), Instant::now());
        let [failing, other] = [0, 1].map(organisation);
        (0..1_000).for_each(|_| retries.asked(&failing, now));
        assert_eq!(granted(&retries, &failing, 10_000, now), 210);
        assert_eq!(granted(&retries, &other, 10_000, now), 10);
    }

    #[test]
    fn each_organisation_has_its_few_however_many_others_have_used_up_theirs() {
        let (retries, now) = (Retries::default(), Instant::now());
        for number in 0..100 {
            assert_eq!(granted(&retries, &organisation(number), 100, now), 10, "the organisation of number {number}");
        }
    }

    #[test]
    fn hedges_leave_half_of_what_there_is_to_what_fails() {
        let (retries, caller, now) = (Retries::default(), organisation(0), Instant::now());
        (0..100).for_each(|_| retries.asked(&caller, now));
        let hedges = (0..100).filter(|_| retries.take(&caller, Further::Hedge, now)).count();
        assert_eq!((hedges, granted(&retries, &caller, 100, now)), (15, 15));
        assert!(!retries.take(&caller, Further::Hedge, now), "what fails goes first");
    }

    #[test]
    fn what_is_given_back_is_there_again_and_no_more_than_that() {
        let (retries, caller, now) = (Retries::default(), organisation(0), Instant::now());
        for what in [Further::Retry, Further::Hedge] {
            while retries.take(&caller, what, now) {
                retries.give_back(&caller, what, now);
                assert!(retries.take(&caller, what, now));
            }
        }
        (0..100).for_each(|_| retries.give_back(&caller, Further::Hedge, now));
        assert_eq!(granted(&retries, &caller, 100, now), 10);
    }

    #[test]
    fn what_was_used_up_comes_back_with_time_and_saved_requests_are_forgotten() {
        let (retries, caller, now) = (Retries::default(), organisation(0), Instant::now());
        (0..10_000).for_each(|_| retries.asked(&caller, now));
        let an_hour_later = now + Duration::from_secs(3600);
        assert_eq!(granted(&retries, &caller, 10_000, an_hour_later), 10);
        assert_eq!(granted(&retries, &caller, 10_000, an_hour_later + WINDOW), 6, "two thirds are forgotten");
    }

    #[test]
    fn organisations_that_are_gone_take_no_room() {
        let (retries, now) = (Retries::default(), Instant::now());
        for number in 0..3 * KEPT {
            retries.asked(&organisation(number), now + Duration::from_secs(60 * number as u64));
        }
        assert!(retries.counts().0.len() <= KEPT + 1);
    }

    proptest! {
        /// Whatever comes when, no more is granted than the share of all requests, and the floor again for each window.
        #[test]
        fn further_tries_are_a_fifth_of_the_requests_whenever_they_come(
            steps in prop::collection::vec((0..3_000_u64, 0..4_usize, 0..9_usize), 1..200),
        ) {
            let (retries, caller, begun) = (Retries::default(), organisation(0), Instant::now());
            let (mut now, mut asked, mut further) = (begun, 0_usize, 0_usize);
            for (ms, requests, tries) in steps {
                now += Duration::from_millis(ms);
                (0..requests).for_each(|_| retries.asked(&caller, now));
                asked += requests;
                further += granted(&retries, &caller, tries, now);
                let windows = 1.0 + (now - begun).as_secs_f64() / WINDOW.as_secs_f64();
                prop_assert!(further as f64 <= asked as f64 * SHARE + FLOOR_OF_ONE * windows);
            }
        }
    }
}
