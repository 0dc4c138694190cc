//! The TLS handshake of one connection: which protocol, who, until when.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::peer::PeerError;
use comity_identity::{Credentials, Lifetime, VerifiedPeer};
use comity_types::{Clock, Timestamp};
use rustls::ServerConfig;
use rustls::server::ClientHello;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{Connection, Ends, PeerInfo};
use super::{ENROLMENT_LIFETIME, HANDSHAKE_DEADLINE};
use crate::chain;
use crate::clock::SystemClock;
use crate::socket::Socket;

use comity_identity::tls::ALPN_TUNNEL;

pub use comity_identity::tls::ALPN_ENROLMENT as ENROLMENT_ALPN;

/// How long a refused peer has to read why. A socket that is closed with bytes unread takes the alert with it.
const LINGER: Duration = Duration::from_secs(1);
/// What is read of a refused peer meanwhile, at most.
const LINGER_BYTES: u64 = 64 * 1024;

/// The TLS configurations of a listener.
pub struct Acceptor {
    mutual: Arc<ServerConfig>,
    enrolment: Option<Arc<ServerConfig>>,
    own: Option<Arc<Credentials>>,
    tunnels: Option<Arc<ServerConfig>>,
    is_public: bool,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("enrolment", &self.enrolment.is_some()).finish_non_exhaustive()
    }
}

/// Why a handshake did not lead to a connection.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the handshake took longer than {} s", HANDSHAKE_DEADLINE.as_secs())]
    Slow,
    #[error("the handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the connection proves nothing about its peer")]
    Unproven(#[from] PeerError),
}

/// The protocols of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Who dials calls.
    Members,
    /// The same, without a certificate.
    Enrolment,
    /// Who dials is called.
    Tunnel,
}

impl Acceptor {
    /// Members on `mutual`; whoever has no certificate yet on `enrolment`, if there is one.
    #[must_use]
    pub fn new(mutual: Arc<ServerConfig>, enrolment: Option<Arc<ServerConfig>>) -> Self {
        Self { mutual, enrolment, tunnels: None, own: None, is_public: false, clock: Arc::new(SystemClock) }
    }

    /// Takes everybody on `config`, which asks for no certificate: no connection has a peer, and none lasts longer
    /// than [`ENROLMENT_LIFETIME`].
    #[must_use]
    pub fn public(config: Arc<ServerConfig>) -> Self {
        Self { is_public: true, ..Self::new(Arc::clone(&config), Some(config)) }
    }

    /// Takes tunnels, too: [`Listener::incoming_and_tunnels`](super::Listener::incoming_and_tunnels) gives them.
    #[must_use]
    pub fn with_tunnels(mut self, tunnels: Arc<ServerConfig>) -> Self {
        self.tunnels = Some(tunnels);
        self
    }

    /// Ends connections with our own certificate, too: these are the credentials that the configurations show.
    #[must_use]
    pub fn ending_with(mut self, own: Arc<Credentials>) -> Self {
        self.own = Some(own);
        self
    }

    /// Has the time that certificates are held against from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes a connection, or logs why not.
    pub(super) async fn accept(&self, tcp: TcpStream, remote: SocketAddr) -> Option<(Protocol, Connection)> {
        match self.try_accept(tcp, remote).await {
            Ok(accepted) => Some(accepted),
            Err(refused) => {
                log(&refused, remote);
                None
            }
        }
    }

    async fn try_accept(&self, tcp: TcpStream, remote: SocketAddr) -> Result<(Protocol, Connection), Refused> {
        // One deadline for both halves of the handshake.
        let deadline = Instant::now() + HANDSHAKE_DEADLINE;
        // Before the handshake, which may show a newer one: that lasts longer.
        let ours = self.own.as_ref().map(|own| own.leaf().not_after);
        let (protocol, tls) = timeout_at(deadline, self.handshake(tcp)).await.map_err(|_| Refused::Slow)??;
        let (now, state) = (self.clock.now(), tls.get_ref().1);
        let peer = match protocol {
            Protocol::Enrolment => None,
            Protocol::Members => Some(VerifiedPeer::assertion_of_caller(state)?),
            Protocol::Tunnel => Some(VerifiedPeer::assertion_of_tunnel_node(state)?),
        };
        let theirs = peer.as_ref().map_or_else(|| now.plus(ENROLMENT_LIFETIME), VerifiedPeer::not_after);
        let lifetime = Lifetime::between(now, ours.unwrap_or(theirs), theirs);
        Ok((protocol, Connection::new(tls.into(), PeerInfo::new(peer, remote), ends(lifetime, now))))
    }

    async fn handshake(&self, tcp: TcpStream) -> Result<(Protocol, TlsStream<Socket>), Refused> {
        let socket = Socket::new(tcp).map_err(Refused::Handshake)?;
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket);
        let hello = hello.await.map_err(Refused::Handshake)?;
        let (protocol, config) = self.choose(&hello.client_hello());
        match hello.into_stream(config).into_fallible().await {
            Ok(tls) => Ok((protocol, tls)),
            Err((error, socket)) => {
                linger(socket).await;
                Err(Refused::Handshake(error))
            }
        }
    }

    fn choose(&self, hello: &ClientHello<'_>) -> (Protocol, Arc<ServerConfig>) {
        let offers = |wanted: &[u8]| hello.alpn().is_some_and(|mut names| names.any(|name| name == wanted));
        match (&self.enrolment, &self.tunnels) {
            (Some(enrolment), _) if self.is_public || offers(ENROLMENT_ALPN) => {
                (Protocol::Enrolment, Arc::clone(enrolment))
            }
            (_, Some(tunnels)) if offers(ALPN_TUNNEL) => (Protocol::Tunnel, Arc::clone(tunnels)),
            _ => (Protocol::Members, Arc::clone(&self.mutual)),
        }
    }
}

/// By the clock that sleeps go by.
fn ends(lifetime: Lifetime, now: Timestamp) -> Ends {
    let instant = |at: Timestamp| Instant::now() + at.since(now);
    Ends { drain_at: instant(lifetime.drain_at), end_at: instant(lifetime.end_at) }
}

/// The alert has been sent; gives the peer time to read it.
async fn linger(mut socket: Socket) {
    let drain = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whatever comes of it, the peer was refused.
    drop(timeout(LINGER, drain).await);
}

/// A peer that TLS refused is worth a warning; one that hung up (a port scan, a health check) is not.
fn log(refused: &Refused, remote: SocketAddr) {
    let reason = chain::text(refused);
    match refused {
        Refused::Handshake(error) if error.kind() != io::ErrorKind::InvalidData => {
            tracing::debug!(%remote, reason, "peer hung up");
        }
        Refused::Handshake(_) | Refused::Slow | Refused::Unproven(_) => {
            tracing::warn!(%remote, reason, "peer refused");
        }
    }
}
