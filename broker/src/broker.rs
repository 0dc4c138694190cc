//! The broker as a whole: everything is opened and bound before anything is served, then it runs until it
//! is told to stop, or until it can no longer keep what it promises.

mod counted;
mod error;
mod observed;
mod parts;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_runtime::accept::{self, Acceptor, Http2, Listener, Places};
use comity_runtime::calm::Allowance;
use comity_runtime::clock::SystemClock;
use comity_runtime::files::write_durably;
use comity_runtime::tables;
use comity_runtime::tasks::{Closed, Tasks};
use comity_runtime::trailers::TrailerLayer;
use comity_types::ids::Kind;
use comity_types::{Clock, SpiffeId};
use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::ServiceBuilder;

use self::counted::Counted;
pub use self::error::BrokerError;
use self::observed::Observed;
pub(crate) use self::parts::witnesses;
use self::parts::{
    Circles, Journals, acceptor, access, bundles, confirm, door, hosts, links, listener, live, open_registry, services,
};
use crate::bundles::{Bundles, RegistryBundles};
use crate::certificate::{Issuer, OwnCertificate};
use crate::config::{Config, Limits};
use crate::data_dir;
use crate::edge::capacity::Capacity;
use crate::edge::layer::EdgeLayer;
use crate::edge::stop::Stop;
use crate::edge::weight::Memory;
use crate::edge::{Edge, cut};
use crate::founding::Founding;
use crate::health::{self, Trouble};
use crate::ledger::log::DecisionLog;
use crate::ledger::witnesses::{MembershipLog, Witnesses};
use crate::links::Links;
use crate::metrics::{Metrics, Watched};
use crate::registry::admission::Admission;
use crate::registry::authorities::Authorities;
use crate::reload::{Live, Reloads};
use crate::routes::{announce, retire, routes};
use crate::steady::Steady;

/// Calls that one connection may have in flight: an app's pool of connections is small, and its calls are many.
const MAX_STREAMS: u32 = 1_024;
/// How often an idle connection is asked whether its peer is still there: below the minutes after which
/// firewalls forget connections.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// How long the peer has for its answer.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// What may come of one request before it is read, in bytes: hyper's own choice, and far more than prompts have.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same of all requests on a connection: what a caller costs whose messages nobody can use yet. They are read as they
/// come, so that one that waits keeps none of the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW;
/// How long the last work may take after the last call has ended: some writes to a journal.
const LAST_WORK: Duration = Duration::from_secs(5);
/// How long callers have to read why their calls were cut; whoever does not read is not waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Where the broker writes the address that it listens on, once it does.
pub const ADDRESS_FILE: &str = "address";

/// A broker that is bound and not yet served.
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
    witnesses: Option<(Witnesses<MembershipLog>, Witnesses<DecisionLog>)>,
    places: Places,
    counted: Counted,
    observed: Observed,
    front: Tasks,
    tasks: Tasks,
    wall: Arc<dyn Clock>,
    live: Live,
    reloads: Option<Reloads>,
    insisted: BoxFuture<'static, ()>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("address", &self.local_addr()).finish_non_exhaustive()
    }
}

impl Broker {
    /// Opens everything and binds the socket. Nothing is served yet.
    ///
    /// # Errors
    /// A file of the data directory is missing, damaged, in use or of another federation, or the address
    /// cannot be bound.
    pub async fn build(config: Config) -> Result<Self, BrokerError> {
        let wall: Arc<dyn Clock> = Arc::new(SystemClock);
        let clock = Arc::new(Steady::new(Arc::clone(&wall)));
        Self::build_with_clocks(config, wall, clock).await
    }

    /// As [`Broker::build`], with times of one's own: the wall's, by which certificates hold, and the one that is stamped.
    ///
    /// # Errors
    /// Those of [`Broker::build`].
    pub(crate) async fn build_with_clocks(
        config: Config,
        wall: Arc<dyn Clock>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BrokerError> {
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
            clock: Arc::clone(&wall),
        })?;
        tables::announce(&config.tables);
        let metrics = Metrics::default();
        let observed = Observed::open(&config, certificate.id(), &metrics, &clock, &tasks)?;
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
        let circles = witnesses(&config, &founding.root)?
            .map(|Circles { membership, decisions }| (membership, decisions))
            .unzip();
        let membership_witnesses = confirm(&registry, &config, circles.0).await?;
        let (journals, decision_witnesses) =
            Journals::open(&config, founding.decision_log_key, registry.clone(), &clock, circles.1).await?;
        let witnesses = membership_witnesses.zip(decision_witnesses);
        let acceptor = acceptor(&certificate, &registry, &wall)?;
        let source = Arc::new(RegistryBundles::new(registry.clone(), &founding.root));
        let bundles = bundles(&config, source, &certificate, &wall).await?;
        let stop = Stop::default();
        let (capacity, places) = (Capacity::new(config.limits), Places::new(config.limits.connections));
        let edge = Edge::new(registry.clone(), (capacity.clone(), Memory::new(config.limits)), stop.clone());
        let admission = Admission::new(
            registry.clone(),
            journals.enrolments.clone(),
            journals.proposals.clone(),
            Arc::clone(&authorities),
            config.leaf,
            door(&config, founding.root_sha256)?,
            Arc::clone(&clock),
            tasks.clone(),
            metrics.clone(),
        );
        // What was signed while the broker was cut, or in its last moment.
        admission.follow_anchors()?;
        let links = links(&config, &registry, certificate.credentials(), &wall, (&tasks, &metrics));
        let watched = Watched {
            registry,
            links: links.clone(),
            capacity,
            places: places.clone(),
            decisions: journals.ledger.log().clone(),
            budgets: journals.accounts(),
            authorities,
            credentials: certificate.credentials(),
            wall: Arc::clone(&wall),
            clock,
        };
        let live = live(&config, &watched, &admission, &observed, &metrics);
        let access = access(&config, &journals, &watched, &metrics, &tasks, stop);
        let services = services(&watched, admission, &journals, founding.root_json, access, &tasks, front.token());
        let counted = Counted::new(config.metrics, metrics, watched).await?;
        let health = HealthReporter::new();
        let routes = routes(services, &health)?;
        let listener = listener(&config).await?;
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
            observed,
            front,
            tasks,
            wall,
            live,
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

    /// What can change while it runs.
    #[cfg(test)]
    pub(crate) fn live(&self) -> Live {
        self.live.clone()
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The log, for tests that read the state.
    #[cfg(test)]
    pub(crate) fn registry(&self) -> crate::registry::Registry {
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
            observed,
            front,
            tasks,
            wall,
            live,
            reloads,
            insisted,
        } = self;
        let (address, stop, calls) = (listener.local_addr(), front.token(), edge.stop());
        let (incoming, tunnels) = listener.incoming_of(places, acceptor, &front);
        let (registry, watching) = (journals.registry.clone(), tasks.clone());
        let incoming = incoming.inspect_ok(move |connection| cut::watch(&registry, connection, &watching));
        front.spawn("tunnels", links.clone().take_tunnels(tunnels));
        let (credentials, decided_by) = (certificate.credentials(), journals.registry.clone());
        front.spawn("examination", journals.ledger.log().clone().examine(Arc::clone(&wall), stop.clone()));
        let trouble = move || Trouble::of(&credentials, &*wall, decided_by.to_decide_by().err());
        front.spawn("certificate", certificate.keep_fresh(stop.clone()));
        front.spawn("brakes", journals.registry.clone().end_brakes(stop.clone()));
        if let Some(bundles) = bundles {
            bundles.serve(&front);
        }
        if let Some((keeper, _)) = &journals.budgets {
            front.spawn("budgets", keeper.clone().run(stop.clone()));
        }
        if let Some((of_membership, of_decisions)) = witnesses {
            front.spawn("witnesses of membership", of_membership.run(stop.clone()));
            front.spawn("witnesses of decisions", of_decisions.run(stop.clone()));
        }
        announce(&health, ServingStatus::Serving).await;
        front.spawn("health", health::follow(health.clone(), trouble, stop.clone()));
        let address_file = AddressFile::write(&config.data_dir, address)?;
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        let metrics = counted.serve(&front);
        if let Some(reloads) = reloads {
            front.spawn("reload", live.clone().follow(reloads, stop.clone()));
        }
        let service = ServiceBuilder::new()
            .layer(metrics.calls().told_to(observed.observer.clone()))
            .layer(TrailerLayer)
            .layer(EdgeLayer::new(edge))
            .service(routes.prepare());
        let mut served = Box::pin(accept::serve(incoming, http2(config.limits), stop.clone(), service));
        tokio::select! {
            () = shutdown => {}
            cause = journals.failed() => {
                metrics.journal_failed();
                // Whoever watches health is told before the connections break.
                retire(&mut health).await;
                observed.flush().await;
                return Err(BrokerError::JournalFailed { cause });
            }
            () = &mut served => return Ok(()),
        }
        drop(address_file);
        retire(&mut health).await;
        stop.cancel();
        // At once, so that nodes find another broker while the calls that still run go on over the old tunnels.
        let drain = live.drain();
        tasks.spawn("leave", async move { links.ask_to_leave(drain).await });
        tokio::select! {
            () = &mut served => {}
            () = over(drain, insisted) => {
                tracing::warn!(?drain, "calls still ran when the drain ended; they are cut");
                calls.end_calls();
                if tokio::time::timeout(LAST_WORDS, served).await.is_err() {
                    tracing::warn!("some callers did not read why their calls were cut");
                }
            }
        }
        end([&front, &tasks]).await;
        observed.flush().await;
        Ok(())
    }
}

/// How callers are spoken with.
fn http2(limits: Limits) -> Http2 {
    Http2 {
        max_streams: MAX_STREAMS,
        keep_alive: KEEPALIVE_EVERY,
        keep_alive_timeout: KEEPALIVE_ANSWER,
        windows: Some((STREAM_WINDOW, CONNECTION_WINDOW)),
        allowance: Allowance { per_second: limits.control_frames_per_second, ..Allowance::DEFAULT },
    }
}

/// Ends when calls are waited for no longer: their time is over, or somebody insists.
async fn over(drain: Duration, insisted: impl Future<Output = ()>) {
    tokio::select! {
        () = tokio::time::sleep(drain) => {}
        () = insisted => {}
    }
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
