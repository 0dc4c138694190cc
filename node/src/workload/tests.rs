//! A node whose key is an agent's: it starts with it, rotates with it, and outlives the agent's restart.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use comity_identity::{Authority, KeyPair};
use comity_runtime::clock::SystemClock;
use comity_runtime::tasks::Tasks;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tonic::body::Body;
use tonic::server::{NamedService, ServerStreamingService};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::*;
use crate::Node;
use crate::testing::{FAST, Log, NODE, World, chain, eventually, run_until};

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
struct Svids {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<HandedOut>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HandedOut {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
}

type Answers = Pin<Box<dyn tokio_stream::Stream<Item = Result<Svids, Status>> + Send>>;

#[derive(Clone)]
struct Agent(watch::Receiver<Svids>);

impl ServerStreamingService<Empty> for Agent {
    type Response = Svids;
    type ResponseStream = Answers;
    type Future = std::future::Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, _: Request<Empty>) -> Self::Future {
        std::future::ready(Ok(Response::new(Box::pin(WatchStream::new(self.0.clone()).map(Ok)))))
    }
}

impl NamedService for Agent {
    const NAME: &'static str = "SpiffeWorkloadAPI";
}

impl tower::Service<http::Request<Body>> for Agent {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let agent = self.clone();
        Box::pin(async move {
            let codec: ProstCodec<Svids, Empty> = ProstCodec::default();
            Ok(tonic::server::Grpc::new(codec).server_streaming(agent, request).await)
        })
    }
}

/// A node whose folder holds no key, and the agent that has one.
struct Scene {
    world: World,
    hands_out: watch::Sender<Svids>,
    socket: Socket,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::at("127.0.0.1:9");
        for file in ["key.pem", "cert.pem"] {
            std::fs::remove_file(world.config.identity_dir().join(file)).unwrap();
        }
        let socket: Socket = format!("unix://{}", world.folder.path().join("agent.sock").display()).parse().unwrap();
        world.config.identity.workload_api = Some(socket.clone());
        let hands_out = watch::Sender::new(fresh(&world.organisation));
        Self { world, hands_out, socket }
    }

    /// Runs the agent until what comes back is closed.
    fn agent(&self) -> tokio_util::sync::CancellationToken {
        let _gone = std::fs::remove_file(self.socket.path());
        let (listener, tasks) = (UnixListener::bind(self.socket.path()).unwrap(), Tasks::new());
        let (server, stop) = (Server::builder().add_service(Agent(self.hands_out.subscribe())), tasks.token());
        let ending = stop.clone();
        tasks.spawn("agent", async move {
            // A crash: connections are not ended in good order.
            let served = server.serve_with_incoming(UnixListenerStream::new(listener));
            drop(ending.run_until_cancelled(served).await);
        });
        stop
    }

    fn rotate(&self) {
        self.hands_out.send_replace(fresh(&self.world.organisation));
    }
}

fn fresh(organisation: &Authority) -> Svids {
    let key = KeyPair::generate().unwrap();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(key.to_pem().reveal().as_bytes());
    let der: rustls::pki_types::PrivatePkcs8KeyDer<'_> = der.unwrap();
    let svid = HandedOut {
        spiffe_id: NODE.into(),
        x509_svid: chain(organisation, NODE, &key)[0].to_vec(),
        x509_svid_key: der.secret_pkcs8_der().to_vec(),
        bundle: organisation.anchor().to_vec(),
    };
    Svids { svids: vec![svid] }
}

#[tokio::test]
async fn a_node_starts_and_rotates_with_what_the_agent_hands_out_and_writes_no_key() {
    let scene = Scene::new();
    let _agent = scene.agent();
    let dir = scene.world.config.identity_dir();
    let (identity, source) = open(&dir, &scene.socket, Arc::new(SystemClock)).await.unwrap();
    let (before, looking) = (identity.leaf(), identity.clone());
    scene.rotate();
    run_until(source.follow(&identity, FAST), || looking.leaf().public_key != before.public_key).await;
    assert_eq!(identity.leaf().id, before.id);
    assert!(!dir.join("key.pem").exists() && !dir.join("cert.pem").exists());
    // What the node signs with is its own from the day it joined; what it calls with never touches the disk.
    let own = KeyPair::generate().unwrap().to_pem();
    std::fs::write(dir.join("key.pem"), own.reveal()).unwrap();
    std::fs::set_permissions(dir.join("key.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    Node::build(&scene.world.config).await.expect("the node as a whole starts, too");
    assert_eq!(std::fs::read_to_string(dir.join("key.pem")).unwrap(), *own.reveal());
    assert!(!dir.join("cert.pem").exists());
}

#[tokio::test]
async fn an_agent_that_restarts_is_found_again_and_the_certificate_stays_in_use_meanwhile() {
    let scene = Scene::new();
    let agent = scene.agent();
    let dir = scene.world.config.identity_dir();
    let (identity, source) = open(&dir, &scene.socket, Arc::new(SystemClock)).await.unwrap();
    let (before, looking, log, tasks) = (identity.leaf(), identity.clone(), Log::default(), Tasks::new());
    let _collecting = log.collect();
    let stop = tasks.token();
    tasks.spawn("follow", async move { stop.run_until_cancelled(source.follow(&identity, FAST)).await.unwrap_or(()) });
    agent.cancel();
    std::fs::remove_file(scene.socket.path()).unwrap();
    scene.rotate();
    let _agent = scene.agent();
    eventually(|| looking.leaf().public_key != before.public_key).await;
    tasks.token().cancel();
}

#[tokio::test]
async fn a_node_whose_agent_is_not_there_says_so() {
    let scene = Scene::new();
    let error = crate::error_chain(&Node::build(&scene.world.config).await.unwrap_err());
    assert!(error.contains("identity.workload_api") && error.contains("cannot be reached"), "{error}");
}
