//! `broker.toml`: read as written, then checked as a whole, so that all mistakes are reported at once.
//! Every field is described in `deploy/broker.example.toml`.

mod budgets;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::Address;
use comity_policy::Tables;
use comity_runtime::accept::MAX_CONNECTIONS;
use comity_runtime::calm::Allowance;
use comity_runtime::telemetry::LogFormat;
use comity_runtime::{access_log, chain, metrics, tables, telemetry, traces};
use comity_transparency::policy::Policy;
use comity_types::{Name, Place};
use serde::Deserialize;

use crate::budgets::definition::Budgets;
use crate::edge::deciding::TARGET;
use crate::ledger::receipts::MAX_LISTED;

/// Shortest life of a certificate: below, a renewal that is tried a few times would come too late.
const MIN_LEAF: Duration = Duration::from_secs(10 * 60);
/// Shortest life where `danger_short` says that renewals may come too late: tests see many of them in a minute.
const MIN_SHORT_LEAF: Duration = Duration::from_secs(2);
/// Longest life of a certificate: what a stolen key is worth, where nobody notices.
const MAX_LEAF: Duration = comity_identity::authority::MAX_LEAF_LIFETIME;
/// Longest drain: service managers kill after about this long.
const MAX_DRAIN: Duration = Duration::from_secs(15 * 60);
/// Most calls that may be configured to run at once: each holds buffers of about its window.
const MAX_IN_FLIGHT: usize = 100_000;
/// Fewest and most connections, and tunnels, that may be configured: some for each of a handful of organisations, and as
/// many as a kernel has files for.
const CONNECTIONS: std::ops::RangeInclusive<usize> = 16..=1_000_000;
/// Tunnels at once, unless configured: a quarter of the connections, so that the others have room beside them.
const TUNNELS: usize = MAX_CONNECTIONS / 4;
/// What an address to listen on is, in words.
const LISTEN: &str = "an IP address and a port, such as 0.0.0.0:7443; port 0 takes a free one";
/// Smallest and largest request that may be configured, in bytes: a prompt of a few lines, and gRPC's practical end.
const REQUEST_BYTES: std::ops::RangeInclusive<usize> = 64 * 1024..=64 * 1024 * 1024;

/// The part of the memory for requests that one organisation has at most.
pub(crate) const ORGANISATIONS_PART_OF_MEMORY: usize = 4;
/// Most memory for requests that may be configured, in bytes: that of a large machine.
const MAX_REQUEST_MEMORY: usize = 64 << 30;
/// Least and most that one connection may ask for beside its calls, a second: a few cancelled calls, and as many as are
/// made in all.
const CONTROL_FRAMES_PER_SECOND: std::ops::RangeInclusive<usize> = 50..=100_000;
/// Least and most that a decision may take: what a good disk needs for a sync, and what callers wait for at most.
const DECISION_TIME: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);

/// What a broker is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How members reach it, `host:port`, best first.
    pub advertise: Vec<Address>,
    /// What it keeps.
    pub data_dir: PathBuf,
    /// Its name among the federation's brokers.
    pub replica: Name,
    /// Every place where its machine stands: prompts pass through them.
    pub places: BTreeSet<Place>,
    /// What it decides by: the tables that ship, or those of the federation's folder.
    pub tables: Arc<Tables>,
    /// How it logs.
    pub log: Log,
    /// What it takes on at once.
    pub limits: Limits,
    /// How long certificates live.
    pub leaf: Leaf,
    /// Where it serves trust bundles, if it does.
    pub bundles: Option<SocketAddr>,
    /// Where it serves metrics, if it does.
    pub metrics: Option<SocketAddr>,
    /// Where it sends spans, if it makes any.
    pub traces: Option<traces::Config>,
    /// Where it writes a line for each call, if it does.
    pub access_log: Option<access_log::Config>,
    /// What waits for a decision to be durable.
    pub commit: Commit,
    /// What organisations, apps, models and offers may use, if that is limited.
    pub budgets: Option<Arc<Budgets>>,
    /// Who cosigns the decision log, and how many are enough, if anybody does.
    pub witnesses: Option<Policy>,
    /// How long calls may finish after a signal to stop.
    pub drain: Duration,
    /// Nothing is recorded and nothing proven: see `ledger::decisions::unlogged`. No file can say so.
    #[cfg(feature = "bench-unlogged")]
    pub keeps_nothing: bool,
}

/// What waits for a decision to be durable (decision 22). A node runs nothing before either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Commit {
    /// The request: none of its bytes leave the broker before.
    #[default]
    Strict,
    /// The permit alone: the request travels to the first node of the eligible set meanwhile.
    Overlapped,
}

/// How the broker logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// What is logged, in the syntax of tracing's `EnvFilter`.
    pub filter: String,
}

/// What the broker takes on at once; beyond, it sheds with `RESOURCE_EXHAUSTED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls in flight, of everyone.
    pub in_flight: usize,
    /// Calls in flight, of one organisation.
    pub in_flight_per_organisation: usize,
    /// Connections of members, of which one organisation has at most an eighth.
    pub connections: usize,
    /// Tunnels that nodes dialled, of which one organisation's nodes have at most an eighth.
    pub tunnels: usize,
    /// Largest request, in bytes.
    pub request_bytes: usize,
    /// Requests that are held at once, in bytes, without the first [`UNIT`](crate::edge::weight::UNIT) of each; one
    /// organisation has at most a quarter.
    pub request_memory: usize,
    /// What one connection may ask for beside its calls, a second, in credit ([`comity_runtime::calm`]).
    pub control_frames_per_second: u32,
    /// How long a call may take from its whole message to its durable decision: where even the fastest take longer, fewer are
    /// decided at once.
    pub decision_time: Duration,
    /// Decisions that one list of receipts is looked for among. No configuration sets it: a part is `MAX_LISTED`, but where it is
    /// tried that a list goes on in parts.
    pub listed: usize,
}

/// How long certificates live, by whom they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The broker's own.
    pub broker: Duration,
    /// A node's.
    pub node: Duration,
    /// An app's.
    pub app: Duration,
    /// An operator's.
    pub operator: Duration,
}

impl Leaf {
    /// The longest that a certificate made under an organisation's authority may be valid.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.node.max(self.app).max(self.operator)
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or is not of the form; says where.
    #[error(transparent)]
    Read(#[from] comity_runtime::config::ConfigError),
    /// Values that cannot be used: all of them.
    #[error("{} cannot be used:\n{}", path.display(), problems.iter().map(|p| format!("  {p}")).collect::<Vec<_>>().join("\n"))]
    Values {
        /// The file.
        path: PathBuf,
        /// Each, with its field.
        problems: Vec<Problem>,
    },
}

/// One field that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field's path, such as `limits.in_flight`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// Reads and checks a file. Relative paths in it start at its own folder.
///
/// # Errors
/// The file cannot be read, has an unknown key or a value of another type (with the line), or has
/// values that cannot be used (all of them at once).
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let raw: Raw = comity_runtime::config::load(path)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    check(raw, folder).map_err(|problems| ConfigError::Values { path: path.to_owned(), problems })
}

/// The file as it is written: only texts and numbers, so that every wrong value is found in one pass.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    listen: String,
    advertise: Vec<String>,
    data_dir: PathBuf,
    places: Vec<String>,
    tables: Option<PathBuf>,
    budgets: Option<PathBuf>,
    #[serde(default = "replica")]
    replica: String,
    #[serde(default = "drain")]
    drain: String,
    #[serde(default = "commit")]
    commit: String,
    #[serde(default)]
    log: RawLog,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    leaf: RawLeaf,
    bundles: Option<RawBundles>,
    metrics: Option<metrics::Config>,
    traces: Option<traces::Config>,
    access_log: Option<access_log::Config>,
    witnesses: Option<RawWitnesses>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWitnesses {
    policy: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBundles {
    listen: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    format: String,
    filter: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    in_flight: usize,
    in_flight_per_organisation: usize,
    connections: usize,
    tunnels: usize,
    request_bytes: usize,
    control_frames_per_second: usize,
    request_memory: usize,
    decision_time: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLeaf {
    broker: String,
    node: String,
    app: String,
    operator: String,
    danger_short: bool,
}

fn replica() -> String {
    "b1".into()
}

fn commit() -> String {
    "strict".into()
}

fn drain() -> String {
    "30s".into()
}

impl Default for RawLog {
    fn default() -> Self {
        Self { format: "text".into(), filter: "info".into() }
    }
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            in_flight: 4_096,
            in_flight_per_organisation: 1_024,
            connections: MAX_CONNECTIONS,
            tunnels: TUNNELS,
            request_bytes: 16 * 1024 * 1024,
            control_frames_per_second: Allowance::PER_SECOND as usize,
            request_memory: 512 * 1024 * 1024,
            decision_time: humantime::format_duration(TARGET).to_string(),
        }
    }
}

impl Default for RawLeaf {
    fn default() -> Self {
        Self {
            broker: "24h".into(),
            node: "24h".into(),
            app: "24h".into(),
            operator: "24h".into(),
            danger_short: false,
        }
    }
}

fn check(raw: Raw, folder: &Path) -> Result<Config, Vec<Problem>> {
    let mut checks = Checks::default();
    let config = Some(()).and_then(|()| {
        let listen = checks.parse("listen", &raw.listen, LISTEN);
        let bundles = raw.bundles.map(|bundles| checks.parse("bundles.listen", &bundles.listen, LISTEN));
        let metrics = raw
            .metrics
            .map(|metrics| metrics.address().map_or_else(|problem| checks.problem("metrics.listen", problem), Some));
        let advertise = checks.list(
            "advertise",
            &raw.advertise,
            "list how members reach this broker, such as [\"broker.fed.example:7443\"]",
        );
        let tables = checks.tables(raw.tables.map(|tables| folder.join(tables)).as_deref());
        let places = checks.places(&raw.places, tables.as_deref());
        let replica = checks.valid("replica", &raw.replica);
        let log = checks.log(raw.log);
        let limits = checks.limits(&raw.limits);
        let leaf = checks.leaf(&raw.leaf);
        let commit = match raw.commit.as_str() {
            "strict" => Some(Commit::Strict),
            "overlapped" => Some(Commit::Overlapped),
            other => checks.problem("commit", comity_types::Invalid::new(other, "\"strict\" or \"overlapped\"")),
        };
        let budgets = raw.budgets.map(|budgets| checks.budgets(&folder.join(budgets)));
        let witnesses = raw.witnesses.map(|witnesses| checks.policy(&folder.join(witnesses.policy)));
        let drain = checks.duration("drain", &raw.drain, Duration::ZERO..=MAX_DRAIN);
        Some(Config {
            listen: listen?,
            advertise: advertise?,
            data_dir: folder.join(&raw.data_dir),
            replica: replica?,
            places: places?.into_iter().collect(),
            tables: tables?,
            log: log?,
            limits: limits?,
            leaf: leaf?,
            bundles: bundles.map_or(Some(None), |bundles| bundles.map(Some))?,
            metrics: metrics.map_or(Some(None), |metrics| metrics.map(Some))?,
            traces: checks.traces(raw.traces),
            access_log: raw.access_log.map(|mut log| {
                log.anchor(folder);
                log
            }),
            budgets: budgets.map_or(Some(None), |budgets| budgets.map(Some))?,
            witnesses: witnesses.map_or(Some(None), |policy| policy.map(Some))?,
            commit: commit?,
            drain: drain?,
            #[cfg(feature = "bench-unlogged")]
            keeps_nothing: false,
        })
    });
    config.filter(|_| checks.problems.is_empty()).ok_or(checks.problems)
}

/// Collects problems; each check answers `None` when it added one.
#[derive(Debug, Default)]
struct Checks {
    problems: Vec<Problem>,
}

impl Checks {
    fn problem<T>(&mut self, field: &str, problem: impl fmt::Display) -> Option<T> {
        self.problems.push(Problem { field: field.to_owned(), problem: problem.to_string() });
        None
    }

    fn parse<T: FromStr>(&mut self, field: &str, text: &str, expected: &'static str) -> Option<T> {
        text.parse().ok().or_else(|| self.problem(field, comity_types::Invalid::new(text, expected)))
    }

    fn valid<T: FromStr<Err = comity_types::Invalid>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_or_else(|invalid| self.problem(field, invalid), Some)
    }

    fn list<T: FromStr<Err = comity_types::Invalid>>(
        &mut self,
        field: &str,
        texts: &[String],
        empty: &str,
    ) -> Option<Vec<T>> {
        if texts.is_empty() {
            return self.problem(field, format_args!("is empty; {empty}"));
        }
        // Not short-circuited: every wrong item is reported.
        let items: Vec<_> =
            texts.iter().enumerate().map(|(i, text)| self.valid(&format!("{field}[{i}]"), text)).collect();
        items.into_iter().collect()
    }

    fn tables(&mut self, folder: Option<&Path>) -> Option<Arc<Tables>> {
        tables::load(folder).map_or_else(|error| self.problem("tables", chain::text(&error)), Some)
    }

    fn budgets(&mut self, path: &Path) -> Option<Arc<Budgets>> {
        budgets::load(path).map_err(|problems| self.problems.extend(problems)).ok()
    }

    /// Where the broker runs: codes that are assigned. Without tables it is not known which are.
    fn places(&mut self, texts: &[String], tables: Option<&Tables>) -> Option<Vec<Place>> {
        let places: Option<Vec<Place>> = self.list(
            "places",
            texts,
            "list where this broker's machine stands, such as [\"DE\"]: an unknown place would be a leak",
        );
        let tables = tables?;
        for (index, text) in texts.iter().enumerate() {
            if text.parse::<Place>().is_ok()
                && let Err(invalid) = tables.places.parse_known(text)
            {
                return self.problem(&format!("places[{index}]"), invalid);
            }
        }
        places
    }

    fn policy(&mut self, path: &Path) -> Option<Policy> {
        let field = "witnesses.policy";
        let file = std::fs::read(path)
            .map_or_else(|error| self.problem(field, format_args!("cannot read {}: {error}", path.display())), Some)?;
        let wrong = |error| format!("{}: {error} (hint: c2sp.org/tlog-policy, see docs/witnesses.md)", path.display());
        Policy::parse(&file).map_or_else(|error| self.problem(field, wrong(error)), Some)
    }

    fn duration(&mut self, field: &str, text: &str, range: std::ops::RangeInclusive<Duration>) -> Option<Duration> {
        let Ok(duration) = humantime::parse_duration(text) else {
            return self
                .problem(field, comity_types::Invalid::new(text, "a duration with its unit, such as 30s, 24h or 30d"));
        };
        if range.contains(&duration) {
            return Some(duration);
        }
        let (from, to) = (humantime::format_duration(*range.start()), humantime::format_duration(*range.end()));
        self.problem(field, format_args!("{text} is outside {from} to {to}"))
    }

    fn number(&mut self, field: &str, number: usize, range: std::ops::RangeInclusive<usize>) -> Option<usize> {
        if range.contains(&number) {
            return Some(number);
        }
        self.problem(field, format_args!("{number} is outside {} to {}", range.start(), range.end()))
    }

    fn log(&mut self, raw: RawLog) -> Option<Log> {
        let format = match raw.format.as_str() {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            other => self.problem("log.format", comity_types::Invalid::new(other, "\"text\" or \"json\"")),
        };
        if let Err(error) = telemetry::check(&raw.filter) {
            return self.problem("log.filter", chain::text(&error));
        }
        Some(Log { format: format?, filter: raw.filter })
    }

    /// As it is: what is wrong with it is a problem already.
    fn traces(&mut self, traces: Option<traces::Config>) -> Option<traces::Config> {
        for (field, problem) in traces.iter().flat_map(traces::Config::wrong) {
            self.problem::<()>(field, problem);
        }
        traces
    }

    fn limits(&mut self, raw: &RawLimits) -> Option<Limits> {
        let in_flight = self.number("limits.in_flight", raw.in_flight, 1..=MAX_IN_FLIGHT);
        let per_organisation =
            self.number("limits.in_flight_per_organisation", raw.in_flight_per_organisation, 1..=MAX_IN_FLIGHT);
        let connections = self.number("limits.connections", raw.connections, CONNECTIONS);
        let tunnels = self.number("limits.tunnels", raw.tunnels, CONNECTIONS);
        let request_bytes = self.number("limits.request_bytes", raw.request_bytes, REQUEST_BYTES);
        let request_memory = self.request_memory(raw);
        let (field, number) = ("limits.control_frames_per_second", raw.control_frames_per_second);
        let control_frames = self.number(field, number, CONTROL_FRAMES_PER_SECOND);
        let decision_time = self.duration("limits.decision_time", &raw.decision_time, DECISION_TIME);
        Some(Limits {
            in_flight: in_flight?,
            in_flight_per_organisation: per_organisation?,
            connections: connections?,
            tunnels: tunnels?,
            request_bytes: request_bytes?,
            request_memory: request_memory?,
            control_frames_per_second: control_frames.and_then(|number| number.try_into().ok())?,
            decision_time: decision_time?,
            listed: MAX_LISTED,
        })
    }

    /// Enough that one organisation may send one request of the largest size.
    fn request_memory(&mut self, raw: &RawLimits) -> Option<usize> {
        let least = raw.request_bytes.saturating_mul(ORGANISATIONS_PART_OF_MEMORY).min(MAX_REQUEST_MEMORY);
        self.number("limits.request_memory", raw.request_memory, least..=MAX_REQUEST_MEMORY)
    }

    fn leaf(&mut self, raw: &RawLeaf) -> Option<Leaf> {
        let range = if raw.danger_short { MIN_SHORT_LEAF } else { MIN_LEAF }..=MAX_LEAF;
        let broker = self.duration("leaf.broker", &raw.broker, range.clone());
        let node = self.duration("leaf.node", &raw.node, range.clone());
        let app = self.duration("leaf.app", &raw.app, range.clone());
        let operator = self.duration("leaf.operator", &raw.operator, range);
        Some(Leaf { broker: broker?, node: node?, app: app?, operator: operator? })
    }
}
