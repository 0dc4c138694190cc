//! The broker as a whole: everything is opened and bound before anything is served, then it runs until it
//! is told to stop, or until it can no longer keep what it promises.

mod counted;
mod error;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comity_identity::tls::{enrolment_server_config, public_server_config, server_config, tunnel_server_config};
use comity_identity::{AnchorSource, HostName, Root, SharedAnchors};
use comity_membership::Genesis;
use comity_runtime::accept::{self, Acceptor, Listener, Places};
use comity_runtime::clock::SystemClock;
use comity_runtime::metrics::CallsLayer;
use comity_runtime::quotas::Quotas;
use comity_runtime::tables;
use comity_runtime::tasks::{Closed, Tasks};
use comity_runtime::trailers::TrailerLayer;
use comity_transparency::{LogKey, NoteKey};
use comity_types::ids::Kind;
use comity_types::{Clock, SpiffeId};
use comity_witness::Circle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::layer::util::{Identity, Stack};

use self::counted::Counted;
pub use self::error::BrokerError;
use crate::access::{Access, Parts};
use crate::bundles::{Bundles, RegistryBundles};
use crate::certificate::{Issuer, OwnCertificate};
use crate::config::Config;
use crate::data_dir;
use crate::edge::Edge;
use crate::edge::capacity::Capacity;
use crate::edge::layer::EdgeLayer;
use crate::edge::stop::Stop;
use crate::founding::Founding;
use crate::health;
use crate::ledger::decisions::Ledger;
use crate::ledger::witnesses::Witnesses;
use crate::links::Links;
use crate::metrics::{Metrics, Watched};
use crate::registry::admission::{Admission, Door};
use crate::registry::authorities::Authorities;
use crate::registry::enrolments::store::Store;
use crate::registry::proposals::Proposals;
use crate::registry::publishing::Publishing;
use crate::registry::{Opening, Registry};
use crate::routes::{Services, announce, retire, routes};
use crate::rpc::{catalog, enrolment, inference, membership, transparency};
use comity_runtime::files::write_durably;

/// Calls that one connection may have in flight: an app's pool of connections is small, and its calls are many.
const MAX_STREAMS: u32 = 1_024;
/// How often an idle connection is asked whether its peer is still there: below the minutes after which
/// firewalls forget connections.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// How long the peer has for its answer.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// How long the last work may take after the last call has ended: some writes to a journal.
const LAST_WORK: Duration = Duration::from_secs(5);
/// How long callers have to read why their calls were cut; whoever does not read is not waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Where the broker writes the address that it listens on, once it does.
pub const ADDRESS_FILE: &str = "address";
/// Beside what is advertised, so that clients on the same machine that check host names get in.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A broker that is bound and not yet served.
#[derive(Debug)]
pub struct Broker {
    config: Config,
    listener: Listener,
    bundles: Option<Bundles>,
    acceptor: Acceptor,
    certificate: OwnCertificate,
    edge: Edge,
    routes: Routes,
    links: Links,
    health: HealthReporter,
    journals: Journals,
    witnesses: Option<Witnesses>,
    places: Places,
    counted: Counted,
    front: Tasks,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
}

impl Broker {
    /// Opens everything and binds the socket. Nothing is served yet.
    ///
    /// # Errors
    /// A file of the data directory is missing, damaged, in use or of another federation, or the address
    /// cannot be bound.
    pub async fn build(config: Config) -> Result<Self, BrokerError> {
        Self::build_with_clock(config, Arc::new(SystemClock)).await
    }

    /// As [`Broker::build`], with a time of one's own.
    ///
    /// # Errors
    /// Those of [`Broker::build`].
    pub async fn build_with_clock(config: Config, clock: Arc<dyn Clock>) -> Result<Self, BrokerError> {
        let founding = Founding::read(&config.data_dir)?;
        let own_id = SpiffeId::new(founding.root.federation.clone(), Kind::Broker, config.replica.clone());
        founding.check_broker(&own_id)?;
        let (tasks, front) = (Tasks::new(), Tasks::new());
        let authorities = Arc::new(Authorities::new(&data_dir::authorities(&config.data_dir)));
        authorities.check_private()?;
        let authority = authorities.find(&founding.root.federation)?;
        let certificate = OwnCertificate::new(Issuer {
            authority,
            id: own_id,
            hosts: hosts(&config),
            life: config.leaf.broker,
            clock: Arc::clone(&clock),
        })?;
        tables::announce(&config.tables);
        let metrics = Metrics::default();
        let registry = open_registry(
            &config,
            founding.genesis(),
            founding.log_key,
            &founding.root,
            &clock,
            &tasks,
            metrics.clone(),
        )
        .await?;
        let circle = witnesses(&config, &founding.root)?;
        let (journals, witnesses) =
            Journals::open(&config, founding.decision_log_key, registry.clone(), &clock, circle).await?;
        let acceptor = acceptor(&certificate, &registry, &clock)?;
        let source = Arc::new(RegistryBundles::new(registry.clone(), &founding.root));
        let bundles = bundles(&config, source, &certificate, &clock).await?;
        let stop = Stop::default();
        let (capacity, places) = (Capacity::new(config.limits), Places::new(config.limits.connections));
        let edge = Edge::new(registry.clone(), capacity.clone(), stop.clone());
        let door = Door {
            root_sha256: founding.root_sha256,
            address: config.advertise.first().cloned().ok_or(BrokerError::NotAdvertised)?,
        };
        let admission = Admission::new(
            registry.clone(),
            journals.enrolments.clone(),
            journals.proposals.clone(),
            authorities,
            config.leaf,
            door,
            Arc::clone(&clock),
            tasks.clone(),
        );
        // What was signed while the broker was cut, or in its last moment.
        admission.follow_anchors()?;
        let links = Links::new(
            registry.clone(),
            certificate.credentials(),
            config.limits.tunnels,
            Arc::clone(&clock),
            tasks.clone(),
        );
        let watched = Watched {
            registry,
            links: links.clone(),
            capacity,
            places: places.clone(),
            decisions: journals.ledger.log().clone(),
            credentials: certificate.credentials(),
            clock: Arc::clone(&clock),
        };
        let access = access(&config, &journals, &watched, &metrics, &tasks, stop);
        let services = services(&watched, admission, &journals, founding.root_json, access, &tasks, front.token());
        let counted = Counted::new(config.metrics, metrics, watched).await?;
        let health = HealthReporter::new();
        let routes = routes(services, &health)?;
        let listener = Listener::bind(&config.listen.to_string())
            .await
            .map_err(|source| BrokerError::Listen { address: config.listen, source })?;
        Ok(Self {
            config,
            listener,
            bundles,
            acceptor,
            certificate,
            edge,
            routes,
            links,
            health,
            journals,
            witnesses,
            places,
            counted,
            front,
            tasks,
            clock,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The log, for tests that read the state.
    #[cfg(test)]
    pub(crate) fn registry(&self) -> Registry {
        self.journals.registry.clone()
    }

    /// Where it serves metrics, if it does.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.counted.local_addr()
    }

    /// Where it serves trust bundles, if it does.
    #[must_use]
    pub fn bundles_addr(&self) -> Option<SocketAddr> {
        self.bundles.as_ref().map(Bundles::local_addr)
    }

    /// Serves until `shutdown` ends, then drains for as long as the configuration says.
    ///
    /// # Errors
    /// A journal fails, or the server does.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), BrokerError> {
        let Self {
            config,
            listener,
            bundles,
            acceptor,
            certificate,
            edge,
            routes,
            links,
            mut health,
            journals,
            witnesses,
            places,
            counted,
            front,
            tasks,
            clock,
        } = self;
        let (address, stop, calls) = (listener.local_addr(), front.token(), edge.stop());
        let (incoming, tunnels) = listener.incoming_of(places, acceptor, &front);
        front.spawn("tunnels", links.clone().take_tunnels(tunnels));
        let credentials = certificate.credentials();
        front.spawn("certificate", certificate.keep_fresh(stop.clone()));
        front.spawn("brakes", journals.registry.clone().end_brakes(stop.clone()));
        if let Some(bundles) = bundles {
            bundles.serve(&front);
        }
        if let Some(witnesses) = witnesses {
            front.spawn("witnesses", witnesses.run(stop.clone()));
        }
        announce(&health, ServingStatus::Serving).await;
        front.spawn("health", health::follow(health.clone(), credentials, clock, stop.clone()));
        let address_file = AddressFile::write(&config.data_dir, address)?;
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        let metrics = counted.serve(&front);
        let server = server(edge, &metrics);
        let one = |one, drain| server.clone().add_routes(routes.clone()).serve_with_incoming_shutdown(one, drain);
        let mut served = Box::pin(accept::serve(incoming, stop.clone(), one));
        tokio::select! {
            () = shutdown => {}
            cause = journals.failed() => {
                metrics.journal_failed();
                // Whoever watches health is told before the connections break.
                retire(&mut health).await;
                return Err(BrokerError::JournalFailed { cause });
            }
            () = &mut served => return Ok(()),
        }
        drop(address_file);
        retire(&mut health).await;
        stop.cancel();
        // At once, so that nodes find another broker while the calls that still run go on over the old tunnels.
        tasks.spawn("leave", async move { links.ask_to_leave(config.drain).await });
        match tokio::time::timeout(config.drain, &mut served).await {
            Ok(()) => {}
            Err(_) => {
                tracing::warn!(drain = ?config.drain, "calls still ran when the drain ended; they are cut");
                calls.end_calls();
                if tokio::time::timeout(LAST_WORDS, served).await.is_err() {
                    tracing::warn!("some callers did not read why their calls were cut");
                }
            }
        }
        end([&front, &tasks]).await;
        Ok(())
    }
}

/// Everything that has to stay durable for the broker to go on.
#[derive(Debug)]
struct Journals {
    registry: Registry,
    enrolments: Store,
    proposals: Proposals,
    ledger: Ledger,
}

impl Journals {
    async fn open(
        config: &Config,
        key: LogKey,
        registry: Registry,
        clock: &Arc<dyn Clock>,
        circle: Option<Circle>,
    ) -> Result<(Self, Option<Witnesses>), BrokerError> {
        let enrolments = Store::open(&data_dir::enrolments(&config.data_dir))?;
        let proposals = Proposals::open(&data_dir::proposals(&config.data_dir), registry.clone(), Arc::clone(clock))?;
        let decisions = data_dir::decisions(&config.data_dir);
        let (ledger, witnesses) = Ledger::open(&decisions, key, Arc::clone(clock), circle).await?;
        Ok((Self { registry, enrolments, proposals, ledger }, witnesses))
    }

    /// Resolves, to the cause, when the first of them has failed.
    async fn failed(&self) -> Arc<str> {
        tokio::select! {
            cause = self.registry.failed() => cause,
            cause = self.enrolments.failed() => cause,
            cause = self.proposals.failed() => cause,
            cause = self.ledger.failed() => cause,
        }
    }
}

/// The witnesses of the decision log, if the configuration names any.
///
/// # Errors
/// The policy is none for this log.
pub(crate) fn witnesses(config: &Config, root: &Root) -> Result<Option<Circle>, BrokerError> {
    let Some(policy) = &config.witnesses else { return Ok(None) };
    let http = comity_runtime::web::client(None)?;
    Ok(Some(Circle::new(policy.clone(), root.decision_log.to_vec(), &root.federation, &http)?))
}

async fn open_registry(
    config: &Config,
    genesis: Genesis,
    log_key: NoteKey,
    root: &Root,
    clock: &Arc<dyn Clock>,
    tasks: &Tasks,
    metrics: Metrics,
) -> Result<Registry, BrokerError> {
    let opening = Opening {
        genesis,
        log_key,
        trace: data_dir::trace(&config.data_dir, &root.federation),
        federation_anchors: root.organisation_anchors()?,
        anchors: Arc::new(SharedAnchors::default()),
        tables: Arc::clone(&config.tables),
        clock: Arc::clone(clock),
        tasks: tasks.clone(),
        metrics,
    };
    Ok(Registry::open(&data_dir::registry(&config.data_dir), opening).await?)
}

fn acceptor(
    certificate: &OwnCertificate,
    registry: &Registry,
    clock: &Arc<dyn Clock>,
) -> Result<Acceptor, BrokerError> {
    let anchors: Arc<dyn AnchorSource> = registry.anchors();
    let mutual = server_config(certificate.credentials(), Arc::clone(&anchors), Arc::clone(clock))?;
    let tunnels = tunnel_server_config(certificate.credentials(), anchors, Arc::clone(clock))?;
    let enrolment = enrolment_server_config(certificate.credentials(), Arc::clone(clock))?;
    Ok(Acceptor::new(mutual, Some(enrolment))
        .with_tunnels(tunnels)
        .ending_with(certificate.credentials())
        .with_clock(Arc::clone(clock)))
}

async fn bundles(
    config: &Config,
    source: Arc<RegistryBundles>,
    certificate: &OwnCertificate,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Bundles>, BrokerError> {
    let Some(address) = config.bundles else { return Ok(None) };
    let listener = Listener::bind(&address.to_string()).await;
    let listener = listener.map_err(|source| BrokerError::ListenForBundles { address, source })?;
    let tls = public_server_config(certificate.credentials(), Arc::clone(clock))?;
    let acceptor = Acceptor::public(tls).ending_with(certificate.credentials()).with_clock(Arc::clone(clock));
    Ok(Some(Bundles::new(listener, acceptor, source)))
}

fn access(
    config: &Config,
    journals: &Journals,
    watched: &Watched,
    metrics: &Metrics,
    tasks: &Tasks,
    stop: Stop,
) -> Access {
    Access::new(Parts {
        registry: watched.registry.clone(),
        ledger: journals.ledger.clone(),
        links: watched.links.clone(),
        quotas: Quotas::default(),
        places: config.places.clone(),
        commit: config.commit,
        request_bytes: config.limits.request_bytes,
        clock: Arc::clone(&watched.clock),
        tasks: tasks.clone(),
        stop,
        metrics: metrics.clone(),
    })
}

fn services(
    watched: &Watched,
    admission: Admission,
    journals: &Journals,
    root_json: Bytes,
    access: Access,
    tasks: &Tasks,
    stop: CancellationToken,
) -> Services {
    let registry = watched.registry.clone();
    Services {
        enrolment: enrolment::Service::new(admission.clone(), root_json, registry.clone()),
        membership: membership::Service::new(membership::Parts {
            publishing: Publishing::new(registry.clone(), Arc::clone(&watched.clock)),
            registry,
            admission,
            proposals: journals.proposals.clone(),
            links: watched.links.clone(),
            tasks: tasks.clone(),
            stop,
        }),
        catalog: catalog::Catalog::new(access.clone()),
        inference: inference::Inference::new(access),
        transparency: transparency::Service::new(journals.ledger.clone(), Arc::clone(&watched.clock)),
    }
}

fn server(edge: Edge, metrics: &Metrics) -> Server<Layers> {
    Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .layer(metrics.calls())
        .layer(TrailerLayer)
        .layer(EdgeLayer::new(edge))
}

/// What stands before the services, innermost first.
type Layers = Stack<EdgeLayer, Stack<TrailerLayer, Stack<CallsLayer, Identity>>>;

/// The host names in the broker's certificate, each once.
fn hosts(config: &Config) -> Vec<HostName> {
    let advertised = config.advertise.iter().map(|address| address.host().clone());
    // Each of them is a host name, which a client on this machine would notice first.
    let local = LOCAL_HOSTS.iter().filter_map(|host| host.parse().ok());
    let mut hosts = Vec::new();
    for host in advertised.chain(local) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// Waits for tasks that write what was promised; nobody waits for them in vain, so they are short.
async fn end(groups: [&Tasks; 2]) {
    for group in groups {
        if let Closed::Abandoned { tasks } = group.close(LAST_WORK).await {
            tracing::warn!(tasks, "work was left undone");
        }
    }
}

/// The address that is listened on, for whoever started the broker; gone when the broker is.
struct AddressFile(PathBuf);

impl AddressFile {
    fn write(data_dir: &Path, address: SocketAddr) -> Result<Self, BrokerError> {
        let path = data_dir.join(ADDRESS_FILE);
        match write_durably(&path, address.to_string().as_bytes()) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(BrokerError::Address { path, source }),
        }
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // Left behind, it is out of date and nothing worse: the next start replaces it.
        let _removed = std::fs::remove_file(&self.0).is_ok();
    }
}
