//! Connections that are taken, over TLS.
//!
//! ```text
//! accept loop ──▶ one task a handshake ─┬▶ Incoming ──▶ serve: the program's server, drained before certificates end
//!      │                                └▶ Incoming ──▶ whoever calls over the tunnels that were dialled
//!      ├ waits for a free place: MAX_CONNECTIONS, MAX_HANDSHAKES
//!      └ hangs up on an address that has its share (MAX_HANDSHAKES_PER_ADDRESS), and then on a stranger too many
//!        (MAX_STRANGERS) or an organisation that has its share (MAX_CONNECTIONS_PER_ORGANISATION)
//! ```
//! Handshakes run beside one another, so one that stalls holds up nobody else. Which protocol a peer speaks, and
//! so which TLS configuration it gets, is read from the ALPN names in its first message.

mod connection;
mod handshake;
mod serve;
mod share;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use comity_types::TrustDomain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

pub(crate) use connection::Ends;
pub use connection::{Connection, PeerInfo};
use handshake::Protocol;
pub use handshake::{Acceptor, ENROLMENT_ALPN};
pub use serve::{Drain, One, serve};
pub use share::{MAX_CONNECTIONS_PER_ORGANISATION, MAX_HANDSHAKES_PER_ADDRESS};
use share::{Share, Shares, network};

/// Longest handshake: a phone's radio wakes up within it, a stalled peer is gone soon.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Most handshakes at once: each holds about 40 KiB and one asymmetric operation's worth of a core.
pub const MAX_HANDSHAKES: usize = 512;
/// Most connections at once: below the usual limit of open files once raised as our systemd units do.
pub const MAX_CONNECTIONS: usize = 8192;
/// Most connections without a certificate at once, so that strangers leave the members' places free: as many joins at
/// once as there can be handshakes.
pub const MAX_STRANGERS: usize = MAX_HANDSHAKES;
/// Longest life of a connection without a certificate: a join takes one call.
pub const ENROLMENT_LIFETIME: Duration = Duration::from_secs(120);
/// Handshakes that wait for the server to take them over; it does so at once.
const READY: usize = 64;
/// Pause after the system refused to accept, which it does when files run out.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// A bound socket that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address` (`host:port`; port 0 means any).
    ///
    /// # Errors
    /// The address is none of this machine's, is taken, or may not be used.
    pub async fn bind(address: &str) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let address = tcp.local_addr()?;
        Ok(Self { tcp, address })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `tasks` are to end. Connections that were taken are not ended by that.
    pub fn incoming(self, acceptor: Acceptor, tasks: &Tasks) -> Incoming {
        self.incoming_and_tunnels(acceptor, tasks).0
    }

    /// The same, with those connections apart that were dialled to be called over.
    pub fn incoming_and_tunnels(self, acceptor: Acceptor, tasks: &Tasks) -> (Incoming, Incoming) {
        self.with_share(MAX_CONNECTIONS_PER_ORGANISATION, acceptor, tasks)
    }

    /// The same, with so many connections for each organisation.
    fn with_share(self, of_organisation: usize, acceptor: Acceptor, tasks: &Tasks) -> (Incoming, Incoming) {
        let (ready, connections) = mpsc::channel(READY);
        let (tunnels_ready, tunnels) = mpsc::channel(READY);
        let loop_ = AcceptLoop {
            tcp: self.tcp,
            acceptor: Arc::new(acceptor),
            tasks: tasks.clone(),
            stop: tasks.token(),
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            strangers: Arc::new(Semaphore::new(MAX_STRANGERS)),
            shares: Shares::new(MAX_HANDSHAKES_PER_ADDRESS),
            organisations: Arc::new(Shares::new(of_organisation)),
            ready,
            tunnels_ready,
        };
        tasks.spawn("accept", loop_.run());
        (Incoming { connections }, Incoming { connections: tunnels })
    }
}

/// Connections whose handshake is done. Ends when the listener does; its items are never errors.
#[derive(Debug)]
pub struct Incoming {
    connections: mpsc::Receiver<Connection>,
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

struct AcceptLoop {
    tcp: TcpListener,
    acceptor: Arc<Acceptor>,
    tasks: Tasks,
    stop: CancellationToken,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    shares: Shares<IpAddr>,
    organisations: Arc<Shares<TrustDomain>>,
    ready: mpsc::Sender<Connection>,
    tunnels_ready: mpsc::Sender<Connection>,
}

impl AcceptLoop {
    async fn run(self) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.accept_for_ever()).await.unwrap_or(());
    }

    /// The places are taken before the connection is: while there is none, peers wait in the system's queue.
    async fn accept_for_ever(self) {
        loop {
            let Ok(places) = self.places().await else { return };
            match self.tcp.accept().await {
                Ok((tcp, remote)) => match self.shares.take(network(remote.ip())) {
                    Some(share) => self.shake_hands(tcp, remote, places, share),
                    None => tracing::debug!(%remote, "hung up on an address that has its share of handshakes"),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }

    async fn places(&self) -> Result<Places, tokio::sync::AcquireError> {
        let connection = Arc::clone(&self.connections).acquire_owned().await?;
        let handshake = Arc::clone(&self.handshakes).acquire_owned().await?;
        Ok(Places { connection, handshake })
    }

    fn shake_hands(&self, tcp: TcpStream, remote: SocketAddr, places: Places, share: Share<IpAddr>) {
        let (acceptor, stop) = (Arc::clone(&self.acceptor), self.stop.clone());
        let (ready, tunnels_ready) = (self.ready.clone(), self.tunnels_ready.clone());
        let Places { connection: place, handshake } = places;
        let (strangers, organisations) = (Arc::clone(&self.strangers), Arc::clone(&self.organisations));
        self.tasks.spawn("handshake", async move {
            let accepted = stop.run_until_cancelled(acceptor.accept(tcp, remote)).await.flatten();
            drop(handshake);
            let Some((protocol, accepted)) = accepted else { return };
            let held = match &accepted.info().peer {
                Some(peer) => {
                    drop(share);
                    let organisation = peer.id().trust_domain();
                    match organisations.take(organisation.clone()) {
                        Some(share) => Held::ByMember(place, share),
                        None => return tracing::info!(%organisation, %remote, "hung up on a member: its organisation has its share of connections"),
                    }
                }
                // Anybody can have these: a stranger's share of the places is one for as long as the connection lasts.
                None => match strangers.try_acquire_owned() {
                    Ok(as_stranger) => Held::ByStranger(place, as_stranger, share),
                    Err(_) => return tracing::debug!(%remote, "hung up on a stranger: there are too many at once"),
                },
            };
            let ready = if protocol == Protocol::Tunnel { tunnels_ready } else { ready };
            // The server is gone: so is the connection.
            drop(ready.send(accepted.holding(held)).await);
        });
    }
}

/// What a connection that was accepted has of the limits, until it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held, and never read")]
enum Held {
    ByMember(OwnedSemaphorePermit, Share<TrustDomain>),
    ByStranger(OwnedSemaphorePermit, OwnedSemaphorePermit, Share<IpAddr>),
}

/// One connection's share of the limits while hands are shaken.
struct Places {
    connection: OwnedSemaphorePermit,
    handshake: OwnedSemaphorePermit,
}
