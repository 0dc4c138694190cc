//! SIGHUP: `broker.toml` is read again, and what can change while the broker runs does: all of it, or nothing. No call and no
//! connection ends by it.
//!
//! `fixed` says, field by field, what needs a restart; `docs/operations.md` lists what does not, and a test holds the two
//! against each other.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_runtime::accept::Places;
use comity_runtime::access_log::AccessLog;
use comity_runtime::chain;
use comity_runtime::telemetry::Filter;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError, Leaf, Limits, Log};
use crate::edge::capacity::Capacity;
use crate::links::Links;
use crate::metrics::Metrics;
use crate::registry::admission::Admission;

/// When the configuration is to be read again, and how.
pub struct Reloads {
    /// An item each time.
    pub asked: BoxStream<'static, ()>,
    /// Reads it.
    pub load: Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>,
    /// What is logged.
    pub filter: Filter,
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloads").finish_non_exhaustive()
    }
}

/// Why nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It changes what the broker was started with.
    #[error("{} cannot change while the broker runs (hint: restart it, or take the change back)", fields.join(", "))]
    Fixed {
        /// Which fields.
        fields: Vec<&'static str>,
    },
}

/// What can change. Clones are handles to the same.
#[derive(Debug, Clone)]
pub(crate) struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Mutex<Config>,
    parts: Parts,
}

/// What a change goes to.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) capacity: Capacity,
    pub(crate) places: Places,
    pub(crate) links: Links,
    pub(crate) admission: Admission,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) metrics: Metrics,
}

impl Live {
    pub(crate) fn new(config: Config, parts: Parts) -> Self {
        Self(Arc::new(Inner { config: Mutex::new(config), parts }))
    }

    /// How long calls may finish after a signal to stop, as it is now.
    pub(crate) fn drain(&self) -> Duration {
        self.0.config.lock().unwrap_or_else(PoisonError::into_inner).drain
    }

    /// Reads the configuration whenever that is asked for, until `stop`.
    pub(crate) async fn follow(self, mut reloads: Reloads, stop: CancellationToken) {
        while let Some(Some(())) = stop.run_until_cancelled(reloads.asked.next()).await {
            // Whoever rotates the file asks in the same way, whatever becomes of the configuration.
            if let Some(log) = &self.0.parts.access_log {
                log.reopen();
            }
            // Reading is a matter of milliseconds, as it is when the broker starts.
            let applied = (reloads.load)().map_err(ReloadError::from).and_then(|new| self.apply(new, &reloads.filter));
            self.0.parts.metrics.reloaded(applied.is_ok());
            match applied {
                Ok(changed) => tracing::info!(changed = changed.join(", "), "the configuration was read again"),
                Err(error) => tracing::error!(
                    error = chain::text(&error),
                    "the configuration was read again and cannot be used: everything stays as it was"
                ),
            }
        }
    }

    /// Takes on `new`, and says which fields have changed.
    ///
    /// # Errors
    /// It changes what cannot change now; nothing has changed.
    pub(crate) fn apply(&self, new: Config, filter: &Filter) -> Result<Vec<&'static str>, ReloadError> {
        let mut config = self.0.config.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = fixed(&config, &new);
        if !fields.is_empty() {
            return Err(ReloadError::Fixed { fields });
        }
        let changed = changed(&config, &new);
        let Parts { capacity, places, links, admission, .. } = &self.0.parts;
        // From here on nothing can fail: the file's checks have read the filter already.
        let _read = filter.set(&new.log.filter).is_ok();
        capacity.limit(new.limits);
        places.limit(new.limits.connections);
        links.limit_tunnels(new.limits.tunnels);
        admission.limit_leaf(new.leaf);
        *config = new;
        Ok(changed)
    }
}

/// The fields that differ and need a restart.
fn fixed(old: &Config, new: &Config) -> Vec<&'static str> {
    // A field that is new in the configuration has to be put either here or into `changed`.
    let Config {
        listen,
        advertise,
        data_dir,
        replica,
        places,
        tables,
        log: Log { format, filter: _ },
        limits:
            Limits {
                in_flight: _,
                in_flight_per_organisation: _,
                connections: _,
                tunnels: _,
                request_bytes,
                request_memory,
                control_frames_per_second,
                decision_time,
                // No configuration sets it.
                listed: _,
            },
        leaf: Leaf { broker, node: _, app: _, operator: _ },
        bundles,
        metrics,
        traces,
        access_log,
        commit,
        budgets,
        witnesses,
        drain: _,
        #[cfg(feature = "bench-unlogged")]
            keeps_nothing: _,
    } = new;
    named([
        ("listen", *listen != old.listen),
        ("advertise", *advertise != old.advertise),
        ("data_dir", *data_dir != old.data_dir),
        ("replica", *replica != old.replica),
        ("places", *places != old.places),
        ("tables", tables.digest() != old.tables.digest()),
        ("log.format", *format != old.log.format),
        ("limits.request_bytes", *request_bytes != old.limits.request_bytes),
        ("limits.request_memory", *request_memory != old.limits.request_memory),
        ("limits.control_frames_per_second", *control_frames_per_second != old.limits.control_frames_per_second),
        ("limits.decision_time", *decision_time != old.limits.decision_time),
        ("leaf.broker", *broker != old.leaf.broker),
        ("bundles", *bundles != old.bundles),
        ("metrics", *metrics != old.metrics),
        ("traces", *traces != old.traces),
        ("access_log", *access_log != old.access_log),
        ("commit", *commit != old.commit),
        ("budgets", *budgets != old.budgets),
        ("witnesses", *witnesses != old.witnesses),
    ])
}

/// The fields that differ and count from now on.
fn changed(old: &Config, new: &Config) -> Vec<&'static str> {
    let (limits, were, leaf, was) = (&new.limits, &old.limits, &new.leaf, &old.leaf);
    named([
        ("log.filter", new.log.filter != old.log.filter),
        ("limits.in_flight", limits.in_flight != were.in_flight),
        ("limits.in_flight_per_organisation", limits.in_flight_per_organisation != were.in_flight_per_organisation),
        ("limits.connections", limits.connections != were.connections),
        ("limits.tunnels", limits.tunnels != were.tunnels),
        ("leaf.node", leaf.node != was.node),
        ("leaf.app", leaf.app != was.app),
        ("leaf.operator", leaf.operator != was.operator),
        ("drain", new.drain != old.drain),
    ])
}

fn named<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}
