//! The way to the broker, as generated stubs take it: `InferenceClient::new(connection.channel())`.
//!
//! It connects with the first call, again after the connection broke, beside it before its certificates end or when ours
//! was renewed, and to no one but the broker that the federation's root document names.

mod channel;
mod dialler;
#[cfg(test)]
mod tests;
mod unary;

use std::sync::Arc;
use std::time::Duration;

use comity_identity::anchors::AnchorError;
use comity_identity::tls;
use http::Uri;
use rustls::ClientConfig;
use tonic::transport::Endpoint;

use crate::identity::Identity;

pub use channel::Channel;
pub(crate) use dialler::Dialler;
pub use dialler::{CertificateEnded, NotReached};
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
    channel: Channel,
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
        Ok(Self { channel: Channel::new(Dialler::of(identity, tls)) })
    }

    /// Prepares a connection that shows no certificate, to `address` alone.
    pub(crate) fn for_enrolment(address: &str, tls: Arc<ClientConfig>) -> Self {
        Self { channel: Channel::new(Dialler::anonymous(address, tls)) }
    }

    /// What generated stubs are made of. Calls of models take their own time: give them a deadline.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What generated stubs are made of whose calls ask no model: they fail after [`ANSWER_DEADLINE`].
    #[must_use]
    pub fn unary(&self) -> Unary {
        Unary::new(self.channel.clone(), ANSWER_DEADLINE)
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
