//! A node's own copy of the state, what its process says of itself, and how the broker reaches it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_client::follow::Followed;
use comity_client::follow::kept::{self, EVIDENCE_FILE, LOG_FILE};
use comity_runtime::health::{self, Health, Unwell};
use comity_types::ids::Kind;
use serde::Deserialize;

use super::broker::Told;
use super::directory::Patient;
use super::finding::Finding;
use super::verdict;

/// How long a node goes on without hearing, if its `node.toml` does not say otherwise.
const MAX_STALENESS: Duration = Duration::from_secs(15 * 60);
/// What `health.json` calls the budget of everything.
const ALL: &str = "all";
/// Largest `node.toml`, in bytes: what a program reads of its configuration as well.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// What is read of a `node.toml`; the rest is `comity-node check`'s.
#[derive(Debug)]
pub(super) struct Config {
    data_dir: PathBuf,
    identity_dir: PathBuf,
    /// Nothing where neither the file nor the node says it.
    max_staleness: Option<Duration>,
    /// Classes of requests that stop before, by the names that refusals have for them.
    classes: Vec<(String, Duration)>,
}

#[derive(Debug, Deserialize)]
struct Toml {
    node: Table,
    #[serde(default)]
    staleness: Classes,
}

#[derive(Debug, Default, Deserialize)]
struct Classes {
    new_callers: Option<String>,
    #[serde(default)]
    offers: BTreeMap<String, String>,
}

impl Classes {
    /// Each class with its budget, or the field that is none.
    fn read(self) -> Result<Vec<(String, Duration)>, String> {
        let new_callers = self.new_callers.map(|budget| ("new_callers".to_owned(), budget));
        let offers = self.offers.into_iter().map(|(offer, budget)| (format!("offers.{offer}"), budget));
        let read = |(class, budget): (String, String)| match humantime::parse_duration(&budget) {
            Ok(budget) => Ok((class, budget)),
            Err(error) => Err(format!("staleness.{class}: {error}")),
        };
        new_callers.into_iter().chain(offers).map(read).collect()
    }
}

#[derive(Debug, Deserialize)]
struct Table {
    data_dir: PathBuf,
    identity_dir: Option<PathBuf>,
    max_staleness: Option<String>,
}

impl Config {
    /// Reads it; paths in it are relative to it.
    pub(super) fn read(path: &Path) -> Result<Self, Finding> {
        let failed = |found: String| {
            Finding::fail("node.toml", found, format!("`comity-node check --config {}` says more", path.display()))
        };
        let size =
            fs::metadata(path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?.len();
        if size > MAX_CONFIG_BYTES {
            return Err(failed(format!("{} has {size} bytes", path.display())));
        }
        let text =
            fs::read_to_string(path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
        let Toml { node: Table { data_dir, identity_dir, max_staleness }, staleness } =
            toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        let classes = staleness.read().map_err(failed)?;
        let max_staleness = match max_staleness.as_deref().map(humantime::parse_duration) {
            None => Some(MAX_STALENESS),
            Some(Ok(budget)) => Some(budget),
            Some(Err(error)) => return Err(failed(format!("node.max_staleness: {error}"))),
        };
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        let data_dir = base.join(data_dir);
        let identity_dir = identity_dir.map_or_else(|| data_dir.join("identity"), |dir| base.join(dir));
        Ok(Self { data_dir, identity_dir, max_staleness, classes })
    }

    /// Where the node's identity is.
    pub(super) fn identity_dir(&self) -> PathBuf {
        self.identity_dir.clone()
    }

    /// That of an identity as `comity-node join` lays it out without further words: below the data directory.
    fn beside(identity_dir: &Path) -> Option<Self> {
        let data_dir = identity_dir.canonicalize().ok()?.parent()?.to_owned();
        let is_one = [LOG_FILE, health::FILE, "lock"].iter().any(|file| data_dir.join(file).exists());
        if !is_one {
            return None;
        }
        // What the file says, the node has written down.
        let said = fs::read(data_dir.join(health::FILE)).ok();
        let said: Option<Health> = said.and_then(|json| serde_json::from_slice(&json).ok());
        let mut classes: Vec<_> = said.into_iter().flat_map(|said| said.budgets).collect();
        let all = classes.iter().position(|(class, _)| class == ALL).map(|at| classes.swap_remove(at).1);
        let classes = classes.into_iter().map(|(class, seconds)| (class, Duration::from_secs(seconds))).collect();
        Some(Self {
            data_dir,
            identity_dir: identity_dir.to_owned(),
            max_staleness: all.map(Duration::from_secs),
            classes,
        })
    }
}

/// Looks at a node's state; at nothing for whoever is no node.
pub(super) fn examine(
    patient: &Patient,
    config: Option<Result<Config, Finding>>,
    told: &Told,
    findings: &mut Vec<Finding>,
) {
    let is_node = patient.named.as_ref().is_some_and(|named| named.spiffe_id.kind() == Kind::Node);
    let config = match config {
        Some(Ok(config)) => Some(config),
        Some(Err(unreadable)) => {
            findings.push(unreadable);
            None
        }
        None if is_node => Config::beside(&patient.dir),
        None => None,
    };
    if let Some(config) = config {
        on_disk(patient, &config, findings);
    } else if is_node {
        findings.push(Finding::skipped("node", "name its node.toml with --config to see its own state"));
    }
    if is_node && told.standing {
        let listed = told.node.as_ref();
        findings.push(verdict::link(listed.map(|node| (node.address.as_str(), node.link.as_str()))));
    }
}

fn on_disk(patient: &Patient, config: &Config, findings: &mut Vec<Finding>) {
    findings.push(process(Health::read(&config.data_dir.join(health::FILE), patient.now())));
    let evidence = config.data_dir.join(EVIDENCE_FILE);
    if evidence.exists() {
        findings.push(Finding::fail(
            "node: one past",
            format!("{} is there: this node was shown two pasts, or two statements at one position", evidence.display()),
            "compare with other members (`comity log verify`); the runbook says how to go on (\"A node says that the broker \
             has equivocated\")",
        ));
    } else {
        findings.push(Finding::ok("node: one past", "the broker has not contradicted what this node knows"));
    }
    let has_heard = kept::heard(&config.data_dir).is_ok_and(|heard| heard.is_some());
    if !has_heard && !config.data_dir.join(LOG_FILE).exists() {
        let found = "this node has not heard of its federation yet: what it knows comes with its first run";
        findings.push(Finding::skipped("node: log", found));
        return;
    }
    findings.push(copy(patient, config));
    match kept::heard(&config.data_dir) {
        Ok(heard) => {
            let (at, now) = (heard.map(|heard| heard.at), patient.now());
            findings.push(match config.max_staleness {
                Some(budget) => verdict::staleness(at, now, budget),
                None => verdict::staleness(at, now, MAX_STALENESS)
                    .adding("; unless its node.toml says otherwise: name that with --config"),
            });
            findings.extend(config.classes.iter().map(|(class, budget)| verdict::class(class, at, now, *budget)));
        }
        Err(error) => findings.push(Finding::error(
            "node: age",
            &error,
            "stop the node, remove the file, and start it: it asks the broker again",
        )),
    }
}

/// What the node's process says of itself.
fn process(said: Result<Health, Unwell>) -> Finding {
    let check = "node: health";
    match said {
        Ok(health) => Finding::ok(check, format!("it serves, at epoch {}", health.epoch)),
        Err(unwell) => Finding::error(check, &unwell, "see its log"),
    }
}

/// Whether the copy on disk is whole and believed.
fn copy(patient: &Patient, config: &Config) -> Finding {
    let check = "node: log";
    let (Some(root), Some(named)) = (&patient.root, &patient.named) else {
        return Finding::skipped(check, "it cannot be verified without the root document");
    };
    let mut followed = Followed::new(root, named.federation_root, Arc::clone(&patient.clock));
    let path = config.data_dir.join(LOG_FILE);
    if let Err(error) = kept::replay(&config.data_dir, &mut followed) {
        let mend = "stop the node, move the file away, and start it: it asks the broker for all of it again";
        return Finding::error(check, &error, mend);
    }
    Finding::ok(check, format!("{} holds up to epoch {}", path.display(), followed.log().federation().epoch()))
}
