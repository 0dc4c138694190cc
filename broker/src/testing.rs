//! What this crate's tests share: a federation founded in a temporary folder, a broker that serves it over
//! real TLS on a loopback port, and members who call it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::authority::MAX_LEAF_LIFETIME;
use comity_identity::tls::{client_config, enrolment_client_config};
use comity_identity::{
    Authority, CertificateDer, Credentials, Invite, Inviter, KeyPair, OrganisationAnchors, PermitKey, Root,
    RootOperator, SigningRequest,
};
use comity_membership::{Application, By, Federation, InviteId, Payload, Statement, Subject, TlsKey, log, sign};
use comity_policy::{Layers as StatedLayers, Offer, Organisation};
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::enrolment::{CertifyRequest, GetInviteRequest, Issued, JoinRequest};
use comity_proto::error::Detail;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::submit_response::Outcome;
use comity_proto::membership::{InviteRequest, Kind, ListEnrolmentsRequest, SubmitRequest};
use comity_proto::policy::Layers;
use comity_runtime::tasks::Tasks;
use comity_transparency::{Envelope, NoteKey, Signer};
use comity_types::{Clock, Digest, SpiffeId, Timestamp, TrustDomain};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Config, Leaf, Limits, Log};
use crate::registry::Registry;
use crate::{Broker, BrokerError};

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
        let permit_key = PermitKey::generate().unwrap();
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
            permit_key: permit_key.public().unwrap(),
            log_key: log_key.public().unwrap(),
            operators: operators.iter().map(root_operator).collect(),
            root_threshold: threshold,
            membership_threshold: threshold,
            founded_at: now,
        };
        let (ca, root_json) = (dir.path().join("ca"), root.to_json().unwrap());
        std::fs::create_dir(&ca).unwrap();
        std::fs::write(dir.path().join("root.json"), &root_json).unwrap();
        std::fs::write(dir.path().join("permit.key"), permit_key.to_pkcs8().unwrap().reveal()).unwrap();
        std::fs::write(dir.path().join("log.key"), log_key.to_pkcs8().unwrap().reveal()).unwrap();
        std::fs::write(ca.join("fed.example.key.pem"), authority.key_pem().reveal()).unwrap();
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
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: vec!["broker.fed.example:7443".parse().unwrap()],
            data_dir: self.data_dir().to_owned(),
            replica: "b1".parse().unwrap(),
            places: ["DE".parse().unwrap()].into(),
            tables: comity_runtime::tables::load(None).unwrap(),
            log: Log { format: comity_runtime::telemetry::LogFormat::Text, filter: "info".into() },
            limits: Limits { in_flight: 64, in_flight_per_organisation: 32, request_bytes: 1024 * 1024 },
            leaf: Leaf { broker: 30 * day, node: day, app: 30 * day, operator: 30 * day },
            drain: DEADLINE,
        }
    }

    pub(crate) async fn start(&self) -> Result<(), BrokerError> {
        self.start_with(self.config()).await
    }

    pub(crate) async fn start_with(&self, config: Config) -> Result<(), BrokerError> {
        let broker = Broker::build_with_clock(config, self.clock.clone()).await?;
        let (stop, stopped) = oneshot::channel();
        let (address, registry) = (broker.local_addr(), broker.registry());
        let (end, ended) = oneshot::channel();
        // The test may be over before the broker is.
        Tasks::new()
            .spawn("broker", async move { drop(end.send(broker.run(async move { drop(stopped.await) }).await)) });
        *self.running.lock().unwrap() = Some(Running { registry, address, stop, ended });
        Ok(())
    }

    /// Stops the broker and waits until it has ended.
    pub(crate) async fn stop(&self) {
        let running = self.running.lock().unwrap().take().unwrap();
        drop(running.stop);
        tokio::time::timeout(DEADLINE, running.ended).await.expect("the broker ends").unwrap().unwrap();
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
        let tls =
            client_config(member.credentials(), self.root.broker.clone(), self.anchors(), self.clock.clone()).unwrap();
        self.dial(tls).await
    }

    /// A connection without a certificate, as joining uses it.
    pub(crate) async fn connect_to_enrol(&self) -> Channel {
        let tls = enrolment_client_config(self.root.broker.clone(), self.anchors(), self.clock.clone()).unwrap();
        self.dial(tls).await.unwrap()
    }

    pub(crate) async fn dial(&self, tls: Arc<ClientConfig>) -> Result<Channel, tonic::transport::Error> {
        let address = self.address().to_string();
        let connector = tower::service_fn(move |_| {
            let (address, tls) = (address.clone(), Arc::clone(&tls));
            async move { comity_runtime::dial::connect(&address, tls).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://broker").connect_with_connector(connector).await
    }

    pub(crate) async fn operator(&self) -> MembershipClient<Channel> {
        MembershipClient::new(self.connect(&self.operator).await.unwrap())
    }

    /// The state at the broker.
    pub(crate) fn federation(&self) -> Federation {
        let running = self.running.lock().unwrap();
        running.as_ref().unwrap().registry.snapshot().federation().clone()
    }

    /// The key that signs for an organisation, made when it is first asked for.
    pub(crate) fn key(&self, domain: &TrustDomain) -> Arc<KeyPair> {
        let mut keys = self.keys.lock().unwrap();
        Arc::clone(keys.entry(domain.clone()).or_insert_with(|| Arc::new(KeyPair::generate().unwrap())))
    }

    /// The key of an organisation that the test names.
    pub(crate) fn key_of(&self, domain: &str) -> Arc<KeyPair> {
        self.key(&domain.parse().unwrap())
    }

    /// A statement as the next version of its scope, signed by these.
    pub(crate) fn signed(&self, statement: Statement, signers: &[&dyn Signer]) -> Envelope {
        let version = statement.scope().map_or(1, |scope| self.federation().next_version(&scope));
        self.signed_at(version, statement, signers)
    }

    /// A statement at a version, signed by these.
    pub(crate) fn signed_at(&self, version: u64, statement: Statement, signers: &[&dyn Signer]) -> Envelope {
        let payload = Payload { federation: self.root_sha256, version, at: self.clock.now(), statement };
        sign(&payload, signers).unwrap()
    }

    /// Hands an envelope to the broker, as `by`.
    pub(crate) async fn submit(&self, by: &Member, envelope: &Envelope) -> Result<Outcome, Status> {
        let mut client = MembershipClient::new(self.connect(by).await.unwrap());
        submit(&mut client, envelope).await
    }

    /// Says a statement that these sign; it is in force when this returns.
    pub(crate) async fn say(&self, statement: Statement, signers: &[&dyn Signer]) -> Result<u64, Status> {
        match self.submit(&self.operator, &self.signed(statement, signers)).await? {
            Outcome::Epoch(epoch) => Ok(epoch),
            Outcome::Proposal(proposal) => panic!("it waits for more operators: {proposal:?}"),
        }
    }

    /// Says a statement of operators, signed by as many of them as it takes.
    pub(crate) async fn govern(&self, statement: Statement) -> Result<u64, Status> {
        let federation = self.federation();
        let governance = federation.governance().unwrap();
        let needed = governance.root_threshold.max(governance.membership_threshold);
        let operators = std::iter::once(&self.operator).chain(&self.co_operators).take(needed as usize);
        let signers: Vec<_> = operators.map(|operator| &operator.key as &dyn Signer).collect();
        self.say(statement, &signers).await
    }

    /// Says a statement of an organisation.
    pub(crate) async fn say_of(&self, domain: &str, statement: Statement) -> Result<u64, Status> {
        self.say(statement, &[&*self.key_of(domain)]).await
    }

    /// Suspends an organisation, a member or a certificate, by the operator.
    pub(crate) async fn suspend(&self, subject: &str) -> u64 {
        self.govern(suspended(subject, By::Federation)).await.unwrap()
    }

    /// Lifts what the operator suspended.
    pub(crate) async fn lift(&self, subject: &str) -> u64 {
        self.govern(lifted(subject, By::Federation)).await.unwrap()
    }

    /// Publishes offers, signed by the node.
    pub(crate) async fn publish(&self, node: &Member, address: &str, offers: Vec<Offer>) -> Result<u64, Status> {
        let mut client = MembershipClient::new(self.connect(node).await.unwrap());
        self.publish_by(&mut client, node, address, offers).await
    }

    /// Like [`Scene::publish`], on a connection that stands.
    pub(crate) async fn publish_by(
        &self,
        client: &mut MembershipClient<Channel>,
        node: &Member,
        address: &str,
        offers: Vec<Offer>,
    ) -> Result<u64, Status> {
        let statement = Statement::OffersPublished { node: node.id.clone(), address: address.into(), offers };
        match submit(client, &self.signed(statement, &[&node.key])).await? {
            Outcome::Epoch(epoch) => Ok(epoch),
            Outcome::Proposal(proposal) => panic!("offers wait for operators: {proposal:?}"),
        }
    }

    /// Updates an organisation, by its own key.
    pub(crate) async fn update(&self, facts: Organisation, layers: StatedLayers) -> Result<u64, Status> {
        let key = self.key(&facts.trust_domain);
        self.say(updated(facts, layers), &[&*key]).await
    }

    /// Invites a member: by its organisation where that is there, by the operator otherwise.
    pub(crate) async fn invite(&self, domain: &str, kind: Kind, name: &str) -> Invite {
        if self.federation().organisation(&domain.parse().unwrap()).is_some() {
            return self.invite_own(domain, kind, name).await.unwrap();
        }
        let request =
            InviteRequest { trust_domain: domain.into(), kind: kind.into(), name: name.into(), ttl_seconds: 3600 };
        self.operator().await.invite(request).await.unwrap().into_inner().invite.parse().unwrap()
    }

    /// An invite of an organisation for a member of its own.
    pub(crate) async fn invite_own(&self, domain: &str, kind: Kind, name: &str) -> Result<Invite, Status> {
        let invite = Invite::generate(Inviter::Organisation, self.root_sha256, &self.root.addresses[0]).unwrap();
        let member = member_id(domain, kind, name);
        let key = invite.signer().unwrap().public_key().unwrap();
        let expires_at = self.clock.now().plus(HOUR);
        let statement = Statement::MemberInvited { member, invite: InviteId::from_bytes(invite.id), key, expires_at };
        self.say_of(domain, statement).await?;
        Ok(invite)
    }

    /// Presents an invite, as a program that joins does.
    pub(crate) async fn join(
        &self,
        invite: &Invite,
        key: &KeyPair,
        organisation: Option<&Organisation>,
    ) -> Result<State, Status> {
        self.join_as(&[Kind::Node, Kind::App, Kind::Operator], invite, key, organisation).await
    }

    /// Like [`Scene::join`], as a program that can become one of `kinds` alone.
    pub(crate) async fn join_as(
        &self,
        kinds: &[Kind],
        invite: &Invite,
        key: &KeyPair,
        organisation: Option<&Organisation>,
    ) -> Result<State, Status> {
        self.join_stating(kinds, invite, key, organisation, None).await
    }

    /// Like [`Scene::join_as`], with what a new organisation demands of its own requests.
    pub(crate) async fn join_stating(
        &self,
        kinds: &[Kind],
        invite: &Invite,
        key: &KeyPair,
        organisation: Option<&Organisation>,
        layers: Option<Layers>,
    ) -> Result<State, Status> {
        let mut request = JoinRequest {
            invite_id: invite.id_text(),
            csr_der: csr(key).into(),
            kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
            ..JoinRequest::default()
        };
        let mut client = EnrolmentClient::new(self.connect_to_enrol().await);
        if invite.from == Inviter::Operators {
            request.secret = invite.secret.reveal().to_vec().into();
        }
        let question = GetInviteRequest { invite_id: invite.id_text(), secret: request.secret.clone() };
        // What is said of the invite is for Join to say again.
        let described = client.get_invite(question).await.map(tonic::Response::into_inner);
        match (invite.from, described, organisation) {
            (Inviter::Operators, Ok(described), Some(facts)) if !described.hosted_anchor_der.is_empty() => {
                let layers = StatedLayers::try_from(layers.unwrap_or_default()).unwrap();
                let member = described.spiffe_id.parse().unwrap();
                let anchor = STANDARD.encode(&described.hosted_anchor_der);
                request.application = json(&self.application(invite, facts, layers, member, key, vec![anchor]));
            }
            (Inviter::Organisation, Ok(described), _) => {
                let member = described.spiffe_id.parse().unwrap();
                request.admission = json(&self.admission(invite, member, key, described.version));
            }
            (Inviter::Organisation, Err(refused), _) => return Err(refused),
            (Inviter::Operators, _, _) => {}
        }
        client.join(request).await.map(|response| response.into_inner().state.unwrap())
    }

    /// What a new organisation signs, by its own key and that of its first member.
    pub(crate) fn application(
        &self,
        invite: &Invite,
        facts: &Organisation,
        layers: StatedLayers,
        member: SpiffeId,
        key: &KeyPair,
        anchors: Vec<String>,
    ) -> Envelope {
        let own = self.key(&facts.trust_domain);
        let application = Application {
            federation: self.root_sha256,
            invite: InviteId::from_bytes(invite.id),
            organisation: facts.clone(),
            layers,
            anchors,
            keys: vec![own.public_key().unwrap()],
            member,
            member_key: key.public_key().unwrap(),
            tls_key: TlsKey::Admitted,
        };
        application.sign(&[&*own, key]).unwrap()
    }

    /// What the holder of an organisation's invite signs.
    pub(crate) fn admission(&self, invite: &Invite, member: SpiffeId, key: &KeyPair, version: u64) -> Envelope {
        let statement = Statement::MemberAdmitted {
            id: member,
            key: key.public_key().unwrap(),
            tls_key: TlsKey::Admitted,
            invite: Some(InviteId::from_bytes(invite.id)),
        };
        self.signed_at(version, statement, &[&invite.signer().unwrap(), key])
    }

    /// What a new organisation signed that waits.
    pub(crate) async fn waiting_application(&self, enrolment_id: &str) -> Envelope {
        let enrolments = self.operator().await.list_enrolments(ListEnrolmentsRequest {}).await.unwrap().into_inner();
        let waiting = enrolments.enrolments.into_iter().find(|enrolment| enrolment.id == enrolment_id).unwrap();
        serde_json::from_slice(&waiting.application).unwrap()
    }

    /// Approves what waits: admits the new organisation as it applied, by the operator.
    pub(crate) async fn approve(&self, enrolment_id: &str) -> Result<u64, Status> {
        let application = self.waiting_application(enrolment_id).await;
        self.govern(Statement::OrganisationAdmitted { application }).await
    }

    /// Presents what the holder of an organisation's invite signed.
    pub(crate) async fn join_by(&self, invite: &Invite, key: &KeyPair, admission: &Envelope) -> Result<State, Status> {
        let request = JoinRequest {
            invite_id: invite.id_text(),
            csr_der: csr(key).into(),
            kinds: vec![Kind::Node.into(), Kind::App.into()],
            admission: json(admission),
            ..JoinRequest::default()
        };
        let mut client = EnrolmentClient::new(self.connect_to_enrol().await);
        client.join(request).await.map(|response| response.into_inner().state.unwrap())
    }

    /// Asks for a certificate of a key that is admitted.
    pub(crate) async fn certify(&self, key: &KeyPair) -> Result<Issued, Status> {
        let mut client = EnrolmentClient::new(self.connect_to_enrol().await);
        let request = CertifyRequest { csr_der: csr(key).into() };
        client.certify(request).await.map(|response| response.into_inner().issued.unwrap())
    }

    /// Ends the brakes that have lapsed by the clock, as the broker does from time to time.
    pub(crate) async fn end_brakes(&self) {
        let registry = self.running.lock().unwrap().as_ref().unwrap().registry.clone();
        registry.end_lapsed().await.unwrap();
    }

    /// Has an operator more govern, with the same thresholds.
    pub(crate) async fn seat(&self, id: &SpiffeId, key: &KeyPair) -> u64 {
        let governance = self.federation().governance().unwrap().clone();
        let mut operators = governance.operators;
        operators.insert(id.clone(), key.public_key().unwrap());
        let (root_threshold, membership_threshold) = (governance.root_threshold, governance.membership_threshold);
        self.govern(Statement::RootChanged { operators, root_threshold, membership_threshold }).await.unwrap()
    }

    /// Brings a member in, with its organisation where that is new.
    pub(crate) async fn admit(&self, domain: &str, kind: Kind, name: &str) -> Member {
        self.admit_demanding(organisation(domain), kind, name, None).await
    }

    /// Like [`Scene::admit`], with the organisation's facts.
    pub(crate) async fn admit_of(&self, facts: Organisation, kind: Kind, name: &str) -> Member {
        self.admit_demanding(facts, kind, name, None).await
    }

    /// Like [`Scene::admit_of`], with what a new organisation demands of its own requests.
    pub(crate) async fn admit_demanding(
        &self,
        facts: Organisation,
        kind: Kind,
        name: &str,
        layers: Option<Layers>,
    ) -> Member {
        let domain = facts.trust_domain.as_str();
        let (invite, key) = (self.invite(domain, kind, name).await, KeyPair::generate().unwrap());
        let join = async || self.join_stating(&[kind], &invite, &key, Some(&facts), layers.clone()).await;
        let mut state = join().await.unwrap();
        if let State::Pending(pending) = &state {
            if facts.trust_domain == self.root.federation {
                self.seat(&member_id(domain, kind, name), &key).await;
            } else {
                self.approve(&pending.enrolment_id).await.unwrap();
            }
            state = join().await.unwrap();
        }
        let State::Issued(issued) = state else { panic!("{domain} {name} got no certificate: {state:?}") };
        member(&issued, key)
    }
}

/// Hands an envelope to the broker.
pub(crate) async fn submit(client: &mut MembershipClient<Channel>, envelope: &Envelope) -> Result<Outcome, Status> {
    let request = SubmitRequest { envelope: json(envelope) };
    client.submit(request).await.map(|response| response.into_inner().outcome.unwrap())
}

/// An envelope as it travels.
pub(crate) fn json(envelope: &Envelope) -> bytes::Bytes {
    serde_json::to_vec(envelope).unwrap().into()
}

pub(crate) fn suspended(subject: &str, by: By) -> Statement {
    Statement::Suspended { subject: subject.parse().unwrap(), reason: "an incident".into(), by }
}

pub(crate) fn lifted(subject: &str, by: By) -> Statement {
    Statement::Lifted { subject: subject.parse().unwrap(), by }
}

pub(crate) fn updated(facts: Organisation, layers: StatedLayers) -> Statement {
    Statement::OrganisationUpdated { organisation: Box::new(facts), layers: Box::new(layers) }
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

/// What was logged by the thread of one test, on which its broker runs as well.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// Collects until the guard is dropped.
    pub(crate) fn collect(&self) -> tracing::subscriber::DefaultGuard {
        // An event that a thread met which collects nothing would be off for every thread: here none is.
        let _already = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(self.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn lines_with(&self, text: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logged {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
