//! A node on its own socket: whom it talks to, what it says of itself, and how it ends.

use comity_identity::{Authority, Credentials, KeyPair, OrganisationAnchors, tls};
use comity_proto::error::Detail;
use comity_proto::inference::ChatRequest;
use comity_proto::inference::inference_client::InferenceClient;
use comity_runtime::dial;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::*;
use crate::testing::{BROKER, NODE, World, chain};

mod health;
mod matrix;
mod renewal;

/// The address of a broker that is down.
const NOBODY: &str = "127.0.0.1:9";

struct Running {
    world: World,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), NodeError>>,
}

async fn run() -> Running {
    let world = World::at(NOBODY);
    let node = Node::build(&world.config).await.unwrap();
    run_in(world, node)
}

fn run_in(world: World, node: Node) -> Running {
    let (address, (stop, stopped)) = (node.local_addr().unwrap(), oneshot::channel::<()>());
    let ended = spawn(node, stopped);
    Running { world, address, stop, ended }
}

#[expect(clippy::disallowed_methods, reason = "the node under test")]
fn spawn(node: Node, stopped: oneshot::Receiver<()>) -> tokio::task::JoinHandle<Result<(), NodeError>> {
    tokio::spawn(node.run(async move { stopped.await.unwrap() }))
}

impl Running {
    /// A channel as `id`, whose certificate `authority` issued.
    async fn dial(&self, authority: &Authority, id: &str) -> Result<Channel, tonic::transport::Error> {
        self.dial_with(self.client(authority, id, Arc::new(SystemClock))).await
    }

    async fn dial_with(&self, tls: Arc<rustls::ClientConfig>) -> Result<Channel, tonic::transport::Error> {
        let address = self.address.to_string();
        let connector = tower::service_fn(move |_: http::Uri| {
            let (address, tls) = (address.clone(), Arc::clone(&tls));
            async move { dial::connect(&address, tls).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://node").connect_with_connector(connector).await
    }

    /// What `id` calls the node with.
    fn client(&self, authority: &Authority, id: &str, clock: Arc<dyn Clock>) -> Arc<rustls::ClientConfig> {
        let key = KeyPair::generate().unwrap();
        let credentials = Arc::new(Credentials::new(chain(authority, id, &key), &key).unwrap());
        let organisation = &self.world.organisation;
        let anchors = OrganisationAnchors::new(organisation.domain().clone(), &[organisation.anchor()]).unwrap();
        tls::client_config(credentials, NODE.parse().unwrap(), Arc::new(anchors), clock).unwrap()
    }

    async fn broker(&self) -> Channel {
        self.dial(&self.world.federation, BROKER).await.unwrap()
    }

    fn data(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.world.data(file)).ok()
    }
}

fn reason(status: &Status) -> String {
    Detail::of(status).unwrap().reason
}

#[tokio::test]
async fn a_broker_gets_as_far_as_the_permit_and_another_member_of_its_domain_does_not() {
    let node = run().await;
    let refused = InferenceClient::new(node.broker().await).chat(ChatRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "PERMIT_MISSING"));
    let operator = node.dial(&node.world.federation, "spiffe://fed.example/operator/alice").await.unwrap();
    let refused = InferenceClient::new(operator).chat(ChatRequest::default()).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_A_BROKER");
}

#[tokio::test]
async fn an_organisations_certificate_does_not_reach_a_node() {
    let node = run().await;
    // TLS 1.3 lets the client finish first, so that the refusal may come with the first call.
    let refused = match node.dial(&node.world.organisation, "spiffe://org-a.example/app/a1").await {
        Ok(channel) => InferenceClient::new(channel)
            .chat(ChatRequest::default())
            .await
            .is_err_and(|status| Detail::of(&status).is_none()),
        Err(_) => true,
    };
    assert!(refused);
}

#[tokio::test]
async fn health_and_reflection_answer_the_broker() {
    let node = run().await;
    let mut health = HealthClient::new(node.broker().await);
    let service = "comity.inference.v1.Inference".to_owned();
    let status = health.check(HealthCheckRequest { service }).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::NotServing, "nobody has told it of the federation");
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut reflection = ServerReflectionClient::new(node.broker().await);
    let answers = reflection.server_reflection_info(futures::stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|service| service.name == "comity.inference.v1.Inference"), "{list:?}");
}

#[tokio::test]
async fn a_node_says_where_it_listens_is_not_ready_before_its_offers_are_published_and_ends_when_asked() {
    let node = run().await;
    let _served = node.broker().await;
    assert_eq!((node.data(ADDRESS_FILE), node.data(READY_FILE)), (Some(node.address.to_string()), None));
    node.stop.send(()).unwrap();
    node.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_offer_says_the_digest_of_its_embedded_model() {
    let node = Node::build(&World::at(NOBODY).config).await.unwrap();
    assert!(node.offers.iter().all(|offer| offer.model_digest.is_some()), "{:?}", node.offers);
}

#[tokio::test]
async fn without_an_identity_the_message_says_how_to_get_one() {
    let world = World::at(NOBODY);
    std::fs::remove_dir_all(world.config.identity_dir()).unwrap();
    let error = Node::build(&world.config).await.unwrap_err();
    assert!(error.to_string().contains("comity-node join"), "{error}");
}

#[tokio::test]
async fn a_second_node_with_the_same_data_directory_does_not_start_while_the_first_runs() {
    let world = World::at(NOBODY);
    let first = Node::build(&world.config).await.unwrap();
    let refused = Node::build(&world.config).await.unwrap_err();
    assert!(matches!(refused, NodeError::InUse { .. }), "{refused:?}");
    for part in ["node.data_dir", "another comity-node", "hint"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    let node = run_in(world, first);
    let refused = Node::build(&node.world.config).await.unwrap_err();
    assert!(matches!(refused, NodeError::InUse { .. }), "{refused:?}");
    node.stop.send(()).unwrap();
    node.ended.await.unwrap().unwrap();
    drop(Node::build(&node.world.config).await.unwrap());
}
