//! Serving without a listening socket: a few connections to the broker that the node dials, and over which the broker
//! calls it.
//!
//! ```text
//! one slot a tunnel:  dial ─▶ serve ─┬─ it ended ─▶ pause (full jitter) ─▶ dial again
//!                       ▲            └─ it is to be replaced ─▶ dial first, then end the old one by GOAWAY
//! ```
//! A node that is suspended gets no tunnel, and its pauses grow; when the broker lets it follow again, they are over.
//! The services, the gate before them and the verifier of certificates are those of a node that listens.

mod backoff;
mod leaving;
mod serving;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use comity_client::Identity;
use comity_client::connection::ConnectionError;
use comity_identity::tls;
use comity_runtime::accept::Connection;
use comity_runtime::dial;
use comity_runtime::tasks::Tasks;
use rustls::ClientConfig;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::service::Interceptor;

use self::backoff::Backoff;
pub(super) use self::leaving::Leaving;
use self::serving::{Next, Serving};
use super::DRAIN;
use super::services::Services;
use crate::replica::Replica;

/// What keeps the tunnels. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Tunnels(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity: Identity,
    replica: Replica,
    tls: Arc<ClientConfig>,
    count: usize,
    /// Cancelled when the first of them stands.
    reachable: CancellationToken,
}

/// One of the tunnels, and its next tries.
struct Slot<G> {
    tunnels: Tunnels,
    number: usize,
    /// How many tries failed: each goes to the next of the broker's addresses.
    failed: usize,
    backoff: Backoff,
    /// Between two looks at the certificate in use.
    look: Duration,
    said: Option<String>,
    services: Services,
    gate: G,
    tasks: Tasks,
    stop: CancellationToken,
}

impl Tunnels {
    /// Prepares `count` of them; dials none yet.
    pub(super) fn new(identity: &Identity, replica: Replica, count: usize) -> Result<Self, ConnectionError> {
        let (root, clock) = (identity.root(), Arc::clone(identity.clock()));
        let anchors = Arc::new(root.organisation_anchors()?);
        let tls = tls::tunnel_client_config(Arc::clone(identity.credentials()), root.broker.clone(), anchors, clock)?;
        let (identity, reachable) = (identity.clone(), CancellationToken::new());
        Ok(Self(Arc::new(Inner { identity, replica, tls, count, reachable })))
    }

    /// Cancelled when the first of them stands: the broker can call.
    pub(super) fn reachable(&self) -> CancellationToken {
        self.0.reachable.clone()
    }

    /// Serves over all of them until `stop`, looking so often at the certificate in use; then until the calls that are there have ended.
    pub(super) async fn serve<G>(self, services: Services, gate: G, look: Duration, stop: CancellationToken)
    where
        G: Interceptor + Clone + Send + Sync + 'static,
    {
        let serving = Tasks::new();
        let slots = (0..self.0.count).map(|number| {
            let slot = Slot {
                tunnels: self.clone(),
                number,
                failed: 0,
                backoff: Backoff::default(),
                look,
                said: None,
                services: services.clone(),
                gate: gate.clone(),
                tasks: serving.clone(),
                stop: stop.clone(),
            };
            slot.keep()
        });
        drop(futures::future::join_all(slots).await);
        // Each of them has heard of the stop, and goes on to the end of its calls; whoever waits for that waits for
        // no longer than DRAIN.
        let _closed = serving.close(DRAIN * 2).await;
    }
}

impl<G> Slot<G>
where
    G: Interceptor + Clone + Send + Sync + 'static,
{
    async fn keep(self) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.keep_for_ever()).await.unwrap_or(());
    }

    async fn keep_for_ever(mut self) {
        let mut old: Option<Serving> = None;
        loop {
            match beside(&mut old, self.dial()).await {
                Ok(connection) => {
                    let mut tunnel = self.serve(connection);
                    if let Some(old) = old.take() {
                        old.end();
                    }
                    let pause = match tunnel.next().await {
                        Next::Replace => {
                            old = Some(tunnel);
                            self.backoff.short()
                        }
                        Next::Ended => self.backoff.after(tunnel.opened.elapsed()),
                    };
                    beside(&mut old, sleep(pause)).await;
                }
                Err(error) => {
                    self.failed(&error);
                    self.pause(&mut old).await;
                }
            }
        }
    }

    /// Until the next try: not for long once the broker has let the node back in.
    async fn pause(&mut self, old: &mut Option<Serving>) {
        let pause = sleep(self.backoff.next());
        let let_back_in = self.tunnels.0.replica.let_back_in();
        let is_back = beside(old, async {
            tokio::select! {
                () = pause => false,
                () = let_back_in => true,
            }
        });
        if is_back.await {
            self.backoff = Backoff::default();
            beside(old, sleep(self.backoff.short())).await;
        }
    }

    fn address(&self) -> &str {
        let brokers = self.tunnels.0.identity.brokers();
        // The tunnels are spread over the addresses; an identity has at least one, and an empty one cannot be dialled.
        let turn = (self.number + self.failed) % brokers.len().max(1);
        brokers.get(turn).map_or("", String::as_str)
    }

    async fn dial(&self) -> std::io::Result<Connection> {
        let inner = &self.tunnels.0;
        dial::tunnel(self.address(), Arc::clone(&inner.tls), inner.identity.clock().as_ref()).await
    }

    fn serve(&mut self, connection: Connection) -> Serving {
        tracing::info!(broker = self.address(), tunnel = self.number, "a tunnel to the broker stands");
        (self.said, self.failed) = (None, 0);
        let inner = &self.tunnels.0;
        let (tunnel, work) = Serving::start(
            connection,
            &inner.identity,
            self.look,
            self.services.clone(),
            self.gate.clone(),
            self.stop.child_token(),
        );
        let standing = self.services.server.metrics().tunnel();
        self.tasks.spawn("tunnel", async move {
            work.await;
            drop(standing);
        });
        inner.reachable.cancel();
        tunnel
    }

    fn failed(&mut self, error: &std::io::Error) {
        let said = crate::error_chain(error);
        if self.said.as_ref() != Some(&said) {
            let (broker, tunnel) = (self.address(), self.number);
            // A broker that is not there yet is daily business; one that takes the connection and hangs up is not.
            if matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::ConnectionAborted) {
                tracing::warn!(
                    broker,
                    tunnel,
                    error = said,
                    "the broker takes no tunnel of this node, trying again (hint: it hangs up on a node that is suspended or not admitted, and on more tunnels than a node may have)"
                );
            } else {
                tracing::info!(broker, tunnel, error = said, "no tunnel to the broker, trying again");
            }
        }
        self.said = Some(said);
        self.failed = self.failed.wrapping_add(1);
    }
}

/// Does what has to be done for a new tunnel; the old one, if its time comes meanwhile, is ended without it.
async fn beside<T>(old: &mut Option<Serving>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Some(end) = old.as_ref().and_then(Serving::deadline) {
        tokio::select! {
            done = &mut work => return done,
            () = sleep_until(end) => {}
        }
        if let Some(old) = old.take() {
            old.end();
        }
    }
    work.await
}
