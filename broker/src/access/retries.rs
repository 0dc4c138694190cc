//! How many further tries requests may get: when nodes fail because they are overloaded, each request that is tried three
//! times is three requests more for those that still answer.
//!
//! Of what went to nodes within about [`WINDOW`], at most [`SHARE`] may be further tries, beside a few that are always
//! granted: for each organisation, and for the broker, whose few are those of five organisations at once. A try that no node has
//! worked on is none: a veto, or a connection that was not made.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use comity_types::TrustDomain;
use tokio::time::Instant;

/// What of the requests may be further tries: one in five is enough for a node of five that has failed, and no storm.
pub const SHARE: f64 = 0.2;
/// What an organisation is granted beside that: three requests that come alone get both of their further tries, and more.
pub const FLOOR_OF_ONE: f64 = 10.0;
/// What the broker grants beside that: the floors of a few organisations at once.
pub const FLOOR_OF_ALL: f64 = 50.0;
/// How fast requests and tries are forgotten: what is left after so long is a third. A failure of a node is known by then.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Organisations of which nothing is left are dropped when there are more than this, so that those who have left take no room.
const KEPT: usize = 1024;

/// The budget.
#[derive(Debug, Default)]
pub struct Retries(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: Count,
    each: HashMap<TrustDomain, Count>,
}

/// Requests, and further tries, of which older ones count less.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    requests: f64,
    further: f64,
    at: Option<Instant>,
}

impl Retries {
    /// A request of `caller` goes to its first node.
    pub fn asked(&self, caller: &TrustDomain, now: Instant) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all.at(now).requests += 1.0;
        counts.of(caller, now).requests += 1.0;
    }

    /// One more try of a request of `caller`, if there is one left for it.
    pub fn take(&self, caller: &TrustDomain, now: Instant) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = counts.all.at(now).has_room(FLOOR_OF_ALL) && counts.of(caller, now).has_room(FLOOR_OF_ONE);
        if granted {
            counts.all.further += 1.0;
            counts.of(caller, now).further += 1.0;
        }
        granted
    }
}

impl Counts {
    fn of(&mut self, caller: &TrustDomain, now: Instant) -> &mut Count {
        if self.each.len() > KEPT {
            self.each.retain(|_, count| !count.at(now).is_over());
        }
        self.each.entry(caller.clone()).or_default().at(now)
    }
}

impl Count {
    /// As it is now.
    fn at(&mut self, now: Instant) -> &mut Self {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let left = (-passed.as_secs_f64() / WINDOW.as_secs_f64()).exp();
        *self = Self { requests: self.requests * left, further: self.further * left, at: Some(now) };
        self
    }

    fn has_room(&self, floor: f64) -> bool {
        self.further + 1.0 <= self.requests.mul_add(SHARE, floor)
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
        (0..wanted).filter(|_| retries.take(caller, now)).count()
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
    fn the_floors_of_all_organisations_together_are_bounded() {
        let (retries, now) = (Retries::default(), Instant::now());
        let all: usize = (0..100).map(|number| granted(&retries, &organisation(number), 10, now)).sum();
        assert_eq!(all, 50);
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
        assert!(retries.0.lock().unwrap().each.len() <= KEPT + 1);
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
