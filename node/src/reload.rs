//! SIGHUP: `node.toml` is read again, and what can change while the node runs does: all of it, or nothing. No call ends by it.
//!
//! `LIVE` lists what can; `docs/operations.md` has the same, held against this by a test.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use comity_runtime::access_log::AccessLog;
use comity_runtime::chain;
use comity_runtime::tables::TablesError;
use comity_types::SpiffeId;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use toml::{Table, Value};

use crate::config::{Config, ConfigError, Misfit};
use crate::metrics::Metrics;
use crate::replica::Replica;

/// The fields that can change.
const LIVE: [&str; 3] = ["node.max_staleness", "staleness.new_callers", "staleness.offers"];

/// When the configuration is to be read again, and from where.
pub struct Reloads {
    /// An item each time.
    pub asked: BoxStream<'static, ()>,
    /// The file.
    pub file: PathBuf,
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloads").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Why nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its tables cannot be used.
    #[error("node.tables cannot be used")]
    Tables(#[from] TablesError),
    /// Its parts do not fit each other.
    #[error("{}", misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Misfits {
        /// Every one.
        misfits: Vec<Misfit>,
    },
    /// It changes what the node was started with.
    #[error("{} cannot change while the node runs (hint: restart it, or take the change back)", fields.join(", "))]
    Fixed {
        /// Which fields.
        fields: Vec<String>,
    },
}

/// What can change.
#[derive(Debug)]
pub(crate) struct Live {
    /// What the node was started with, and what of it has changed since.
    pub(crate) text: String,
    pub(crate) node: SpiffeId,
    pub(crate) replica: Replica,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) metrics: Metrics,
}

impl Live {
    /// Reads the configuration whenever that is asked for, until `stop`.
    pub(crate) async fn follow(mut self, mut reloads: Reloads, stop: CancellationToken) {
        while let Some(Some(())) = stop.run_until_cancelled(reloads.asked.next()).await {
            // Whoever rotates the file asks in the same way, whatever becomes of the configuration.
            if let Some(log) = &self.access_log {
                log.reopen();
            }
            let applied = Config::load(&reloads.file).map_err(ReloadError::from).and_then(|new| self.apply(&new));
            self.metrics.reloaded(applied.is_ok());
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
    /// It is wrong, or changes what cannot change now; nothing has changed.
    pub(crate) fn apply(&mut self, new: &Config) -> Result<Vec<String>, ReloadError> {
        let tables = new.tables()?;
        let planned = new.plan(&self.node, &tables);
        let _offers = planned.map_err(|misfits| ReloadError::Misfits { misfits })?;
        let (changed, fields) =
            differing(&self.text, new.text()).into_iter().partition::<Vec<_>, _>(|field| is_live(field));
        if !fields.is_empty() {
            return Err(ReloadError::Fixed { fields });
        }
        self.replica.allow(new.budgets());
        new.text().clone_into(&mut self.text);
        Ok(changed)
    }
}

/// A section that has nothing but what can change may come and go with it.
fn is_live(field: &str) -> bool {
    LIVE.contains(&field) || field == "staleness"
}

/// The fields in which two files differ, by section and key. Both are files that were read, so that they have a form.
fn differing(old: &str, new: &str) -> Vec<String> {
    let [old, new] = [old, new].map(|text| text.parse::<Table>().unwrap_or_default());
    let sections: BTreeSet<_> =
        old.keys().chain(new.keys()).filter(|section| old.get(*section) != new.get(*section)).collect();
    sections.into_iter().flat_map(|section| within(section, old.get(section), new.get(section))).collect()
}

/// Of a section that differs; where it is whole in one of them alone, or is no table, as a whole.
fn within(section: &str, old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let (Some(Value::Table(old)), Some(Value::Table(new))) = (old, new) else { return vec![section.to_owned()] };
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)).collect();
    keys.into_iter().map(|key| format!("{section}.{key}")).collect()
}
