//! What a broker is put together from, each part opened from the configuration and the data directory.

use std::sync::Arc;

use bytes::Bytes;
use comity_identity::tls::{enrolment_server_config, public_server_config, server_config, tunnel_server_config};
use comity_identity::{AnchorSource, Credentials, HostName, Root, SharedAnchors};
use comity_membership::Genesis;
use comity_runtime::accept::{Acceptor, Listener};
use comity_runtime::genesis;
use comity_runtime::quotas::Quotas;
use comity_runtime::tasks::Tasks;
use comity_transparency::{LogKey, NoteKey};
use comity_types::{Clock, Digest};
use comity_witness::Circle;
use tokio_util::sync::CancellationToken;

use super::BrokerError;
use super::observed::Observed;
use crate::access::request::Envelopes;
use crate::access::retries::Retries;
use crate::access::{Access, Parts};
use crate::budgets::accounts::Accounts;
use crate::budgets::keeper::Keeper;
use crate::bundles::{Bundles, RegistryBundles};
use crate::certificate::OwnCertificate;
use crate::config::Config;
use crate::data_dir;
use crate::edge::stop::Stop;
use crate::ledger::decisions::Ledger;
use crate::ledger::log::DecisionLog;
use crate::ledger::witnesses::{MembershipLog, Witnesses};
use crate::links::Links;
use crate::metrics::{Metrics, Watched};
use crate::registry::admission::{Admission, Door};
use crate::registry::enrolments::store::Store;
use crate::registry::proposals::Proposals;
use crate::registry::publishing::Publishing;
use crate::registry::{Opening, Registry};
use crate::reload::{self, Live};
use crate::routes::Services;
use crate::rpc::{catalog, enrolment, inference, membership, transparency};

/// Beside what is advertised, so that clients on the same machine that check host names get in.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Everything that has to stay durable for the broker to go on.
#[derive(Debug)]
pub(super) struct Journals {
    pub(super) registry: Registry,
    pub(super) enrolments: Store,
    pub(super) proposals: Proposals,
    pub(super) ledger: Ledger,
    /// What is spent of budgets, where there are some: the accounts, and who keeps them.
    pub(super) budgets: Option<(Keeper, Accounts)>,
    /// Decisions that one list of receipts is looked for among.
    pub(super) listed: usize,
}

impl Journals {
    pub(super) async fn open(
        config: &Config,
        key: LogKey,
        registry: Registry,
        clock: &Arc<dyn Clock>,
        circle: Option<Circle>,
    ) -> Result<(Self, Option<Witnesses<DecisionLog>>), BrokerError> {
        let enrolments = Store::open(&data_dir::enrolments(&config.data_dir))?;
        let proposals = Proposals::open(&data_dir::proposals(&config.data_dir), registry.clone(), Arc::clone(clock))?;
        let decisions = data_dir::decisions(&config.data_dir);
        let (ledger, witnesses) = Ledger::open(&decisions, key, Arc::clone(clock), circle).await?;
        #[cfg(feature = "bench-unlogged")]
        let ledger = if config.keeps_nothing { ledger.keeping_nothing() } else { ledger };
        let budgets = match &config.budgets {
            Some(budgets) => {
                let (path, log) = (data_dir::budgets(&config.data_dir), ledger.log().clone());
                Some(Keeper::open(path, log, Arc::clone(budgets), clock.now()).await?)
            }
            None => None,
        };
        let listed = config.limits.listed;
        Ok((Self { registry, enrolments, proposals, ledger, budgets, listed }, witnesses))
    }

    /// What is spent of budgets, where there are some.
    pub(super) fn accounts(&self) -> Option<Accounts> {
        self.budgets.as_ref().map(|(_, accounts)| accounts.clone())
    }

    /// Resolves, to the cause, when the first of them has failed.
    pub(super) async fn failed(&self) -> Arc<str> {
        tokio::select! {
            cause = self.registry.failed() => cause,
            cause = self.enrolments.failed() => cause,
            cause = self.proposals.failed() => cause,
            cause = self.ledger.failed() => cause,
        }
    }
}

/// Who is asked to cosign each of the two logs.
#[derive(Debug)]
pub(crate) struct Circles {
    pub(super) membership: Circle,
    pub(super) decisions: Circle,
}

/// The witnesses of the broker's logs, if the configuration names any: the same for both.
///
/// # Errors
/// The policy is none for one of them.
pub(crate) fn witnesses(config: &Config, root: &Root) -> Result<Option<Circles>, BrokerError> {
    let Some(policy) = &config.witnesses else { return Ok(None) };
    let http = comity_runtime::web::client(None)?;
    let circle = |keys| Circle::new(policy.clone(), keys, &root.federation, &http);
    let membership = circle(vec![genesis::log_key(root)?])?;
    Ok(Some(Circles { membership, decisions: circle(root.decision_log.to_vec())? }))
}

/// The registry before its witnesses. Where there are any, it waits until enough of them confirm that no statement is
/// missing: before anything is appended, since an old copy that goes on contradicts what it signed.
pub(super) async fn confirm(
    registry: &Registry,
    config: &Config,
    circle: Option<Circle>,
) -> Result<Option<Witnesses<MembershipLog>>, BrokerError> {
    let Some(circle) = circle else { return Ok(None) };
    let log = MembershipLog::new(registry.clone(), data_dir::registry_evidence(&config.data_dir));
    let mut witnesses = Witnesses::new(circle, log);
    witnesses.confirm().await.map_err(BrokerError::Membership)?;
    Ok(Some(witnesses))
}

pub(super) async fn open_registry(
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

pub(super) fn acceptor(
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

pub(super) async fn bundles(
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

/// The socket, bound.
pub(super) async fn listener(config: &Config) -> Result<Listener, BrokerError> {
    let bound = Listener::bind(&config.listen.to_string()).await;
    bound.map_err(|source| BrokerError::Listen { address: config.listen, source })
}

/// Where members are told to come.
pub(super) fn links(
    config: &Config,
    registry: &Registry,
    credentials: Arc<Credentials>,
    wall: &Arc<dyn Clock>,
    (tasks, metrics): (&Tasks, &Metrics),
) -> Links {
    let (tunnels, wall) = (config.limits.tunnels, Arc::clone(wall));
    Links::new(registry.clone(), credentials, tunnels, wall, tasks.clone(), metrics.clone())
}

pub(super) fn door(config: &Config, root_sha256: Digest) -> Result<Door, BrokerError> {
    let address = config.advertise.first().cloned().ok_or(BrokerError::NotAdvertised)?;
    Ok(Door { root_sha256, address })
}

/// What of the configuration can change while the broker runs, and what it then goes to.
pub(super) fn live(
    config: &Config,
    watched: &Watched,
    admission: &Admission,
    observed: &Observed,
    metrics: &Metrics,
) -> Live {
    let parts = reload::Parts {
        capacity: watched.capacity.clone(),
        places: watched.places.clone(),
        links: watched.links.clone(),
        admission: admission.clone(),
        access_log: observed.log.clone(),
        metrics: metrics.clone(),
    };
    Live::new(config.clone(), parts)
}

pub(super) fn access(
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
        retries: Retries::default(),
        budgets: watched.budgets.clone(),
        envelopes: Envelopes::default(),
        places: config.places.clone(),
        commit: config.commit,
        request_bytes: config.limits.request_bytes,
        clock: Arc::clone(&watched.clock),
        tasks: tasks.clone(),
        deciding: watched.capacity.deciding().clone(),
        stop,
        metrics: metrics.clone(),
    })
}

pub(super) fn services(
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
        enrolment: enrolment::Service::new(enrolment::Parts {
            admission: admission.clone(),
            root: root_json,
            registry: registry.clone(),
            proposals: journals.proposals.clone(),
            tasks: tasks.clone(),
        }),
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
        transparency: transparency::Service::new(transparency::Parts {
            ledger: journals.ledger.clone(),
            keeper: journals.budgets.as_ref().map(|(keeper, _)| keeper.clone()),
            clock: Arc::clone(&watched.clock),
            listed: journals.listed,
        }),
    }
}

/// The host names in the broker's certificate, each once.
pub(super) fn hosts(config: &Config) -> Vec<HostName> {
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
