//! A request's place among those that its node is working on.

use std::sync::Arc;

use comity_types::{OfferName, TrustDomain};
use http::HeaderMap;
use tokio::time::Instant;
use tonic::Code;

use super::health::{Event, Failing, Health, NoRoom};
use super::report;

/// It is held until the answer has ended, and then dropped.
#[derive(Debug)]
pub struct InFlight {
    health: Health,
    offer: OfferName,
    caller: TrustDomain,
    begun: Instant,
    over: Option<Arc<()>>,
}

impl InFlight {
    /// A request of `caller` for `offer` begins; none where there is no room for it.
    pub(super) fn begin(health: &Health, offer: &OfferName, caller: &TrustDomain, dials: bool) -> Result<Self, NoRoom> {
        let begun = Instant::now();
        health.begin(offer, caller, dials)?;
        Ok(Self { health: health.clone(), offer: offer.clone(), caller: caller.clone(), begun, over: None })
    }

    /// The same, which counts for the tunnel that it went over as well.
    pub(super) fn over(mut self, running: Arc<()>) -> Self {
        self.over = Some(running);
        self
    }

    /// What the node says at the end of an answer of how busy it is; what is not well-formed is nothing.
    pub fn reported(&self, trailers: &HeaderMap) {
        if let Some(busy) = report::of(trailers) {
            self.health.tell(&self.offer, &self.caller, Event::Reported { busy });
        }
    }

    /// The answer has ended, with this code or with none.
    pub fn ended(&self, code: Option<Code>) {
        let well = code.is_some_and(|code| !is_failure(code));
        let event = if well { Event::Well { begun: self.begun } } else { Event::Failed(Failing::Answer) };
        self.health.tell(&self.offer, &self.caller, event);
    }
}

/// Whether a code says that the node is at fault, or what is behind it: neither the caller nor how busy it is.
pub const fn is_failure(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Internal | Code::Unknown)
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.health.end(&self.offer, &self.caller);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_STREAMS, MAX_STREAMS_PER_OFFER};
    use super::*;
    use crate::metrics::Metrics;

    fn caller(number: usize) -> TrustDomain {
        format!("caller-{number}.example").parse().unwrap()
    }

    #[test]
    fn a_request_counts_until_it_is_dropped() {
        let (health, offer) = (Health::new(Metrics::default()), "org-a.example/n1/chat".parse().unwrap());
        let begin = || InFlight::begin(&health, &offer, &caller(0), false).unwrap();
        let (first, second) = (begin(), begin());
        assert_eq!(health.in_flight(offer.node()), 2);
        drop(first);
        assert_eq!(health.in_flight(offer.node()), 1);
        drop(second);
        assert_eq!(health.in_flight(offer.node()), 0);
    }

    #[test]
    fn a_link_has_so_many_places_and_no_offer_takes_them_all_from_the_others() {
        let health = Health::new(Metrics::default());
        let [one, other] = ["org-a.example/n1/one", "org-a.example/n1/other"].map(|name| name.parse().unwrap());
        // As many organisations as there are places, so that none of them has its share.
        let of = |offer| {
            let all = (0..MAX_STREAMS).map_while(|number| InFlight::begin(&health, offer, &caller(number), false).ok());
            all.collect::<Vec<_>>()
        };
        assert_eq!(of(&one).len(), MAX_STREAMS, "alone, it may have the whole link");
        let first_of_other = of(&other);
        assert_eq!(first_of_other.len(), MAX_STREAMS_PER_OFFER);
        drop(first_of_other);
        let (of_one, of_other) = (of(&one), of(&other));
        assert_eq!((of_one.len(), of_other.len()), (MAX_STREAMS_PER_OFFER, MAX_STREAMS - MAX_STREAMS_PER_OFFER));
        assert_eq!(InFlight::begin(&health, &one, &caller(0), false).unwrap_err(), NoRoom::Full);
    }

    #[test]
    fn one_organisation_leaves_places_of_a_node_and_of_each_of_its_offers_and_gets_its_own_back() {
        let health = Health::new(Metrics::default());
        let offers = ["org-a.example/n1/one", "org-a.example/n1/other"].map(|name| name.parse().unwrap());
        let begin = |offer, number| InFlight::begin(&health, offer, &caller(number), false);
        let greedy = |offer| std::iter::from_fn(|| begin(offer, 0).ok()).collect::<Vec<_>>();
        drop(offers.iter().map(|offer| begin(offer, 0)).collect::<Vec<_>>());
        let [of_one, of_other] = offers.each_ref().map(greedy);
        assert!(of_one.len() > MAX_STREAMS / 2 && of_other.len() > MAX_STREAMS / 8);
        for offer in &offers {
            assert_eq!(begin(offer, 0).unwrap_err(), NoRoom::Share);
            assert!(begin(offer, 1).is_ok(), "another one's first");
        }
        let had = of_one.len() + of_other.len();
        drop((of_one, of_other));
        let again = offers.each_ref().map(greedy);
        assert_eq!(again.iter().map(Vec::len).sum::<usize>(), had);
    }
}
