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

use super::Connection;
use super::call::Calls;
use crate::batched::batched;

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
}

impl Http2 {
    fn builder(self) -> Builder<Calls> {
        let mut builder = Builder::new(Calls);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams)
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
    let peer = connection.info().clone();
    let answer = service_fn(move |request: Request<Received>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        service.clone().oneshot(request)
    });
    let (io, turns) = batched(connection);
    let mut serving = std::pin::pin!(http2.builder().serve_connection(TokioIo::new(io), answer));
    let ended = turns.run(async {
        tokio::select! {
            ended = serving.as_mut() => ended,
            () = drain => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        }
    });
    if let Err(error) = ended.await {
        // Peers leave without a word every day.
        tracing::debug!(error = crate::chain::text(&error), "a connection broke");
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
