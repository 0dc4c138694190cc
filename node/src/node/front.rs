//! How the broker gets to the node: it dials a socket on which the node listens, or the node dials it.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use comity_client::Identity;
use comity_identity::{NodeAddress, StaticAnchors, tls};
use comity_runtime::accept::{Acceptor, Listener};
use comity_runtime::tasks::Tasks;
use comity_types::SpiffeId;
use tokio_util::sync::CancellationToken;

use super::services::Services;
use super::tunnels::Tunnels;
use super::{NodeError, services};
use crate::config::Config;
use crate::files;
use crate::replica::Replica;
use crate::retry::Pace;
use crate::serve::broker_only;

/// One of the two.
#[derive(Debug)]
pub(super) enum Front {
    Listening { listener: Listener, acceptor: Box<Acceptor> },
    DialingOut(Tunnels),
}

/// The work of serving, whichever of the two it is.
type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Front {
    /// Binds the socket, where there is one.
    pub(super) async fn build(config: &Config, identity: &Identity, replica: &Replica) -> Result<Self, NodeError> {
        if config.node.dial_out {
            return Ok(Self::DialingOut(Tunnels::new(identity, replica.clone(), config.node.tunnels())?));
        }
        // The plan has refused a file without it.
        let listener = bind(config.node.listen.as_deref().unwrap_or_default()).await?;
        Ok(Self::Listening { listener, acceptor: Box::new(acceptor(identity)?) })
    }

    pub(super) const fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Listening { listener, .. } => Some(listener.local_addr()),
            Self::DialingOut(_) => None,
        }
    }

    /// Where the broker is told to find the node.
    pub(super) fn address(&self, config: &Config) -> String {
        match self {
            Self::Listening { listener, .. } => {
                config.node.advertise.clone().unwrap_or_else(|| listener.local_addr().to_string())
            }
            Self::DialingOut(_) => NodeAddress::Tunnel.to_string(),
        }
    }

    /// Says where it listens, in the log and in `file`. A node that does not leaves no file behind that says it did.
    pub(super) fn announce(&self, file: &Path, node: &SpiffeId) -> Result<(), NodeError> {
        if let Some(address) = self.local_addr() {
            files::write(file, &address.to_string())?;
            tracing::info!(%node, %address, "listening");
        } else {
            files::remove(file)?;
            tracing::info!(%node, "dialling the broker, listening nowhere");
        }
        Ok(())
    }

    /// Cancelled as soon as the broker can call.
    pub(super) fn reachable(&self) -> CancellationToken {
        match self {
            Self::Listening { .. } => {
                let already = CancellationToken::new();
                already.cancel();
                already
            }
            Self::DialingOut(tunnels) => tunnels.reachable(),
        }
    }

    /// Serves `broker`, whichever of the two dialled, until `tasks` are to end, then until the calls that are there have ended.
    pub(super) fn serve(self, services: Services, broker: SpiffeId, pace: Pace, tasks: &Tasks) -> Served {
        let (gate, stop) = (broker_only(broker), tasks.token());
        match self {
            Self::Listening { listener, acceptor } => {
                let incoming = listener.incoming(*acceptor, tasks);
                Box::pin(services::serve(services, gate, incoming, stop))
            }
            Self::DialingOut(tunnels) => Box::pin(tunnels.serve(services, gate, pace.look, stop)),
        }
    }
}

fn acceptor(identity: &Identity) -> Result<Acceptor, NodeError> {
    // The federation's own authorities and no others: an organisation's certificate does not even shake hands.
    let anchors = Arc::new(std::iter::once(identity.root().organisation_anchors()?).collect::<StaticAnchors>());
    let (credentials, clock) = (Arc::clone(identity.credentials()), Arc::clone(identity.clock()));
    let mutual = tls::server_config(Arc::clone(&credentials), anchors, Arc::clone(&clock))?;
    Ok(Acceptor::new(mutual, None).ending_with(credentials).with_clock(clock))
}

async fn bind(address: &str) -> Result<Listener, NodeError> {
    Listener::bind(address).await.map_err(|source| NodeError::Listen { address: address.to_owned(), source })
}
