//! How many calls run at once: of everyone, and of one organisation, so that none can take it all.
//!
//! Callers without a certificate are together one organisation, and among them nobody takes it all either: each address has
//! its share, and each connection a few. However many take all that they can get, the last places are kept for
//! everybody's first ([`comity_runtime::fair`]). Whoever gets none is told when to come back, each at another time (`pause`).

pub mod pause;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use comity_proto::error::Failure;
use comity_runtime::accept::network;
use comity_runtime::fair::{Fair, Full, Rule, Share};
use comity_types::TrustDomain;
use tonic::{Code, Status};

use self::pause::{Holding, Pause};
use super::deciding::Deciding;
use crate::config::Limits;

/// Most calls on one connection without a certificate: a join asks one thing after another.
const STRANGERS_PER_CONNECTION: usize = 8;
/// The part of the calls of all without a certificate that one address has at most, as it has of their connections.
const ADDRESSES_PART: usize = 4;

/// Counts the calls in flight.
#[derive(Debug, Clone)]
pub struct Capacity {
    /// `None` are callers without a certificate.
    organisations: Fair<Option<TrustDomain>>,
    addresses: Fair<IpAddr>,
    connections: Fair<SocketAddr>,
    pause: Pause,
    deciding: Deciding,
}

/// One call's place; free again when it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held, and never read")]
pub struct Place(Share<Option<TrustDomain>>, Option<(Share<IpAddr>, Share<SocketAddr>)>, Holding);

impl Capacity {
    /// With these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let strangers = limits.in_flight_per_organisation;
        let pause = Pause::default();
        let unbounded = Rule { all: usize::MAX, each: STRANGERS_PER_CONNECTION, kept: 0, first: 0 };
        Self {
            organisations: Fair::new(Rule::new(limits.in_flight, limits.in_flight_per_organisation)),
            addresses: Fair::new(Rule::new(strangers, (strangers / ADDRESSES_PART).max(1))),
            connections: Fair::new(unbounded),
            deciding: Deciding::new(limits.in_flight, limits.decision_time, pause.clone()),
            pause,
        }
    }

    /// Has these limits from here on. Calls that run go on.
    pub fn limit(&self, limits: Limits) {
        let strangers = limits.in_flight_per_organisation;
        self.organisations.share_by(Rule::new(limits.in_flight, limits.in_flight_per_organisation));
        self.addresses.share_by(Rule::new(strangers, (strangers / ADDRESSES_PART).max(1)));
    }

    /// Takes a place for a caller of `organisation`, or without one, that calls from `remote`.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`: the broker, the organisation, the address or the connection has none left.
    pub fn take(&self, organisation: Option<&TrustDomain>, remote: SocketAddr) -> Result<Place, Status> {
        self.try_take(organisation, remote).map_err(|busy| busy.retrying_after(self.pause.next()).into())
    }

    fn try_take(&self, organisation: Option<&TrustDomain>, remote: SocketAddr) -> Result<Place, Failure> {
        // The narrowest first, so that what is refused to one connection is taken from nobody.
        let as_stranger = if organisation.is_none() { Some(self.stranger(remote)?) } else { None };
        let place = self.organisations.take(organisation.cloned()).map_err(|full| match full {
            Full::Own(_) if organisation.is_none() => {
                busy("STRANGERS_BUSY", "callers without a certificate have", full)
            }
            Full::Own(_) => busy("ORGANISATION_BUSY", "the organisation has", full),
            Full::All(_) => busy("BROKER_BUSY", "the broker has", full),
        })?;
        Ok(Place(place, as_stranger, self.pause.hold()))
    }

    /// When whoever is refused now is to come back.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.pause.next()
    }

    /// How many calls are decided at once.
    #[must_use]
    pub const fn deciding(&self) -> &Deciding {
        &self.deciding
    }

    /// How many calls are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.organisations.taken()
    }

    fn stranger(&self, remote: SocketAddr) -> Result<(Share<IpAddr>, Share<SocketAddr>), Failure> {
        let by_connection = self.connections.take(remote);
        let by_connection = by_connection.map_err(|full| busy("CONNECTION_BUSY", "the connection has", full))?;
        let by_address = self.addresses.take(network(remote.ip())).map_err(|full| match full {
            Full::Own(_) => busy("ADDRESS_BUSY", "callers without a certificate from this address have", full),
            Full::All(_) => busy("STRANGERS_BUSY", "callers without a certificate have", full),
        })?;
        Ok((by_address, by_connection))
    }
}

fn busy(reason: &'static str, who: &str, full: Full) -> Failure {
    let (Full::Own(calls) | Full::All(calls)) = full;
    let limit = match full {
        Full::Own(_) => "which is the limit",
        Full::All(_) => "and the last places are kept for those who have few",
    };
    let message = format!(
        "{who} {calls} calls in flight, {limit} (hint: wait for some to end, and try again after what RetryInfo says)"
    );
    Failure::new(Code::ResourceExhausted, reason, message).with("in_flight", calls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::deciding::TARGET;
    use crate::testing::reason;

    fn limits(in_flight: usize, in_flight_per_organisation: usize) -> Limits {
        Limits {
            in_flight,
            in_flight_per_organisation,
            connections: 16,
            tunnels: 16,
            request_bytes: 1,
            control_frames_per_second: 500,
            request_memory: 1,
            decision_time: TARGET,
            listed: usize::MAX,
        }
    }

    fn organisation(name: &str) -> Option<TrustDomain> {
        Some(name.parse().unwrap())
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn refused(taken: Result<Place, Status>) -> String {
        let refused = taken.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(comity_proto::error::retry_after(&refused).is_some());
        reason(&refused)
    }

    /// All places that a caller gets, on as many connections as it likes.
    fn greedy(capacity: &Capacity, organisation: Option<&TrustDomain>, address: &str) -> Vec<Place> {
        let ports = (1..u16::MAX).map(|port| SocketAddr::new(address.parse().unwrap(), port));
        ports.map_while(|remote| capacity.take(organisation, remote).ok()).collect()
    }

    #[test]
    fn one_organisation_cannot_take_every_place_and_places_come_back() {
        let (capacity, remote) = (Capacity::new(limits(3, 2)), at("192.0.2.1:1"));
        let (a, b) = (organisation("a.example"), organisation("b.example"));
        let first = capacity.take(a.as_ref(), remote).unwrap();
        let _second = capacity.take(a.as_ref(), remote).unwrap();
        assert_eq!(refused(capacity.take(a.as_ref(), remote)), "ORGANISATION_BUSY");
        let _third = capacity.take(b.as_ref(), remote).unwrap();
        assert_eq!(refused(capacity.take(b.as_ref(), remote)), "BROKER_BUSY");
        drop(first);
        assert!(capacity.take(a.as_ref(), remote).is_ok());
    }

    #[test]
    fn organisations_that_take_every_call_they_can_get_leave_some_for_one_that_has_none() {
        let capacity = Capacity::new(limits(4096, 1024));
        let domains: Vec<_> = (0..20).map(|i| organisation(&format!("h{i}.example"))).collect();
        let held: Vec<_> = domains.iter().flat_map(|domain| greedy(&capacity, domain.as_ref(), "192.0.2.1")).collect();
        assert!(held.len() > 3000);
        assert_eq!(greedy(&capacity, organisation("honest.example").as_ref(), "192.0.2.2").len(), 8);
        assert!(!greedy(&capacity, None, "192.0.2.3").is_empty(), "whoever joins, too");
    }

    #[test]
    fn strangers_share_by_connection_and_by_address_and_take_nothing_from_members() {
        let capacity = Capacity::new(limits(4096, 1024));
        let on_one: Vec<_> = (0..8).map(|_| capacity.take(None, at("192.0.2.1:1")).unwrap()).collect();
        assert_eq!(refused(capacity.take(None, at("192.0.2.1:1"))), "CONNECTION_BUSY");
        drop(on_one);
        let mut held = greedy(&capacity, None, "192.0.2.1");
        assert_eq!(held.len(), 256);
        assert_eq!(refused(capacity.take(None, at("192.0.2.1:60000"))), "ADDRESS_BUSY");
        for address in ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"] {
            held.extend(greedy(&capacity, None, address));
        }
        assert!(!greedy(&capacity, None, "192.0.2.6").is_empty(), "a stranger that has none is served");
        assert_eq!(greedy(&capacity, organisation("a.example").as_ref(), "192.0.2.1").len(), 1024);
        drop(held);
        assert_eq!(capacity.in_flight(), 0);
    }
}
