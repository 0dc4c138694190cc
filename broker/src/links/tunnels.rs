//! The tunnels that nodes dialled, by who dialled them: that alone says whose requests go over them.
//!
//! What a request names as its authority is never looked at. Which tunnels there may be is [`super::taking`]'s.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use comity_identity::VerifiedPeer;
use comity_runtime::accept::PeerInfo;
use comity_types::{Digest, SpiffeId};
use dashmap::DashMap;
use http::Request;

use super::connect::{self, Sender};
use super::{InFlight, LinkError, LinkState, Outgoing, Sent, complete_uri};

/// Most tunnels of one node: twice as many as a node may be told to keep, since those of a process that was cut, or
/// behind a router that was, are missed only after a while, and since a new one stands before an old one is left.
pub const MAX_TUNNELS_PER_NODE: usize = 16;
/// HTTP/2 wants an authority. The node does not look at it, and nothing is chosen by it.
pub(super) const AUTHORITY: &str = "tunnel";

/// All tunnels that requests may go over.
#[derive(Debug, Default)]
pub(super) struct Tunnels(DashMap<SpiffeId, Vec<Arc<Tunnel>>>);

/// A connection that a node dialled. When nobody has it any more, it is closed after the last answer on it.
pub(super) struct Tunnel {
    pub(super) sender: Sender,
    pub(super) peer: VerifiedPeer,
    pub(super) info: PeerInfo,
    /// One clone for each request on it.
    running: Arc<()>,
    /// Whether its node was asked to leave it.
    leaving: AtomicBool,
    /// Whether its node has left it.
    left: AtomicBool,
}

/// What a request is sent by. It has the tunnel's sender and not the tunnel, which has another one (`connect::send`).
struct Chosen {
    sender: Sender,
    running: Arc<()>,
    certificate: Digest,
    tunnel: Weak<Tunnel>,
}

impl Tunnel {
    pub(super) fn new(sender: Sender, peer: VerifiedPeer, info: PeerInfo) -> Arc<Self> {
        let (running, leaving, left) = (Arc::default(), AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { sender, peer, info, running, leaving, left })
    }

    /// Whether a request may begin: the connection stands, and the node has not asked to end it.
    fn is_open(&self) -> bool {
        !self.left.load(Ordering::Relaxed) && !self.sender.is_closed()
    }

    /// Requests go over it from now on only where its node has no other.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// What requests are spread by, least first.
    fn burden(&self) -> (bool, usize) {
        (self.leaving.load(Ordering::Relaxed), Arc::strong_count(&self.running).saturating_sub(1))
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tunnel({} from {})", self.peer.id(), self.info.remote)
    }
}

impl Tunnels {
    /// Whether `node` may have one more.
    pub(super) fn has_room(&self, node: &SpiffeId) -> bool {
        self.0.get(node).is_none_or(|own| own.len() < MAX_TUNNELS_PER_NODE)
    }

    /// Lets requests go over `tunnel`, and says how many its node had before; none if it has as many as it may.
    pub(super) fn insert(&self, tunnel: &Arc<Tunnel>) -> Option<usize> {
        let mut own = self.0.entry(tunnel.peer.id().clone()).or_default();
        let before = own.len();
        (before < MAX_TUNNELS_PER_NODE).then(|| {
            own.push(Arc::clone(tunnel));
            before
        })
    }

    /// Begins no more requests on `tunnel`.
    pub(super) fn remove(&self, tunnel: &Tunnel) {
        if let Some(mut own) = self.0.get_mut(tunnel.peer.id()) {
            own.retain(|other| !std::ptr::eq(Arc::as_ptr(other), tunnel));
        }
        self.0.remove_if(tunnel.peer.id(), |_, own| own.is_empty());
    }

    /// Cuts those that `may_stay` does not hold for, with all that runs on them.
    pub(super) fn retain(&self, may_stay: impl Fn(&VerifiedPeer) -> bool) {
        self.0.retain(|_, own| {
            own.retain(|tunnel| {
                let stays = may_stay(&tunnel.peer);
                if !stays {
                    tracing::info!(node.id = %tunnel.peer.id(), remote = %tunnel.info.remote, "a tunnel was cut: its node does not take part");
                    tunnel.info.cut.cancel();
                }
                stays
            });
            !own.is_empty()
        });
    }

    /// Begins no more requests on any.
    pub(super) fn clear(&self) {
        self.0.clear();
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Tunnel>> {
        self.0.iter().flat_map(|own| own.value().clone()).collect()
    }

    /// How `node` is connected by the tunnels that it has; nothing if it has none.
    pub(super) fn state(&self, node: &SpiffeId) -> Option<LinkState> {
        let own = self.0.get(node)?;
        let connected = own.iter().any(|tunnel| tunnel.is_open());
        Some(if connected { LinkState::Connected } else { LinkState::Unreachable })
    }

    /// The node's tunnel with the fewest requests, of several the newest: a silent one fills up and is not chosen again,
    /// and a renewed certificate is used at once. One that is to be left comes after all others.
    fn choose(&self, node: &SpiffeId) -> Option<Chosen> {
        let own = self.0.get(node)?;
        let tunnel = own.iter().rev().filter(|tunnel| tunnel.is_open()).min_by_key(|tunnel| tunnel.burden())?;
        let (sender, running) = (tunnel.sender.clone(), Arc::clone(&tunnel.running));
        Some(Chosen { sender, running, certificate: tunnel.peer.certificate(), tunnel: Arc::downgrade(tunnel) })
    }

    /// Sends a request over one of the node's tunnels, and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        node: &SpiffeId,
        mut request: Request<Outgoing>,
        in_flight: InFlight,
    ) -> Result<Sent, LinkError> {
        complete_uri(&mut request, AUTHORITY).map_err(|source| unsendable(node, source))?;
        for _ in 0..MAX_TUNNELS_PER_NODE {
            let Some(Chosen { sender, running, certificate, tunnel }) = self.choose(node) else { break };
            match connect::send(sender, request).await {
                Ok(answer) => return Ok(Sent { answer, in_flight: in_flight.over(running), certificate }),
                Err(mut error) => match error.take_message() {
                    // The tunnel ended before any of it was sent, as every tunnel does one day: that is no failed try.
                    Some(unsent) => request = unsent,
                    None => {
                        let error = LinkError::of(node, error.into_error());
                        if matches!(error, LinkError::Left { .. }) {
                            // Who sends it again goes elsewhere, also before this end of the tunnel has noticed.
                            tunnel.upgrade().iter().for_each(|tunnel| tunnel.left.store(true, Ordering::Relaxed));
                        }
                        return Err(error);
                    }
                },
            }
        }
        Err(LinkError::NoTunnel { node: node.clone() })
    }
}

fn unsendable(node: &SpiffeId, source: io::Error) -> LinkError {
    LinkError::Unreachable { node: node.clone(), address: AUTHORITY.to_owned(), source: Arc::new(source) }
}
