//! What a node says of itself in a file of its data directory, for whoever cannot ask it over a socket: supervisors of
//! processes, and `comity doctor`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use comity_types::Timestamp;
use serde::{Deserialize, Serialize};

/// The file; in the data directory, while the node runs.
pub const FILE: &str = "health.json";
/// How often it is written although nothing has changed.
pub const BEAT: Duration = Duration::from_secs(5);
/// How old it may be: some beats may be late on a busy machine.
pub const SILENT_AFTER: Duration = Duration::from_secs(30);

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it serves requests.
    pub serving: bool,
    /// Why not, and how to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What is odd although it serves: for people to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The classes of requests that it refuses because what it knows is too old for them, as `node.toml` names their
    /// budgets: `all`, `new_callers`, `offers.ID`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<String>,
    /// How old what it knows may be, in seconds, by the same names: for whoever has not read `node.toml`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budgets: BTreeMap<String, u64>,
    /// How far it knows the federation's log.
    pub epoch: u64,
    /// When the broker last agreed with what it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
    /// When this was written.
    pub at: Timestamp,
}

/// Why a node is not well, as its file says it or by what the file does not say.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    /// There is no file.
    #[error("no node runs with this data directory (hint: start it with `comity-node run`)")]
    Absent,
    /// The file cannot be read.
    #[error("what the node says of itself cannot be read")]
    Unreadable(#[source] io::Error),
    /// It has said nothing for too long.
    #[error("the node has said nothing of itself for {} s: it was killed, hangs, or cannot write to its data directory (hint: look for free space, then start it again)", age.as_secs())]
    Silent {
        /// For how long.
        age: Duration,
    },
    /// It says that it does not serve.
    #[error("{why}")]
    NotServing {
        /// Why.
        why: String,
    },
}

impl Health {
    /// Puts the file in place, whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let aside = file.with_extension("new");
        fs::write(&aside, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&aside, file)
    }

    /// How the node is whose file this is, at `now`.
    ///
    /// # Errors
    /// It does not serve, or does not run.
    pub fn read(file: &Path, now: Timestamp) -> Result<Self, Unwell> {
        let text = fs::read(file).map_err(|error| {
            let absent = error.kind() == io::ErrorKind::NotFound;
            if absent { Unwell::Absent } else { Unwell::Unreadable(error) }
        })?;
        let health: Self = serde_json::from_slice(&text).map_err(|error| Unwell::Unreadable(error.into()))?;
        let age = now.since(health.at);
        if age > SILENT_AFTER {
            return Err(Unwell::Silent { age });
        }
        if health.serving {
            return Ok(health);
        }
        Err(Unwell::NotServing { why: health.why.unwrap_or_else(|| "it does not say why".to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn written(serving: bool, why: Option<&str>) -> (tempfile::TempDir, Timestamp) {
        let (folder, now) = (tempfile::tempdir().unwrap(), at("2026-11-25T10:00:00Z"));
        let health = Health {
            serving,
            why: why.map(str::to_owned),
            notice: None,
            stale: Vec::new(),
            budgets: BTreeMap::from([("all".to_owned(), 60)]),
            epoch: 7,
            heard_at: Some(now),
            at: now,
        };
        health.write(&folder.path().join(FILE)).unwrap();
        (folder, now)
    }

    #[test]
    fn a_node_that_serves_is_well_until_it_falls_silent() {
        let (folder, now) = written(true, None);
        let read = |now| Health::read(&folder.path().join(FILE), now);
        assert_eq!(read(now.plus(SILENT_AFTER)).unwrap().epoch, 7);
        let late = now.plus(SILENT_AFTER + Duration::from_secs(1));
        assert!(matches!(read(late), Err(Unwell::Silent { age }) if age > SILENT_AFTER));
    }

    #[test]
    fn a_node_that_does_not_serve_says_why_and_one_that_does_not_run_says_nothing() {
        let (folder, now) = written(false, Some("suspended"));
        let file = folder.path().join(FILE);
        assert_eq!(Health::read(&file, now).unwrap_err().to_string(), "suspended");
        fs::write(&file, "{").unwrap();
        assert!(matches!(Health::read(&file, now), Err(Unwell::Unreadable(_))));
        fs::remove_file(&file).unwrap();
        assert!(matches!(Health::read(&file, now), Err(Unwell::Absent)));
    }
}
