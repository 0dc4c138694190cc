//! A broker that only enrols, and answers as a test tells it to.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use comity_client::founding::{Founded, FoundingPlan, found};
use comity_identity::{
    Authority, Credentials, IdentityDir, Invite, Inviter, KeyPair, SharedAnchors, SigningRequest, tls,
};
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_server::{Enrolment, EnrolmentServer};
use comity_proto::enrolment::join_response::State;
use comity_proto::error::Failure;
use comity_runtime::accept::{Acceptor, Listener};
use comity_runtime::clock::SystemClock;
use comity_runtime::tasks::Tasks;
use comity_types::{Clock, Secret, SpiffeId, Timestamp};
use tempfile::TempDir;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};

/// How long certificates hold.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Whom the broker takes every applicant for.
pub(crate) const MEMBER: &str = "spiffe://org-a.example/app/x";

/// What the next applicant is told.
pub(crate) enum Answer {
    /// Operators have to decide.
    Wait,
    /// It becomes [`MEMBER`].
    Issue,
    /// The broker refuses.
    Refuse(Failure),
}

/// A broker, and the federation that it serves.
pub(crate) struct Broker {
    pub(crate) dir: TempDir,
    pub(crate) desk: Desk,
    founded: Founded,
    address: String,
    _tasks: Tasks,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().to_string();
        let plan = FoundingPlan {
            federation: "fed.example".parse().unwrap(),
            dir: dir.path().to_owned(),
            operator: "ada".parse().unwrap(),
            co_operators: vec![],
            root_threshold: 1,
            membership_threshold: 1,
            listen: "127.0.0.1:0".parse().unwrap(),
            addresses: vec![address.clone()],
            places: ["DE".parse().unwrap()].into(),
        };
        let founded = found(&plan, SystemClock.now()).unwrap();
        let desk = Desk::new(std::fs::read(founded.data_dir.join("root.json")).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let credentials = credentials(&founded);
        let anchors =
            Arc::new(SharedAnchors::new([founded.root.organisation_anchors().unwrap()].into_iter().collect()));
        let mutual = tls::server_config(Arc::clone(&credentials), anchors as _, Arc::clone(&clock)).unwrap();
        let enrolment = tls::enrolment_server_config(credentials, clock).unwrap();
        let incoming = listener.incoming(Acceptor::new(mutual, Some(enrolment)), &tasks);
        let server = Server::builder().add_service(EnrolmentServer::new(desk.clone()));
        tasks.spawn("server", async move { server.serve_with_incoming(incoming).await.unwrap() });
        Self { dir, desk, founded, address, _tasks: tasks }
    }

    pub(crate) fn invite(&self) -> String {
        Invite::generate(Inviter::Operators, self.founded.root_digest, &self.address)
            .unwrap()
            .encode()
            .unwrap()
            .reveal()
            .clone()
    }

    /// An app's identity, in a directory of its own, whose certificate ended yesterday.
    pub(crate) fn expired(&self) -> PathBuf {
        let dir = IdentityDir::create(self.dir.path().join("expired")).unwrap();
        let (id, key) = (MEMBER.parse().unwrap(), dir.pending_key().unwrap());
        let request = SigningRequest::parse(&key.signing_request(&id).unwrap()).unwrap();
        let long_ago = Timestamp::from_millis(SystemClock.now().as_millis() - 2 * 24 * 3600 * 1000).unwrap();
        let issued = self.desk.0.authority.issue(&request, &id, &[], LIFETIME, long_ago).unwrap();
        dir.save(&issued.chain, &self.desk.0.root).unwrap();
        dir.path().to_owned()
    }

    pub(crate) fn operator_dir(&self) -> &Path {
        self.founded.operator_dir.path()
    }
}

fn credentials(founded: &Founded) -> Arc<Credentials> {
    let key = std::fs::read_to_string(founded.data_dir.join("ca/fed.example.key.pem")).unwrap();
    let authority = Authority::from_pem(&Secret::new(key), &founded.root.anchors[0]).unwrap();
    let (key, id) = (KeyPair::generate().unwrap(), &founded.root.broker);
    let request = SigningRequest::parse(&key.signing_request(id).unwrap()).unwrap();
    let issued = authority.issue(&request, id, &[], LIFETIME, SystemClock.now()).unwrap();
    Arc::new(Credentials::new(issued.chain, &key).unwrap())
}

/// Takes applications.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Inner>);

struct Inner {
    root: Vec<u8>,
    authority: Authority,
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<wire::JoinRequest>>,
    admits: AtomicBool,
    certified: AtomicUsize,
}

impl Desk {
    fn new(root: Vec<u8>) -> Self {
        let authority = Authority::generate("org-a.example".parse().unwrap(), SystemClock.now()).unwrap();
        Self(Arc::new(Inner {
            root,
            authority,
            answers: Mutex::default(),
            asked: Mutex::default(),
            admits: AtomicBool::default(),
            certified: AtomicUsize::default(),
        }))
    }

    /// What applicants are told, one after the other.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.answers.lock().unwrap().extend(answers);
    }

    /// From now on, every key is admitted.
    pub(crate) fn admit_everybody(&self) {
        self.0.admits.store(true, Ordering::SeqCst);
    }

    /// How often keys have asked how it stands.
    pub(crate) fn certified(&self) -> usize {
        self.0.certified.load(Ordering::SeqCst)
    }

    /// Everybody's application.
    pub(crate) fn asked(&self) -> Vec<wire::JoinRequest> {
        self.0.asked.lock().unwrap().clone()
    }

    fn issue(&self, csr: &[u8]) -> wire::Issued {
        let (id, request): (SpiffeId, _) = (MEMBER.parse().unwrap(), SigningRequest::parse(csr).unwrap());
        let issued = self.0.authority.issue(&request, &id, &[], LIFETIME, SystemClock.now()).unwrap();
        let chain = issued.chain.iter().map(|der| der.to_vec().into()).collect();
        wire::Issued { certificate_chain_der: chain, spiffe_id: id.to_string(), ..Default::default() }
    }
}

#[tonic::async_trait]
impl Enrolment for Desk {
    async fn get_root(&self, _: Request<wire::GetRootRequest>) -> Result<Response<wire::GetRootResponse>, Status> {
        Ok(Response::new(wire::GetRootResponse { root: self.0.root.clone().into(), now: None }))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<wire::JoinResponse>, Status> {
        let request = request.into_inner();
        self.0.asked.lock().unwrap().push(request.clone());
        let answer = self.0.answers.lock().unwrap().pop_front();
        let state = match answer.expect("an answer is prepared for every applicant") {
            Answer::Wait => {
                State::Pending(wire::Pending { enrolment_id: request.invite_id, fingerprint: "ab-cd".into() })
            }
            Answer::Issue => State::Issued(self.issue(&request.csr_der)),
            Answer::Refuse(failure) => return Err(failure.into()),
        };
        Ok(Response::new(wire::JoinResponse { state: Some(state) }))
    }

    async fn get_invite(
        &self,
        _: Request<wire::GetInviteRequest>,
    ) -> Result<Response<wire::GetInviteResponse>, Status> {
        let hosted_anchor_der = self.0.authority.anchor().to_vec().into();
        Ok(Response::new(wire::GetInviteResponse { spiffe_id: MEMBER.into(), hosted_anchor_der, ..Default::default() }))
    }

    async fn lift(&self, _: Request<wire::LiftRequest>) -> Result<Response<wire::LiftResponse>, Status> {
        Err(Status::unimplemented("nobody is suspended here"))
    }

    async fn certify(&self, request: Request<wire::CertifyRequest>) -> Result<Response<wire::CertifyResponse>, Status> {
        let _before = self.0.certified.fetch_add(1, Ordering::SeqCst);
        if self.0.admits.load(Ordering::SeqCst) {
            return Ok(Response::new(wire::CertifyResponse { issued: Some(self.issue(&request.get_ref().csr_der)) }));
        }
        Err(if self.asked().is_empty() {
            Failure::new(Code::NotFound, "KEY_NOT_ADMITTED", "the key is not admitted (hint: join with an invite)")
        } else {
            let waits = Failure::new(Code::FailedPrecondition, "ENROLMENT_WAITS", "wait");
            waits.with("enrolment", "e1").with("fingerprint", "ab-cd")
        }
        .into())
    }

    async fn renew(&self, _: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        Err(Status::unimplemented("nobody renews here"))
    }
}
