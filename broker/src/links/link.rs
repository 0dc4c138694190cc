//! One node's link: at most one attempt to connect at a time, and a short memory of those that failed. A connection
//! that is to be left is used until the next one stands.

use std::fmt;
use std::io;
use std::sync::Arc;
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
}

enum State {
    Idle,
    Open {
        sender: Sender,
        /// SHA-256 of the certificate that the node showed.
        certificate: Digest,
        lifetime: Lifetime,
    },
    Failed {
        until: Instant,
        backoff: Duration,
        source: Arc<io::Error>,
    },
}

/// A connection that stands, and by which certificate the node is there.
enum Ready {
    /// It is to be used.
    Fresh(Sender, Digest),
    /// It can be used, and the next one is to be made, so that this one is empty when its certificates end.
    Leaving(Sender, Digest),
}

impl Link {
    pub(super) fn new(node: SpiffeId, address: String) -> Self {
        Self { node, address, state: ArcSwap::from_pointee(State::Idle), connecting: Arc::default() }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The certificate that the node showed, while the link stands.
    pub(super) fn certificate(&self) -> Option<Digest> {
        match &**self.state.load() {
            State::Open { certificate, .. } => Some(*certificate),
            State::Idle | State::Failed { .. } => None,
        }
    }

    pub(super) fn state(&self) -> LinkState {
        match &**self.state.load() {
            State::Open { sender, .. } if !sender.is_closed() => LinkState::Connected,
            State::Failed { .. } => LinkState::Unreachable,
            State::Idle | State::Open { .. } => LinkState::Idle,
        }
    }

    /// Where a request can be sent into, and who is there by which certificate, connecting if need be.
    pub(super) async fn sender(self: &Arc<Self>, dialler: &Arc<Dialler>) -> Result<(Sender, Digest), LinkError> {
        if let Some(sender) = self.standing(dialler)? {
            return Ok(sender);
        }
        let _turn = self.connecting.lock().await;
        // Whoever had the turn before may have connected, or failed.
        if let Some(Ready::Fresh(sender, certificate) | Ready::Leaving(sender, certificate)) =
            self.ready(dialler.now())?
        {
            return Ok((sender, certificate));
        }
        // Boxed: every request has room for what it awaits, and one in many connects.
        match Box::pin(dialler.connect(&self.node, &self.address)).await {
            Ok(connected) => Ok(self.connected(connected)),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// The sender, if the link stands; has the next connection made, if it is time.
    fn standing(self: &Arc<Self>, dialler: &Arc<Dialler>) -> Result<Option<(Sender, Digest)>, LinkError> {
        Ok(match self.ready(dialler.now())? {
            Some(Ready::Fresh(sender, certificate)) => Some((sender, certificate)),
            Some(Ready::Leaving(sender, certificate)) => {
                if let Ok(turn) = Arc::clone(&self.connecting).try_lock_owned() {
                    dialler.tasks().spawn("link renewal", Arc::clone(self).replace(Arc::clone(dialler), turn));
                }
                Some((sender, certificate))
            }
            None => None,
        })
    }

    /// Connects anew while requests go over the connection that stands.
    async fn replace(self: Arc<Self>, dialler: Arc<Dialler>, _turn: OwnedMutexGuard<()>) {
        match dialler.connect(&self.node, &self.address).await {
            Ok(connected) => drop(self.connected(connected)),
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
            State::Open { sender, certificate, lifetime } if !sender.is_closed() && now < lifetime.end_at => {
                let (sender, leaving) = (sender.clone(), now >= lifetime.leave_at);
                Ok(Some(if leaving {
                    Ready::Leaving(sender, *certificate)
                } else {
                    Ready::Fresh(sender, *certificate)
                }))
            }
            State::Failed { until, source, .. } if Instant::now() < *until => Err(self.unreachable(Arc::clone(source))),
            State::Idle | State::Open { .. } | State::Failed { .. } => Ok(None),
        }
    }

    fn connected(&self, connected: Connected) -> (Sender, Digest) {
        let Connected { sender, certificate, lifetime } = connected;
        self.state.store(Arc::new(State::Open { sender: sender.clone(), certificate, lifetime }));
        tracing::info!(node.id = %self.node, "a link was made");
        (sender, certificate)
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
