//! The broker's connections to nodes. One a node, made when it is needed, kept while both take part: a link. Or those
//! that the node dialled, where it says that it is reached so: its tunnels.
//!
//! Both end with their certificates, each connection after the next one stands, and with the suspension of the node or of its
//! certificate; a link with a change of the node's address as well. What travels over them is left to [`crate::access`].

mod connect;
mod health;
mod in_flight;
mod leave;
mod link;
mod outgoing;
mod report;
mod taking;
mod tunnels;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::Credentials;
use comity_identity::host::TUNNEL;
use comity_membership::{Federation, Standing};
use comity_runtime::accept::MAX_ORGANISATIONS_PART;
use comity_runtime::fair::{Fair, Rule};
use comity_runtime::tasks::Tasks;
use comity_types::{Clock, Digest, OfferName, SpiffeId, TrustDomain};
use dashmap::DashMap;
use http::uri::{Authority, Scheme};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::edge::check_peer;
use crate::metrics::Metrics;
use crate::registry::Registry;

use self::connect::Dialler;
use self::health::Health;
use self::health::NoRoom;
pub use self::health::{Event, FULL_SHARE, Failing, Load, Readiness};
pub use self::in_flight::{InFlight, is_failure};
use self::link::Link;
pub use self::outgoing::Outgoing;
pub use self::tunnels::MAX_TUNNELS_PER_NODE;
use self::tunnels::Tunnels;

/// Most requests on one link at once, of which one organisation has a share (`health`). The windows are sized for it, and a node
/// that is given more has stopped to answer.
pub const MAX_STREAMS: usize = 1024;
/// Most requests of one offer at once where its node has others: a backend that stalls leaves them a quarter of the link.
const MAX_STREAMS_PER_OFFER: usize = MAX_STREAMS / 4 * 3;

/// How a node's link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// There is none; none is needed, or none was tried.
    Idle,
    /// It stands.
    Connected,
    /// It could not be made a moment ago, or is the node's to make and was not.
    Unreachable,
}

impl LinkState {
    /// The word for it on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connected => "connected",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Why a request did not get to a node, or no answer back.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The node is not one that takes part and has an address.
    #[error("{node} has no address, or does not take part")]
    NotServing {
        /// The node.
        node: SpiffeId,
    },
    /// It cannot be reached, or somebody else answers there.
    #[error("{node} at {address} cannot be reached: {source}")]
    Unreachable {
        /// The node.
        node: SpiffeId,
        /// Where it should be.
        address: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// It dials the broker, and has not.
    #[error("{node} has no tunnel to this broker")]
    NoTunnel {
        /// The node.
        node: SpiffeId,
    },
    /// As many requests of the offer, or of all offers of its node, are in flight as may be.
    #[error("{offer} has as many requests in flight as it may")]
    Full {
        /// The offer.
        offer: OfferName,
    },
    /// The caller's organisation has its share of what may be in flight to the node, while others are there.
    #[error("the caller's organisation has as many requests in flight to {node} as it may while others are there")]
    Share {
        /// The node.
        node: SpiffeId,
    },
    /// The node left the connection before it looked at the request, as every node does one day: that is no failed try.
    #[error("{node} left the connection before it looked at the request")]
    Left {
        /// The node.
        node: SpiffeId,
        /// Whether the connection was made for this request: then it is no rotation.
        is_fresh: bool,
    },
    /// The node refused the stream before it did anything with the request (RFC 9113, section 8.7).
    #[error("{node} refused the request before it looked at it")]
    Refused {
        /// The node.
        node: SpiffeId,
    },
    /// The link broke, or the node reset the request, before an answer began.
    #[error("the connection to {node} broke: {source}")]
    Broken {
        /// The node.
        node: SpiffeId,
        /// Why.
        source: Arc<hyper::Error>,
    },
}

impl LinkError {
    /// What became of a request that got no answer.
    fn of(node: &SpiffeId, error: hyper::Error) -> Self {
        let of_http2 = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<h2::Error>());
        // To a stream that its node has begun to work on, a GOAWAY without an error does nothing (RFC 9113, section 6.8).
        let is_left = of_http2.is_some_and(|error| {
            error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
        });
        let is_refused = of_http2.is_some_and(|error| {
            error.is_reset() && error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
        });
        if is_left {
            Self::Left { node: node.clone(), is_fresh: false }
        } else if is_refused {
            Self::Refused { node: node.clone() }
        } else {
            Self::Broken { node: node.clone(), source: error.into() }
        }
    }
}

/// A request that a node has begun to answer.
#[derive(Debug)]
pub struct Sent {
    /// The head of its answer, and the rest on its way.
    pub answer: Response<Incoming>,
    /// To be held until the answer's body has ended.
    pub in_flight: InFlight,
    /// SHA-256 of the certificate that the node showed.
    pub certificate: Digest,
}

/// The links to all nodes. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Links(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    dialler: Arc<Dialler>,
    links: DashMap<SpiffeId, Arc<Link>>,
    tunnels: Tunnels,
    tunnel_places: Fair<TrustDomain>,
    health: Health,
}

/// How requests get to a node.
enum Way {
    Link(Arc<Link>),
    Tunnel,
}

impl Links {
    /// No link yet, and room for so many tunnels. Starts a task that drops those that are not to be, as the registry
    /// changes.
    #[must_use]
    pub fn new(
        registry: Registry,
        credentials: Arc<Credentials>,
        tunnels: usize,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: Metrics,
    ) -> Self {
        let dialler = Arc::new(Dialler::new(registry.clone(), credentials, clock, tasks));
        let links = Self(Arc::new(Inner {
            registry,
            dialler,
            links: DashMap::new(),
            tunnels: Tunnels::default(),
            tunnel_places: Fair::new(tunnel_rule(tunnels)),
            health: Health::new(metrics),
        }));
        links.0.dialler.tasks().spawn("links", links.clone().follow_registry());
        links
    }

    /// Sends a request of `caller` for `offer` to its node, whose path alone is set, and waits for the head of its answer.
    ///
    /// # Errors
    /// There is no place for it, the node cannot be reached, or no answer came back.
    pub async fn send(
        &self,
        offer: &OfferName,
        caller: &TrustDomain,
        request: Request<Outgoing>,
    ) -> Result<Sent, LinkError> {
        let node = offer.node();
        let way = self.way(node)?;
        let in_flight = InFlight::begin(&self.0.health, offer, caller, matches!(way, Way::Tunnel));
        let in_flight = in_flight.map_err(|why| match why {
            NoRoom::Full => LinkError::Full { offer: offer.clone() },
            NoRoom::Share => LinkError::Share { node: node.clone() },
        })?;
        match way {
            Way::Link(link) => self.send_by_link(node, &link, request, in_flight).await,
            Way::Tunnel => self.0.tunnels.send(node, request, in_flight).await,
        }
    }

    async fn send_by_link(
        &self,
        node: &SpiffeId,
        link: &Arc<Link>,
        mut request: Request<Outgoing>,
        in_flight: InFlight,
    ) -> Result<Sent, LinkError> {
        complete_uri(&mut request, link.address()).map_err(|source| link.unreachable(source))?;
        let link::Way { sender, certificate, number, is_fresh } = link.way(&self.0.dialler).await?;
        match connect::send(sender, request).await {
            Ok(answer) => Ok(Sent { answer, in_flight, certificate }),
            Err(mut error) => {
                let mut error = match error.take_message() {
                    // The connection ended before any of it was sent.
                    Some(_) => LinkError::Left { node: node.clone(), is_fresh },
                    None => LinkError::of(node, error.into_error()),
                };
                if let LinkError::Left { is_fresh: of_left, .. } = &mut error {
                    *of_left = is_fresh;
                    link.left(number);
                }
                Err(error)
            }
        }
    }

    /// Has room for so many tunnels from here on. Those that stand stay.
    pub fn limit_tunnels(&self, tunnels: usize) {
        self.0.tunnel_places.share_by(tunnel_rule(tunnels));
    }

    /// How many tunnels stand.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.0.tunnel_places.taken()
    }

    /// How the link to `node` is.
    #[must_use]
    pub fn state(&self, node: &SpiffeId) -> LinkState {
        if let Some(link) = self.0.links.get(node) {
            return link.state();
        }
        let of_none = || if self.dials(node) { LinkState::Unreachable } else { LinkState::Idle };
        self.0.tunnels.state(node).unwrap_or_else(of_none)
    }

    /// What choosing asks about `offer` for a request of `caller`. That a link could not be made is known as a failure, and not
    /// asked again here.
    #[must_use]
    pub fn load(&self, offer: &OfferName, caller: &TrustDomain, now: Instant) -> Load {
        let node = offer.node();
        let (load, dials) = self.0.health.load(offer, caller, now).unwrap_or_else(|| (Load::UNKNOWN, self.dials(node)));
        let is_there = !dials || self.0.tunnels.state(node) == Some(LinkState::Connected);
        if is_there { load } else { Load { readiness: Readiness::Unreachable, ..load } }
    }

    /// How long nineteen of twenty answers of `offer` take to begin at most, about; a second where nobody knows.
    #[must_use]
    pub fn slow_after(&self, offer: &OfferName) -> Duration {
        self.0.health.slow_after(offer)
    }

    /// After how long without a byte a request of `caller` for `offer` has met silence: that many in a row, and it comes behind.
    #[must_use]
    pub fn silent_after(&self, offer: &OfferName, caller: &TrustDomain) -> Duration {
        self.0.health.silent_after(offer, caller)
    }

    /// What became of a try of `offer` for a request of `caller`.
    pub fn tell(&self, offer: &OfferName, caller: &TrustDomain, event: Event) {
        self.0.health.tell(offer, caller, event);
    }

    /// How many nodes and how many offers are ejected now, and how many offers for some organisation.
    #[must_use]
    pub fn ejected(&self) -> [(&'static str, usize); 3] {
        self.0.health.ejected()
    }

    /// Has a link to `node` stand, as if there had been a request before.
    #[cfg(test)]
    pub(crate) async fn connect(&self, node: &SpiffeId) -> Result<(), LinkError> {
        match self.way(node)? {
            Way::Link(link) => link.way(&self.0.dialler).await.map(drop),
            Way::Tunnel => Err(LinkError::NoTunnel { node: node.clone() }),
        }
    }

    /// How many requests `node` is working on for this broker.
    #[cfg(test)]
    pub(crate) fn in_flight(&self, node: &SpiffeId) -> usize {
        self.0.health.in_flight(node)
    }

    /// Whether it is the node that dials.
    fn dials(&self, node: &SpiffeId) -> bool {
        let snapshot = self.0.registry.snapshot();
        snapshot.federation().node(node).is_some_and(|state| state.address.as_deref() == Some(TUNNEL))
    }

    /// The link to `node` at its present address, or its tunnels.
    fn way(&self, node: &SpiffeId) -> Result<Way, LinkError> {
        let snapshot = self.0.registry.snapshot();
        let address =
            serving_address(snapshot.federation(), node).ok_or_else(|| LinkError::NotServing { node: node.clone() })?;
        if address == TUNNEL {
            return Ok(Way::Tunnel);
        }
        if let Some(link) = self.0.links.get(node).filter(|link| link.address() == address) {
            return Ok(Way::Link(Arc::clone(&link)));
        }
        let fresh = || Arc::new(Link::new(node.clone(), address.to_owned()));
        let mut link = self.0.links.entry(node.clone()).or_insert_with(fresh);
        if link.address() != address {
            *link = fresh();
        }
        Ok(Way::Link(Arc::clone(&link)))
    }

    async fn follow_registry(self) {
        let ending = self.0.dialler.tasks().token();
        let mut changed = self.0.registry.changed();
        while let Some(Ok(())) = ending.run_until_cancelled(changed.changed()).await {
            let snapshot = self.0.registry.snapshot();
            self.0.links.retain(|node, link| {
                let stays = may_stay(snapshot.federation(), node, link);
                if !stays {
                    // Elsewhere, or later, it may do better than it did.
                    self.0.health.returned(node);
                }
                stays
            });
            self.0.tunnels.retain(|peer| check_peer(snapshot.federation(), peer).is_ok());
            self.0.health.follow(snapshot.federation());
        }
        // Connections end when nobody can use them any more.
        self.0.links.clear();
        self.0.tunnels.clear();
    }
}

/// Of so many tunnels one organisation's nodes have at most a part.
fn tunnel_rule(tunnels: usize) -> Rule {
    Rule::new(tunnels, (tunnels / MAX_ORGANISATIONS_PART).max(1))
}

/// Where a node that takes part is reached.
fn serving_address<'a>(federation: &'a Federation, node: &SpiffeId) -> Option<&'a str> {
    let active = federation.standing(node) == Standing::Active;
    federation.node(node).filter(|_| active)?.address.as_deref()
}

/// True if a link is to the node's address, and by a certificate that nobody has suspended.
fn may_stay(federation: &Federation, node: &SpiffeId, link: &Link) -> bool {
    let holds = |certificate| federation.standing_with(node, certificate) == Standing::Active;
    serving_address(federation, node) == Some(link.address()) && link.certificate().is_none_or(holds)
}

/// HTTP/2 wants the scheme and the authority beside the path.
fn complete_uri(request: &mut Request<Outgoing>, address: &str) -> io::Result<()> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(address.parse::<Authority>().map_err(io::Error::other)?);
    *request.uri_mut() = http::Uri::from_parts(parts).map_err(io::Error::other)?;
    Ok(())
}
