//! Connections that are made, over TLS.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest wait for name lookup, TCP and TLS together: three tries of a lost SYN fit in.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Connects to `address` (`host:port`) and shakes hands as `tls` says.
///
/// Whom `tls` expects is its verifier's business: a SPIFFE ID, not a host name, so the name that TLS asks for is
/// a placeholder.
///
/// # Errors
/// The address cannot be reached, the peer is not the expected one or refuses us, or [`DEADLINE`] has passed.
pub async fn connect(address: &str, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let connected = timeout(DEADLINE, connect_without_deadline(address, tls)).await;
    connected.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, Slow { address: address.to_owned() })))
}

async fn connect_without_deadline(address: &str, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    TlsConnector::from(tls).connect(placeholder(), tcp).await
}

/// An IP address, because TLS sends no server name for one.
fn placeholder() -> ServerName<'static> {
    ServerName::from(Ipv4Addr::UNSPECIFIED)
}

#[derive(Debug, thiserror::Error)]
#[error("no connection to {address} within {} s", DEADLINE.as_secs())]
struct Slow {
    address: String,
}
