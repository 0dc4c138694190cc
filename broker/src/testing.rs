//! What this crate's tests share: a federation founded in a temporary folder, a broker that serves it over
//! real TLS on a loopback port, and members who call it.

pub(crate) mod decision_log;
mod enrol;
mod logged;
mod said;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use comity_identity::authority::MAX_LEAF_LIFETIME;
use comity_identity::tls::{client_config, enrolment_client_config};
use comity_identity::{
    Authority, CertificateDer, Credentials, KeyPair, OrganisationAnchors, Root, RootOperator, SigningRequest,
};
use comity_membership::{Subject, log};
use comity_policy::{Offer, Organisation};
use comity_proto::enrolment::Issued;
use comity_proto::error::Detail;
use comity_proto::membership::Kind;
use comity_proto::membership::membership_client::MembershipClient;
use comity_runtime::calm::Allowance;
use comity_runtime::files::write_durably;
use comity_runtime::tasks::Tasks;
use comity_transparency::{LogKey, NoteKey, Signer as _};
use comity_types::{Clock, Digest, SpiffeId, Timestamp, TrustDomain};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::config::{Config, Leaf, Limits, Log};
use crate::edge::deciding::TARGET;
use crate::ledger::receipts::MAX_LISTED;
use crate::registry::Registry;
use crate::{Broker, BrokerError};

pub(crate) use self::logged::Logged;
pub(crate) use self::said::{json, lifted, suspended, updated};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// Longest that a test waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.store(self.now().plus(by).as_millis(), Ordering::SeqCst);
    }

    pub(crate) fn set_back(&self, by: Duration) {
        self.0.store(self.now().minus(by).as_millis(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A federation on disk with its operators and every organisation's key, and its broker while that runs.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) root: Root,
    pub(crate) root_sha256: Digest,
    /// The operator who acts where a test does not say who.
    pub(crate) operator: Member,
    /// The others.
    pub(crate) co_operators: Vec<Member>,
    keys: Mutex<BTreeMap<TrustDomain, Arc<KeyPair>>>,
    running: Mutex<Option<Running>>,
}

struct Running {
    registry: Registry,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<Result<(), BrokerError>>,
}

/// A key and the certificate for it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: SpiffeId,
    pub(crate) key: KeyPair,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

impl Member {
    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        Arc::new(Credentials::new(self.chain.clone(), &self.key).unwrap())
    }

    /// The digest of its certificate.
    pub(crate) fn certificate(&self) -> Digest {
        Digest::of(&self.chain[0])
    }

    /// This certificate, and no other of the member.
    pub(crate) fn certificate_subject(&self) -> Subject {
        Subject::Certificate { member: self.id.clone(), sha256: self.certificate() }
    }

    fn copy(&self) -> Self {
        Self { id: self.id.clone(), key: copy_of(&self.key), chain: self.chain.clone() }
    }
}

/// The same key.
pub(crate) fn copy_of(key: &KeyPair) -> KeyPair {
    KeyPair::from_pem(&key.to_pem()).unwrap()
}

impl Scene {
    /// Founds a federation and starts its broker.
    pub(crate) async fn new() -> Self {
        let scene = Self::founded();
        scene.start().await.unwrap();
        scene
    }

    /// Founds a federation with these operators, `threshold` of whom decide, and starts its broker.
    pub(crate) async fn governed_by(operators: &[&str], threshold: u32) -> Self {
        let scene = Self::founded_by(operators, threshold);
        scene.start().await.unwrap();
        scene
    }

    /// Founds a federation whose broker does not run.
    pub(crate) fn founded() -> Self {
        Self::founded_by(&["ada"], 1)
    }

    /// Founds a federation with these operators whose broker does not run.
    pub(crate) fn founded_by(operators: &[&str], threshold: u32) -> Self {
        let clock =
            Arc::new(SetClock(AtomicI64::new("2026-11-23T10:00:00Z".parse::<Timestamp>().unwrap().as_millis())));
        let dir = tempfile::tempdir().unwrap();
        let now = clock.now();
        let authority = Authority::generate("fed.example".parse().unwrap(), now).unwrap();
        let decisions = LogKey::generate("fed.example/decisions/b1").unwrap();
        let log_key = NoteKey::generate(log::origin(authority.domain())).unwrap();
        let operator = |name: &&str| {
            let id = format!("spiffe://fed.example/operator/{name}");
            issued_for(&authority, &id, &KeyPair::generate().unwrap(), MAX_LEAF_LIFETIME, now)
        };
        let mut operators: Vec<_> = operators.iter().map(operator).collect();
        let root_operator =
            |member: &Member| RootOperator { id: member.id.clone(), key: member.key.public_key().unwrap() };
        let root = Root {
            version: comity_identity::root::ROOT_VERSION,
            federation: authority.domain().clone(),
            broker: "spiffe://fed.example/broker/b1".parse().unwrap(),
            addresses: vec!["broker.fed.example:7443".into()],
            anchors: vec![authority.anchor()],
            decision_log: decisions.verifiers().clone(),
            log_key: log_key.public().unwrap(),
            operators: operators.iter().map(root_operator).collect(),
            root_threshold: threshold,
            membership_threshold: threshold,
            founded_at: now,
        };
        let (ca, root_json) = (dir.path().join("ca"), root.to_json().unwrap());
        std::fs::create_dir(&ca).unwrap();
        std::fs::write(dir.path().join("root.json"), &root_json).unwrap();
        let names = ["decision-log.key", "decision-log.ml-dsa-44.key"];
        for (name, key) in names.into_iter().zip(decisions.to_pkcs8().unwrap()) {
            write_durably(&dir.path().join(name), key.reveal()).unwrap();
        }
        write_durably(&dir.path().join("log.key"), log_key.to_pkcs8().unwrap().reveal()).unwrap();
        write_durably(&ca.join("fed.example.key.pem"), authority.key_pem().reveal().as_bytes()).unwrap();
        std::fs::write(ca.join("fed.example.pem"), comity_identity::pem::encode(&[authority.anchor()])).unwrap();
        let (root_sha256, operator) = (Root::digest(&root_json), operators.remove(0));
        let (keys, running) = (Mutex::default(), Mutex::default());
        Self { dir, clock, root, root_sha256, operator, co_operators: operators, keys, running }
    }

    /// What is on disk at this instant, as a kill leaves it, with `tail` at the end of every journal. Its broker
    /// does not run yet.
    pub(crate) fn killed(&self, tail: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(self.data_dir(), dir.path());
        for journal in std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if journal.extension().is_some_and(|extension| extension == "journal") {
                OpenOptions::new().append(true).open(journal).unwrap().write_all(tail).unwrap();
            }
        }
        Self {
            dir,
            clock: Arc::clone(&self.clock),
            root: self.root.clone(),
            root_sha256: self.root_sha256,
            operator: self.operator.copy(),
            co_operators: self.co_operators.iter().map(Member::copy).collect(),
            keys: Mutex::new(self.keys.lock().unwrap().clone()),
            running: Mutex::default(),
        }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        let day = 24 * HOUR;
        Config {
            budgets: None,
            witnesses: None,
            commit: crate::config::Commit::Strict,
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: vec!["broker.fed.example:7443".parse().unwrap()],
            data_dir: self.data_dir().to_owned(),
            replica: "b1".parse().unwrap(),
            places: ["DE".parse().unwrap()].into(),
            tables: comity_runtime::tables::load(None).unwrap(),
            log: Log { format: comity_runtime::telemetry::LogFormat::Text, filter: "info".into() },
            limits: Limits {
                in_flight: 64,
                in_flight_per_organisation: 32,
                connections: 512,
                tunnels: 256,
                request_bytes: 1024 * 1024,
                control_frames_per_second: Allowance::PER_SECOND,
                request_memory: 512 << 20,
                decision_time: TARGET,
                listed: MAX_LISTED,
            },
            leaf: Leaf { broker: day, node: day, app: day, operator: day },
            bundles: None,
            metrics: None,
            traces: None,
            access_log: None,
            drain: DEADLINE,
            #[cfg(feature = "bench-unlogged")]
            keeps_nothing: false,
        }
    }

    pub(crate) async fn start(&self) -> Result<(), BrokerError> {
        self.start_with(self.config()).await
    }

    pub(crate) async fn start_with(&self, config: Config) -> Result<(), BrokerError> {
        let broker = Broker::build_with_clocks(config, self.clock.clone(), self.clock.clone()).await?;
        let (stop, stopped) = oneshot::channel();
        let (address, metrics, registry) = (broker.local_addr(), broker.metrics_addr(), broker.registry());
        let (end, ended) = oneshot::channel();
        // The test may be over before the broker is.
        Tasks::new()
            .spawn("broker", async move { drop(end.send(broker.run(async move { drop(stopped.await) }).await)) });
        *self.running.lock().unwrap() = Some(Running { registry, address, metrics, stop, ended });
        Ok(())
    }

    /// Stops the broker and waits until it has ended.
    pub(crate) async fn stop(&self) {
        let running = self.running.lock().unwrap().take().unwrap();
        drop(running.stop);
        tokio::time::timeout(DEADLINE, running.ended).await.expect("the broker ends").unwrap().unwrap();
    }

    pub(crate) fn registry(&self) -> Registry {
        self.running.lock().unwrap().as_ref().unwrap().registry.clone()
    }

    /// Where the broker serves metrics, if it was told to.
    pub(crate) fn metrics(&self) -> SocketAddr {
        self.running.lock().unwrap().as_ref().unwrap().metrics.unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.lock().unwrap().as_ref().unwrap().address
    }

    /// The authority that the broker hosts for an organisation.
    pub(crate) fn authority(&self, organisation: &str) -> Authority {
        use rustls::pki_types::pem::PemObject as _;
        let ca = self.file("ca");
        let key = std::fs::read_to_string(ca.join(format!("{organisation}.key.pem"))).unwrap();
        let anchor = CertificateDer::from_pem_file(ca.join(format!("{organisation}.pem"))).unwrap();
        Authority::from_pem(&comity_types::Secret::new(key), &anchor).unwrap()
    }

    fn anchors(&self) -> Arc<OrganisationAnchors> {
        Arc::new(self.root.organisation_anchors().unwrap())
    }

    /// A connection with a member's certificate.
    pub(crate) async fn connect(&self, member: &Member) -> Result<Channel, tonic::transport::Error> {
        self.dial(self.client(member)).await
    }

    /// How a member dials.
    pub(crate) fn client(&self, member: &Member) -> Arc<ClientConfig> {
        client_config(member.credentials(), self.root.broker.clone(), self.anchors(), self.clock.clone()).unwrap()
    }

    /// A connection without a certificate, as joining uses it.
    pub(crate) async fn connect_to_enrol(&self) -> Channel {
        let tls = enrolment_client_config(self.root.broker.clone(), self.anchors(), self.clock.clone()).unwrap();
        self.dial(tls).await.unwrap()
    }

    pub(crate) async fn dial(&self, tls: Arc<ClientConfig>) -> Result<Channel, tonic::transport::Error> {
        self.dial_by(Endpoint::from_static("http://broker"), tls).await
    }

    /// A connection with a member's certificate that gets no more than `window` bytes of a stream ahead of its reader.
    pub(crate) async fn connect_narrowly(&self, member: &Member, window: u32) -> Channel {
        let endpoint = Endpoint::from_static("http://broker").initial_stream_window_size(window);
        self.dial_by(endpoint, self.client(member)).await.unwrap()
    }

    async fn dial_by(&self, endpoint: Endpoint, tls: Arc<ClientConfig>) -> Result<Channel, tonic::transport::Error> {
        let address = self.address().to_string();
        let connector = tower::service_fn(move |_| {
            let (address, tls) = (address.clone(), Arc::clone(&tls));
            async move { comity_runtime::dial::connect(&address, tls).await.map(TokioIo::new) }
        });
        endpoint.connect_with_connector(connector).await
    }

    pub(crate) async fn operator(&self) -> MembershipClient<Channel> {
        MembershipClient::new(self.connect(&self.operator).await.unwrap())
    }
}

/// What is refused is refused for this.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: tonic::Code, expected: &str) {
    let refused = answer.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (code, expected), "{refused}");
}

/// The ID of a member.
pub(crate) fn member_id(domain: &str, kind: Kind, name: &str) -> SpiffeId {
    let kind = match kind {
        Kind::Node => "node",
        Kind::App => "app",
        Kind::Operator => "operator",
        Kind::Unspecified => panic!("no kind"),
    };
    format!("spiffe://{domain}/{kind}/{name}").parse().unwrap()
}

pub(crate) fn member(issued: &Issued, key: KeyPair) -> Member {
    let chain = issued.certificate_chain_der.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    Member { id: issued.spiffe_id.parse().unwrap(), key, chain }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// An offer of a member, with one text that may differ from the next one's.
pub(crate) fn offer(node: &SpiffeId, id: &str, licence: &str) -> Offer {
    let text = format!(
        "id = '{id}'
        node = '{node}'
        model = 'm'
        capabilities = ['chat']
        processing_locations = ['DE']
        sub_processors = []
        storage_locations = []
        access_locations = ['DE']
        licence = '{licence}'
        price = {{ currency = 'EUR', input_micros_per_million_tokens = 1, output_micros_per_million_tokens = 1 }}
        terms = {{ retention = [], training_use = 'never', allowed_purposes = ['dpv:Purpose'], caller_rules = {{ served = 'everyone' }} }}"
    );
    toml::from_str(&text).unwrap()
}

pub(crate) fn csr(key: &KeyPair) -> Vec<u8> {
    key.signing_request(&"spiffe://any.example/node/any".parse().unwrap()).unwrap()
}

/// What an authority signs when nobody asks the broker.
pub(crate) fn issued_by(authority: &Authority, id: &str, key: &KeyPair, now: Timestamp) -> Member {
    issued_for(authority, id, key, HOUR, now)
}

fn issued_for(authority: &Authority, id: &str, key: &KeyPair, life: Duration, now: Timestamp) -> Member {
    let id: SpiffeId = id.parse().unwrap();
    let request = SigningRequest::parse(&key.signing_request(&id).unwrap()).unwrap();
    let chain = authority.issue(&request, &id, &[], life, now).unwrap().chain;
    Member { id, key: KeyPair::from_pem(&key.to_pem()).unwrap(), chain }
}

pub(crate) fn organisation(domain: &str) -> Organisation {
    serde_json::from_str(&format!(r#"{{"trust_domain":"{domain}","name":"{domain}"}}"#)).unwrap()
}

/// The reason in a refusal of Comity's.
pub(crate) fn reason(status: &Status) -> String {
    Detail::of(status).unwrap_or_else(|| panic!("not one of Comity's: {status:?}")).reason
}
