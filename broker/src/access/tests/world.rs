//! A federation in one process: a registry, a broker's flow, and nodes that do what a script says, over real TLS.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use comity_identity::{
    Authority, KeyPair, OrganisationAnchors, SharedAnchors, SigningRequest, StaticAnchors, VerifiedPeer, tls,
};
use comity_membership::{Application, By, Genesis, InviteId, Payload, Statement, Subject, TlsKey, log, sign};
use comity_policy::terms::Quota;
use comity_policy::{Claim, Offer, Organisation as Facts, Tables};
use comity_proto::error::Detail;
use comity_proto::{inference, policy};
use comity_runtime::accept::{Acceptor, Listener};
use comity_runtime::clock::SystemClock;
use comity_runtime::quotas::Quotas;
use comity_transparency::{LogKey, NoteKey, NoteVerifier, Signer};
use comity_types::{Digest, Timestamp, TrustDomain};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use prost::Message as _;

use super::node::{Door, Handler, Node, Script};
use super::*;
use crate::budgets::book::Book;
use crate::budgets::definition::{Budget, Budgets};
use crate::edge::capacity::pause::Pause;
use crate::edge::deciding::{Deciding, TARGET};
use crate::edge::stop::Stop;
use crate::ledger::journal::{Journal, Storage};
use crate::ledger::log::DecisionLog;
use crate::metrics::Metrics;
use crate::registry::Opening;
use crate::testing::copy_of;
use crate::testing::decision_log::{self, Decided, Ended};

/// How long anything may take that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// The model that every node offers.
pub(crate) const MODEL: &str = "test-model";
/// What every request is for, and every offer allows.
pub(crate) const PURPOSE: &str = "dpv:CustomerCare";
/// Tunnels at once, of which an organisation has 16 at most.
pub(crate) const TUNNELS: usize = 128;
/// The largest request that is accepted.
pub(crate) const REQUEST_BYTES: usize = 64 * 1024;
/// The payload of every request: not well-formed protobuf, since the broker must not look.
pub(crate) const PAYLOAD: &[u8] = b"\xff\xff the prompt, which the broker does not read";

/// What the decision log is called.
pub(crate) const LOG: &str = "fed.example/decisions/b1";

pub(crate) struct World {
    pub(crate) access: Access,
    pub(crate) clock: Arc<AheadClock>,
    pub(crate) registry: Registry,
    pub(crate) links: Links,
    /// Of the membership log.
    pub(crate) disk: HangingDisk,
    pub(crate) log_key: NoteVerifier,
    federation: Organisation,
    operator: KeyPair,
    organisations: Mutex<BTreeMap<SpiffeId, Organisation>>,
    dir: tempfile::TempDir,
}

/// The system's clock, put forward by the test: certificates are made by the system's time.
#[derive(Debug, Default)]
pub(crate) struct AheadClock(AtomicU64);

impl AheadClock {
    /// Takes that much of it back.
    pub(crate) fn set_back(&self, by: Duration) {
        self.0.fetch_sub(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for AheadClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(Duration::from_millis(self.0.load(Ordering::SeqCst)))
    }
}

/// A disk that hangs while it is told to: then nothing that is written becomes durable.
#[derive(Debug, Clone, Default)]
pub(crate) struct HangingDisk(Arc<(Mutex<Hanging>, Condvar)>);

#[derive(Debug, Default)]
struct Hanging {
    hangs: bool,
    waits: bool,
}

impl HangingDisk {
    pub(crate) fn hang(&self, hangs: bool) {
        self.0.0.lock().unwrap().hangs = hangs;
        self.0.1.notify_all();
    }

    /// Whether something waits for it now.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.0.0.lock().unwrap().waits
    }
}

impl Storage for HangingDisk {
    fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        let mut hanging = self.0.0.lock().unwrap();
        while hanging.hangs {
            hanging.waits = true;
            hanging = self.0.1.wait(hanging).unwrap();
        }
        hanging.waits = false;
        Ok(())
    }
}

/// An organisation with its authority, and the one key with which it and all its members sign and call.
pub(crate) struct Organisation {
    authority: Authority,
    key: KeyPair,
}

impl Organisation {
    pub(crate) fn new(domain: &str) -> Self {
        let yesterday = SystemClock.now().minus(Duration::from_secs(86_400));
        let authority = Authority::generate(domain.parse().unwrap(), yesterday).unwrap();
        Self { authority, key: KeyPair::generate().unwrap() }
    }

    pub(crate) fn domain(&self) -> &TrustDomain {
        self.authority.domain()
    }

    /// The same, with the same keys.
    fn copy(&self) -> Self {
        let authority = Authority::from_pem(&self.authority.key_pem(), &self.authority.anchor()).unwrap();
        Self { authority, key: copy_of(&self.key) }
    }

    pub(crate) fn id(&self, kind: &str, name: &str) -> SpiffeId {
        format!("spiffe://{}/{kind}/{name}", self.domain()).parse().unwrap()
    }

    pub(crate) fn credentials(&self, id: &SpiffeId) -> Arc<Credentials> {
        self.credentials_for(id, &self.key)
    }

    /// A certificate of `id` for another key.
    pub(crate) fn credentials_for(&self, id: &SpiffeId, key: &KeyPair) -> Arc<Credentials> {
        let request = SigningRequest::parse(&key.signing_request(id).unwrap()).unwrap();
        let issued = self.authority.issue(&request, id, &[], Duration::from_secs(3600), SystemClock.now()).unwrap();
        Arc::new(Credentials::new(issued.chain, key).unwrap())
    }

    pub(crate) fn anchors(&self) -> OrganisationAnchors {
        OrganisationAnchors::new(self.domain().clone(), &[self.authority.anchor()]).unwrap()
    }

    /// What it says of itself, with its seat in `seat`.
    pub(crate) fn facts(&self, seat: &str) -> Facts {
        let domain = self.domain();
        let facts = format!("trust_domain = '{domain}'\nname = '{domain}'\nseat = '{seat}'\nultimate_controllers = []");
        toml::from_str(&facts).unwrap()
    }

    /// What it signs to be admitted with `member`.
    fn admitted(&self, member: SpiffeId) -> Statement {
        self.admitted_from("DE", member)
    }

    /// The same, with its seat in `seat`.
    fn admitted_from(&self, seat: &str, member: SpiffeId) -> Statement {
        let organisation = self.facts(seat);
        let application = Application {
            federation: root_sha256(),
            invite: InviteId::from_bytes([1; 16]),
            organisation,
            layers: Default::default(),
            anchors: vec![STANDARD.encode(self.authority.anchor())],
            keys: vec![self.key.public_key().unwrap()],
            member,
            member_key: self.key.public_key().unwrap(),
            tls_key: TlsKey::Admitted,
            offers: Vec::new(),
        };
        Statement::OrganisationAdmitted { application: application.sign(&[&self.key]).unwrap() }
    }
}

/// The digest of a root document that nobody reads here.
fn root_sha256() -> Digest {
    Digest::of(b"root")
}

impl World {
    pub(crate) async fn new() -> Self {
        let opened = |path: &Path, key, clock| DecisionLog::open(&path.join("decisions"), key, clock).unwrap().0;
        Self::with_log(opened).await
    }

    /// Whose requests travel while their decisions become durable.
    pub(crate) async fn overlapped() -> Self {
        let opened = |path: &Path, key, clock| DecisionLog::open(&path.join("decisions"), key, clock).unwrap().0;
        Self::with(opened, Commit::Overlapped).await
    }

    pub(crate) async fn with_log(log: impl FnOnce(&Path, LogKey, Arc<dyn Clock>) -> DecisionLog) -> Self {
        Self::with(log, Commit::Strict).await
    }

    /// Whose requests are under these budgets.
    pub(crate) async fn under(budgets: Vec<Budget>, commit: Commit) -> Self {
        let opened = |path: &Path, key, clock| DecisionLog::open(&path.join("decisions"), key, clock).unwrap().0;
        let accounts = Accounts::new(Book::new(Arc::new(Budgets::new(budgets, None))));
        Self::with_budgets(opened, commit, Some(accounts)).await
    }

    pub(crate) async fn with(log: impl FnOnce(&Path, LogKey, Arc<dyn Clock>) -> DecisionLog, commit: Commit) -> Self {
        Self::with_budgets(log, commit, None).await
    }

    async fn with_budgets(
        log: impl FnOnce(&Path, LogKey, Arc<dyn Clock>) -> DecisionLog,
        commit: Commit,
        budgets: Option<Accounts>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (federation, tasks) = (Organisation::new("fed.example"), Tasks::default());
        let ahead = Arc::new(AheadClock::default());
        let clock: Arc<dyn Clock> = Arc::<AheadClock>::clone(&ahead);
        let operator = KeyPair::generate().unwrap();
        let genesis = Genesis {
            federation: federation.domain().clone(),
            root_sha256: root_sha256(),
            operators: [(federation.id("operator", "o1"), operator.public_key().unwrap())].into(),
            root_threshold: 1,
            membership_threshold: 1,
        };
        let opening = Opening {
            genesis,
            log_key: NoteKey::generate(log::origin(federation.domain())).unwrap(),
            trace: None,
            federation_anchors: federation.anchors(),
            anchors: Arc::new(SharedAnchors::default()),
            tables: Arc::new(Tables::builtin().unwrap().clone()),
            clock: Arc::clone(&clock),
            tasks: tasks.clone(),
            metrics: Metrics::default(),
        };
        let disk = HangingDisk::default();
        let journal = Journal::on(disk.clone()).unwrap();
        let registry = Registry::over(journal, Vec::new(), dir.path(), opening).await.unwrap();
        let broker = federation.credentials(&federation.id("broker", "b1"));
        let metrics = Metrics::default();
        let links = Links::new(registry.clone(), broker, TUNNELS, Arc::clone(&clock), tasks.clone(), metrics.clone());
        let key = LogKey::generate(LOG).unwrap();
        let log_key = NoteVerifier::of(&key.verifiers()[0]);
        let access = Access::new(Parts {
            registry: registry.clone(),
            ledger: Ledger::over(log(dir.path(), key, Arc::clone(&clock))),
            links: links.clone(),
            quotas: Quotas::default(),
            retries: Retries::default(),
            budgets,
            envelopes: Envelopes::default(),
            places: ["DE".parse().unwrap()].into(),
            commit,
            request_bytes: REQUEST_BYTES,
            clock,
            tasks,
            deciding: Deciding::new(usize::MAX, TARGET, Pause::default()),
            stop: Stop::default(),
            metrics,
        });
        let world = Self {
            access,
            clock: ahead,
            registry,
            links,
            disk,
            log_key,
            federation,
            operator,
            organisations: Mutex::default(),
            dir,
        };
        world.join(&Organisation::new("app.example"), "app", "a1").await;
        world
    }

    /// The app that calls.
    pub(crate) fn app() -> SpiffeId {
        "spiffe://app.example/app/a1".parse().unwrap()
    }

    /// The certificate that it calls with.
    pub(crate) fn certificate() -> Digest {
        Digest::of(b"the app's certificate")
    }

    /// Says a statement that these sign.
    pub(crate) async fn say(&self, statement: Statement, signers: &[&dyn Signer]) {
        let version = self.registry.snapshot().federation().next_version(&statement.scope().unwrap());
        let payload = Payload { federation: root_sha256(), version, at: self.clock.now(), statement };
        self.registry.append(sign(&payload, signers).unwrap()).await.unwrap();
    }

    /// A statement that the operator signs, with so much white space after it.
    pub(crate) fn signed_by_operator(&self, statement: Statement, padding: usize) -> comity_transparency::Envelope {
        let version = self.registry.snapshot().federation().next_version(&statement.scope().unwrap());
        let payload = Payload { federation: root_sha256(), version, at: self.clock.now(), statement };
        let mut bytes = serde_json::to_vec(&payload).unwrap();
        bytes.extend(std::iter::repeat_n(b' ', padding));
        let mut envelope = comity_transparency::Envelope::new(comity_membership::signed::STATEMENT_TYPE, bytes);
        envelope.sign(&self.operator).unwrap();
        envelope
    }

    async fn join(&self, organisation: &Organisation, kind: &str, name: &str) -> SpiffeId {
        let id = organisation.id(kind, name);
        self.say(organisation.admitted(id.clone()), &[&self.operator]).await;
        id
    }

    /// Admits an organisation with its seat in `seat` and its first member.
    pub(crate) async fn admit(&self, organisation: &Organisation, seat: &str, member: &SpiffeId) {
        self.say(organisation.admitted_from(seat, member.clone()), &[&self.operator]).await;
    }

    /// Says what the operators say.
    pub(crate) async fn govern(&self, statement: Statement) {
        self.say(statement, &[&self.operator]).await;
    }

    /// Says what an organisation, or its member, says.
    pub(crate) async fn say_as(&self, organisation: &Organisation, statement: Statement) {
        self.say(statement, &[&organisation.key]).await;
    }

    /// Takes tunnels.
    pub(crate) async fn door(&self) -> Door {
        let tasks = Tasks::default();
        let credentials = self.federation.credentials(&self.federation.id("broker", "b1"));
        let clock: Arc<dyn Clock> = Arc::<AheadClock>::clone(&self.clock);
        let mutual = tls::server_config(Arc::clone(&credentials), self.registry.anchors(), Arc::clone(&clock)).unwrap();
        let tunnels = tls::tunnel_server_config(credentials, self.registry.anchors(), Arc::clone(&clock)).unwrap();
        let acceptor = Acceptor::new(mutual, None).with_tunnels(tunnels).with_clock(Arc::clone(&clock));
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().to_string();
        let (_calls, tunnels) = listener.incoming_and_tunnels(acceptor, &tasks);
        tasks.spawn("tunnels", self.links.clone().take_tunnels(tunnels));
        Door { address, federation: self.federation.anchors(), clock }
    }

    /// A node `n1` of a new organisation that is reached by tunnel alone, with its credentials.
    pub(crate) async fn node_that_dials(&self, organisation: &Organisation) -> (Node, Arc<Credentials>) {
        let id = organisation.id("node", "n1");
        let credentials = organisation.credentials(&id);
        self.say(organisation.admitted(id.clone()), &[&self.operator]).await;
        self.organisations.lock().unwrap().insert(id.clone(), organisation.copy());
        let node = Node::that_dials(id);
        self.publish(&node, &node.address, "DE", 1).await;
        (node, credentials)
    }

    pub(crate) async fn suspend(&self, subject: &str) {
        self.suspend_subject(Subject::Organisation(subject.parse().unwrap())).await;
    }

    /// One operator's suspension.
    pub(crate) async fn brake(&self, subject: Subject) {
        let statement = Statement::Suspended { subject, reason: "a test".into(), by: By::Brake };
        self.say(statement, &[&self.operator]).await;
    }

    pub(crate) async fn suspend_subject(&self, subject: Subject) {
        let statement = Statement::Suspended { subject, reason: "a test".into(), by: By::Federation };
        self.say(statement, &[&self.operator]).await;
    }

    /// What nodes trust.
    pub(crate) fn trusted(&self) -> StaticAnchors {
        [self.federation.anchors()].into_iter().collect()
    }

    /// A fresh certificate of a node, for the key that was admitted.
    pub(crate) fn credentials(&self, node: &SpiffeId) -> Arc<Credentials> {
        self.organisations.lock().unwrap()[node].credentials(node)
    }

    /// A certificate of a node for another key, from its own organisation.
    pub(crate) fn credentials_for(&self, node: &SpiffeId, key: &KeyPair) -> Arc<Credentials> {
        self.organisations.lock().unwrap()[node].credentials_for(node, key)
    }

    /// A node `n1` of a new organisation, that processes in `place`, for `price`, and does what `script` says.
    pub(crate) async fn node(&self, domain: &str, place: &str, price: u64, script: Script) -> Node {
        let organisation = Organisation::new(domain);
        let id = self.join(&organisation, "node", "n1").await;
        let node = Node::start(id.clone(), organisation.credentials(&id), self.trusted(), script).await;
        self.organisations.lock().unwrap().insert(id, organisation);
        self.publish(&node, &node.address, place, price).await;
        node
    }

    /// The same, that does with each request what a handler made with the node's key does.
    pub(crate) async fn node_handing(&self, domain: &str, handler: impl FnOnce(KeyPair) -> Handler) -> Node {
        let organisation = Organisation::new(domain);
        let id = self.join(&organisation, "node", "n1").await;
        let (credentials, handler) = (organisation.credentials(&id), handler(copy_of(&organisation.key)));
        let node = Node::handing(id.clone(), credentials, self.trusted(), handler, Arc::new(SystemClock)).await;
        self.organisations.lock().unwrap().insert(id, organisation);
        self.publish(&node, &node.address, "DE", 1).await;
        node
    }

    /// Everything that the broker keeps.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn publish(&self, node: &Node, address: &str, place: &str, price: u64) {
        self.publish_offer(node, address, offer(&node.id, place, price)).await;
    }

    pub(crate) async fn publish_offer(&self, node: &Node, address: &str, offer: Offer) {
        self.publish_offers(node, address, vec![offer]).await;
    }

    pub(crate) async fn publish_offers(&self, node: &Node, address: &str, offers: Vec<Offer>) {
        let (node, address) = (node.id.clone(), address.to_owned());
        let key = copy_of(&self.organisations.lock().unwrap()[&node].key);
        self.say(Statement::OffersPublished { node, address, offers }, &[&key]).await;
    }

    /// Lets `node` grant each organisation so many requests a day.
    pub(crate) async fn limit(&self, node: &Node, price: u64, requests_per_day: u32) {
        self.publish_offer(node, &node.address, limited(&node.id, "DE", price, requests_per_day)).await;
    }

    /// What the app gets for a request with these requirements.
    pub(crate) async fn ask(&self, requirements: policy::Requirements) -> Response<Body> {
        self.call(Method::ChatStream, framed(&message(requirements)), &[]).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        body: impl Into<bytes::Bytes>,
        headers: &[(&'static str, &str)],
    ) -> Response<Body> {
        self.call_as(&Self::app(), method, body, headers).await
    }

    /// What another app gets.
    pub(crate) async fn call_as(
        &self,
        app: &SpiffeId,
        method: Method,
        body: impl Into<bytes::Bytes>,
        headers: &[(&'static str, &str)],
    ) -> Response<Body> {
        let mut request = Request::new(Body::new(http_body_util::Full::new(body.into())));
        request
            .headers_mut()
            .extend(headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())));
        let answer = tokio::time::timeout(SOON, self.access.serve(app, Self::certificate(), method, request)).await;
        let answer = answer.expect("no answer began in time");
        answer.unwrap_or_else(|failure| Status::from(failure).into_http())
    }

    /// What the decision log holds, once it has `outcomes` outcomes.
    pub(crate) async fn journal(&self, outcomes: usize) -> (Vec<Decided>, Vec<Ended>) {
        self.access.parts().ledger.log().flush().await.unwrap();
        let path = self.dir.path().join("decisions");
        soon("the outcomes are kept", || {
            let (decisions, kept) = decision_log::read(&path);
            (kept.len() >= outcomes).then_some((decisions, kept))
        })
        .await
    }
}

impl Drop for World {
    /// The journal's thread is waited for.
    fn drop(&mut self) {
        self.disk.hang(false);
    }
}

/// Waits until `state` is reached.
pub(crate) async fn soon<T>(what: &str, mut state: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(value) = state() {
            return value;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The offer `o1` of `node`, which everyone may use.
pub(crate) fn offer(node: &SpiffeId, place: &str, price: u64) -> Offer {
    toml::from_str(&format!(
        "id = 'o1'
        node = '{node}'
        model = '{MODEL}'
        capabilities = ['chat', 'embed', 'forward']
        processing_locations = ['{place}']
        sub_processors = []
        storage_locations = ['{place}']
        access_locations = ['{place}']
        licence = 'Apache-2.0'
        price = {{ currency = 'EUR', input_micros_per_million_tokens = {price}, output_micros_per_million_tokens = {price} }}
        terms = {{ retention = [], training_use = 'never', allowed_purposes = ['{PURPOSE}'], caller_rules = {{ served = 'everyone' }} }}"
    ))
    .unwrap()
}

/// The same, with a quota.
pub(crate) fn limited(node: &SpiffeId, place: &str, price: u64, requests_per_day: u32) -> Offer {
    let mut offer = offer(node, place, price);
    offer.terms.as_mut().unwrap().quota = Some(Claim::always(Quota { requests_per_day }));
    offer
}

/// Demands processing in Germany.
pub(crate) fn in_germany() -> policy::Requirements {
    let germany = policy::PlaceSet { places: vec!["DE".into()] };
    policy::Requirements { allowed_processing_locations: vec![germany], ..Default::default() }
}

/// The message of a request, its payload beside the envelope.
pub(crate) fn message(requirements: policy::Requirements) -> Vec<u8> {
    message_preferring(requirements, None)
}

/// As [`message`], with what the caller would rather have.
pub(crate) fn message_preferring(
    requirements: policy::Requirements,
    preferences: Option<policy::Preferences>,
) -> Vec<u8> {
    message_of(&inference::Envelope { preferences, ..envelope(requirements) })
}

/// What is asked, with these requirements.
pub(crate) fn envelope(requirements: policy::Requirements) -> inference::Envelope {
    inference::Envelope {
        model: MODEL.into(),
        requirements: Some(requirements),
        purposes: vec![PURPOSE.into()],
        ..Default::default()
    }
}

/// A request's message.
pub(crate) fn message_of(envelope: &inference::Envelope) -> Vec<u8> {
    let envelope = envelope.encode_to_vec();
    let mut message = BytesMut::new();
    for (key, value) in [(0x0a, envelope.as_slice()), (0x12, PAYLOAD)] {
        message.put_u8(key);
        prost::encoding::encode_varint(value.len() as u64, &mut message);
        message.put_slice(value);
    }
    message.to_vec()
}

/// A message in gRPC's frame.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// All of an answer: what its messages say, as far as they came, and its trailers.
pub(crate) async fn read(response: Response<Body>) -> (Vec<u8>, HeaderMap) {
    let head = response.headers().clone();
    let whole = tokio::time::timeout(SOON, response.into_body().collect()).await.unwrap().unwrap();
    let trailers = whole.trailers().cloned().unwrap_or(head);
    (unframed(&whole.to_bytes()), trailers)
}

/// What messages say, one after another, and the last one as far as it came.
pub(crate) fn unframed(mut messages: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    while let Some(([_, length @ ..], rest)) = messages.split_first_chunk::<5>() {
        let (message, rest) = rest.split_at((u32::from_be_bytes(*length) as usize).min(rest.len()));
        said.extend_from_slice(message);
        messages = rest;
    }
    said
}

/// The code and the reason of an answer's end.
pub(crate) fn ended(trailers: &HeaderMap) -> (Code, String) {
    let status = Status::from_header_map(trailers).expect("the answer has no status");
    (status.code(), Detail::of(&status).map(|detail| detail.reason).unwrap_or_default())
}

/// The server's view of who calls, for nodes that check.
pub(crate) fn caller_of(connection: &rustls::ServerConnection) -> SpiffeId {
    VerifiedPeer::assertion_of_caller(connection).unwrap().id().clone()
}
