//! What is known of one node and of its offers, from what happens to the requests that they get: pure.
//!
//! What a connection does is its node's. What is answered over it is the offer's, since each may have a backend of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use comity_types::Name;
use tokio::time::Instant;

use super::super::{MAX_STREAMS, MAX_STREAMS_PER_OFFER};
use super::ejection::{Ejection, FAILURES_IN_A_ROW, Phase};
use super::latency::Latency;
use super::{Event, Failing, Load, Readiness};

/// Longest time that a node's word keeps its offer behind: who says that it takes a day is asked again before.
const MAX_REST: Duration = Duration::from_secs(60);

/// A node.
#[derive(Debug, Default)]
pub(super) struct Node {
    in_flight: usize,
    ejection: Ejection,
    offers: BTreeMap<Name, Offer>,
}

#[derive(Debug, Default)]
struct Offer {
    in_flight: usize,
    latency: Latency,
    ejection: Ejection,
    rests_until: Option<Instant>,
}

/// What an event led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ejected {
    pub(super) who: Who,
    pub(super) time: Duration,
}

/// Who is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Node,
    Offer,
}

impl Who {
    /// As a label of metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Offer => "offer",
        }
    }
}

impl Node {
    /// Something happened to a request of `offer`.
    pub(super) fn step(&mut self, now: Instant, offer: &Name, event: Event) -> Option<Ejected> {
        let ejected = |who| move |time| Ejected { who, time };
        let of_offer = self.offer(offer);
        match event {
            Event::Begun => {
                of_offer.latency.tried(now);
                of_offer.ejection.begun();
                of_offer.in_flight = of_offer.in_flight.saturating_add(1);
                self.ejection.begun();
                self.in_flight = self.in_flight.saturating_add(1);
            }
            Event::Over => {
                of_offer.in_flight = of_offer.in_flight.saturating_sub(1);
                self.in_flight = self.in_flight.saturating_sub(1);
            }
            Event::Answered { after } => of_offer.latency.answered(now, after),
            Event::Declined => of_offer.latency.declined(now),
            Event::Waited { in_vain } => of_offer.latency.waited(now, in_vain),
            Event::Resting { time } => of_offer.rests_until = Some(now + time.min(MAX_REST)),
            Event::Well { begun } => {
                of_offer.ejection.well(now, begun);
                if self.ejection.is_failing() && self.ejection.phase(now) == Phase::In {
                    // Its connection was lost and made anew: it may have begun anew itself.
                    self.ejection.returned(now);
                }
                self.ejection.well(now, begun);
            }
            Event::Failed(Failing::Answer) => {
                return of_offer.ejection.failed(now, FAILURES_IN_A_ROW).map(ejected(Who::Offer));
            }
            Event::Failed(Failing::Connection) => {
                return self.ejection.failed(now, FAILURES_IN_A_ROW).map(ejected(Who::Node));
            }
            // There is nothing to be counted: nobody is there.
            Event::Failed(Failing::Connecting) => return self.ejection.failed(now, 1).map(ejected(Who::Node)),
        }
        None
    }

    /// The node is there again, or somewhere else.
    pub(super) fn returned(&mut self, now: Instant) {
        self.ejection.returned(now);
    }

    /// What choosing asks about an offer.
    pub(super) fn load(&self, now: Instant, offer: &Name) -> Load {
        let of_offer = self.offers.get(offer);
        let phases = (self.ejection.phase(now), of_offer.map_or(Phase::In, |offer| offer.ejection.phase(now)));
        let rests = of_offer.and_then(|offer| offer.rests_until).is_some_and(|until| now < until);
        let readiness = match phases {
            (Phase::Out, _) | (_, Phase::Out) => Readiness::Ejected,
            _ if rests || !self.has_room(offer) => Readiness::Busy,
            (Phase::Returning(one), Phase::Returning(other)) => Readiness::Returning { share: one.min(other) },
            (Phase::Returning(share), Phase::In) | (Phase::In, Phase::Returning(share)) => {
                Readiness::Returning { share }
            }
            (Phase::In, Phase::In) => Readiness::Ready,
        };
        let (latency, in_flight) = of_offer.map_or_else(Default::default, |offer| (offer.latency, offer.in_flight));
        Load { readiness, cost: latency.cost(now, in_flight), latency_ms: latency.usual_ms(now, in_flight) }
    }

    /// Whether one more request of `offer` may begin.
    pub(super) fn has_room(&self, offer: &Name) -> bool {
        let most = if self.offers.len() > 1 { MAX_STREAMS_PER_OFFER } else { MAX_STREAMS };
        let of_offer = self.offers.get(offer).map_or(0, |offer| offer.in_flight);
        self.in_flight < MAX_STREAMS && of_offer < most
    }

    #[cfg(test)]
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Who is ejected: the node, and how many of its offers.
    pub(super) fn ejected(&self, now: Instant) -> (bool, usize) {
        let out = |ejection: &Ejection| ejection.phase(now) == Phase::Out;
        (out(&self.ejection), self.offers.values().filter(|offer| out(&offer.ejection)).count())
    }

    /// Forgets the offers that `is_made` does not hold for, once nothing of them runs; true if anything is left to know.
    pub(super) fn retain(&mut self, is_made: impl Fn(&Name) -> bool) -> bool {
        self.offers.retain(|id, offer| offer.in_flight > 0 || is_made(id));
        !self.offers.is_empty()
    }

    fn offer(&mut self, id: &Name) -> &mut Offer {
        self.offers.entry(id.clone()).or_default()
    }
}

#[cfg(test)]
mod tests;
