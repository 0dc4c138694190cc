//! Connections to others: TCP and TLS under one deadline.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a connection may take to come about, name look-up and handshake included. A healthy one takes
/// a few round trips; failover should not wait longer for a black hole.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Connects to `address` (`host:port`). Whom it must reach stands in `tls`: its verifier expects one
/// SPIFFE ID and looks at no host name, so that none is sent either.
///
/// # Errors
/// If nobody answers there in time, or not the expected one.
pub async fn connect(address: &str, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection to {address} within {CONNECT_DEADLINE:?}"));
    tokio::time::timeout(CONNECT_DEADLINE, handshake(address, tls)).await.map_err(late)?
}

async fn handshake(address: &str, mut tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    Arc::make_mut(&mut tls).enable_sni = false;
    let name = ServerName::try_from("comity.invalid").map_err(io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(tls).connect(name, stream).await
}
