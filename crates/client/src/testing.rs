//! What this crate's tests share: a founded federation in a directory of its own, and a broker that enrols, and answers as
//! [`models`] says.

pub(crate) mod models;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use comity_identity::{
    Authority, CertificateDer, Credentials, Invite, Inviter, KeyPair, OrganisationAnchors, SharedAnchors,
    SigningRequest, tls,
};
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_server::{Enrolment, EnrolmentServer};
use comity_proto::enrolment::join_response::State;
use comity_proto::error::Failure;
use comity_proto::inference::inference_server::InferenceServer;
use comity_runtime::accept::{Acceptor, Listener, PeerInfo};
use comity_runtime::clock::SystemClock;
use comity_runtime::tasks::Tasks;
use comity_runtime::trailers::TrailerLayer;
use comity_types::{Clock, Digest, Secret, SpiffeId, Timestamp};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::Connected as _;
use tonic::{Code, Request, Response, Status};

use crate::founding::{Founded, FoundingPlan, found};
use models::Models;

/// How long members' first certificates hold; those that they get by renewing hold twice as long, which is the longest.
pub(crate) const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// The version that it says is the next one of what that member says.
pub(crate) const VERSION: u64 = 3;
/// Whom the broker takes every applicant for.
pub(crate) const MEMBER: &str = "spiffe://org-a.example/app/x";

/// A clock that shows the system's time, moved by what a test sets.
#[derive(Debug, Default)]
pub(crate) struct MovedClock(AtomicI64);

impl MovedClock {
    pub(crate) fn by(duration: Duration) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(duration.as_millis().try_into().unwrap())))
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.0.fetch_add(duration.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() + self.0.load(Ordering::SeqCst)).unwrap()
    }
}

pub(crate) fn plan(dir: &Path, address: &str) -> FoundingPlan {
    FoundingPlan {
        federation: "fed.example".parse().unwrap(),
        dir: dir.to_owned(),
        operator: "ada".parse().unwrap(),
        co_operators: vec![],
        root_threshold: 1,
        membership_threshold: 1,
        listen: "127.0.0.1:0".parse().unwrap(),
        addresses: vec![address.to_owned()],
        places: ["DE".parse().unwrap()].into(),
    }
}

/// A founded federation with a broker.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) founded: Founded,
    pub(crate) address: SocketAddr,
    pub(crate) desk: Desk,
    pub(crate) models: Models,
    anchors: Arc<SharedAnchors>,
    broker: Arc<Credentials>,
    cuts: Arc<Mutex<Vec<CancellationToken>>>,
    _tasks: Tasks,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock)).await
    }

    /// The broker's clock is `clock`.
    pub(crate) async fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr();
        let founded = found(&plan(dir.path(), &address.to_string()), SystemClock.now()).unwrap();
        let desk = Desk::new(std::fs::read(founded.data_dir.join("root.json")).unwrap());
        let anchors = [founded.root.organisation_anchors().unwrap(), desk.anchors()].into_iter().collect();
        let anchors = Arc::new(SharedAnchors::new(anchors));
        let (chain, key) = broker_leaf(&founded, SystemClock.now());
        let credentials = Arc::new(Credentials::new(chain, &key).unwrap());
        let broker = Arc::clone(&credentials);
        let mutual =
            tls::server_config(Arc::clone(&credentials), Arc::clone(&anchors) as _, Arc::clone(&clock)).unwrap();
        let enrolment = tls::enrolment_server_config(credentials, clock).unwrap();
        let incoming = listener.incoming(Acceptor::new(mutual, Some(enrolment)), &tasks);
        let cuts = Arc::<Mutex<Vec<CancellationToken>>>::default();
        let taken = Arc::clone(&cuts);
        let incoming = incoming.map(move |connection| {
            let info = connection.as_ref().unwrap().connect_info();
            taken.lock().unwrap().extend(info.peer.is_some().then_some(info.cut));
            connection
        });
        let models = Models::new(&founded);
        let server = Server::builder().layer(TrailerLayer).add_service(EnrolmentServer::new(desk.clone()));
        let server = server.add_service(InferenceServer::new(models.clone()));
        tasks.spawn("server", async move { server.serve_with_incoming(incoming).await.unwrap() });
        Self { dir, founded, address, desk, models, anchors, broker, cuts, _tasks: tasks }
    }

    pub(crate) fn invite(&self) -> Invite {
        Invite::generate(Inviter::Operators, self.founded.root_digest, &self.address.to_string()).unwrap()
    }

    /// From now on, only the federation's own members are known.
    pub(crate) fn forget_members(&self) {
        self.anchors.replace([self.founded.root.organisation_anchors().unwrap()].into_iter().collect());
    }

    /// The authority of the members' organisation gets a successor, which signs from now on. Both are believed.
    pub(crate) fn roll_authority(&self) {
        self.desk.0.authorities.lock().unwrap().push(member_authority());
        self.believe_members();
    }

    /// The authorities before the newest are believed no more.
    pub(crate) fn retire_authorities(&self) {
        let mut authorities = self.desk.0.authorities.lock().unwrap();
        let old = authorities.len() - 1;
        drop(authorities.drain(..old));
        drop(authorities);
        self.believe_members();
    }

    fn believe_members(&self) {
        let federation = self.founded.root.organisation_anchors().unwrap();
        self.anchors.replace([federation, self.desk.anchors()].into_iter().collect());
    }

    /// The broker's own certificate is another from now on, with another key.
    pub(crate) fn roll_broker(&self) {
        self.roll_broker_by(&SystemClock);
    }

    /// The same, beginning by this clock.
    pub(crate) fn roll_broker_by(&self, clock: &dyn Clock) {
        let (chain, key) = broker_leaf(&self.founded, clock.now());
        self.broker.replace(chain, &key).unwrap();
    }

    /// How many connections of members there were.
    pub(crate) fn connections(&self) -> usize {
        self.cuts.lock().unwrap().len()
    }

    pub(crate) fn cut_connections(&self) {
        self.cuts.lock().unwrap().iter().for_each(CancellationToken::cancel);
    }

    pub(crate) fn member_dir(&self) -> PathBuf {
        self.dir.path().join("member")
    }
}

fn member_authority() -> Authority {
    Authority::generate("org-a.example".parse().unwrap(), SystemClock.now()).unwrap()
}

fn broker_leaf(founded: &Founded, now: Timestamp) -> (Vec<CertificateDer<'static>>, KeyPair) {
    let (id, key) = (&founded.root.broker, KeyPair::generate().unwrap());
    let secret = Secret::new(std::fs::read_to_string(founded.data_dir.join("ca/fed.example.key.pem")).unwrap());
    let authority = Authority::from_pem(&secret, &founded.root.anchors[0]).unwrap();
    let request = SigningRequest::parse(&key.signing_request(id).unwrap()).unwrap();
    (authority.issue(&request, id, &[], LIFETIME * 2, now).unwrap().chain, key)
}

/// Enrols whoever comes as [`MEMBER`], once it is told to.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Inner>);

struct Inner {
    root: Mutex<Vec<u8>>,
    /// The newest signs.
    authorities: Mutex<Vec<Authority>>,
    approved: AtomicBool,
    loses_reply: AtomicBool,
    silent: AtomicBool,
    waiting: AtomicBool,
    answer: Notify,
    refusal: Mutex<Option<Failure>>,
    requests: Mutex<Vec<wire::JoinRequest>>,
    shown: Mutex<Vec<Vec<u8>>>,
    admitted: Mutex<BTreeSet<Digest>>,
    signs: AtomicBool,
    /// Which invite a key has asked by.
    bound: Mutex<BTreeMap<Digest, String>>,
    turned_down: Mutex<Option<String>>,
    issues_at: Mutex<Option<Arc<dyn Clock>>>,
}

impl Desk {
    fn new(root: Vec<u8>) -> Self {
        Self(Arc::new(Inner {
            root: Mutex::new(root),
            authorities: Mutex::new(vec![member_authority()]),
            approved: AtomicBool::default(),
            loses_reply: AtomicBool::default(),
            silent: AtomicBool::default(),
            waiting: AtomicBool::default(),
            answer: Notify::new(),
            refusal: Mutex::default(),
            requests: Mutex::default(),
            shown: Mutex::default(),
            admitted: Mutex::default(),
            signs: AtomicBool::new(true),
            bound: Mutex::default(),
            turned_down: Mutex::default(),
            issues_at: Mutex::default(),
        }))
    }

    fn anchors(&self) -> OrganisationAnchors {
        let authorities = self.0.authorities.lock().unwrap();
        let anchors: Vec<_> = authorities.iter().map(Authority::anchor).collect();
        OrganisationAnchors::new(authorities[0].domain().clone(), &anchors).unwrap()
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        self.0.root.lock().unwrap().clone()
    }

    pub(crate) fn show_root(&self, root: Vec<u8>) {
        *self.0.root.lock().unwrap() = root;
    }

    pub(crate) fn approve(&self) {
        self.0.approved.store(true, Ordering::SeqCst);
    }

    /// Nobody's key is admitted any more, nor has anybody asked.
    pub(crate) fn dismiss_all(&self) {
        self.0.admitted.lock().unwrap().clear();
        self.0.bound.lock().unwrap().clear();
    }

    /// Operators say no.
    pub(crate) fn turn_down(&self, why: &str) {
        *self.0.turned_down.lock().unwrap() = Some(why.to_owned());
    }

    /// From now on certificates begin by this clock.
    pub(crate) fn issue_by(&self, clock: Arc<dyn Clock>) {
        *self.0.issues_at.lock().unwrap() = Some(clock);
    }

    /// The next reply is lost, after what it says was done.
    pub(crate) fn lose_next_reply(&self) {
        self.0.loses_reply.store(true, Ordering::SeqCst);
    }

    /// From now on, calls are taken and not answered.
    pub(crate) fn fall_silent(&self) {
        self.0.silent.store(true, Ordering::SeqCst);
    }

    /// From now on, calls are answered; those that wait go on waiting.
    pub(crate) fn speak(&self) {
        self.0.silent.store(false, Ordering::SeqCst);
    }

    /// Until a call waits for its answer.
    pub(crate) async fn wait_until_asked(&self) {
        while !self.0.waiting.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Calls that wait are answered.
    pub(crate) fn answer_all(&self) {
        self.0.answer.notify_waiters();
    }

    /// The next applicant is refused.
    pub(crate) fn refuse_next(&self, refusal: Failure) {
        *self.0.refusal.lock().unwrap() = Some(refusal);
    }

    /// The secret and the key of everyone who asked.
    pub(crate) fn asked(&self) -> Vec<(Vec<u8>, Digest)> {
        let key = |csr: &[u8]| SigningRequest::parse(csr).unwrap().public_key_digest();
        self.requests().iter().map(|request| (request.secret.to_vec(), key(&request.csr_der))).collect()
    }

    /// What everyone sent who asked.
    pub(crate) fn requests(&self) -> Vec<wire::JoinRequest> {
        self.0.requests.lock().unwrap().clone()
    }

    /// The secrets of all who asked what their invite is for.
    pub(crate) fn shown(&self) -> Vec<Vec<u8>> {
        self.0.shown.lock().unwrap().clone()
    }

    /// The authority that it hosts, DER.
    pub(crate) fn anchor(&self) -> Vec<u8> {
        self.0.authorities.lock().unwrap()[0].anchor().to_vec()
    }

    /// From now on it admits, and signs no certificate.
    pub(crate) fn leave_signing_to_the_organisation(&self) {
        self.0.signs.store(false, Ordering::SeqCst);
    }

    /// A certificate for [`MEMBER`] and this key, by the authority that signs.
    pub(crate) fn issue_for(&self, key: &KeyPair) -> Vec<CertificateDer<'static>> {
        self.issue_as(MEMBER, key, SystemClock.now())
    }

    /// The same, for somebody else, or from another time on.
    pub(crate) fn issue_as(&self, id: &str, key: &KeyPair, from: Timestamp) -> Vec<CertificateDer<'static>> {
        let id: SpiffeId = id.parse().unwrap();
        let request = SigningRequest::parse(&key.signing_request(&id).unwrap()).unwrap();
        let authorities = self.0.authorities.lock().unwrap();
        authorities.last().unwrap().issue(&request, &id, &[], LIFETIME, from).unwrap().chain
    }

    fn issue(&self, csr: &[u8], lifetime: Duration) -> wire::Issued {
        let (id, request) = (MEMBER.parse::<SpiffeId>().unwrap(), SigningRequest::parse(csr).unwrap());
        if !self.0.signs.load(Ordering::SeqCst) {
            let organisation_anchors_der = vec![self.anchor().into()];
            return wire::Issued { spiffe_id: id.to_string(), organisation_anchors_der, ..Default::default() };
        }
        let authorities = self.0.authorities.lock().unwrap();
        let now = self.0.issues_at.lock().unwrap().as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now());
        let issued = authorities.last().unwrap().issue(&request, &id, &[], lifetime, now).unwrap();
        let chain = issued.chain.iter().map(|der| der.to_vec().into()).collect();
        wire::Issued { certificate_chain_der: chain, spiffe_id: id.to_string(), ..Default::default() }
    }
}

#[tonic::async_trait]
impl Enrolment for Desk {
    async fn get_root(&self, _: Request<wire::GetRootRequest>) -> Result<Response<wire::GetRootResponse>, Status> {
        if self.0.silent.load(Ordering::SeqCst) {
            self.0.waiting.store(true, Ordering::SeqCst);
            self.0.answer.notified().await;
        }
        let millis = SystemClock.now().as_millis();
        let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap();
        let now = Some(prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos });
        Ok(Response::new(wire::GetRootResponse { root: self.root().into(), now }))
    }

    async fn get_invite(
        &self,
        request: Request<wire::GetInviteRequest>,
    ) -> Result<Response<wire::GetInviteResponse>, Status> {
        self.0.shown.lock().unwrap().push(request.into_inner().secret.to_vec());
        Ok(Response::new(wire::GetInviteResponse {
            spiffe_id: MEMBER.into(),
            hosted_anchor_der: self.anchor().into(),
            version: VERSION,
            expires_at: None,
        }))
    }

    async fn lift(&self, _: Request<wire::LiftRequest>) -> Result<Response<wire::LiftResponse>, Status> {
        Err(Status::unimplemented("nobody is suspended here"))
    }

    async fn certify(&self, request: Request<wire::CertifyRequest>) -> Result<Response<wire::CertifyResponse>, Status> {
        let csr = request.into_inner().csr_der;
        let key = SigningRequest::parse(&csr).unwrap().public_key_digest();
        let bound = self.0.bound.lock().unwrap().get(&key).cloned();
        let has_asked = bound.is_some();
        if has_asked && self.0.approved.load(Ordering::SeqCst) {
            self.0.admitted.lock().unwrap().insert(key);
        }
        if !self.0.admitted.lock().unwrap().contains(&key) {
            let turned_down = self.0.turned_down.lock().unwrap().clone();
            return Err(match (has_asked, turned_down) {
                (false, _) => Failure::new(Code::NotFound, "KEY_NOT_ADMITTED", "who is that?"),
                (true, Some(why)) => {
                    Failure::new(Code::FailedPrecondition, "ENROLMENT_REJECTED", "no").with("why", why)
                }
                (true, None) => Failure::new(Code::FailedPrecondition, "ENROLMENT_WAITS", "wait")
                    .with("enrolment", bound.unwrap_or_default())
                    .with("fingerprint", key.fingerprint()),
            }
            .into());
        }
        Ok(Response::new(wire::CertifyResponse { issued: Some(self.issue(&csr, LIFETIME)) }))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<wire::JoinResponse>, Status> {
        let request = request.into_inner();
        let key = SigningRequest::parse(&request.csr_der).unwrap().public_key_digest();
        self.0.requests.lock().unwrap().push(request.clone());
        let approved = self.0.approved.load(Ordering::SeqCst);
        if let Some(refusal) = self.0.refusal.lock().unwrap().take() {
            return Err(refusal.into());
        }
        self.0.bound.lock().unwrap().insert(key, request.invite_id.clone());
        if approved {
            self.0.admitted.lock().unwrap().insert(key);
        }
        if self.0.loses_reply.swap(false, Ordering::SeqCst) {
            return Err(Status::unavailable("lost"));
        }
        let state = if approved {
            State::Issued(self.issue(&request.csr_der, LIFETIME))
        } else {
            State::Pending(wire::Pending { enrolment_id: request.invite_id, fingerprint: key.fingerprint() })
        };
        Ok(Response::new(wire::JoinResponse { state: Some(state) }))
    }

    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        let info: &PeerInfo = request.extensions().get().unwrap();
        assert_eq!(info.peer.as_ref().unwrap().id().as_str(), MEMBER);
        let issued = self.issue(&request.get_ref().csr_der, LIFETIME * 2);
        Ok(Response::new(wire::RenewResponse { issued: Some(issued) }))
    }
}
