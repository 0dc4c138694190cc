//! What the broker counts, and where that is read, if it is.

use std::net::SocketAddr;

use comity_runtime::metrics;
use comity_runtime::tasks::Tasks;
use comity_runtime::web::Endpoint;

use super::BrokerError;
use crate::metrics::{Metrics, Watched};

/// What is counted, and what is looked at.
#[derive(Debug)]
pub(super) struct Counted {
    metrics: Metrics,
    endpoint: Option<Endpoint>,
    watched: Watched,
}

impl Counted {
    /// Binds the socket, if there is to be one.
    pub(super) async fn new(
        address: Option<SocketAddr>,
        metrics: Metrics,
        watched: Watched,
    ) -> Result<Self, BrokerError> {
        let endpoint = match address {
            None => None,
            Some(address) => {
                let bound = Endpoint::bind(address).await;
                Some(bound.map_err(|source| BrokerError::ListenForMetrics { address, source })?)
            }
        };
        Ok(Self { metrics, endpoint, watched })
    }

    /// Where it is read, if it is.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().map(Endpoint::local_addr)
    }

    /// Serves the metrics, if that is asked for.
    pub(super) fn serve(self, tasks: &Tasks) -> Metrics {
        let Self { metrics, endpoint, watched } = self;
        if let Some(endpoint) = endpoint {
            let metrics = metrics.clone();
            metrics::serve(endpoint, tasks, move || metrics.text(&watched));
        }
        metrics
    }
}
