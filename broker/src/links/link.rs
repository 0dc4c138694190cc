//! One node's link: at most one attempt to connect at a time, and a short memory of those that failed. A connection
//! that is to be left is used until the next one stands.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use comity_identity::Lifetime;
use comity_types::{Digest, SpiffeId, Timestamp};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::connect::{Connected, Dialler, Sender};
use super::{LinkError, LinkState};

/// How long a first failure is remembered: requests within it fail at once, so that they go elsewhere.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// How long one of many is: a node that comes back waits no longer than this.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The link to one node at one address.
pub(super) struct Link {
    node: SpiffeId,
    address: String,
    state: ArcSwap<State>,
    connecting: Arc<Mutex<()>>,
    /// How many connections were made.
    made: AtomicU64,
}

enum State {
    Idle,
    Open { way: Way, lifetime: Lifetime },
    Failed { until: Instant, backoff: Duration, source: Arc<io::Error> },
}

/// Where a request can be sent into.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) sender: Sender,
    /// SHA-256 of the certificate that the node showed.
    pub(super) certificate: Digest,
    /// Which of the link's connections it is.
    pub(super) number: u64,
    /// Whether it was made for whoever asked for the way.
    pub(super) is_fresh: bool,
}

/// A connection that stands, and by which certificate the node is there.
enum Ready {
    /// It is to be used.
    Fresh(Way),
    /// It can be used, and the next one is to be made, so that this one is empty when its certificates end.
    Leaving(Way),
}

impl Link {
    pub(super) fn new(node: SpiffeId, address: String) -> Self {
        Self {
            node,
            address,
            state: ArcSwap::from_pointee(State::Idle),
            connecting: Arc::default(),
            made: AtomicU64::new(0),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The certificate that the node showed, while the link stands.
    pub(super) fn certificate(&self) -> Option<Digest> {
        match &**self.state.load() {
            State::Open { way, .. } => Some(way.certificate),
            State::Idle | State::Failed { .. } => None,
        }
    }

    pub(super) fn state(&self) -> LinkState {
        match &**self.state.load() {
            State::Open { way, .. } if !way.sender.is_closed() => LinkState::Connected,
            State::Failed { .. } => LinkState::Unreachable,
            State::Idle | State::Open { .. } => LinkState::Idle,
        }
    }

    /// Where a request can be sent into, connecting if need be.
    pub(super) async fn way(self: &Arc<Self>, dialler: &Arc<Dialler>) -> Result<Way, LinkError> {
        if let Some(way) = self.standing(dialler)? {
            return Ok(way);
        }
        let _turn = self.connecting.lock().await;
        // Whoever had the turn before may have connected, or failed.
        if let Some(Ready::Fresh(way) | Ready::Leaving(way)) = self.ready(dialler.now())? {
            return Ok(way);
        }
        // Boxed: every request has room for what it awaits, and one in many connects.
        match Box::pin(dialler.connect(&self.node, &self.address)).await {
            Ok(connected) => Ok(Way { is_fresh: true, ..self.connected(connected, dialler) }),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// The node has left the connection of this number, or it has ended: what runs on it ends there, and the next request has
    /// another one.
    pub(super) fn left(&self, number: u64) {
        let current = self.state.load_full();
        if matches!(&*current, State::Open { way, .. } if way.number == number) {
            drop(self.state.compare_and_swap(&current, Arc::new(State::Idle)));
        }
    }

    /// The way, if the link stands; has the next connection made, if it is time.
    fn standing(self: &Arc<Self>, dialler: &Arc<Dialler>) -> Result<Option<Way>, LinkError> {
        Ok(match self.ready(dialler.now())? {
            Some(Ready::Fresh(way)) => Some(way),
            Some(Ready::Leaving(way)) => {
                if let Ok(turn) = Arc::clone(&self.connecting).try_lock_owned() {
                    dialler.tasks().spawn("link renewal", Arc::clone(self).replace(Arc::clone(dialler), turn));
                }
                Some(way)
            }
            None => None,
        })
    }

    /// Connects anew while requests go over the connection that stands.
    async fn replace(self: Arc<Self>, dialler: Arc<Dialler>, _turn: OwnedMutexGuard<()>) {
        match dialler.connect(&self.node, &self.address).await {
            Ok(connected) => drop(self.connected(connected, &dialler)),
            Err(error) => {
                tracing::warn!(node.id = %self.node, %error, "a link could not be renewed, trying again");
                // Nobody else has the turn meanwhile, so that a node is not asked at every request.
                tokio::time::sleep(FIRST_BACKOFF).await;
            }
        }
    }

    /// What stands; an error, if it failed a moment ago.
    fn ready(&self, now: Timestamp) -> Result<Option<Ready>, LinkError> {
        match &**self.state.load() {
            State::Open { way, lifetime } if !way.sender.is_closed() && now < lifetime.end_at => {
                let (way, leaving) = (way.clone(), now >= lifetime.leave_at);
                Ok(Some(if leaving { Ready::Leaving(way) } else { Ready::Fresh(way) }))
            }
            State::Failed { until, source, .. } if Instant::now() < *until => Err(self.unreachable(Arc::clone(source))),
            State::Idle | State::Open { .. } | State::Failed { .. } => Ok(None),
        }
    }

    fn connected(self: &Arc<Self>, connected: Connected, dialler: &Dialler) -> Way {
        let Connected { sender, ended, certificate, lifetime } = connected;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let way = Way { sender, certificate, number, is_fresh: false };
        self.state.store(Arc::new(State::Open { way: way.clone(), lifetime }));
        // So that nobody keeps its queue (`connect::send`).
        let link = Arc::downgrade(self);
        dialler.tasks().spawn("link end", async move {
            ended.cancelled().await;
            link.upgrade().iter().for_each(|link| link.left(number));
        });
        tracing::info!(node.id = %self.node, "a link was made");
        way
    }

    fn failed(&self, source: io::Error) -> LinkError {
        let backoff = match &**self.state.load() {
            State::Failed { backoff, .. } => (*backoff * 2).min(MAX_BACKOFF),
            State::Idle | State::Open { .. } => FIRST_BACKOFF,
        };
        let source = Arc::new(source);
        let failed = State::Failed { until: Instant::now() + backoff, backoff, source: Arc::clone(&source) };
        self.state.store(Arc::new(failed));
        self.unreachable(source)
    }

    pub(super) fn unreachable(&self, source: impl Into<Arc<io::Error>>) -> LinkError {
        LinkError::Unreachable { node: self.node.clone(), address: self.address.clone(), source: source.into() }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} at {}: {})", self.node, self.address, self.state().as_str())
    }
}
