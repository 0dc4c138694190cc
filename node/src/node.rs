//! The node as a whole: built (everything checked, the socket bound if there is one), run, drained.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_client::connection::ConnectionError;
use comity_client::enrol::has_asked;
use comity_client::workload_api::WorkloadError;
use comity_client::{Connection, Identity};
use comity_identity::Root;
use comity_identity::anchors::AnchorError;
use comity_identity::root::RootError;
use comity_identity::store::{ROOT_FILE, StoreError};
use comity_membership::offer_digest;
use comity_policy::Offer;
use comity_runtime::clock::SystemClock;
use comity_runtime::health;
use comity_runtime::tables::{self, TablesError};
use comity_runtime::tasks::{Closed, Tasks};
use comity_runtime::web::Endpoint;
use comity_types::Clock;
use comity_witness::{Silent, StationError};
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::config::{BackendError, Config, Misfit};
use crate::guard::{DecisionLog, EvidenceFault, Guard, LogHistory, Seen, SeenError};
use crate::health::{Health, Watched};
use crate::link::{LastWord, LastWordError, Publication, Publisher};
use crate::log_watch::{LogWatch, LogWatchError};
use crate::reload::{Live, Reloads};
use crate::replica::Replica;
use crate::retry::Pace;
use crate::serve::{OutcomeSigner, Server};
use crate::witness::Witness;
use crate::workload::{self, Source};
use crate::{files, metrics, renewal};

mod front;
mod observed;
mod offers;
mod services;
#[cfg(test)]
mod tests;
mod tunnels;

use front::Front;
use observed::Observed;
pub(crate) use offers::load as load_backend;
use services::Services;

/// How long calls may go on after the node was asked to stop: most answers are done by then.
pub const DRAIN: Duration = Duration::from_secs(10);
/// How long the node waits for the federation's state before it publishes: a broker that is there sends it at once.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// Where the node listens; in the data directory, once it does.
pub const ADDRESS_FILE: &str = "address";
/// The epoch at which the offers are published; in the data directory, once they are.
pub const READY_FILE: &str = "ready";

/// A node that is ready to run.
pub struct Node {
    identity: Identity,
    renewal: Renewal,
    connection: Connection,
    replica: Replica,
    last_word: LastWord,
    server: Server,
    offers: Vec<Offer>,
    front: Front,
    address: String,
    data_dir: PathBuf,
    pace: Pace,
    lock: File,
    metrics: Option<Endpoint>,
    observed: Observed,
    witness: Option<Witness>,
    history: LogHistory,
    log_watch: LogWatch,
    text: String,
    reloads: Option<Reloads>,
    insisted: BoxFuture<'static, ()>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Parts of the configuration do not fit each other.
    #[error("{}", misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Misfits {
        /// Every one.
        misfits: Vec<Misfit>,
    },
    /// The identity cannot be used.
    #[error("this node has no identity that it can use (hint: `comity-node join INVITE --config FILE` gets one)")]
    Identity(#[from] StoreError),
    /// The Workload API hands out no identity that it can use.
    #[error("identity.workload_api")]
    Workload(#[from] WorkloadError),
    /// The invite was taken up, and its identity is not complete.
    #[error(
        "this node has taken up an invite, and has no identity yet (hint: `comity-node run` waits until it is complete)"
    )]
    Waiting,
    /// The root document cannot be used.
    #[error("the federation's root document cannot be used")]
    Root(#[from] RootError),
    /// The root's certificates are no anchors.
    #[error("the federation's authorities cannot be used")]
    Anchors(#[from] AnchorError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The broker cannot be called.
    #[error("the broker cannot be called")]
    Connection(#[from] ConnectionError),
    /// A backend cannot be set up.
    #[error("backends.{name}")]
    Backend {
        /// Its name in the file.
        name: String,
        /// Why.
        #[source]
        source: BackendError,
    },
    /// The tables that it decides by cannot be used.
    #[error("node.tables cannot be used")]
    Tables(#[from] TablesError),
    /// The address cannot be bound.
    #[error("node.listen: cannot listen at {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address for metrics cannot be bound.
    #[error("metrics.listen: cannot listen at {address}")]
    ListenForMetrics {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Spans cannot be sent, which the plan refuses.
    #[error("traces.endpoint: {problem}")]
    Traces {
        /// Why.
        problem: String,
    },
    /// The access log cannot be written.
    #[error(transparent)]
    AccessLog(#[from] comity_runtime::access_log::Unwritable),
    /// The address for the witness cannot be bound.
    #[error("witness.listen: cannot listen at {address}")]
    ListenForWitness {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The witness cannot start.
    #[error(transparent)]
    Witness(#[from] StationError),
    /// The decision log cannot be watched.
    #[error(transparent)]
    LogWatch(#[from] LogWatchError),
    /// Whether the decision log was convicted cannot be known.
    #[error(transparent)]
    Evidence(#[from] EvidenceFault),
    /// What it signed last cannot be known.
    #[error(transparent)]
    LastWord(#[from] LastWordError),
    /// Which requests it let in cannot be known.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// The configuration has no witness.
    #[error(
        "the configuration has no [witness] (hint: add it, with the address where it listens; see deploy/node.example.toml)"
    )]
    NoWitness,
    /// The root document's key of the membership log is none.
    #[error("the federation's root document has no usable key of its log")]
    LogKey,
    /// A file cannot be written or read.
    #[error("{} cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process runs with the same data directory.
    #[error(
        "node.data_dir: another comity-node runs with {} (hint: stop that one first; a second node needs a data_dir and an invite of its own)", data_dir.display()
    )]
    InUse {
        /// The directory.
        data_dir: PathBuf,
    },
}

impl Node {
    /// Checks everything, opens the backends and binds the socket; serves nothing yet.
    ///
    /// # Errors
    /// The configuration, the identity or a backend cannot be used, or the address is taken.
    pub async fn build(config: &Config) -> Result<Self, NodeError> {
        Self::build_with_clock(config, Arc::new(SystemClock)).await
    }

    /// Like [`Node::build`], by another clock: it says which certificates and permits hold, and when to renew.
    ///
    /// # Errors
    /// As for [`Node::build`].
    pub async fn build_with_clock(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, NodeError> {
        let (identity, renewal) = identity(config, clock).await?;
        let tables = config.tables()?;
        let planned = config.plan(identity.id(), &tables).map_err(|misfits| NodeError::Misfits { misfits })?;
        files::make_directory(&config.node.data_dir)?;
        let lock = files::lock(&config.node.data_dir)?;
        let backends = offers::open(config).await?;
        let routes = offers::routes(planned, &backends);
        let offers: Vec<Offer> = routes.offers().cloned().collect();
        let root_sha256 = root_digest(&identity)?;
        let replica = Replica::open(&config.node.data_dir, &identity, root_sha256, config.budgets());
        tables::announce(&tables);
        let key = Arc::new(identity.dir().key()?);
        let signer = OutcomeSigner { key, replica: replica.clone(), clock: Arc::clone(identity.clock()) };
        let witness = Witness::open(config, &identity).await?;
        let silent = witness.as_ref().map(Witness::silent);
        let history = history(&identity, &config.node.data_dir, silent)?;
        let log_watch = watch_log(config, &identity, history.clone())?;
        let last_word = LastWord::open(&config.node.data_dir)?;
        let seen = Seen::open(&config.node.data_dir, identity.clock().now())?;
        let guard = guard(&identity, history.clone(), seen, &offers);
        let server = Server::new(guard, routes, tables, signer);
        let front = Front::build(config, &identity, &replica).await?;
        let address = front.address(config);
        let metrics = bind_metrics(config).await?;
        let observed = Observed::open(config, server.metrics())?;
        let connection = Connection::open(&identity)?;
        let data_dir = config.node.data_dir.clone();
        let pace = Pace::default();
        Ok(Self {
            identity,
            renewal,
            connection,
            replica,
            last_word,
            server,
            offers,
            front,
            address,
            data_dir,
            pace,
            lock,
            metrics,
            observed,
            witness,
            history,
            log_watch,
            text: config.text().to_owned(),
            reloads: None,
            insisted: Box::pin(std::future::pending()),
        })
    }

    /// Reads its configuration again whenever it is asked to.
    #[must_use]
    pub fn reloading(self, reloads: Reloads) -> Self {
        Self { reloads: Some(reloads), ..self }
    }

    /// Waits for no call any more once `insisted` ends.
    #[must_use]
    pub fn ending_at_once(self, insisted: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { insisted: Box::pin(insisted), ..self }
    }

    /// Where it listens; nowhere if it dials the broker.
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.front.local_addr()
    }

    /// Where it serves metrics, if it does.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Endpoint::local_addr)
    }

    /// Where it is a witness, if it is one.
    #[must_use]
    pub fn witness_addr(&self) -> Option<SocketAddr> {
        self.witness.as_ref().map(Witness::local_addr)
    }

    /// Serves until `shutdown` ends, then lets calls finish for at most [`DRAIN`].
    ///
    /// # Errors
    /// A file in the data directory cannot be written.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), NodeError> {
        let Self {
            identity,
            renewal,
            connection,
            replica,
            last_word,
            server,
            offers,
            front,
            address,
            data_dir,
            pace,
            lock,
            metrics,
            observed,
            witness,
            history,
            log_watch,
            text,
            reloads,
            insisted,
        } = self;
        let ready = data_dir.join(READY_FILE);
        files::remove(&ready)?;
        let tasks = Tasks::new();
        let observer = observed.start(&identity, server.metrics(), &tasks)?;
        front.announce(&data_dir.join(ADDRESS_FILE), identity.id())?;
        let stop = tasks.token();
        let broker = identity.root().broker.clone();
        let publication = Publication { node: identity.id().clone(), address, offers };
        let publisher = Publisher {
            connection: connection.clone(),
            key: Arc::new(identity.dir().key()?),
            federation: identity.dir().identity()?.federation_root,
            replica: replica.clone(),
            last_word,
            clock: Arc::clone(identity.clock()),
            pace,
        };
        let reachable = front.reachable();
        let published = publish(publisher, publication, ready);
        let published = async move {
            // Not before the broker can call: whoever is led here would be led in vain.
            reachable.cancelled().await;
            published.await;
        };
        if let Some(endpoint) = metrics {
            let counted = server.metrics().clone();
            let (identity, replica, history) = (identity.clone(), replica.clone(), history.clone());
            let watched = metrics::Watched { identity, replica, history };
            comity_runtime::metrics::serve(endpoint, &tasks, move || counted.text(&watched));
        }
        if let Some(witness) = witness {
            witness.serve(&tasks);
        }
        if let Some(reloads) = reloads {
            let (node, replica, metrics) = (identity.id().clone(), replica.clone(), server.metrics().clone());
            let live = Live { text, node, replica, access_log: observed.log.clone(), metrics };
            tasks.spawn("reload", live.follow(reloads, stop.clone()));
        }
        let health = Health::new().await;
        let file = data_dir.join(health::FILE);
        let work = server.work();
        let watched = Watched { identity: identity.clone(), replica: replica.clone(), history, work, file };
        tasks.spawn("health", health.clone().follow(watched, pace, stop.clone()));
        tasks.spawn("replica", replica.follow(connection.channel(), pace, stop.clone()));
        tasks.spawn("log", log_watch.follow(connection.clone(), pace, stop.clone()));
        tasks.spawn("renewal", until(&stop, renew(identity, renewal, pace)));
        tasks.spawn("offers", until(&stop, published));
        let mut served = front.serve(Services { server, health, observer }, broker, pace, &tasks);
        tokio::select! {
            () = &mut served => {}
            () = shutdown => drain(&tasks, served, insisted).await,
        }
        finish(&tasks).await;
        observed.flush().await;
        // Until nothing of this node is left, the directory is nobody else's.
        drop(lock);
        Ok(())
    }
}

async fn bind_metrics(config: &Config) -> Result<Option<Endpoint>, NodeError> {
    // The plan has refused a file with another.
    let Some(address) = config.metrics.as_ref().and_then(|metrics| metrics.address().ok()) else { return Ok(None) };
    let bound = Endpoint::bind(address).await;
    bound.map(Some).map_err(|source| NodeError::ListenForMetrics { address, source })
}

/// Takes no more calls, and waits for those that are there, unless somebody insists.
async fn drain(tasks: &Tasks, served: impl Future<Output = ()>, insisted: impl Future<Output = ()>) {
    tasks.token().cancel();
    tokio::select! {
        () = served => return,
        () = tokio::time::sleep(DRAIN) => {}
        () = insisted => {}
    }
    tracing::info!(seconds = DRAIN.as_secs(), "calls were still running, they are cut");
}

async fn finish(tasks: &Tasks) {
    match tasks.close(DRAIN).await {
        Closed::Drained => tracing::info!("stopped"),
        Closed::Abandoned { tasks } => tracing::warn!(tasks, "stopped, tasks were still running"),
    }
}

/// Runs `work` until the node is to stop.
fn until(
    stop: &tokio_util::sync::CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let stop = stop.clone();
    async move { stop.run_until_cancelled(work).await.unwrap_or(()) }
}

async fn publish(publisher: Publisher, publication: Publication, ready: PathBuf) {
    let (offers, address) = (publication.offers.len(), publication.address.clone());
    let published = |epoch: u64| {
        tracing::info!(epoch, offers, address, "published");
        if let Err(error) = files::write(&ready, &epoch.to_string()) {
            tracing::error!(error = crate::error_chain(&error), "cannot say that the node is ready");
        }
    };
    // The version of its statement follows from the state: better known first than guessed.
    let _known = tokio::time::timeout(FIRST_WORD, publisher.replica.heard()).await.is_ok();
    publication.keep(&publisher, published).await;
}

/// Where fresh certificates come from.
#[derive(Debug)]
enum Renewal {
    /// The broker, for the key that joined.
    Broker,
    /// A Workload API, with keys of its own; asked already.
    Workload(Box<Source>),
}

async fn renew(identity: Identity, renewal: Renewal, pace: Pace) {
    match renewal {
        Renewal::Broker => renewal::renew(&identity, pace).await,
        Renewal::Workload(source) => source.follow(&identity, pace).await,
    }
}

/// Who the node of this configuration is.
///
/// # Errors
/// It has no identity that it can use.
pub async fn own_identity(config: &Config) -> Result<Identity, NodeError> {
    Ok(identity(config, Arc::new(SystemClock)).await?.0)
}

async fn identity(config: &Config, clock: Arc<dyn Clock>) -> Result<(Identity, Renewal), NodeError> {
    let dir = config.identity_dir();
    if let Some(socket) = &config.identity.workload_api {
        let (identity, source) = workload::open(&dir, socket, clock).await?;
        return Ok((identity, Renewal::Workload(Box::new(source))));
    }
    let opened = Identity::open_with_clock(&dir, clock);
    let identity =
        opened.map_err(|error| if has_asked(&dir) { NodeError::Waiting } else { NodeError::Identity(error) })?;
    // Not by its connections: here what becomes of it is logged.
    Ok((identity.renewed_elsewhere(), Renewal::Broker))
}

fn root_digest(identity: &Identity) -> Result<comity_types::Digest, NodeError> {
    let path = identity.dir().path().join(ROOT_FILE);
    let bytes = std::fs::read(&path).map_err(|source| NodeError::File { path, source })?;
    Ok(Root::digest(&bytes))
}

fn history(
    identity: &Identity,
    data_dir: &Path,
    silent: Option<watch::Receiver<Vec<Silent>>>,
) -> Result<LogHistory, EvidenceFault> {
    let root = identity.root();
    LogHistory::new(&root.decision_log_origin(), &root.decision_log, data_dir.join(files::LOG_EVIDENCE), silent)
}

fn watch_log(config: &Config, identity: &Identity, history: LogHistory) -> Result<LogWatch, NodeError> {
    let policy = config.decision_log.policy().map_err(|misfit| NodeError::Misfits { misfits: vec![misfit] })?;
    let clock = identity.clock();
    Ok(LogWatch::open(&config.node.data_dir, identity.root(), policy, history, &**clock)?)
}

fn guard(identity: &Identity, history: LogHistory, seen: Seen, offers: &[Offer]) -> Guard {
    let digests: HashMap<_, _> = offers.iter().map(|offer| (offer.name(), offer_digest(offer))).collect();
    let log =
        DecisionLog { origin: identity.root().decision_log_origin(), key: identity.root().decision_log_verifier() };
    Guard::new(identity.id().clone(), (log, history), digests, seen, Arc::clone(identity.clock()))
}
