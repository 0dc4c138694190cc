//! Connections that are made, over TLS.

#[cfg(test)]
mod tests;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::VerifiedPeer;
use comity_types::Clock;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncBufReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::accept::{Connection, Ends, PeerInfo};
use crate::socket::Socket;

/// Longest wait for name lookup, TCP and TLS together: three tries of a lost SYN fit in.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Connects to `address` (`host:port`), shakes hands as `tls` says, and waits until the peer has taken us.
///
/// In TLS 1.3 a client is done before the server has seen its certificate. So that a refusal fails here, and not
/// in the first request, this waits for the server's first bytes: an HTTP/2 server begins with its settings, and a
/// broker that calls over a tunnel with the preface of a client.
///
/// Whom `tls` expects is its verifier's business: a SPIFFE ID, not a host name, so the name that TLS asks for is
/// a placeholder.
///
/// # Errors
/// The address cannot be reached, the peer is not the expected one or refuses us, or [`DEADLINE`] has passed.
pub async fn connect(address: &str, tls: Arc<ClientConfig>) -> io::Result<TlsStream<Socket>> {
    let connected = timeout(DEADLINE, connect_without_deadline(address, tls)).await;
    connected.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, Slow { address: address.to_owned() })))
}

async fn connect_without_deadline(address: &str, tls: Arc<ClientConfig>) -> io::Result<TlsStream<Socket>> {
    let tcp = TcpStream::connect(address).await?;
    let mut tls = TlsConnector::from(tls).connect(placeholder(), Socket::new(tcp)?).await?;
    // Looked at, not consumed: they stay in the stream for whoever speaks HTTP/2.
    if tls.fill_buf().await?.is_empty() {
        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, HungUp { address: address.to_owned() }));
    }
    Ok(tls)
}

/// Connects to `address` as [`connect`] does, with one of the configurations for tunnels, to be called by who
/// listens there. The connection ends with the certificate that it showed, by `clock`.
///
/// # Errors
/// As for [`connect`].
pub async fn tunnel(address: &str, tls: Arc<ClientConfig>, clock: &dyn Clock) -> io::Result<Connection> {
    let tls = connect(address, tls).await?;
    let peer = VerifiedPeer::assertion_of_tunnel_broker(tls.get_ref().1).map_err(io::Error::other)?;
    let (remote, lifetime) = (tls.get_ref().0.peer_addr()?, peer.not_after().since(clock.now()));
    let end_at = Instant::now() + lifetime;
    // Whoever dialled it leaves it in time: nobody drains it from here.
    Ok(Connection::new(tls.into(), PeerInfo::new(Some(peer), remote), Ends { drain_at: end_at, end_at }))
}

/// An IP address, because TLS sends no server name for one.
fn placeholder() -> ServerName<'static> {
    ServerName::from(Ipv4Addr::UNSPECIFIED)
}

/// The peer closed the connection without a word.
#[derive(Debug, thiserror::Error)]
#[error("{address} hung up after the handshake")]
struct HungUp {
    address: String,
}

/// [`DEADLINE`] has passed.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {address} within {} s", DEADLINE.as_secs())]
struct Slow {
    address: String,
}
