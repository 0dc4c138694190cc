//! Who is told of calls that have ended: a collector of spans, and the access log, as far as the configuration names them.

use std::sync::Arc;
use std::time::Duration;

use comity_client::Identity;
use comity_runtime::access_log::AccessLog;
use comity_runtime::observe::Observer;
use comity_runtime::tasks::Tasks;
use comity_runtime::traces::{self, Service, Traces};

use super::NodeError;
use crate::config::Config;
use crate::metrics::Metrics;

/// How long the last lines may take to be written: a disk that hangs keeps no node from ending.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Both of them.
#[derive(Debug)]
pub(super) struct Observed {
    traces: Option<traces::Config>,
    pub(super) log: Option<AccessLog>,
}

impl Observed {
    /// Opens the access log, if there is to be one.
    pub(super) fn open(config: &Config, metrics: &Metrics) -> Result<Self, NodeError> {
        let log = config.access_log.as_ref().map(|log| AccessLog::start(log, metrics.lines())).transpose()?;
        Ok(Self { traces: config.traces.clone(), log })
    }

    /// Begins to send spans, if there are to be any.
    pub(super) fn start(&self, identity: &Identity, metrics: &Metrics, tasks: &Tasks) -> Result<Observer, NodeError> {
        let (name, version) = ("comity-node", env!("CARGO_PKG_VERSION"));
        let service = Service { name, version, instance: identity.id().to_string() };
        let traces = self.traces.as_ref().map(|traces| Traces::start(traces, &service, metrics.spans(), tasks));
        let traces = traces.transpose().map_err(|problem| NodeError::Traces { problem })?;
        Ok(Observer::new(traces, self.log.clone(), Arc::clone(identity.clock())))
    }

    /// Has what was told so far written.
    pub(super) async fn flush(&self) {
        if let Some(log) = &self.log {
            log.flush(LAST_LINES).await;
        }
    }
}
