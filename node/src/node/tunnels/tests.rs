//! A node that dials: whom it is called by, what it does when its tunnels end, and that no call is lost by its doing.

use std::sync::Arc;
use std::time::Duration;

use comity_proto::error::Detail;
use comity_proto::inference::ChatRequest;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::tunnel::LeaveRequest;
use comity_proto::tunnel::tunnel_client::TunnelClient;
use comity_runtime::accept::Listener;
use comity_runtime::tasks::{Closed, Tasks};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::node::{ADDRESS_FILE, Node, NodeError};
use crate::testing::{Broker, FAST, Log, MovedClock, Said, Tunnel, World, acceptor, eventually};

/// Past the latest time of a renewal, and before the end of the certificate.
const LATE: Duration = Duration::from_secs(16 * 3600);

/// A node that dials a broker, and runs.
struct Dialling {
    broker: Broker,
    clock: Arc<MovedClock>,
    node: Running,
}

struct Running {
    world: World,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), NodeError>>,
}

async fn start() -> Dialling {
    let clock = Arc::<MovedClock>::default();
    let (world, broker) = Broker::start(&clock).await;
    let told = Said::Lasting(world.history_with_node().all());
    broker.script.watching.lock().unwrap().push_back(told);
    let node = run(world, &clock).await;
    Dialling { broker, clock, node }
}

#[expect(clippy::disallowed_methods, reason = "the node under test")]
async fn run(mut world: World, clock: &Arc<MovedClock>) -> Running {
    (world.config.node.dial_out, world.config.node.listen) = (true, None);
    let mut node = Node::build_with_clock(&world.config, Arc::clone(clock) as _).await.unwrap();
    assert_eq!(node.local_addr(), None);
    node.pace = FAST;
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(node.run(async move { stopped.await.unwrap() }));
    Running { world, stop, ended }
}

/// A call that runs until it is dropped.
struct Call {
    asks: mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
}

impl Call {
    async fn begin(tunnel: &Tunnel) -> Self {
        let (asks, questions) = mpsc::channel(1);
        let mut client = ServerReflectionClient::new(tunnel.channel.clone());
        let answers = client.server_reflection_info(ReceiverStream::new(questions)).await.unwrap().into_inner();
        let mut call = Self { asks, answers };
        call.goes_on().await;
        call
    }

    async fn goes_on(&mut self) {
        let message_request = Some(MessageRequest::ListServices(String::new()));
        self.asks.send(ServerReflectionRequest { host: String::new(), message_request }).await.unwrap();
        assert!(self.answers.message().await.unwrap().is_some(), "the call was dropped");
    }
}

async fn leave(tunnel: &Tunnel, within_millis: u32) -> Result<(), tonic::Status> {
    TunnelClient::new(tunnel.channel.clone()).leave(LeaveRequest { within_millis }).await.map(drop)
}

#[tokio::test]
async fn unmodified_stubs_call_a_node_over_the_connections_that_it_made() {
    let dialling = start().await;
    assert!(dialling.broker.script.published.lock().unwrap().is_empty(), "nobody can call it yet");
    let tunnels = [dialling.broker.tunnel().await, dialling.broker.tunnel().await];
    for Tunnel { channel, peer, .. } in &tunnels {
        assert_eq!(peer.id().as_str(), crate::testing::NODE);
        let service = "comity.inference.v1.Inference".to_owned();
        let mut health = HealthClient::new(channel.clone()).watch(HealthCheckRequest { service }).await.unwrap();
        while health.get_mut().message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
        let refused = InferenceClient::new(channel.clone()).chat(ChatRequest::default()).await.unwrap_err();
        assert_eq!(
            Detail::of(&refused).unwrap().reason,
            "PERMIT_MISSING",
            "the broker, and nobody else, gets this far"
        );
    }
    let published = || dialling.broker.script.published.lock().unwrap().clone();
    eventually(|| !published().is_empty()).await;
    assert_eq!(published()[0].address, "tunnel");
    assert!(!dialling.node.world.data(ADDRESS_FILE).exists());
}

#[tokio::test]
async fn over_a_tunnel_health_says_when_the_node_has_heard_nothing_for_too_long() {
    let dialling = start().await;
    let tunnel = dialling.broker.tunnel().await;
    let watching = HealthClient::new(tunnel.channel.clone()).watch(HealthCheckRequest::default()).await;
    let mut watching = watching.unwrap().into_inner();
    while watching.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    dialling.clock.move_by(Duration::from_secs(16 * 60));
    assert_eq!(watching.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(dialling.node.world.data(comity_runtime::health::FILE).exists());
}

#[tokio::test]
async fn another_broker_of_the_federation_at_the_brokers_address_gets_no_tunnel() {
    let log = Log::default();
    let _collecting = log.collect();
    let (clock, tasks) = (Arc::<MovedClock>::default(), Tasks::new());
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let world = World::at(&listener.local_addr().to_string());
    let impostor = acceptor(&world, "spiffe://fed.example/broker/b2", Arc::clone(&clock) as _);
    let (_calls, mut tunnels) = listener.incoming_and_tunnels(impostor, &tasks);
    let dialling = run(world, &clock).await;
    eventually(|| !log.lines_with("the broker takes no tunnel").is_empty()).await;
    dialling.stop.send(()).unwrap();
    dialling.ended.await.unwrap().unwrap();
    assert_eq!(tasks.close(Duration::from_secs(5)).await, Closed::Drained);
    assert!(tunnels.next().await.is_none());
}

#[tokio::test]
async fn a_tunnel_that_breaks_is_dialled_again() {
    let dialling = start().await;
    let [first, _second] = [dialling.broker.tunnel().await, dialling.broker.tunnel().await];
    first.cut.cancel();
    let third = dialling.broker.tunnel().await;
    drop(Call::begin(&third).await);
}

#[tokio::test]
async fn a_renewed_certificate_is_on_a_new_tunnel_before_the_old_one_ends_and_a_call_that_runs_goes_on() {
    let dialling = start().await;
    let old = [dialling.broker.tunnel().await, dialling.broker.tunnel().await];
    let mut call = Call::begin(&old[0]).await;
    dialling.clock.move_by(LATE);
    // Kept: one that is dropped ends, and its slot dials again in the place of the other.
    let new = [dialling.broker.tunnel().await, dialling.broker.tunnel().await];
    for new in &new {
        assert_ne!(new.peer.certificate(), old[0].peer.certificate());
        drop(Call::begin(new).await);
    }
    eventually(|| old[1].gone.is_cancelled()).await;
    call.goes_on().await;
    drop(call);
    eventually(|| old[0].gone.is_cancelled()).await;
}

#[tokio::test]
async fn a_node_that_is_asked_to_leave_opens_another_tunnel_first() {
    let dialling = start().await;
    let [first, second] = [dialling.broker.tunnel().await, dialling.broker.tunnel().await];
    let mut call = Call::begin(&first).await;
    leave(&first, 60_000).await.unwrap();
    let third = dialling.broker.tunnel().await;
    call.goes_on().await;
    drop(call);
    eventually(|| first.gone.is_cancelled()).await;
    assert!(!second.gone.is_cancelled() && !third.gone.is_cancelled());
}

#[tokio::test]
async fn a_node_that_finds_no_other_broker_leaves_when_its_time_is_up_and_not_before() {
    let dialling = start().await;
    let [first, _second] = [dialling.broker.tunnel().await, dialling.broker.tunnel().await];
    // Nobody takes the tunnel that it dials now.
    leave(&first, 500).await.unwrap();
    let asked = tokio::time::Instant::now();
    eventually(|| first.gone.is_cancelled()).await;
    let left = asked.elapsed();
    assert!((Duration::from_millis(450)..Duration::from_secs(5)).contains(&left), "{left:?}");
}

#[tokio::test]
async fn a_time_to_leave_that_is_none_is_refused() {
    let dialling = start().await;
    let tunnel = dialling.broker.tunnel().await;
    for within in [0, 600_001] {
        let refused = leave(&tunnel, within).await.unwrap_err();
        assert_eq!(
            (refused.code(), Detail::of(&refused).unwrap().reason.as_str()),
            (Code::InvalidArgument, "INVALID_FIELD")
        );
    }
}

#[tokio::test]
async fn a_node_that_stops_ends_its_tunnels_after_the_calls_that_run() {
    let dialling = start().await;
    let [first, second] = [dialling.broker.tunnel().await, dialling.broker.tunnel().await];
    let mut call = Call::begin(&first).await;
    dialling.node.stop.send(()).unwrap();
    eventually(|| second.gone.is_cancelled()).await;
    call.goes_on().await;
    drop(call);
    dialling.node.ended.await.unwrap().unwrap();
    assert!(first.gone.is_cancelled());
}
