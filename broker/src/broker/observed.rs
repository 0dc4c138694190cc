//! Who is told of calls that have ended: a collector of spans, and the access log, as far as the configuration names them.

use std::sync::Arc;
use std::time::Duration;

use comity_runtime::access_log::AccessLog;
use comity_runtime::observe::Observer;
use comity_runtime::tasks::Tasks;
use comity_runtime::traces::{Service, Traces};
use comity_types::{Clock, SpiffeId};

use super::BrokerError;
use crate::config::Config;
use crate::metrics::Metrics;

/// How long the last lines may take to be written: a disk that hangs keeps no broker from ending.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Both of them.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) observer: Observer,
    pub(super) log: Option<AccessLog>,
}

impl Observed {
    /// Opens what the configuration names.
    pub(super) fn open(
        config: &Config,
        own: &SpiffeId,
        metrics: &Metrics,
        clock: &Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Result<Self, BrokerError> {
        let log = config.access_log.as_ref().map(|log| AccessLog::start(log, metrics.lines())).transpose()?;
        let traces = config.traces.as_ref().map(|traces| {
            let (name, version) = ("comity-broker", env!("CARGO_PKG_VERSION"));
            Traces::start(traces, &Service { name, version, instance: own.to_string() }, metrics.spans(), tasks)
        });
        let traces = traces.transpose().map_err(|problem| BrokerError::Traces { problem })?;
        Ok(Self { observer: Observer::new(traces, log.clone(), Arc::clone(clock)), log })
    }

    /// Has what was told so far written.
    pub(super) async fn flush(&self) {
        if let Some(log) = &self.log {
            log.flush(LAST_LINES).await;
        }
    }
}
