use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use comity_identity::KeyPair;
use comity_proto::enrolment::GetRootRequest;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_runtime::clock::SystemClock;
use comity_runtime::tasks::Tasks;
use comity_types::ids::Kind;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tonic::body::Body;
use tonic::server::{NamedService, ServerStreamingService};
use tonic::transport::Server;
use tonic::{Code, Response};
use tower::Service;

use super::*;
use crate::testing::{MEMBER, World};
use crate::{Connection, Identity};

type Answers = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<wire::Response, Status>> + Send>>;

/// An agent that hands out what it is told to, to whoever asks as the standard says; to nobody if it knows nobody.
#[derive(Clone)]
struct Agent(watch::Receiver<Vec<wire::Svid>>);

impl ServerStreamingService<wire::Request> for Agent {
    type Response = wire::Response;
    type ResponseStream = Answers;
    type Future = std::future::Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<wire::Request>) -> Self::Future {
        if request.metadata().get("workload.spiffe.io").is_none_or(|value| value != "true") {
            return std::future::ready(Err(Status::invalid_argument("security header missing from request")));
        }
        if self.0.borrow().is_empty() {
            return std::future::ready(Err(Status::permission_denied("no identity issued")));
        }
        let answers = WatchStream::new(self.0.clone()).map(|svids| Ok(wire::Response { svids }));
        std::future::ready(Ok(Response::new(Box::pin(answers))))
    }
}

impl NamedService for Agent {
    const NAME: &'static str = "SpiffeWorkloadAPI";
}

impl Service<http::Request<Body>> for Agent {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchX509SVID");
        let agent = self.clone();
        Box::pin(async move {
            let codec: ProstCodec<wire::Response, wire::Request> = ProstCodec::default();
            Ok(tonic::server::Grpc::new(codec).server_streaming(agent, request).await)
        })
    }
}

/// An agent on a socket of its own, a member that it knows, and the broker of that member.
struct Scene {
    world: World,
    dir: tempfile::TempDir,
    hands_out: watch::Sender<Vec<wire::Svid>>,
    _tasks: Tasks,
}

impl Scene {
    async fn new() -> Self {
        let (world, dir, tasks) = (World::new().await, tempfile::tempdir().unwrap(), Tasks::new());
        let (hands_out, handed) = watch::channel(Vec::new());
        let listener = UnixListener::bind(dir.path().join("agent.sock")).unwrap();
        let server = Server::builder().add_service(Agent(handed));
        tasks.spawn("agent", async move {
            server.serve_with_incoming(UnixListenerStream::new(listener)).await.unwrap();
        });
        let scene = Self { world, dir, hands_out, _tasks: tasks };
        scene.rotate();
        scene
    }

    fn socket(&self) -> Socket {
        format!("unix://{}", self.dir.path().join("agent.sock").display()).parse().unwrap()
    }

    /// The agent has a new key and certificate for the member, and one for somebody else before it.
    fn rotate(&self) {
        let key = KeyPair::generate().unwrap();
        let chain = self.world.desk.issue_for(&key);
        let pkcs8 = rustls::pki_types::pem::PemObject::from_pem_slice(key.to_pem().reveal().as_bytes());
        let pkcs8: rustls::pki_types::PrivatePkcs8KeyDer<'_> = pkcs8.unwrap();
        let member = wire::Svid {
            spiffe_id: MEMBER.into(),
            x509_svid: chain[0].to_vec(),
            x509_svid_key: pkcs8.secret_pkcs8_der().to_vec(),
            bundle: Vec::new(),
        };
        let other = wire::Svid { spiffe_id: "spiffe://org-a.example/app/other".into(), ..member.clone() };
        self.hands_out.send_replace(vec![other, member]);
    }

    async fn open(&self) -> WorkloadApi {
        WorkloadApi::open(&self.socket()).await.unwrap()
    }
}

fn member() -> SpiffeId {
    MEMBER.parse().unwrap()
}

#[tokio::test]
async fn a_member_whose_key_is_the_agents_calls_the_broker_and_goes_on_when_the_agent_rotates() {
    let scene = Scene::new().await;
    scene.world.desk.approve();
    let dir = scene.world.member_dir();
    let invite = scene.world.invite();
    crate::enrol::join(crate::enrol::Joining::new(&invite, &[Kind::App], None, &dir)).await.unwrap();
    for file in ["key.pem", "cert.pem"] {
        std::fs::remove_file(dir.join(file)).unwrap();
    }
    let mut api = scene.open().await;
    let credentials = Arc::new(api.credentials(&member()).await.unwrap());
    let identity = Identity::open_with_credentials(&dir, Arc::clone(&credentials), Arc::new(SystemClock)).unwrap();
    let mut client = EnrolmentClient::new(Connection::open(&identity).unwrap().channel());
    for rotation in 1..=5 {
        client.get_root(GetRootRequest {}).await.unwrap();
        let before = credentials.leaf();
        scene.rotate();
        api.renew(&credentials).await.unwrap();
        assert_ne!(credentials.leaf().public_key, before.public_key);
        let moved = tokio::time::timeout(DEADLINE, async {
            while scene.world.connections() <= rotation {
                client.get_root(GetRootRequest {}).await.unwrap();
            }
        });
        moved.await.expect("calls go over a connection with the new certificate");
    }
}

#[tokio::test]
async fn somebody_elses_credentials_do_not_open_an_identity() {
    let scene = Scene::new().await;
    let credentials = scene.open().await.credentials(&member()).await.unwrap();
    let operator = scene.world.founded.operator_dir.path();
    assert!(Identity::open_with_credentials(operator, Arc::new(credentials), Arc::new(SystemClock)).is_err());
}

#[tokio::test]
async fn an_identity_that_the_agent_does_not_have_is_named_beside_those_that_it_has() {
    let scene = Scene::new().await;
    let stranger = "spiffe://org-a.example/node/n9".parse().unwrap();
    let error = scene.open().await.next(Some(&stranger)).await.unwrap_err().to_string();
    assert!(error.contains("node/n9") && error.contains(MEMBER), "{error}");
}

#[tokio::test]
async fn an_agent_that_knows_nobody_says_so_and_what_to_do_about_it() {
    let scene = Scene::new().await;
    scene.hands_out.send_replace(Vec::new());
    let refused = WorkloadApi::open(&scene.socket()).await.unwrap_err();
    assert!(
        matches!(&refused, WorkloadError::Refused(status) if status.code() == Code::PermissionDenied),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("no identity issued") && refused.to_string().contains("hint: "), "{refused}");
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_named() {
    let socket: Socket = "unix:///nowhere/agent.sock".parse().unwrap();
    let error = WorkloadApi::open(&socket).await.unwrap_err();
    assert!(
        error.to_string().contains("unix:///nowhere/agent.sock") && matches!(error, WorkloadError::NotReached { .. })
    );
}

#[test]
fn a_socket_is_an_absolute_path_with_its_scheme() {
    for text in ["unix:///run/spire/agent.sock", "unix:/run/spire/agent.sock"] {
        assert_eq!(text.parse::<Socket>().unwrap().to_string(), "unix:///run/spire/agent.sock");
    }
    for text in
        ["", "/run/agent.sock", "unix:agent.sock", "unix://", "tcp://127.0.0.1:8081", "unix:///a?b", "unix:///a#b"]
    {
        assert!(text.parse::<Socket>().is_err(), "{text}");
    }
}
