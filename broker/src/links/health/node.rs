//! What is known of one node and of its offers, from what happens to the requests that they get: pure.
//!
//! What a connection does is its node's. What is answered over it is the offer's, since each may have a backend of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use comity_types::{Name, TrustDomain};
use tokio::time::Instant;

use super::super::{MAX_STREAMS, MAX_STREAMS_PER_OFFER};
use super::ejection::{Ejection, FAILURES_IN_A_ROW, Phase};
use super::latency::Latency;
use super::shares::Shares;
use super::silence::Silences;
use super::{Event, FULL_SHARE, Failing, Load, Readiness};

/// Longest time that a node's word keeps its offer behind: who says that it takes a day is asked again before.
const MAX_REST: Duration = Duration::from_secs(60);

/// How often as much an offer costs at most that says that it is wholly busy: enough to go elsewhere, and not so much that one
/// that lies about it, or whose report is old, is never asked.
const BUSY_COSTS: u64 = 4;
/// How long a report counts: who is not asked says nothing new.
const REPORT_LIFE: Duration = Duration::from_secs(5);

/// A node.
#[derive(Debug, Default)]
pub(super) struct Node {
    in_flight: usize,
    shares: Shares,
    ejection: Ejection,
    offers: BTreeMap<Name, Offer>,
}

#[derive(Debug, Default)]
struct Offer {
    in_flight: usize,
    latency: Latency,
    ejection: Ejection,
    silences: Silences,
    rests_until: Option<Instant>,
    /// How busy it said that it is, of [`FULL_SHARE`], and when.
    reported: Option<(u32, Instant)>,
}

impl Offer {
    /// What one more request would cost, with what the node said of others' requests, which nobody sees here. It is believed
    /// to its disadvantage alone: who reports nothing to do costs what it would cost without a word, so that nobody gets
    /// requests by saying so.
    fn cost(&self, now: Instant) -> u64 {
        let cost = self.latency.cost(now, self.in_flight);
        let of_late = self.reported.filter(|(_, at)| now.saturating_duration_since(*at) < REPORT_LIFE);
        let busy = of_late.map_or(0, |(busy, _)| u64::from(busy.min(FULL_SHARE)));
        let dearer = u128::from(cost) * u128::from(busy * (BUSY_COSTS - 1)) / u128::from(FULL_SHARE);
        cost.saturating_add(u64::try_from(dearer).unwrap_or(u64::MAX))
    }
}

/// Why one more request may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::links) enum NoRoom {
    /// The node, or the offer, has as many as it may.
    Full,
    /// Its organisation has its share of them.
    Share,
}

impl NoRoom {
    /// As a label of metrics.
    pub(in crate::links) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Share => "share",
        }
    }
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
    /// The offer, for one organisation whose requests it gave nothing.
    OfferForOne,
}

impl Who {
    /// As a label of metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Offer => "offer",
            Self::OfferForOne => "offer_for_one",
        }
    }
}

impl Node {
    /// A request of `caller` for `offer` begins, if there is room for it.
    pub(super) fn begin(&mut self, now: Instant, offer: &Name, caller: &TrustDomain) -> Result<(), NoRoom> {
        self.room(offer, caller)?;
        self.shares.take(caller);
        let _nothing = self.step(now, offer, Event::Begun);
        Ok(())
    }

    /// It has ended, or nobody waits for it.
    pub(super) fn end(&mut self, now: Instant, offer: &Name, caller: &TrustDomain) {
        self.shares.give_back(caller);
        let _nothing = self.step(now, offer, Event::Over);
    }

    /// Something happened to a request of `caller` for `offer`.
    pub(super) fn tell(&mut self, now: Instant, offer: &Name, caller: &TrustDomain, event: Event) -> Option<Ejected> {
        let ejected = self.step(now, offer, event);
        let silences = &mut self.offer(offer).silences;
        if let Event::Answered { after } = event {
            silences.answered(now, caller, after);
        }
        if let Event::Waited { in_vain } = event {
            let time = silences.waited(now, caller, in_vain)?;
            return Some(Ejected { who: Who::OfferForOne, time });
        }
        ejected
    }

    /// What that says of the node and of the offer, whoever asked.
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
            Event::Reported { busy } => of_offer.reported = Some((busy, now)),
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

    /// What choosing asks about an offer for a request of `caller`.
    pub(super) fn load(&self, now: Instant, offer: &Name, caller: &TrustDomain) -> Load {
        let of_offer = self.offers.get(offer);
        let of_all = of_offer.map_or(Phase::In, |offer| offer.ejection.phase(now));
        let of_caller = of_offer.map_or(Phase::In, |offer| offer.silences.phase(now, caller));
        let phase = self.ejection.phase(now).or(of_all).or(of_caller);
        let rests = of_offer.and_then(|offer| offer.rests_until).is_some_and(|until| now < until);
        let readiness = match phase {
            Phase::Out => Readiness::Ejected,
            Phase::In | Phase::Returning(_) if rests || self.room(offer, caller).is_err() => Readiness::Busy,
            Phase::Returning(share) => Readiness::Returning { share },
            Phase::In => Readiness::Ready,
        };
        let unknown = Offer::default();
        let of_offer = of_offer.unwrap_or(&unknown);
        let latency_ms = of_offer.latency.usual_ms(now, of_offer.in_flight);
        Load { readiness, cost: of_offer.cost(now), latency_ms }
    }

    /// After how long an answer of `offer` is slow to begin, if that is known.
    pub(super) fn slow_after(&self, now: Instant, offer: &Name) -> Option<Duration> {
        self.offers.get(offer)?.latency.slow_after(now)
    }

    /// After how long without a byte a request of `caller` for `offer` has met silence.
    pub(super) fn silent_after(&self, now: Instant, offer: &Name, caller: &TrustDomain) -> Duration {
        let unknown = Silences::default();
        self.offers.get(offer).map_or(&unknown, |offer| &offer.silences).silent_after(now, caller)
    }

    /// Whether one more request of `caller` for `offer` may begin.
    fn room(&self, offer: &Name, caller: &TrustDomain) -> Result<(), NoRoom> {
        let most = if self.offers.len() > 1 { MAX_STREAMS_PER_OFFER } else { MAX_STREAMS };
        let of_offer = self.offers.get(offer).map_or(0, |offer| offer.in_flight);
        let left = MAX_STREAMS.saturating_sub(self.in_flight).min(most.saturating_sub(of_offer));
        if left == 0 {
            return Err(NoRoom::Full);
        }
        if self.shares.has_room(caller, left) { Ok(()) } else { Err(NoRoom::Share) }
    }

    #[cfg(test)]
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Who is ejected: the node, how many of its offers, and how many for some organisation.
    pub(super) fn ejected(&self, now: Instant) -> [usize; 3] {
        let out = |ejection: &Ejection| ejection.phase(now) == Phase::Out;
        let of_offers = self.offers.values().filter(|offer| out(&offer.ejection)).count();
        let for_one = self.offers.values().filter(|offer| offer.silences.is_out(now)).count();
        [usize::from(out(&self.ejection)), of_offers, for_one]
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
