//! A tunnel's life on the broker's side: taken from a node that takes part, used until its certificate is about to
//! end, drained, closed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::VerifiedPeer;
use comity_runtime::accept::{Connection, Incoming, PeerInfo};
use comity_runtime::fair::{Full, Share};
use comity_types::TrustDomain;
use comity_types::ids::Kind;
use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tonic::transport::server::Connected as _;

use super::Links;
use super::leave;
use super::tunnels::{MAX_TUNNELS_PER_NODE, Tunnel};
use crate::edge::check_peer;

/// How long before the end of a node's certificate it is asked to leave its tunnel, on which no more requests begin half of that
/// before: most answers are done in it. A node that is in order has left by then, to come back with a fresh certificate.
const LAST_ANSWERS: Duration = Duration::from_secs(60);

/// How long saying no may take.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Why no more requests begin on a tunnel.
enum End {
    /// It has ended.
    Come(hyper::Result<()>),
    /// Its node's certificate is about to, and the node was asked to leave.
    Near,
    /// The broker stops.
    Stop,
}

/// Why a tunnel is not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0} is no node, and only nodes are called (hint: connect by ALPN h2)")]
    NotANode(comity_types::SpiffeId),
    #[error("{0}")]
    NotAMember(String),
    #[error("there is no tunnel left for its organisation: {0}")]
    Full(#[from] Full),
    #[error("the node has {MAX_TUNNELS_PER_NODE} tunnels already")]
    NodeFull,
    #[error("the connection proves nothing about its peer")]
    Unproven,
    #[error("there was no HTTP/2 handshake")]
    Handshake(#[from] io::Error),
}

impl Links {
    /// Takes the tunnels that nodes dial, for as long as the listener gives any.
    pub async fn take_tunnels(self, mut incoming: Incoming) {
        // Its items are never errors.
        while let Some(Ok(connection)) = incoming.next().await {
            let (links, info) = (self.clone(), connection.connect_info());
            self.0.dialler.tasks().spawn("tunnel", async move {
                if let Err(refused) = links.take(connection, &info).await {
                    log(&refused, &info);
                }
            });
        }
    }

    /// Asks every node that dialled to leave within this time: the broker stops. Tunnels serve until then.
    pub async fn ask_to_leave(&self, within: Duration) {
        let asked: Vec<_> = self.0.tunnels.all().iter().map(|tunnel| leave::ask(tunnel, within)).collect();
        drop(futures::future::join_all(asked).await);
    }

    /// Takes a tunnel, and drives it to its end.
    async fn take(&self, mut connection: Connection, info: &PeerInfo) -> Result<(), Refused> {
        let peer = info.peer.clone().ok_or(Refused::Unproven)?;
        if let Err(refused) = self.check(&peer) {
            // Said properly, so that the node can tell a refusal from a network that broke.
            drop(timeout(LAST_WORD, connection.shutdown()).await);
            return Err(refused);
        }
        let place = match self.0.tunnel_places.take(peer.id().trust_domain().clone()) {
            Ok(place) => place,
            Err(full) => {
                drop(timeout(LAST_WORD, connection.shutdown()).await);
                return Err(full.into());
            }
        };
        let (sender, connection) = self.0.dialler.handshake(connection).await?;
        let tunnel = Tunnel::new(sender, peer.clone(), info.clone());
        let before = self.0.tunnels.insert(&tunnel).ok_or(Refused::NodeFull)?;
        if before == 0 {
            self.0.health.returned(peer.id());
        }
        // Whoever was suspended since the first look was not among the tunnels when they were looked through.
        if let Err(refused) = self.check_member(&peer) {
            self.0.tunnels.remove(&tunnel);
            return Err(refused);
        }
        tracing::info!(node.id = %peer.id(), remote = %info.remote, "a tunnel was opened");
        self.drive(tunnel, connection, place).await;
        Ok(())
    }

    /// Whether a connection of `peer` may become a tunnel.
    fn check(&self, peer: &VerifiedPeer) -> Result<(), Refused> {
        if peer.id().kind() != Kind::Node {
            return Err(Refused::NotANode(peer.id().clone()));
        }
        self.check_member(peer)?;
        if self.0.tunnels.has_room(peer.id()) { Ok(()) } else { Err(Refused::NodeFull) }
    }

    /// What the edge demands of every caller.
    fn check_member(&self, peer: &VerifiedPeer) -> Result<(), Refused> {
        let standing = check_peer(self.0.registry.snapshot().federation(), peer);
        standing.map_err(|status| Refused::NotAMember(status.message().to_owned()))
    }

    async fn drive(
        &self,
        tunnel: Arc<Tunnel>,
        connection: impl Future<Output = hyper::Result<()>>,
        _place: Share<TrustDomain>,
    ) {
        let (node, remote, stop) = (tunnel.peer.id().clone(), tunnel.info.remote, self.0.dialler.tasks().token());
        let left = tunnel.peer.not_after().since(self.0.dialler.now());
        let reserve = LAST_ANSWERS.min(left / 4);
        let mut connection = std::pin::pin!(connection);
        let end = tokio::select! {
            ended = &mut connection => End::Come(ended),
            () = leaving(&tunnel, left, reserve) => End::Near,
            () = stop.cancelled() => End::Stop,
        };
        self.0.tunnels.remove(&tunnel);
        let ended = match end {
            End::Come(ended) => ended,
            End::Near => {
                drop(tunnel);
                connection.await
            }
            End::Stop => drain(tunnel, reserve, connection).await,
        };
        match ended {
            Ok(()) => tracing::info!(node.id = %node, %remote, "a tunnel was closed"),
            Err(error) => tracing::info!(node.id = %node, %remote, error = %error, "a tunnel broke"),
        }
    }
}

/// A node that is suspended asks again and again, and hears the reason from the edge; the others are odd.
fn log(refused: &Refused, info: &PeerInfo) {
    let peer = info.peer.as_ref().map(|peer| peer.id().as_str());
    let reason = comity_runtime::chain::text(refused);
    match refused {
        Refused::NotAMember(_) => {
            tracing::debug!(peer.id = peer, remote = %info.remote, reason, "a tunnel was refused");
        }
        Refused::NotANode(_) | Refused::Full(_) | Refused::NodeFull | Refused::Unproven | Refused::Handshake(_) => {
            tracing::warn!(peer.id = peer, remote = %info.remote, reason, "a tunnel was refused");
        }
    }
}

/// Waits until a certificate's end is near, asks the node to leave, and gives it half of what is kept for the last answers to
/// open another tunnel: as long as it has none, this one is used.
async fn leaving(tunnel: &Tunnel, left: Duration, reserve: Duration) {
    sleep(left - reserve).await;
    tunnel.leave();
    let until = Instant::now() + reserve / 2;
    let _answered = timeout_at(until, leave::ask(tunnel, reserve / 2)).await.is_ok();
    sleep_until(until).await;
}

/// Without anybody who has the tunnel, hyper ends its connection after the last answer, and says so by GOAWAY. The
/// node is asked first, so that it opens another one meanwhile.
async fn drain(
    tunnel: Arc<Tunnel>,
    within: Duration,
    connection: impl Future<Output = hyper::Result<()>>,
) -> hyper::Result<()> {
    let asked = leave::ask(&tunnel, within);
    drop(tunnel);
    futures::future::join(connection, asked).await.0
}
