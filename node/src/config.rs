//! `node.toml`: what the node is, the backends behind it, and what it offers.
//!
//! Reading checks names and shapes; [`Config::plan`] checks that the parts fit each
//! other and reports every fault at once. Whether backends answer is [`crate::check`]'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_client::workload_api::Socket;
use comity_identity::Address;
use comity_policy::node_file::OfferEntry;
use comity_policy::{Offer, Tables, Terms};
use comity_runtime::config::{self, line_of, unreadable_hint};
use comity_runtime::tables::{self, TablesError};
use comity_runtime::{access_log, metrics, traces};
use comity_transparency::policy::Policy;
use comity_types::{Name, SpiffeId};
use serde::Deserialize;

mod backend;
mod offer;
#[cfg(test)]
mod tests;

pub use backend::{BackendConfig, BackendError, Kind};
pub use offer::Planned;

use crate::replica::Budgets;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The node itself.
    pub node: Node,
    /// Where its key and certificate come from, if not from `comity-node join`.
    #[serde(default)]
    pub identity: IdentitySource,
    /// Model servers and embedded models, by name.
    #[serde(default)]
    pub backends: BTreeMap<Name, BackendConfig>,
    /// Terms that offers refer to, by name.
    #[serde(default)]
    pub terms: BTreeMap<Name, Terms>,
    /// What the node offers.
    #[serde(default)]
    pub offers: Vec<OfferEntry>,
    /// Where it serves metrics, if it does.
    #[serde(default)]
    pub metrics: Option<metrics::Config>,
    /// Where it sends spans, if it makes any.
    #[serde(default)]
    pub traces: Option<traces::Config>,
    /// Where it writes a line for each call, if it does.
    #[serde(default)]
    pub access_log: Option<access_log::Config>,
    /// Where it is a witness of the federation's logs, if it is one.
    #[serde(default)]
    pub witness: Option<WitnessConfig>,
    /// Whose word counts on what the broker's decision log has published.
    #[serde(default)]
    pub decision_log: DecisionLogConfig,
    /// How old the federation's state may be for some classes of requests.
    #[serde(default)]
    pub staleness: Staleness,
    /// The text that this was read from, to say in which line a misfit stands.
    #[serde(skip)]
    text: String,
}

/// The node itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Where it listens: "address:port"; port 0 takes a free one. Not if it dials out.
    pub listen: Option<String>,
    /// Where the broker reaches it, if not at `listen`.
    pub advertise: Option<String>,
    /// Listen nowhere: dial the broker, which calls over the connections that the node made.
    #[serde(default)]
    pub dial_out: bool,
    /// How many such connections it keeps, [`TUNNELS`]; [`DEFAULT_TUNNELS`] if absent.
    pub tunnels: Option<usize>,
    /// Where it keeps its state. Relative to this file.
    pub data_dir: PathBuf,
    /// Where `join` put its key and certificate; `identity` below `data_dir` if absent. Relative to this file.
    pub identity_dir: Option<PathBuf>,
    /// A folder with the federation's own tables; those that ship if absent. Relative to this file.
    pub tables: Option<PathBuf>,
    /// How long it goes on without hearing of the federation's state: 1m to 24h, 15m if absent. Whoever is suspended
    /// meanwhile could go on as long, if the broker hid it.
    #[serde(default = "max_staleness", deserialize_with = "staleness")]
    pub max_staleness: Duration,
}

/// As long as a broker takes to be started again by people who were called.
const fn max_staleness() -> Duration {
    Duration::from_secs(15 * 60)
}

/// What may be configured of [`Node::max_staleness`].
const STALENESS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 60 * 60);

fn staleness<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let expected = || serde::de::Error::custom("expected a time from 1m to 24h, such as \"15m\"");
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).ok().filter(|time| STALENESS.contains(time)).ok_or_else(expected)
}

/// Where the node is a witness of the federation's logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Where it listens, by plain HTTP: "address:port". Whatever goes over it proves itself.
    pub listen: String,
    /// Where others reach it, if not at `listen`: what `comity-node witness` shows.
    pub url: Option<String>,
}

impl WitnessConfig {
    /// The address.
    ///
    /// # Errors
    /// It is none; says what would be right.
    pub fn address(&self) -> Result<SocketAddr, String> {
        let wrong = |_| format!("{:?} is no IP address with a port, such as 127.0.0.1:9443", self.listen);
        self.listen.parse().map_err(wrong)
    }

    /// What is wrong with it.
    fn misfits(&self) -> Vec<Misfit> {
        let address = match self.address() {
            Ok(address) => address,
            Err(problem) => return vec![Misfit::new("witness.listen", problem)],
        };
        match &self.url {
            Some(url) => {
                let is_web = url.parse::<url::Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
                let problem = || format!("{url:?} is no address such as https://witness.example");
                (!is_web).then(|| Misfit::new("witness.url", problem())).into_iter().collect()
            }
            None if address.ip().is_unspecified() => {
                let problem = format!(
                    "is missing, and nobody finds a witness at {address}: add the address that others reach, such as \"http://witness.example:9443\""
                );
                vec![Misfit::new("witness.url", problem)]
            }
            None => Vec::new(),
        }
    }
}

/// Whose word counts on what the broker's decision log has published.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionLogConfig {
    /// A file in the form of c2sp.org/tlog-policy: the witnesses that have to have cosigned it. The broker's word alone if
    /// absent. Relative to this file.
    pub policy: Option<PathBuf>,
}

impl DecisionLogConfig {
    /// The policy, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or is none.
    pub fn policy(&self) -> Result<Option<Policy>, Misfit> {
        let Some(path) = &self.policy else { return Ok(None) };
        let misfit = |problem: String| Misfit::new("decision_log.policy", format!("{}: {problem}", path.display()));
        let file = std::fs::read(path).map_err(|error| misfit(format!("cannot be read: {error}")))?;
        let policy = Policy::parse(&file);
        policy.map(Some).map_err(|error| misfit(format!("{error} (hint: c2sp.org/tlog-policy, see docs/witnesses.md)")))
    }
}

/// How old the federation's state may be for some classes of requests: at most as old as for all of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staleness {
    /// For callers that this node has not served since it started; a minute if absent.
    pub new_callers: Option<Budget>,
    /// For some offers, by their ids.
    #[serde(default)]
    pub offers: BTreeMap<Name, Budget>,
}

/// A time from 1m to 24h.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Budget(#[serde(deserialize_with = "staleness")] pub Duration);

/// Where the node's key and certificate come from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySource {
    /// A SPIFFE Workload API, such as `unix:///run/spire/agent.sock`: it hands them out, and the next ones in time.
    pub workload_api: Option<Socket>,
}

/// A part of the file that does not fit the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{path}: {problem}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct Misfit {
    /// The line of the file, counted from 1, where it is known.
    pub line: Option<usize>,
    /// Where, such as `offers.chat.backend`.
    pub path: String,
    /// What is wrong, and how to mend it.
    pub problem: String,
}

impl Misfit {
    /// One whose line is yet to be found.
    #[must_use]
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { line: None, path: path.into(), problem: problem.into() }
    }
}

/// A file that cannot be read as a `node.toml`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be opened.
    #[error("cannot read {path} (hint: {})", unreadable_hint(.source.kind()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its text is wrong; the message shows line, column and field.
    #[error("{path} is not a node.toml\n{problem}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column, the line itself and what was expected.
        problem: String,
    },
}

/// How many tunnels a node may keep: one that breaks must not be the only one, and the broker takes no more than
/// twice the most.
pub const TUNNELS: RangeInclusive<usize> = 2..=8;
/// How many it keeps if nobody says.
pub const DEFAULT_TUNNELS: usize = 2;

impl Node {
    /// How many tunnels it keeps, if it dials out.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.tunnels.unwrap_or(DEFAULT_TUNNELS)
    }

    /// Has it dial out, whatever it listens at.
    pub fn dials_out(&mut self) {
        (self.dial_out, self.listen, self.advertise) = (true, None, None);
    }

    /// What is wrong with the addresses.
    fn misfits(&self) -> Vec<Misfit> {
        let misfit = |field: &str, problem: String| Misfit::new(format!("node.{field}"), problem);
        if let Some(tunnels) = self.tunnels.filter(|tunnels| !TUNNELS.contains(tunnels)) {
            let (least, most) = (TUNNELS.start(), TUNNELS.end());
            return vec![misfit("tunnels", format!("is {tunnels}: a node keeps {least} to {most}"))];
        }
        if self.dial_out {
            let stated = [("listen", &self.listen), ("advertise", &self.advertise)];
            let beside = stated.into_iter().filter(|(_, address)| address.is_some());
            let problem = "stands beside `dial_out = true`, by which the node listens nowhere: take one of the two out";
            return beside.map(|(field, _)| misfit(field, problem.to_owned())).collect();
        }
        let Some(listen) = &self.listen else {
            let problem = "is missing: add the address to listen at, such as \"127.0.0.1:7443\", or `dial_out = true` where the broker cannot reach this node";
            return vec![misfit("listen", problem.to_owned())];
        };
        // An IP address may have port 0, which a name to dial may not.
        let socket = listen.parse::<SocketAddr>().ok();
        let names = [("listen", Some(listen).filter(|_| socket.is_none())), ("advertise", self.advertise.as_ref())];
        let mut misfits: Vec<_> = names
            .into_iter()
            .filter_map(|(field, address)| Some(misfit(field, address?.parse::<Address>().err()?.to_string())))
            .collect();
        let everywhere = socket.is_some_and(|address| address.ip().is_unspecified());
        if everywhere && self.advertise.is_none() {
            let problem =
                format!("is missing, and no broker finds a node at {listen}: add the address that it can reach");
            misfits.push(misfit("advertise", problem));
        }
        misfits
    }
}

/// Line, column, the path of the key, what was expected, and the line itself.
fn placed(error: &config::ConfigError) -> String {
    match error {
        config::ConfigError::Mistake(mistake) => {
            let config::Mistake { line, column, key, problem, frame, .. } = mistake.as_ref();
            format!("line {line}, column {column}: {key}: {problem}\n{frame}")
        }
        error @ (config::ConfigError::Unreadable { .. } | config::ConfigError::TooLarge { .. }) => error.to_string(),
    }
}

impl Config {
    /// Reads a file; paths in it become relative to its folder.
    ///
    /// # Errors
    /// If it cannot be read; says the line, the column and the field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Self = config::parse(path, &text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), problem: placed(&error) })?;
        let mut config = Self { text, ..config };
        config.anchor(path.parent().unwrap_or_else(|| Path::new("")));
        Ok(config)
    }

    /// Reads a text, with its paths as they are.
    ///
    /// # Errors
    /// If it is not a `node.toml`.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let config = toml::from_str::<Self>(text)?;
        Ok(Self { text: text.to_owned(), ..config })
    }

    /// The text that it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How old the federation's state may be, by class.
    #[must_use]
    pub fn budgets(&self) -> Budgets {
        let Staleness { new_callers, offers } = &self.staleness;
        let mut budgets = Budgets::from(self.node.max_staleness);
        if let Some(Budget(budget)) = new_callers {
            budgets.new_callers = *budget;
        }
        budgets.offers = offers.iter().map(|(offer, Budget(budget))| (offer.clone(), *budget)).collect();
        budgets
    }

    /// What is wrong with the budgets of classes, and with where metrics and spans go.
    fn misfits(&self) -> Vec<Misfit> {
        let Staleness { new_callers, offers } = &self.staleness;
        let classes = new_callers.iter().map(|budget| ("staleness.new_callers".to_owned(), budget));
        let classes = classes.chain(offers.iter().map(|(id, budget)| (format!("staleness.offers.{id}"), budget)));
        let longer = classes.filter(|(_, budget)| budget.0 > self.node.max_staleness).map(|(path, _)| {
            Misfit::new(path, "is longer than node.max_staleness, after which the node serves nobody: shorten it")
        });
        let unknown = offers.keys().filter(|id| self.offers.iter().all(|offer| offer.id != **id)).map(|id| {
            Misfit::new(
                format!("staleness.offers.{id}"),
                "there is no such offer: correct the id, or take the line out",
            )
        });
        let metrics = self.metrics.as_ref().and_then(|metrics| metrics.address().err());
        let metrics = metrics.map(|problem| Misfit::new("metrics.listen", problem));
        let traces = self.traces.iter().flat_map(traces::Config::wrong);
        let traces = traces.map(|(field, problem)| Misfit::new(field, problem));
        let witness = self.witness.iter().flat_map(WitnessConfig::misfits);
        let policy = self.decision_log.policy().err();
        longer.chain(unknown).chain(metrics).chain(traces).chain(witness).chain(policy).collect()
    }

    /// Where the key and the certificate are.
    #[must_use]
    pub fn identity_dir(&self) -> PathBuf {
        self.node.identity_dir.clone().unwrap_or_else(|| self.node.data_dir.join("identity"))
    }

    /// What the node decides by: the tables that ship, or those of the federation's folder.
    ///
    /// # Errors
    /// The folder cannot be used: the file, the row and the field.
    pub fn tables(&self) -> Result<Arc<Tables>, TablesError> {
        tables::load(self.node.tables.as_deref())
    }

    /// What the node with this identity offers, or every part that does not fit.
    ///
    /// # Errors
    /// All misfits, not the first.
    pub fn plan(&self, node: &SpiffeId, tables: &Tables) -> Result<Vec<Planned>, Vec<Misfit>> {
        offer::plan(self, node, tables).map_err(|misfits| self.placed(misfits))
    }

    /// What the node with this identity means to publish, as it would sign it: all but the digests of models that it finds
    /// out when it opens their files.
    ///
    /// # Errors
    /// All misfits of offers and terms, not the first.
    pub fn intended(&self, node: &SpiffeId, tables: &Tables) -> Result<Vec<Offer>, Vec<Misfit>> {
        offer::intended(self, node, tables).map_err(|misfits| self.placed(misfits))
    }

    /// The misfits with their lines, as far as the file is known, in the file's order.
    #[must_use]
    pub fn placed(&self, misfits: Vec<Misfit>) -> Vec<Misfit> {
        let place = |misfit: Misfit| Misfit { line: misfit.line.or_else(|| self.line_of(&misfit.path)), ..misfit };
        let mut placed: Vec<_> = misfits.into_iter().map(place).collect();
        placed.sort_by_key(|misfit| misfit.line.unwrap_or(usize::MAX));
        placed
    }

    /// The line of a path such as `offers.chat.backend`; of two offers with one id, the later is meant.
    fn line_of(&self, path: &str) -> Option<usize> {
        let mut keys: Vec<&str> = path.split(['.', '[']).map(|key| key.trim_end_matches(']')).collect();
        let index = match keys.as_slice() {
            ["offers", id, ..] => Some(self.offers.iter().rposition(|offer| offer.id.as_str() == *id)?.to_string()),
            _ => None,
        };
        if let (Some(index), Some(key)) = (&index, keys.get_mut(1)) {
            *key = index;
        }
        line_of(&self.text, &keys)
    }

    fn anchor(&mut self, base: &Path) {
        self.node.data_dir = base.join(&self.node.data_dir);
        self.node.identity_dir = self.node.identity_dir.take().map(|dir| base.join(dir));
        self.node.tables = self.node.tables.take().map(|dir| base.join(dir));
        self.decision_log.policy = self.decision_log.policy.take().map(|file| base.join(file));
        if let Some(log) = &mut self.access_log {
            log.anchor(base);
        }
        for backend in self.backends.values_mut() {
            backend.anchor(base);
        }
    }
}
