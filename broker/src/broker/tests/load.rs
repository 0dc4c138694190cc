//! What members and strangers who mean harm can take of a broker, over real sockets: their own share, and no more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comity_identity::host::TUNNEL;
use comity_identity::tls::{client_config, enrolment_client_config};
use comity_proto::enrolment::GetRootRequest;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::Kind;
use comity_runtime::socket::Socket;
use futures::StreamExt as _;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::access::tests::node::{Door, Node, answers, spawn};
use crate::access::tests::stage::chat;
use crate::access::tests::world::{in_germany, offer};
use crate::edge::arrival::{MAX_ARRIVAL, MAX_STRANGERS_ARRIVAL};
use crate::testing::{DEADLINE, Member, Scene, assert_refused, reason};

const GET_ROOT: &str = "/comity.enrolment.v1.Enrolment/GetRoot";
/// An empty message.
const EMPTY: &str = "";

impl Scene {
    fn strangers_tls(&self) -> Arc<ClientConfig> {
        let anchors = Arc::new(self.root.organisation_anchors().unwrap());
        enrolment_client_config(self.root.broker.clone(), anchors, self.clock.clone()).unwrap()
    }

    fn members_tls(&self, member: &Member) -> Arc<ClientConfig> {
        let anchors = Arc::new(self.root.organisation_anchors().unwrap());
        client_config(member.credentials(), self.root.broker.clone(), anchors, self.clock.clone()).unwrap()
    }

    /// A connection without a certificate from another address. Any of 127.0.0.0/8 is this machine's.
    async fn connect_to_enrol_from(&self, address: &str) -> Channel {
        let (tls, broker) = (TlsConnector::from(self.strangers_tls()), self.address());
        let from = SocketAddr::new(address.parse().unwrap(), 0);
        let connector = tower::service_fn(move |_| {
            let tls = tls.clone();
            async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind(from)?;
                let tcp = socket.connect(broker).await?;
                tls.connect("broker".try_into().unwrap(), tcp).await.map(TokioIo::new)
            }
        });
        Endpoint::from_static("http://broker").connect_with_connector(connector).await.unwrap()
    }
}

/// Begins a call, and sends half of its message; what it is answered with comes later.
fn half_a_call(channel: &Channel, path: &'static str) -> oneshot::Receiver<Status> {
    let half = Frame::data(Bytes::from_static(b"\0\0\0\0\x20half"));
    let body = StreamBody::new(futures::stream::iter([Ok::<_, Status>(half)]).chain(futures::stream::pending()));
    let request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    let (request, channel) = (request.body(Body::new(body)).unwrap(), channel.clone());
    let (answered, answer) = oneshot::channel();
    spawn(async move {
        let response = channel.oneshot(request).await.unwrap();
        let status = match Status::from_header_map(response.headers()) {
            Some(status) => status,
            None => {
                let trailers = response.into_body().collect().await.unwrap().trailers().cloned();
                Status::from_header_map(&trailers.unwrap_or_default()).expect("an end")
            }
        };
        // The test may be over.
        let _gone = answered.send(status);
    });
    answer
}

async fn root(channel: &Channel) -> Result<(), Status> {
    EnrolmentClient::new(channel.clone()).get_root(GetRootRequest {}).await.map(drop)
}

/// Asks until it is refused for this.
async fn until_refused(channel: &Channel, expected: &str) {
    let refused = async {
        while root(channel).await.map_err(|refused| reason(&refused)) != Err(expected.to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, refused).await.unwrap_or_else(|_| panic!("not refused for {expected}"));
}

/// Lets this much time pass, and no more.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn assert_too_slow(answers: Vec<oneshot::Receiver<Status>>) {
    for answer in answers {
        let answer = tokio::time::timeout(DEADLINE, answer).await.expect("it is ended").unwrap();
        assert_refused(Err::<(), _>(answer), Code::DeadlineExceeded, "REQUEST_TOO_SLOW");
    }
}

#[tokio::test]
async fn strangers_who_send_half_of_a_call_hold_the_share_of_their_address_and_not_for_long() {
    let scene = Scene::new().await;
    let (hostile, beside, honest) = (
        scene.connect_to_enrol().await,
        scene.connect_to_enrol().await,
        scene.connect_to_enrol_from("127.0.0.2").await,
    );
    // An organisation has 32 in tests, and an address a quarter of them: as many as one connection.
    let held = (0..8).map(|_| half_a_call(&hostile, GET_ROOT)).collect();
    until_refused(&hostile, "CONNECTION_BUSY").await;
    until_refused(&beside, "ADDRESS_BUSY").await;
    root(&honest).await.expect("who joins from elsewhere is served");
    pass(MAX_STRANGERS_ARRIVAL).await;
    assert_too_slow(held).await;
    root(&hostile).await.expect("the places are free again");
}

#[tokio::test]
async fn a_members_call_whose_message_does_not_come_is_ended_and_gives_its_place_back() {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.limits.in_flight_per_organisation = 3;
    scene.start_with(config).await.unwrap();
    let app = scene.admit("app.example", Kind::App, "a1").await;
    let channel = scene.connect(&app).await.unwrap();
    let paths = [
        "/comity.catalog.v1.Catalog/ListModels",
        "/comity.inference.v1.Inference/ChatStream",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ];
    let [models, stream, reflection] = paths.map(|path| half_a_call(&channel, path));
    until_refused(&channel, "ORGANISATION_BUSY").await;
    pass(MAX_ARRIVAL).await;
    assert_too_slow(vec![models, stream]).await;
    // Its answer had begun; tonic's service ends it in its own words.
    tokio::time::timeout(DEADLINE, reflection).await.expect("it is ended").unwrap();
    let freed = async {
        while root(&channel).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, freed).await.expect("the places are free again");
}

/// A connection of a member, unless the broker hangs up on it.
async fn connected(scene: &Scene, member: &Member) -> Option<TlsStream<Socket>> {
    let dialled = comity_runtime::dial::connect(&scene.address().to_string(), scene.members_tls(member)).await;
    let mut connection = dialled.ok()?;
    // The broker's first word is HTTP/2's.
    connection.read_u8().await.ok().map(|_| connection)
}

#[tokio::test]
async fn however_many_organisations_take_all_they_can_get_another_connects_and_dials_and_is_served() {
    let scene = Scene::founded();
    let mut config = scene.config();
    (config.limits.connections, config.limits.tunnels) = (128, 32);
    scene.start_with(config).await.unwrap();
    let app = scene.admit("app.example", Kind::App, "a1").await;
    let member = scene.admit("honest.example", Kind::Node, "n1").await;
    let offers = vec![offer(&member.id, "DE", 1)];
    scene.publish(&member, TUNNEL, offers).await.unwrap();
    let mut hostile = Vec::new();
    for i in 0..9 {
        hostile.push(scene.admit(&format!("h{i}.example"), Kind::Node, "n1").await);
    }
    let federation = scene.root.organisation_anchors().unwrap();
    let door = Door { address: scene.address().to_string(), federation, clock: scene.clock.clone() };
    let (mut nodes, mut tunnels, mut connections) = (Vec::new(), Vec::new(), Vec::new());
    for member in &hostile {
        let node = Node::that_dials(member.id.clone());
        while let Ok(tunnel) = node.open_tunnel(&door, member.credentials(), answers("stolen")).await {
            tunnels.push(tunnel);
        }
        nodes.push(node);
    }
    for member in &hostile {
        while let Some(connection) = connected(&scene, member).await {
            connections.push(connection);
        }
    }
    assert!(connections.len() > 50, "those who want many have most: {}", connections.len());
    let node = Node::that_dials(member.id.clone());
    let _tunnel = node.open_tunnel(&door, member.credentials(), answers(EMPTY)).await.expect("a tunnel for the honest");
    let mut inference = InferenceClient::new(scene.connect(&app).await.expect("a connection for the honest"));
    inference.chat(chat(in_germany())).await.expect("and an answer over both");
    assert_eq!(node.seen().len(), 1);
}
