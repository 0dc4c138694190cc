//! What a broker does that is asked for more than it takes on: it says so at once, and when to come back, before anything is
//! decided or written.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use comity_proto::error::retry_after;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{ChatRequest, ContentPart, Message, Role, content_part};
use comity_proto::membership::Kind;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::metrics::scrape;
use crate::access::tests::node::{answers, spawn, waits};
use crate::access::tests::stage::{chat, chat_stream, node};
use crate::access::tests::world::in_germany;
use crate::edge::weight::UNIT;
use crate::testing::{DEADLINE, Scene, reason};

/// An empty message.
const EMPTY: &str = "";

/// Every line of what is told of decisions, and of what was committed.
async fn decided(scene: &Scene) -> Vec<String> {
    let told = scrape(scene).await;
    let of =
        |line: &&str| line.starts_with("comity_broker_decisions_total") || line.starts_with("comity_broker_commit");
    told.lines().filter(of).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_call_that_is_shed_is_told_when_to_come_back_and_nothing_is_decided_or_written_for_it() {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.metrics = Some("127.0.0.1:0".parse().unwrap());
    config.limits.in_flight_per_organisation = 2;
    scene.start_with(config).await.unwrap();
    let (script, mut running) = waits();
    let node = node(&scene, "a.example", "DE", 1, script).await;
    let app = scene.admit("app.example", Kind::App, "a1").await;
    let mut inference = InferenceClient::new(scene.connect(&app).await.unwrap());
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut asking = inference.clone();
        let (call, answering) = tokio::join!(
            async move {
                let call = tokio::time::timeout(DEADLINE, asking.chat_stream(chat_stream(in_germany())));
                call.await.expect("an answer begins").unwrap()
            },
            async {
                let answering = running.recv().await.unwrap();
                answering.send(Ok(crate::access::tests::node::data(EMPTY))).await.unwrap();
                answering
            }
        );
        held.push((call, answering));
    }
    let (before, asked) = (decided(&scene).await, node.seen().len());
    let mut delays = BTreeSet::new();
    for _ in 0..50 {
        let refused = inference.chat(chat(in_germany())).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "ORGANISATION_BUSY"));
        delays.insert(retry_after(&refused).expect("a delay"));
    }
    assert_eq!(delays.len(), 50, "they come back together: {delays:?}");
    assert!(delays.iter().all(|delay| (Duration::from_millis(100)..Duration::from_secs(11)).contains(delay)));
    assert_eq!((decided(&scene).await, node.seen().len()), (before, asked));
}

/// Begins a call, and sends so many bytes of its message; more may follow. Gives what it is answered with.
fn begun(channel: &Channel, bytes: usize) -> (mpsc::Sender<Result<Frame<Bytes>, Status>>, mpsc::Receiver<Status>) {
    let (more, pieces) = mpsc::channel(4);
    let half = [&b"\0\0\x0f\0\0"[..], &vec![0; bytes]].concat();
    more.try_send(Ok(Frame::data(Bytes::from(half)))).unwrap();
    let request = Request::post("/comity.inference.v1.Inference/Chat").header("content-type", "application/grpc");
    let request = request.body(Body::new(StreamBody::new(ReceiverStream::new(pieces)))).unwrap();
    let (channel, (tell, told)) = (channel.clone(), mpsc::channel(1));
    spawn(async move {
        // The test may be over.
        let Ok(response) = channel.oneshot(request).await else { return };
        let _gone = tell.send(Status::from_header_map(response.headers()).expect("a status")).await;
    });
    (more, told)
}

#[tokio::test]
async fn requests_that_are_large_take_memory_of_their_own_organisation_and_give_it_back() {
    let scene = Scene::founded();
    let mut config = scene.config();
    // A quarter of it for each: sixteen units, and what a place is worth beside.
    config.limits.request_memory = 64 * UNIT;
    scene.start_with(config).await.unwrap();
    let _node = node(&scene, "a.example", "DE", 1, answers(EMPTY)).await;
    let [hostile, honest] =
        [scene.admit("hostile.example", Kind::App, "a1").await, scene.admit("honest.example", Kind::App, "a1").await];
    let (channel, other) = (scene.connect(&hostile).await.unwrap(), scene.connect(&honest).await.unwrap());
    let (one, mut first) = begun(&channel, 8 * UNIT);
    let (two, mut second) = begun(&channel, 8 * UNIT);
    let (three, mut third) = begun(&channel, 8 * UNIT);
    let refused = async {
        tokio::select! {
            refused = first.recv() => refused,
            refused = second.recv() => refused,
            refused = third.recv() => refused,
        }
    };
    let refused = tokio::time::timeout(DEADLINE, refused).await.expect("all of them are kept").unwrap();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "REQUESTS_TOO_LARGE"));
    assert!(retry_after(&refused).is_some());
    let (_others, mut others) = begun(&other, 8 * UNIT);
    InferenceClient::new(other).chat(chat(in_germany())).await.expect("another organisation is served");
    assert!(others.try_recv().is_err(), "another's large request is kept");
    InferenceClient::new(channel.clone()).chat(chat(in_germany())).await.expect("small ones need none of it");
    drop((one, two, three));
    let mut again = InferenceClient::new(channel);
    let freed = async {
        while let Err(refused) = again.chat(large(12 * UNIT)).await {
            assert_eq!(reason(&refused), "REQUESTS_TOO_LARGE");
        }
    };
    tokio::time::timeout(DEADLINE, freed).await.expect("it is given back");
}

/// A request of about so many bytes.
fn large(bytes: usize) -> ChatRequest {
    let mut request = chat(in_germany());
    let text = ContentPart { part: Some(content_part::Part::Text("x".repeat(bytes))) };
    let message = Message { role: Role::User.into(), content: vec![text], ..Default::default() };
    request.payload.as_mut().unwrap().messages.push(message);
    request
}
