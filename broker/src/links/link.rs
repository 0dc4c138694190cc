//! One node's link: at most one attempt to connect at a time, and a short memory of those that failed.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use comity_types::{Digest, SpiffeId, Timestamp};
use tokio::sync::Mutex;
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
    connecting: Mutex<()>,
}

enum State {
    Idle,
    Open {
        sender: Sender,
        /// SHA-256 of the certificate that the node showed.
        certificate: Digest,
        /// When new requests go over a new connection, so that the old one is empty when its certificate ends.
        use_until: Timestamp,
    },
    Failed {
        until: Instant,
        backoff: Duration,
        source: Arc<io::Error>,
    },
}

impl Link {
    pub(super) fn new(node: SpiffeId, address: String) -> Self {
        Self { node, address, state: ArcSwap::from_pointee(State::Idle), connecting: Mutex::new(()) }
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
    pub(super) async fn sender(&self, dialler: &Dialler) -> Result<(Sender, Digest), LinkError> {
        if let Some(sender) = self.ready(dialler.now())? {
            return Ok(sender);
        }
        let _turn = self.connecting.lock().await;
        // Whoever had the turn before may have connected, or failed.
        if let Some(sender) = self.ready(dialler.now())? {
            return Ok(sender);
        }
        match dialler.connect(&self.node, &self.address).await {
            Ok(connected) => Ok(self.connected(connected, dialler.now())),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// The sender, if the link stands; an error, if it failed a moment ago.
    fn ready(&self, now: Timestamp) -> Result<Option<(Sender, Digest)>, LinkError> {
        match &**self.state.load() {
            State::Open { sender, certificate, use_until } if !sender.is_closed() && now < *use_until => {
                Ok(Some((sender.clone(), *certificate)))
            }
            State::Failed { until, source, .. } if Instant::now() < *until => Err(self.unreachable(Arc::clone(source))),
            State::Idle | State::Open { .. } | State::Failed { .. } => Ok(None),
        }
    }

    fn connected(&self, connected: Connected, now: Timestamp) -> (Sender, Digest) {
        let Connected { sender, certificate, not_after } = connected;
        let use_until = now.plus(not_after.since(now) * 3 / 4);
        self.state.store(Arc::new(State::Open { sender: sender.clone(), certificate, use_until }));
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
