//! A request's place among those that its node is working on.

use std::sync::Arc;

use comity_types::OfferName;
use http::HeaderMap;
use tokio::time::Instant;
use tonic::Code;

use super::health::{Event, Failing, Health};
use super::report;

/// It is held until the answer has ended, and then dropped.
#[derive(Debug)]
pub struct InFlight {
    health: Health,
    offer: OfferName,
    begun: Instant,
    over: Option<Arc<()>>,
}

impl InFlight {
    /// A request of `offer` begins; none where there is no room for it.
    pub(super) fn begin(health: &Health, offer: &OfferName, dials: bool) -> Option<Self> {
        let begun = Instant::now();
        health.begin(offer, dials).then(|| Self { health: health.clone(), offer: offer.clone(), begun, over: None })
    }

    /// The same, which counts for the tunnel that it went over as well.
    pub(super) fn over(mut self, running: Arc<()>) -> Self {
        self.over = Some(running);
        self
    }

    /// What the node says at the end of an answer of how busy it is; what is not well-formed is nothing.
    pub fn reported(&self, trailers: &HeaderMap) {
        if let Some(busy) = report::of(trailers) {
            self.health.tell(&self.offer, Event::Reported { busy });
        }
    }

    /// The answer has ended, with this code or with none.
    pub fn ended(&self, code: Option<Code>) {
        let well = code.is_some_and(|code| !is_failure(code));
        let event = if well { Event::Well { begun: self.begun } } else { Event::Failed(Failing::Answer) };
        self.health.tell(&self.offer, event);
    }
}

/// Whether a code says that the node is at fault, or what is behind it: neither the caller nor how busy it is.
pub const fn is_failure(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Internal | Code::Unknown)
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.health.tell(&self.offer, Event::Over);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_STREAMS, MAX_STREAMS_PER_OFFER};
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_request_counts_until_it_is_dropped() {
        let (health, offer) = (Health::new(Metrics::default()), "org-a.example/n1/chat".parse().unwrap());
        let first = InFlight::begin(&health, &offer, false).unwrap();
        let second = InFlight::begin(&health, &offer, false).unwrap();
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
        let of = |offer| std::iter::from_fn(|| InFlight::begin(&health, offer, false)).collect::<Vec<_>>();
        assert_eq!(of(&one).len(), MAX_STREAMS, "alone, it may have the whole link");
        let first_of_other = of(&other);
        assert_eq!(first_of_other.len(), MAX_STREAMS_PER_OFFER);
        drop(first_of_other);
        let (of_one, of_other) = (of(&one), of(&other));
        assert_eq!((of_one.len(), of_other.len()), (MAX_STREAMS_PER_OFFER, MAX_STREAMS - MAX_STREAMS_PER_OFFER));
    }
}
