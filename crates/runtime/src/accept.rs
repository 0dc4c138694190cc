//! Connections that are taken, over TLS.
//!
//! ```text
//! accept loop ──▶ one task a handshake ─┬▶ Incoming ──▶ serve: the program's server, drained before certificates end
//!      │                                └▶ Incoming ──▶ whoever calls over the tunnels that were dialled
//!      ├ waits for a free place: MAX_HANDSHAKES
//!      └ hangs up on an address that has its share of handshakes, and then on one that has its share of strangers or on
//!        an organisation that has its share of connections
//! ```
//! The shares are [`fair`](crate::fair): however many take all that they can get, whoever comes next gets its first few.
//!
//! Handshakes run beside one another, so one that stalls holds up nobody else. Which protocol a peer speaks, and
//! so which TLS configuration it gets, is read from the ALPN names in its first message.

mod call;
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

use comity_identity::VerifiedPeer;
use comity_types::TrustDomain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;

use crate::fair::{Fair, Full, Rule, Share};
use crate::tasks::Tasks;

pub use call::drop_call_at;
pub(crate) use connection::Ends;
pub use connection::{Connection, PeerInfo};
use handshake::Protocol;
pub use handshake::{Acceptor, ENROLMENT_ALPN};
pub use serve::{Http2, MAX_HEADER_BYTES, serve, serve_one};
pub use share::{MAX_HANDSHAKES_PER_ADDRESS, MAX_ORGANISATIONS_PART, network};

/// Longest handshake: a phone's radio wakes up within it, a stalled peer is gone soon.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Most handshakes at once: each holds about 40 KiB and one asymmetric operation's worth of a core.
pub const MAX_HANDSHAKES: usize = 512;
/// Most connections of members at once, unless a configuration says otherwise: with those of strangers and the
/// handshakes, below the usual limit of open files once raised as our systemd units do.
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
        self.incoming_of(Places::new(MAX_CONNECTIONS), acceptor, tasks)
    }

    /// The same, with these places for connections.
    pub fn incoming_of(self, places: Places, acceptor: Acceptor, tasks: &Tasks) -> (Incoming, Incoming) {
        let (ready, connections) = mpsc::channel(READY);
        let (tunnels_ready, tunnels) = mpsc::channel(READY);
        let loop_ = AcceptLoop {
            tcp: self.tcp,
            acceptor: Arc::new(acceptor),
            tasks: tasks.clone(),
            stop: tasks.token(),
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            places,
            ready,
            tunnels_ready,
        };
        tasks.spawn("accept", loop_.run());
        (Incoming { connections }, Incoming { connections: tunnels })
    }
}

/// The places of a listener. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Places {
    members: Fair<TrustDomain>,
    strangers: Fair<IpAddr>,
    shaking: Fair<IpAddr>,
}

impl Places {
    /// With at most so many connections of members at once, of which one organisation has at most an eighth.
    #[must_use]
    pub fn new(connections: usize) -> Self {
        Self {
            members: Fair::new(Self::rule(connections)),
            strangers: Fair::new(Rule::new(MAX_STRANGERS, MAX_HANDSHAKES_PER_ADDRESS)),
            shaking: Fair::new(Rule::new(MAX_HANDSHAKES, MAX_HANDSHAKES_PER_ADDRESS)),
        }
    }

    const fn rule(connections: usize) -> Rule {
        let part = connections / MAX_ORGANISATIONS_PART;
        Rule::new(connections, if part == 0 { 1 } else { part })
    }

    /// Has at most so many connections of members from here on. Those that are there stay.
    pub fn limit(&self, connections: usize) {
        self.members.share_by(Self::rule(connections));
    }

    /// How many are taken, by what they are: `member`, `stranger` and `handshake`.
    #[must_use]
    pub fn taken(&self) -> [(&'static str, usize); 3] {
        let Self { members, strangers, shaking } = self;
        [("member", members.taken()), ("stranger", strangers.taken()), ("handshake", shaking.taken())]
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
    places: Places,
    ready: mpsc::Sender<Connection>,
    tunnels_ready: mpsc::Sender<Connection>,
}

impl AcceptLoop {
    async fn run(self) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.accept_for_ever()).await.unwrap_or(());
    }

    /// The place is taken before the connection is: while there is none, peers wait in the system's queue.
    async fn accept_for_ever(self) {
        loop {
            let Ok(place) = Arc::clone(&self.handshakes).acquire_owned().await else { return };
            match self.tcp.accept().await {
                Ok((tcp, remote)) => match self.places.shaking.take(network(remote.ip())) {
                    Ok(share) => self.shake_hands(tcp, remote, (place, share)),
                    Err(full) => tracing::debug!(%remote, %full, "hung up on an address: too many shake hands"),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }

    fn shake_hands(&self, tcp: TcpStream, remote: SocketAddr, shaking: (OwnedSemaphorePermit, Share<IpAddr>)) {
        let (acceptor, stop) = (Arc::clone(&self.acceptor), self.stop.clone());
        let (ready, tunnels_ready) = (self.ready.clone(), self.tunnels_ready.clone());
        let Places { strangers, members, .. } = self.places.clone();
        self.tasks.spawn("handshake", async move {
            let accepted = stop.run_until_cancelled(acceptor.accept(tcp, remote)).await.flatten();
            drop(shaking);
            let Some((protocol, accepted)) = accepted else { return };
            let held = match &accepted.info().peer {
                Some(peer) => members.take(peer.id().trust_domain().clone()).map(Held::ByMember),
                // Anybody can have these: a stranger's share of the places is one for as long as the connection lasts.
                None => strangers.take(network(remote.ip())).map(Held::ByStranger),
            };
            match held {
                Ok(held) => {
                    let ready = if protocol == Protocol::Tunnel { tunnels_ready } else { ready };
                    // The server is gone: so is the connection.
                    drop(ready.send(accepted.holding(held)).await);
                }
                Err(full) => say_no(&accepted.info().peer, remote, full),
            }
        });
    }
}

/// Members should hear of it from their operators; strangers come and go.
fn say_no(peer: &Option<VerifiedPeer>, remote: SocketAddr, full: Full) {
    match peer {
        Some(peer) => {
            let organisation = peer.id().trust_domain();
            tracing::info!(%organisation, %remote, %full, "hung up on a member: no connection is left for it");
        }
        None => tracing::debug!(%remote, %full, "hung up on a stranger: there are too many at once"),
    }
}

/// What a connection that was accepted has of the limits, until it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held, and never read")]
enum Held {
    ByMember(Share<TrustDomain>),
    ByStranger(Share<IpAddr>),
}
