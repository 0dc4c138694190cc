//! Listening, the TLS handshake, and the connections that come of it.
//!
//! A handshake runs in its own task under a deadline, so that a peer that stalls
//! holds up nobody; how many there are at once is bounded. The protocol that a peer
//! asks for (ALPN) picks the configuration: `h2` needs a client certificate,
//! `comity-enrol/1` is for those that do not have one yet.

mod connection;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::VerifiedPeer;
use comity_identity::tls::ALPN_ENROLMENT;
use comity_types::Clock;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

pub use connection::{Connection, PeerInfo};

use crate::tasks::Tasks;

/// How long a peer has for its handshake. A healthy one takes two round trips.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Most handshakes at once: each costs CPU before the peer is known.
pub const MAX_HANDSHAKES: usize = 256;
/// Most connections at once: each holds buffers of up to some hundred KiB.
pub const MAX_CONNECTIONS: usize = 8192;
/// How long to wait when the system cannot accept, for instance because no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that nobody is served on yet.
#[derive(Debug)]
pub struct Listener(TcpListener);

/// How handshakes are answered.
#[derive(Debug, Clone)]
pub struct Acceptor {
    mutual: Arc<ServerConfig>,
    enrolment: Option<Arc<ServerConfig>>,
    clock: Arc<dyn Clock>,
}

impl Acceptor {
    /// `mutual` is for members, `enrolment` for those that are not yet; without the latter they are refused.
    pub fn new(mutual: Arc<ServerConfig>, enrolment: Option<Arc<ServerConfig>>, clock: Arc<dyn Clock>) -> Self {
        Self { mutual, enrolment, clock }
    }
}

impl Listener {
    /// Binds `address` (`host:port`; port 0 takes a free one).
    ///
    /// # Errors
    /// If the address is taken, or not this machine's.
    pub async fn bind(address: &str) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The connections whose handshake succeeded, until `tasks` is told to end.
    pub fn incoming(self, acceptor: Acceptor, tasks: &Tasks) -> ReceiverStream<io::Result<Connection>> {
        let (ready, connections) = mpsc::channel(MAX_HANDSHAKES);
        let handshakes = tasks.clone();
        tasks.spawn("accept", async move {
            tokio::select! {
                () = handshakes.token().cancelled() => {}
                () = accept(self.0, acceptor, ready, &handshakes) => {}
            }
        });
        ReceiverStream::new(connections)
    }
}

async fn accept(listener: TcpListener, acceptor: Acceptor, ready: mpsc::Sender<io::Result<Connection>>, tasks: &Tasks) {
    let (handshakes, connections) = (Arc::new(Semaphore::new(MAX_HANDSHAKES)), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    loop {
        let Ok(connection) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, ready, token) = (acceptor.clone(), ready.clone(), tasks.token().clone());
        tasks.spawn("handshake", async move {
            let shaken = tokio::select! {
                () = token.cancelled() => return,
                shaken = tokio::time::timeout(HANDSHAKE_DEADLINE, shake(stream, remote, &acceptor, connection)) => shaken,
            };
            drop(handshake);
            match shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(connection) => drop(ready.send(Ok(connection)).await),
                Err(error) => tracing::info!(peer.address = %remote, %error, "handshake refused"),
            }
        });
    }
}

async fn shake(
    stream: TcpStream,
    remote: SocketAddr,
    acceptor: &Acceptor,
    slot: OwnedSemaphorePermit,
) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let enrolling = hello.client_hello().alpn().is_some_and(|mut offered| offered.any(|alpn| alpn == ALPN_ENROLMENT));
    let config = match (&acceptor.enrolment, enrolling) {
        (Some(enrolment), true) => enrolment,
        (None, true) | (_, false) => &acceptor.mutual,
    };
    let stream = hello.into_stream(Arc::clone(config)).await?;
    let peer = if enrolling { None } else { Some(verified(&stream)?) };
    Ok(Connection::new(stream, PeerInfo { peer, remote }, acceptor.clock.now(), slot))
}

fn verified(stream: &TlsStream<TcpStream>) -> io::Result<VerifiedPeer> {
    VerifiedPeer::assertion(stream.get_ref().1).ok_or_else(|| io::Error::other("the peer showed no certificate"))
}
