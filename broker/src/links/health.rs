//! How nodes and their offers do, as this broker has seen it: what choosing goes by.
//!
//! | module | holds |
//! |---|---|
//! | [`latency`] | how long answers take to begin |
//! | [`ejection`] | who fails again and again, and how it comes back |
//! | [`silence`] | who takes an organisation's requests and gives nothing |
//! | [`shares`] | how many of a node's places one organisation may have |
//! | [`node`] | all of that, of a node and its offers, and what is in flight |
//!
//! These are pure; here is the table of them. It is in memory alone: a broker that starts knows nothing bad of anybody.

mod ejection;
mod latency;
mod node;
mod shares;
mod silence;

use std::sync::Arc;
use std::time::Duration;

use comity_identity::host::TUNNEL;
use comity_membership::Federation;
use comity_types::{OfferName, SpiffeId, TrustDomain};
use dashmap::DashMap;
use tokio::time::Instant;

pub(super) use self::node::NoRoom;
use self::node::{Ejected, Node, Who};
use crate::metrics::Metrics;

/// After how long an answer is slow of which nothing is known.
const SLOW: Duration = Duration::from_secs(1);

/// The whole of a share.
pub const FULL_SHARE: u32 = 1 << 10;

/// What choosing asks about an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Whether it should be asked.
    pub readiness: Readiness,
    /// What one more request would cost beside those in flight: only the order counts.
    pub cost: u64,
    /// Milliseconds that its answers usually take to begin; 0 where somebody should find out.
    pub latency_ms: Option<u64>,
}

impl Load {
    /// Of an offer of which nothing is known.
    pub(super) const UNKNOWN: Self = Self { readiness: Readiness::Ready, cost: 0, latency_ms: Some(0) };
}

/// Whether an offer should be asked; a later one only after all earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It should.
    Ready,
    /// Its node was gone, or it failed: it gets so much of [`FULL_SHARE`] for now.
    Returning {
        /// How much.
        share: u32,
    },
    /// It said that it has no room for a while, or has as many requests as it may.
    Busy,
    /// It failed again and again.
    Ejected,
    /// Its node is not there.
    Unreachable,
}

/// What happened to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is on its way.
    Begun,
    /// Its answer has ended, or nobody waits for it.
    Over,
    /// The first bytes of its answer came.
    Answered {
        /// After so long.
        after: Duration,
    },
    /// It was declined, or got an answer without a message.
    Declined,
    /// Nobody waits any longer, and nothing had come.
    Waited {
        /// After so long.
        in_vain: Duration,
    },
    /// Its answer came to its end.
    Well {
        /// When the request was sent.
        begun: Instant,
    },
    /// It came to nothing, by no fault of the caller.
    Failed(Failing),
    /// At the end of an answer the node said how busy it is with the offer.
    Reported {
        /// So much of [`FULL_SHARE`].
        busy: u32,
    },
    /// The node has no room, and said for how long.
    Resting {
        /// So long.
        time: Duration,
    },
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// The node could not be connected to.
    Connecting,
    /// Its connection broke, or does not speak gRPC.
    Connection,
    /// The answer: it was none, or broke off.
    Answer,
}

/// The table. Clones are handles to the same. It has a row for each node that was asked and takes part.
#[derive(Debug, Clone)]
pub(super) struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    nodes: DashMap<SpiffeId, Row>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Row {
    node: Node,
    /// Whether it is the node that dials: kept here, since it is asked for every offer of a decision.
    dials: bool,
}

impl Health {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Inner { nodes: DashMap::new(), metrics }))
    }

    /// A request of `caller` for `offer` begins, if there is room for it.
    pub(super) fn begin(&self, offer: &OfferName, caller: &TrustDomain, dials: bool) -> Result<(), NoRoom> {
        let mut row = self.0.nodes.entry(offer.node().clone()).or_default();
        row.dials = dials;
        let begun = row.node.begin(Instant::now(), offer.id(), caller);
        drop(row);
        begun.inspect_err(|why| self.0.metrics.no_place(why.as_str()))
    }

    /// A request that has begun has ended, or nobody waits for it.
    pub(super) fn end(&self, offer: &OfferName, caller: &TrustDomain) {
        // A node without a row takes part no longer.
        if let Some(mut row) = self.0.nodes.get_mut(offer.node()) {
            row.node.end(Instant::now(), offer.id(), caller);
        }
    }

    /// Something happened to a request of `caller` that has begun.
    pub(super) fn tell(&self, offer: &OfferName, caller: &TrustDomain, event: Event) {
        // A node without a row takes part no longer.
        let ejected = self.0.nodes.get_mut(offer.node());
        let ejected = ejected.and_then(|mut row| row.node.tell(Instant::now(), offer.id(), caller, event));
        if let Some(Ejected { who, time }) = ejected {
            let (offer, caller, seconds) = (offer.as_str(), caller.as_str(), time.as_secs());
            tracing::info!(
                offer.id = offer,
                who = who.as_str(),
                caller,
                seconds,
                "ejected: it comes behind the others"
            );
            self.0.metrics.ejected(who.as_str());
        }
    }

    /// A node has dialled that was not there, or will be connected to anew.
    pub(super) fn returned(&self, node: &SpiffeId) {
        if let Some(mut row) = self.0.nodes.get_mut(node) {
            row.node.returned(Instant::now());
        }
    }

    /// What choosing asks about `offer` for a request of `caller` while its node can be reached, and whether it is the node that
    /// dials; nothing, if it was never asked.
    pub(super) fn load(&self, offer: &OfferName, caller: &TrustDomain, now: Instant) -> Option<(Load, bool)> {
        let row = self.0.nodes.get(offer.node())?;
        Some((row.node.load(now, offer.id(), caller), row.dials))
    }

    /// After how long an answer of `offer` is slow to begin.
    pub(super) fn slow_after(&self, offer: &OfferName) -> Duration {
        let of_offer = |row: &Row| row.node.slow_after(Instant::now(), offer.id());
        self.0.nodes.get(offer.node()).and_then(|row| of_offer(&row)).unwrap_or(SLOW)
    }

    /// After how long without a byte a request of `caller` for `offer` has met silence.
    pub(super) fn silent_after(&self, offer: &OfferName, caller: &TrustDomain) -> Duration {
        let unknown = Row::default();
        let row = self.0.nodes.get(offer.node());
        row.as_deref().unwrap_or(&unknown).node.silent_after(Instant::now(), offer.id(), caller)
    }

    /// How many requests `node` is working on.
    #[cfg(test)]
    pub(super) fn in_flight(&self, node: &SpiffeId) -> usize {
        self.0.nodes.get(node).map_or(0, |row| row.node.in_flight())
    }

    /// How many nodes and how many offers are ejected, and how many offers for some organisation.
    pub(super) fn ejected(&self) -> [(&'static str, usize); 3] {
        let now = Instant::now();
        let all = self.0.nodes.iter().map(|row| row.node.ejected(now));
        let [nodes, offers, for_one] = all.fold([0; 3], |[a, b, c], [d, e, f]| [a + d, b + e, c + f]);
        [(Who::Node.as_str(), nodes), (Who::Offer.as_str(), offers), (Who::OfferForOne.as_str(), for_one)]
    }

    /// Forgets what is offered no more, and learns who dials.
    pub(super) fn follow(&self, federation: &Federation) {
        self.0.nodes.retain(|id, row| {
            let state = federation.node(id);
            row.dials = state.is_some_and(|state| state.address.as_deref() == Some(TUNNEL));
            let offers = state.map_or(&[][..], |state| &state.offers);
            row.node.retain(|id| offers.iter().any(|offer| offer.id == *id))
        });
    }
}
