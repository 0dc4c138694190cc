//! The way to the broker, as generated stubs take it: `InferenceClient::new(connection.channel())`. An answer of a model
//! counts on it when its receipt proves it; otherwise the call fails.
//!
//! It connects with the first call, again after the connection broke, beside it before its certificates end or when ours
//! was renewed, and to no one but the broker that the federation's root document names.

mod channel;
mod dialler;
mod line;
#[cfg(test)]
mod tests;
mod unary;

use std::sync::Arc;
use std::time::Duration;

use comity_identity::anchors::AnchorError;
use comity_identity::tls;
use comity_types::Digest;
use http::Uri;
use rustls::ClientConfig;
use tonic::transport::Endpoint;

use crate::follow::{Followed, States};
use crate::identity::Identity;
use crate::receipt::Pinned;

pub use channel::Channel;
pub(crate) use dialler::Dialler;
pub use dialler::{CertificateEnded, NotReached};
pub use line::Line;
pub use unary::{NoAnswer, Unary};

/// Longest wait for a connection to any of the brokers: every address has its own, shorter deadline.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(20);
/// Longest wait for an answer that asks no model, the connection included: a broker under full load answers in a
/// few seconds, and a person does not wait much longer.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// How often a connection is tried out, also while it is idle: firewalls forget idle ones after a minute or more.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the answer to such a trial may take.
pub const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of one answer that may be on their way unread: a few frames of the largest embedding batches.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of all answers together that may be on their way unread.
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// A connection to the federation's broker. Clones are the same connection.
#[derive(Debug, Clone)]
pub struct Connection {
    line: Line,
    /// None without a certificate.
    pinned: Option<Pinned>,
}

/// Why there can be no connection, whatever the network does.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The root document's anchors cannot be used.
    #[error("the federation's authorities cannot be used")]
    Anchors(#[from] AnchorError),
    /// There is no TLS as it has to be.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

impl Connection {
    /// Prepares a connection as `identity`; the first call connects. From then on the identity is kept fresh, for as long
    /// as there is a clone of this.
    ///
    /// # Errors
    /// TLS cannot be set up. That the broker cannot be reached is for the first call to say.
    pub fn open(identity: &Identity) -> Result<Self, ConnectionError> {
        Self::prepare(identity)
    }

    /// The same, with the certificate as it is: to have it renewed.
    pub(crate) fn open_as_it_is(identity: &Identity) -> Result<Self, ConnectionError> {
        Self::prepare(&identity.clone().renewed_elsewhere())
    }

    fn prepare(identity: &Identity) -> Result<Self, ConnectionError> {
        let root = identity.root();
        let anchors = Arc::new(root.organisation_anchors()?);
        let clock = Arc::clone(identity.clock());
        let credentials = Arc::clone(identity.credentials());
        let tls = tls::client_config(credentials, root.broker.clone(), anchors, clock)?;
        let pinned = Pinned::new(Arc::clone(identity.shared_root()), identity.id().clone());
        Ok(Self { line: Line::new(Dialler::of(identity, tls)), pinned: Some(pinned) })
    }

    /// Prepares a connection that shows no certificate, to `address` alone.
    pub(crate) fn for_enrolment(address: &str, tls: Arc<ClientConfig>) -> Self {
        Self { line: Line::new(Dialler::anonymous(address, tls)), pinned: None }
    }

    /// The same connection for whoever follows the federation's log too ([`follow`](crate::follow)): what was decided by
    /// another state of it than `root_at` knows of that epoch is not proven. Of an epoch that it does not know, nothing is said.
    #[must_use]
    pub fn held_against(self, root_at: impl Fn(u64) -> Option<Digest> + Send + Sync + 'static) -> Self {
        let epochs = Arc::new(root_at);
        Self { pinned: self.pinned.map(|pinned| pinned.with_epochs(epochs)), ..self }
    }

    /// The same connection for whoever wants the node's own word on each answer, and not the broker's alone: it follows the
    /// federation's log from where `followed` is ([`Followed::new`] begins with the root document that is pinned), every signature in
    /// it checked. Of an answer the node that is recorded has to have signed decision, offer, status and usage by its key of the
    /// state that was decided by, caller and node have to have taken part in it, and the offer to have been published so; otherwise
    /// it is not proven. One that was decided by a later state than is known here waits until the log is read that far, 20 s at
    /// most; one whose node signed nothing, which the broker lets count, does not count here.
    #[must_use]
    pub fn with_federation(self, followed: Followed) -> Self {
        let log = Self { line: self.line.clone(), pinned: None };
        let states = Arc::new(States::new(log, followed));
        Self { pinned: self.pinned.map(|pinned| pinned.with_states(states)), ..self }
    }

    /// What generated stubs are made of. Calls of models take their own time: give them a deadline.
    ///
    /// The answer of a model has to end with the receipt of this very request: signed by the log's key of the root document
    /// that the identity pins, and of what the answer said at its beginning and its end. Envelopes that have no nonce get one, so
    /// that no receipt is of two requests; whoever gives them one makes it anew for each. Otherwise the call
    /// fails with [`Cause::Unproven`](crate::Cause::Unproven). The messages of a stream pass as they come, so they are not
    /// proven until it has ended. The node's own signature in the receipt is not checked, unless this connection follows the
    /// federation's log, where its key stands ([`with_federation`](Self::with_federation)).
    #[must_use]
    pub fn channel(&self) -> Channel {
        Channel::new(self.line.clone(), self.pinned.clone())
    }

    /// The same without looking at receipts: whatever the broker sends counts, and whoever calls is to check it by
    /// [`receipt::of_trailers`](crate::receipt::of_trailers), the envelope with a [`nonce`](crate::receipt::nonce).
    #[must_use]
    pub fn danger_without_receipts(&self) -> Line {
        self.line.clone()
    }

    /// What generated stubs are made of whose calls ask no model: they fail after [`ANSWER_DEADLINE`].
    #[must_use]
    pub fn unary(&self) -> Unary {
        Unary::new(self.channel(), ANSWER_DEADLINE)
    }
}

/// The URI is a form: the dialler knows where to go, and TLS is its business.
fn endpoint() -> Endpoint {
    Endpoint::from_static("http://broker")
        .origin(Uri::from_static("https://broker"))
        .connect_timeout(CONNECT_DEADLINE)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_DEADLINE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
}
