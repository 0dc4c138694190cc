mod slow;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::inference_server::{Inference, InferenceServer};
use comity_proto::inference::{
    ChatRequest, ChatResponse, ChatStreamRequest, ChatStreamResponse, EmbedRequest, EmbedResponse, ForwardRequest,
    ForwardResponse,
};
use comity_types::{Clock, Timestamp};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status};

use super::*;
use crate::accept::PeerInfo;
use crate::clock::SystemClock;
use crate::dial;
use crate::tasks::{Closed, Tasks};
use crate::testing::{LIFETIME, PATIENCE, World, eventually, listen};

/// What is left of the certificates of tests when they connect, by the acceptor's clock.
const LEFT: Duration = Duration::from_secs(160);
/// When a connection of that life is drained: an eighth before its end.
const DRAINED_AFTER: Duration = Duration::from_secs(140);

const HTTP2: Http2 = Http2 {
    max_streams: 16,
    keep_alive: Duration::from_secs(30),
    keep_alive_timeout: Duration::from_secs(20),
    windows: None,
    allowance: Allowance::DEFAULT,
};

#[derive(Debug)]
struct ShortlyBefore(Timestamp);

impl Clock for ShortlyBefore {
    fn now(&self) -> Timestamp {
        self.0
    }
}

type Piece = Result<ChatStreamResponse, Status>;
type Pieces = UnboundedReceiverStream<Piece>;

/// Answers at once, and with streams that a test feeds. Remembers the connection of every call.
#[derive(Clone, Default)]
struct Service {
    calls: std::sync::Arc<Mutex<Vec<PeerInfo>>>,
    streams: std::sync::Arc<Mutex<Vec<mpsc::UnboundedSender<Piece>>>>,
}

impl Service {
    fn note<T>(&self, request: &Request<T>) {
        self.calls.lock().unwrap().push(request.extensions().get::<PeerInfo>().unwrap().clone());
    }

    fn connections(&self) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|info| info.remote).collect::<std::collections::HashSet<_>>().len()
    }
}

#[tonic::async_trait]
impl Inference for Service {
    type ChatStreamStream = Pieces;
    type ForwardStream = UnboundedReceiverStream<Result<ForwardResponse, Status>>;

    async fn chat(&self, request: Request<ChatRequest>) -> Result<Response<ChatResponse>, Status> {
        self.note(&request);
        Ok(Response::new(ChatResponse::default()))
    }

    async fn chat_stream(&self, request: Request<ChatStreamRequest>) -> Result<Response<Pieces>, Status> {
        self.note(&request);
        let (feed, pieces) = mpsc::unbounded_channel();
        feed.send(Ok(ChatStreamResponse::default())).unwrap();
        self.streams.lock().unwrap().push(feed);
        Ok(Response::new(UnboundedReceiverStream::new(pieces)))
    }

    /// Knows that the time is over, and says so when that is on record: later.
    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        assert_eq!(request.metadata().get("grpc-timeout").unwrap(), "1m");
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(Status::deadline_exceeded("said by the service"))
    }

    /// Never answers, and says by when it is dropped.
    async fn forward(&self, _: Request<ForwardRequest>) -> Result<Response<Self::ForwardStream>, Status> {
        super::super::drop_call_at(tokio::time::Instant::now() + Duration::from_millis(50));
        std::future::pending().await
    }
}

/// A server of connections that have [`LEFT`] to live, and how to connect to it.
async fn served(stop: CancellationToken, tasks: &Tasks) -> (Service, World, SocketAddr) {
    let world = World::new();
    let now = SystemClock.now().plus(LIFETIME).minus(LEFT);
    let (address, incoming) = listen(world.acceptor().with_clock(std::sync::Arc::new(ShortlyBefore(now))), tasks).await;
    let service = Service::default();
    let routes = tonic::service::Routes::new(InferenceServer::new(service.clone())).prepare();
    tasks.spawn("server", serve(incoming, HTTP2, stop, routes));
    (service, world, address)
}

/// The same, and a client of it.
async fn serving(stop: CancellationToken, tasks: &Tasks) -> (Service, InferenceClient<Channel>) {
    let (service, world, address) = served(stop, tasks).await;
    let tls = world.client(&world.member, "app/x");
    let connect = tower::service_fn(move |_: Uri| {
        let tls = std::sync::Arc::clone(&tls);
        async move { dial::connect(&address.to_string(), tls).await.map(TokioIo::new) }
    });
    (service, InferenceClient::new(Endpoint::from_static("http://server").connect_with_connector_lazy(connect)))
}

#[tokio::test]
async fn a_connection_near_its_end_takes_no_more_calls_and_those_that_run_go_on() {
    let tasks = Tasks::new();
    let (service, mut client) = serving(CancellationToken::new(), &tasks).await;
    let mut running = client.chat_stream(ChatStreamRequest::default()).await.unwrap().into_inner();
    running.message().await.unwrap().unwrap();
    client.chat(ChatRequest::default()).await.unwrap();
    assert_eq!(service.connections(), 1);
    let first = service.calls.lock().unwrap()[0].clone();
    tokio::time::pause();
    tokio::time::advance(DRAINED_AFTER - Duration::from_secs(10)).await;
    client.chat(ChatRequest::default()).await.unwrap();
    assert!(!first.draining.is_cancelled() && service.connections() == 1, "too early");
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    eventually(|| first.draining.is_cancelled()).await;
    let moved = tokio::time::timeout(PATIENCE, async {
        while client.chat(ChatRequest::default()).await.is_err() || service.connections() == 1 {}
    });
    moved.await.expect("calls go over a new connection");
    let feed = service.streams.lock().unwrap().pop().unwrap();
    feed.send(Ok(ChatStreamResponse::default())).unwrap();
    assert!(running.message().await.unwrap().is_some(), "the call that ran goes on");
    drop(feed);
    assert!(running.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_call_is_dropped_when_its_service_has_said_so_and_the_others_of_its_connection_go_on() {
    let tasks = Tasks::new();
    let (service, mut client) = serving(CancellationToken::new(), &tasks).await;
    let mut running = client.chat_stream(ChatStreamRequest::default()).await.unwrap().into_inner();
    running.message().await.unwrap().unwrap();
    let never = tokio::time::timeout(PATIENCE, client.forward(ForwardRequest::default()));
    let dropped = never.await.expect("the call is dropped").unwrap_err();
    assert_eq!(dropped.code(), tonic::Code::Cancelled, "{dropped}");
    let feed = service.streams.lock().unwrap().pop().unwrap();
    feed.send(Ok(ChatStreamResponse::default())).unwrap();
    assert!(running.message().await.unwrap().is_some());
    assert_eq!(service.connections(), 1);
}

#[tokio::test]
async fn a_server_that_stops_waits_for_calls_and_ends_when_they_have() {
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let (service, mut client) = serving(stop.clone(), &tasks).await;
    let mut running = client.chat_stream(ChatStreamRequest::default()).await.unwrap().into_inner();
    running.message().await.unwrap().unwrap();
    stop.cancel();
    let feed = service.streams.lock().unwrap().pop().unwrap();
    feed.send(Ok(ChatStreamResponse::default())).unwrap();
    assert!(running.message().await.unwrap().is_some());
    drop(feed);
    assert!(running.message().await.unwrap().is_none());
    drop(client);
    assert_eq!(tasks.close(PATIENCE).await, Closed::Drained);
}

#[tokio::test]
async fn a_connection_that_its_peer_ends_leaves_nothing_behind() {
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let (service, mut client) = serving(stop.clone(), &tasks).await;
    client.chat(ChatRequest::default()).await.unwrap();
    drop(client);
    let connection = service.calls.lock().unwrap()[0].clone();
    stop.cancel();
    assert_eq!(tasks.close(PATIENCE).await, Closed::Drained);
    assert!(!connection.draining.is_cancelled());
}

#[tokio::test]
async fn a_call_is_ended_at_its_deadline_by_its_service_and_by_nobody_before_it() {
    let tasks = Tasks::new();
    let (_service, world, address) = served(CancellationToken::new(), &tasks).await;
    // tonic's own client would end it as well.
    let tls = dial::connect(&address.to_string(), world.client(&world.member, "app/x")).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls));
    let (sender, connection) = handshake.await.unwrap();
    tasks.spawn("client", async move { drop(connection.await) });
    let send = tower::service_fn(move |request: http::Request<Body>| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let mut client = InferenceClient::with_origin(send, Uri::from_static("http://server"));
    let mut request = Request::new(EmbedRequest::default());
    request.metadata_mut().insert("grpc-timeout", "1m".parse().unwrap());
    let status = client.embed(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::DeadlineExceeded, "said by the service"));
}
