//! Serves connections one by one, so that each is drained in its own time.
//!
//! hyper serves them, and not tonic's server, which drains all together (docs/decisions/0013) and ends a call at its
//! deadline by itself, with a status of its own (0028): here every call is ended by whoever knows why.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{Request, Response};
use hyper::body::Incoming as Received;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{BoxError, Service, ServiceExt as _};

use super::call::Calls;
use super::{Connection, HANDSHAKE_DEADLINE, PeerInfo};
use crate::batched::{Turns, batched};
use crate::calm::{Allowance, Flood};

/// Largest header list that broker and node take, in bytes, as hyper and h2 count it: an envelope's metadata is a few
/// hundred, and a node's longest is a permit of some 8 KiB. What is larger is answered with HTTP's 431.
pub const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// Most calls that a peer may take back before they were looked at (CVE-2023-44487): those of one turn of the connection, in
/// which an honest peer hardly both makes a call and leaves it.
const MAX_UNSEEN_RESETS: usize = 64;
/// Most calls of a connection that are reset because of the peer's own mistakes (CVE-2025-8671): honest peers make none.
const MAX_RESET_BY_MISTAKE: usize = 256;
/// Most bytes of one call's answer that wait for the socket, beside what the connection itself keeps: a few frames. It is
/// what a call costs whose reader grants a large window and does not read.
const MAX_UNSENT_PER_CALL: usize = 64 * 1024;
/// How long the first words of HTTP/2 may take after those of TLS: as long as those.
const PREFACE_DEADLINE: Duration = HANDSHAKE_DEADLINE;

/// How long a peer may take to close a connection that has ended here: it has heard GOAWAY and every answer, and that is a round
/// trip away. Whoever closes first while something of the peer's is on its way resets the connection, and a reset takes with it
/// what the peer has not read yet: answers, and the last GOAWAY, by which it would know what was not looked at.
const LINGER: Duration = Duration::from_secs(2);

/// How HTTP/2 is spoken with whoever connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// Most calls on one connection at once.
    pub max_streams: u32,
    /// How often a silent connection is asked whether it still stands.
    pub keep_alive: Duration,
    /// How long the answer may take: then the connection is dead.
    pub keep_alive_timeout: Duration,
    /// What may come of one call, and of all of a connection, before it is read, in bytes; hyper's 1 MiB each if absent.
    pub windows: Option<(u32, u32)>,
    /// What may come beside calls, of one connection.
    pub allowance: Allowance,
}

impl Http2 {
    fn builder(self) -> Builder<Calls> {
        let mut builder = Builder::new(Calls);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
            .max_local_error_reset_streams(MAX_RESET_BY_MISTAKE)
            .max_send_buf_size(MAX_UNSENT_PER_CALL)
            .keep_alive_interval(self.keep_alive)
            .keep_alive_timeout(self.keep_alive_timeout)
            .initial_stream_window_size(self.windows.map(|(stream, _)| stream))
            .initial_connection_window_size(self.windows.map(|(_, connection)| connection));
        builder
    }
}

/// Answers the calls of each connection by `service`, until `stop` or until there are no more; then waits until those that
/// are there have ended. Each is drained when its time has come, and at `stop`: calls that run go on, and the peer is told
/// to make new ones elsewhere. Where this is dropped, every connection breaks.
pub async fn serve<I, S, B>(mut incoming: I, http2: Http2, stop: CancellationToken, service: S)
where
    I: Stream<Item = io::Result<Connection>> + Unpin,
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut running = JoinSet::new();
    loop {
        let connection = tokio::select! {
            () = stop.cancelled() => break,
            connection = incoming.next() => connection,
            Some(ended) = running.join_next() => {
                say(ended);
                continue;
            }
        };
        let Some(Ok(connection)) = connection else { break };
        let drain = drain(&connection, stop.clone());
        running.spawn(serve_one(connection, http2, drain, service.clone()));
    }
    // Nobody is taken any more, so that whoever connects is refused and not left waiting.
    drop(incoming);
    while let Some(ended) = running.join_next().await {
        say(ended);
    }
}

/// Answers the calls of one connection until it has ended; once `drain` ends, it takes no more of them.
pub async fn serve_one<S, B>(connection: Connection, http2: Http2, drain: impl Future<Output = ()>, service: S)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (info, peer) = (connection.info().clone(), connection.info().clone());
    let answer = service_fn(move |request: Request<Received>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        service.clone().oneshot(request)
    });
    let (io, turns) = batched(connection, http2.allowance);
    let rest = io.rest();
    let mut serving = std::pin::pin!(http2.builder().serve_connection(TokioIo::new(io), answer));
    let ended = turns.run(async {
        tokio::select! {
            ended = serving.as_mut() => Some(ended),
            () = silence(&turns) => None,
            () = drain => {
                serving.as_mut().graceful_shutdown();
                Some(serving.await)
            }
        }
    });
    match ended.await {
        Some(Ok(())) => drop(tokio::time::timeout(LINGER, rest.hear_out()).await),
        Some(Err(error)) => match turns.flood() {
            Some(flood) => say_calm(&info, flood),
            // Peers leave without a word every day.
            None => tracing::debug!(error = crate::chain::text(&error), "a connection broke"),
        },
        None => {}
    }
}

/// Resolves when the peer has not said its first words in time: hyper waits for them for ever.
async fn silence<T>(turns: &Turns<T>) {
    tokio::time::sleep(PREFACE_DEADLINE).await;
    if turns.begun() {
        std::future::pending::<()>().await;
    }
}

/// Members should hear of it from their operators; strangers come and go.
fn say_calm(info: &PeerInfo, flood: Flood) {
    match &info.peer {
        Some(peer) => tracing::info!(peer = %peer.id(), remote = %info.remote, %flood, "hung up on a member"),
        None => tracing::debug!(remote = %info.remote, %flood, "hung up on a stranger"),
    }
}

/// Until the connection is to be drained, or is gone: then its server has nothing left to wait for.
fn drain(connection: &Connection, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
    let (at, draining, gone) = (connection.drain_at(), connection.draining(), connection.gone());
    async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = gone.cancelled() => {}
            () = tokio::time::sleep_until(at) => draining.cancel(),
        }
    }
}

/// A call that panics ends its own task; this is a connection's.
fn say(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection could not be served");
    }
}

#[cfg(test)]
mod tests;
