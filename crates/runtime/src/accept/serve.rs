//! Serves connections one by one, so that each is drained in its own time.
//!
//! tonic drains all connections of a server together. Here every connection has a server of its own, a clone, whose
//! signal to stop is that connection's. tonic's `max_connection_age` is of no use for it: it is one age for all, and
//! with a grace it cuts without a word (docs/decisions/0013).

use std::io;
use std::pin::Pin;

use futures::StreamExt as _;
use futures::stream::{self, FuturesUnordered, Stream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Error;

use super::{Connection, Incoming};

/// A stream of one connection, and then of nothing, which does not end.
pub type One = Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>>;
/// Ends when the connection is to take no more calls.
pub type Drain = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Hands each connection to `server`, until `stop` or until there are no more; then waits until those that are there
/// have ended. Each is drained when its time has come, and at `stop`: calls that run go on, and the peer is told to
/// make new ones elsewhere.
///
/// `server` is to be tonic's `serve_with_incoming_shutdown`, or something that does the same.
pub async fn serve<S>(mut incoming: Incoming, stop: CancellationToken, server: impl Fn(One, Drain) -> S)
where
    S: Future<Output = Result<(), Error>>,
{
    let mut running = FuturesUnordered::new();
    loop {
        let connection = tokio::select! {
            () = stop.cancelled() => break,
            connection = incoming.next() => connection,
            Some(ended) = running.next() => {
                say(ended);
                continue;
            }
        };
        let Some(Ok(connection)) = connection else { break };
        let drain = drain(&connection, stop.clone());
        running.push(server(one(connection), Box::pin(drain)));
    }
    // Nobody is taken any more, so that whoever connects is refused and not left waiting.
    drop(incoming);
    while let Some(ended) = running.next().await {
        say(ended);
    }
}

fn one(connection: Connection) -> One {
    Box::pin(stream::once(std::future::ready(Ok(connection))).chain(stream::pending()))
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

/// tonic has no error to give for a connection that was taken already.
fn say(ended: Result<(), Error>) {
    if let Err(error) = ended {
        tracing::error!(error = crate::chain::text(&error), "a connection could not be served");
    }
}

#[cfg(test)]
mod tests;
