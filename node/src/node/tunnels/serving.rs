//! One tunnel from the moment that it stands: when it is to be replaced, when it has ended.

use std::sync::Arc;
use std::time::Duration;

use comity_client::Identity;
use comity_identity::Credentials;
use comity_proto::tunnel::tunnel_server::TunnelServer;
use comity_runtime::accept::Connection;
use comity_types::Digest;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::service::Interceptor;
use tonic::transport::server::Connected as _;

use super::super::services::{self, Services};
use super::leaving::Leaving;

/// How long before the end of a certificate a tunnel is left even without another one: most answers are done in it.
const LAST_ANSWERS: Duration = Duration::from_secs(60);

/// A tunnel that stands.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) opened: Instant,
    credentials: Arc<Credentials>,
    certificate: Digest,
    look: Duration,
    /// Half of what was left of the certificate that ends first, ours or the broker's.
    replace_at: Instant,
    /// When it is left with or without another one.
    leave_at: Instant,
    asked: watch::Receiver<Option<Instant>>,
    gone: CancellationToken,
    ending: CancellationToken,
}

/// What becomes of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one is to stand before this one ends.
    Replace,
    /// It has ended.
    Ended,
}

impl Serving {
    /// The tunnel, and the work of serving on it until `ending` is cancelled or the connection is gone.
    pub(super) fn start<G>(
        connection: Connection,
        identity: &Identity,
        look: Duration,
        services: Services,
        gate: G,
        ending: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static)
    where
        G: Interceptor + Clone + Send + Sync + 'static,
    {
        let (leave, asked) = watch::channel(None);
        let (gone, opened, own) = (connection.gone(), Instant::now(), identity.leaf());
        // A tunnel always knows its broker.
        let broker = connection.connect_info().peer.map_or(own.not_after, |peer| peer.not_after());
        let left = own.not_after.min(broker).since(identity.clock().now());
        let tunnel = Self {
            opened,
            credentials: Arc::clone(identity.credentials()),
            certificate: own.certificate,
            look,
            replace_at: opened + left / 2,
            leave_at: opened + left - LAST_ANSWERS.min(left / 4),
            asked,
            gone: gone.clone(),
            ending: ending.clone(),
        };
        let stop = async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = gone.cancelled() => {}
            }
        };
        let work = async move {
            services::serve_tunnel(services, gate, TunnelServer::new(Leaving(leave)), connection, stop).await;
        };
        (tunnel, work)
    }

    /// Waits until it has ended, or is to be replaced: the certificate was renewed or is half way to its end, or the
    /// broker asks.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            tokio::select! {
                () = self.gone.cancelled() => return Next::Ended,
                asked = self.asked.changed() => return if asked.is_ok() { Next::Replace } else { Next::Ended },
                () = sleep_until(self.replace_at.min(Instant::now() + self.look)) => {}
            }
            if self.credentials.leaf().certificate != self.certificate || Instant::now() >= self.replace_at {
                return Next::Replace;
            }
        }
    }

    /// When it has to be left, with or without another one; not at all if it is gone.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let asked = self.asked.borrow().unwrap_or(self.leave_at);
        (!self.gone.is_cancelled()).then(|| asked.min(self.leave_at))
    }

    /// Takes no more calls, says so by GOAWAY, and goes on to the end of those that run.
    pub(super) fn end(self) {
        self.ending.cancel();
    }
}
