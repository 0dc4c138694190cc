//! Makes one connection: TLS to exactly the node that is expected, then HTTP/2.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::{AnchorSource as _, Credentials, Lifetime, VerifiedPeer, tls};
use comity_runtime::accept::MAX_HEADER_BYTES;
use comity_runtime::batched::{Batched, Turns, batched};
use comity_runtime::calm::Allowance;
use comity_runtime::dial;
use comity_runtime::tasks::Tasks;
use comity_types::{Clock, Digest, SpiffeId, Timestamp};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{MAX_STREAMS, Outgoing};
use crate::edge::check_peer;
use crate::registry::Registry;

/// How often a silent connection is asked whether it still stands.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long the answer may take: then the connection is dead, and its requests are told so.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a node may send of one answer before the caller has read it, in bytes: an answer of some thousand
/// tokens, and far more than a connection of 10 ms round trip needs.
const STREAM_WINDOW: u32 = 128 * 1024;
/// As many stream windows as there may be streams: so that callers who do not read cannot take the connection
/// from those who do.
#[expect(clippy::cast_possible_truncation, reason = "1024 streams")]
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;
/// Most requests of a connection that are reset because of the node's own mistakes: an honest one makes none, and where it
/// does, its connection is given up, and made anew.
const MAX_RESET_BY_MISTAKE: usize = 256;
/// How long TCP and TLS may take, the lookup of a name among it: a request waits for it that others could answer. A SYN that
/// is lost is sent again after 1 s and after 3 s.
const CONNECT_DEADLINE: Duration = Duration::from_secs(4);
/// How long the HTTP/2 handshake may take after that of TLS, which has a deadline of its own.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// What drives a connection; it has to be polled.
type Driver<T> = http2::Connection<TokioIo<Batched<T>>, Outgoing, OnTasks<T>>;
/// What requests go into.
pub(super) type Sender = http2::SendRequest<Outgoing>;

/// A connection that stands.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) sender: Sender,
    /// Cancelled when it has ended.
    pub(super) ended: CancellationToken,
    /// SHA-256 of the certificate that the node showed.
    pub(super) certificate: Digest,
    /// When it is left, and when it ends: with the node's certificate, or with ours.
    pub(super) lifetime: Lifetime,
}

/// Sends a request, and waits for the head of its answer.
///
/// `sender` is let go before the answer is there, and whoever waits for one must have no other. A request that is given to a
/// connection at the moment at which that ends may be left in its queue, when the connection is gone: tokio's channel gives back
/// what stands behind a message that is being written just then only when nobody can send any more. Who waits with a sender in
/// hand would keep the queue, and with it their own request, for ever.
pub(super) async fn send(
    mut sender: Sender,
    request: Request<Outgoing>,
) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
    let answer = sender.try_send_request(request);
    drop(sender);
    answer.await
}

/// Knows how to connect to any node.
#[derive(Debug)]
pub(super) struct Dialler {
    registry: Registry,
    credentials: Arc<Credentials>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
}

impl Dialler {
    pub(super) fn new(registry: Registry, credentials: Arc<Credentials>, clock: Arc<dyn Clock>, tasks: Tasks) -> Self {
        Self { registry, credentials, clock, tasks }
    }

    pub(super) const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Connects to `node` at `address`. Nobody but `node` is accepted, vouched for by its own organisation, with the key
    /// that was admitted and a certificate that nobody has suspended.
    pub(super) async fn connect(&self, node: &SpiffeId, address: &str) -> io::Result<Connected> {
        // Before the handshake, which may show a newer one: that lasts longer.
        let ours = self.credentials.leaf().not_after;
        let anchors = self.registry.anchors().anchors(node.trust_domain());
        let anchors = anchors.ok_or_else(|| io::Error::other("its organisation has no anchors"))?;
        let config = tls::client_config(Arc::clone(&self.credentials), node.clone(), anchors, Arc::clone(&self.clock));
        let stream = tokio::time::timeout(CONNECT_DEADLINE, dial::connect(address, config.map_err(io::Error::other)?));
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        let stream = stream.await.map_err(late)??;
        let peer = VerifiedPeer::assertion_of_server(stream.get_ref().1).map_err(io::Error::other)?;
        // Before a byte of a request goes there: whoever stole a certificate has its name and not its standing.
        check_peer(self.registry.snapshot().federation(), &peer)
            .map_err(|refused| io::Error::other(refused.message().to_owned()))?;
        let (sender, connection) = self.handshake(stream).await?;
        let lifetime = Lifetime::between(self.clock.now(), ours, peer.not_after());
        let ended = CancellationToken::new();
        self.run(node.clone(), lifetime.end_at, connection, ended.clone().drop_guard());
        Ok(Connected { sender, ended, certificate: peer.certificate(), lifetime })
    }

    /// Speaks HTTP/2 over a connection, whoever made it. What it gives has to be driven.
    pub(super) async fn handshake<T>(&self, io: T) -> io::Result<(Sender, Driver<T>)>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (io, turns) = batched(io, Allowance::DEFAULT);
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no HTTP/2 handshake in time");
        let handshake = tokio::time::timeout(HANDSHAKE_DEADLINE, self.http2(turns).handshake(TokioIo::new(io)));
        handshake.await.map_err(late)?.map_err(io::Error::other)
    }

    fn http2<T>(&self, turns: Turns<T>) -> http2::Builder<OnTasks<T>> {
        let mut builder = http2::Builder::new(OnTasks(self.tasks.clone(), turns));
        builder
            .timer(TokioTimer::new())
            .adaptive_window(false)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_local_error_reset_streams(MAX_RESET_BY_MISTAKE)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        builder
    }

    /// Drives the connection until it breaks, nobody needs it any more, or one of its certificates ends.
    fn run(
        &self,
        node: SpiffeId,
        end_at: Timestamp,
        connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
        ended: DropGuard,
    ) {
        let left = end_at.since(self.clock.now());
        self.tasks.spawn("link", async move {
            let _ended = ended;
            match tokio::time::timeout(left, connection).await {
                Ok(Ok(())) => tracing::debug!(node.id = %node, "a link was closed"),
                Ok(Err(error)) => tracing::warn!(node.id = %node, error = %error, "a link broke"),
                Err(_) => {
                    tracing::warn!(node.id = %node, "a link ended with its certificates, calls were still running");
                }
            }
        });
    }
}

/// Lets hyper spawn where everything else does. One of the tasks is the connection's own, which has to end its turns.
pub(super) struct OnTasks<T>(Tasks, Turns<T>);

impl<T> Clone for OnTasks<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), self.1.clone())
    }
}

impl<T, F> Executor<F> for OnTasks<T>
where
    T: AsyncWrite + Unpin + Send + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let turn = self.1.run(future);
        self.0.spawn("link stream", async move {
            drop(turn.await);
        });
    }
}
