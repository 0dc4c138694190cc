//! The proof that the peer of a connection was verified.

use comity_types::{Digest, SpiffeId, Timestamp};
use rustls::{ClientConnection, CommonState, ServerConnection};

use crate::spiffe::{LeafIdentity, SvidError, leaf_identity};
use crate::tls::{ALPN_H2, ALPN_TUNNEL};

/// A peer that one of our verifiers let through.
///
/// There is no other way to one than a finished handshake on a configuration of [`crate::tls`] that
/// asks for certificates on both sides; those, and only those, agree on [`ALPN_H2`] or [`ALPN_TUNNEL`]. Which of the
/// two says who calls: a connection of one is never taken for one of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPeer(LeafIdentity);

/// Why a connection proves nothing about its peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The handshake is not over.
    #[error("the handshake is not finished")]
    Handshaking,
    /// The connection is one for something else, or of no protocol at all.
    #[error("the connection did not agree on {expected} (hint: the client has to offer {expected} by ALPN)")]
    Protocol {
        /// What it has to agree on.
        expected: &'static str,
    },
    /// The peer showed no certificate.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// The certificate is not one of a federation.
    #[error("the peer's certificate is not an X.509-SVID")]
    Svid(#[source] SvidError),
}

impl VerifiedPeer {
    /// The caller of a connection on [`crate::tls::server_config`].
    ///
    /// # Errors
    /// The connection proves nothing about it.
    pub fn assertion_of_caller(connection: &ServerConnection) -> Result<Self, PeerError> {
        Self::from_state(connection, ALPN_H2)
    }

    /// The server of a connection on [`crate::tls::client_config`].
    ///
    /// # Errors
    /// The connection proves nothing about it.
    pub fn assertion_of_server(connection: &ClientConnection) -> Result<Self, PeerError> {
        Self::from_state(connection, ALPN_H2)
    }

    /// Who dialled a connection on [`crate::tls::tunnel_server_config`], and serves on it.
    ///
    /// # Errors
    /// The connection proves nothing about it.
    pub fn assertion_of_tunnel_node(connection: &ServerConnection) -> Result<Self, PeerError> {
        Self::from_state(connection, ALPN_TUNNEL)
    }

    /// Who took a connection on [`crate::tls::tunnel_client_config`], and calls on it.
    ///
    /// # Errors
    /// The connection proves nothing about it.
    pub fn assertion_of_tunnel_broker(connection: &ClientConnection) -> Result<Self, PeerError> {
        Self::from_state(connection, ALPN_TUNNEL)
    }

    fn from_state(state: &CommonState, alpn: &'static [u8]) -> Result<Self, PeerError> {
        if state.is_handshaking() {
            return Err(PeerError::Handshaking);
        }
        if state.alpn_protocol() != Some(alpn) {
            // Both names are ASCII.
            return Err(PeerError::Protocol { expected: std::str::from_utf8(alpn).unwrap_or_default() });
        }
        let leaf = state.peer_certificates().and_then(<[_]>::first).ok_or(PeerError::NoCertificate)?;
        leaf_identity(leaf).map(Self).map_err(PeerError::Svid)
    }

    /// Who it is.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.0.id
    }

    /// Last instant at which its certificate holds; the connection must not outlive it.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// SHA-256 of its certificate.
    #[must_use]
    pub const fn certificate(&self) -> Digest {
        self.0.certificate
    }

    /// SHA-256 of its public key, as the registry records it.
    #[must_use]
    pub const fn public_key(&self) -> Digest {
        self.0.public_key
    }
}
