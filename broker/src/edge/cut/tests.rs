//! Every call of a caller that loses its place ends, and says why: whatever it called, and however it lost it.

mod unread;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use comity_membership::{By, Statement};
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{ForwardPayload, ForwardRequest};
use comity_proto::membership::{Kind, WatchRequest};
use comity_proto::methods::{Answer, Caller, METHODS, Method};
use comity_proto::transparency::ListReceiptsRequest;
use comity_types::ids;
use futures::future::join_all;
use http::uri::PathAndQuery;
use http_body::Frame;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_prost::ProstCodec;

use crate::access::tests::node::{Answering, Node};
use crate::access::tests::stage;
use crate::access::tests::world::{framed, in_germany};
use crate::testing::{DEADLINE, Member, Scene, reason, suspended};

/// What the reader of a stream is sent ahead of reading: little, so that it is not told all before it has lost its place.
const WINDOW: u32 = 1024;
/// Whose members lose their place.
const ORG: &str = "callers.example";
/// Decisions whose receipts are far more than one piece of an answer, made so many at once.
const DECISIONS: [usize; 2] = [10, 30];

/// How a caller loses its place.
#[derive(Debug, Clone, Copy)]
enum Loses {
    Membership,
    Certificate,
    Organisation,
    OrganisationForGood,
    MembershipByItsOwn,
    MembershipForGood,
}

const ALL: [(Loses, &str); 6] = [
    (Loses::Membership, "MEMBER_SUSPENDED"),
    (Loses::Certificate, "CERTIFICATE_SUSPENDED"),
    (Loses::MembershipByItsOwn, "MEMBER_SUSPENDED"),
    (Loses::MembershipForGood, "WITHDRAWN"),
    (Loses::Organisation, "ORGANISATION_SUSPENDED"),
    (Loses::OrganisationForGood, "EVICTED"),
];

async fn lose(scene: &Scene, member: &Member, how: Loses) {
    let domain = member.id.trust_domain();
    match how {
        Loses::Membership => drop(scene.suspend(member.id.as_str()).await),
        Loses::Certificate => drop(scene.suspend(&member.certificate_subject().to_string()).await),
        Loses::Organisation => drop(scene.suspend(domain.as_str()).await),
        Loses::OrganisationForGood => {
            let evicted = Statement::Evicted { organisation: domain.clone(), reason: "a breach".into() };
            scene.govern(evicted).await.unwrap();
        }
        Loses::MembershipByItsOwn => {
            scene.say_of(domain.as_str(), suspended(member.id.as_str(), By::Organisation)).await.unwrap();
        }
        Loses::MembershipForGood => {
            let withdrawn = Statement::MemberWithdrawn { id: member.id.clone(), reason: "sold".into() };
            scene.say_of(domain.as_str(), withdrawn).await.unwrap();
        }
    }
}

/// Somebody of an organisation who may call the method; none where members may not.
fn kind(method: &Method) -> Option<Kind> {
    method.callers.iter().find_map(|caller| match caller {
        Caller::Member(ids::Kind::App) => Some(Kind::App),
        Caller::Member(ids::Kind::Node) => Some(Kind::Node),
        Caller::Member(ids::Kind::Operator) => Some(Kind::Operator),
        Caller::Member(ids::Kind::Broker) | Caller::Anonymous | Caller::Governor => None,
    })
}

/// A node that begins every answer and ends none.
async fn endless_node(scene: &Scene) -> Node {
    let held: Mutex<Vec<Answering>> = Mutex::default();
    let script = move |answering: Answering| {
        answering.try_send(Ok(Frame::data(Bytes::from(framed(b""))))).unwrap();
        held.lock().unwrap().push(answering);
    };
    stage::node(scene, "a.example", "DE", 1, Arc::new(script)).await
}

/// Refusals: decisions without an answer.
async fn decisions(scene: &Scene) {
    let app = scene.admit(ORG, Kind::App, "asks").await;
    let channel = scene.connect(&app).await.unwrap();
    let nowhere = comity_proto::policy::PlaceSet { places: vec!["US".into()] };
    let nowhere =
        comity_proto::policy::Requirements { allowed_processing_locations: vec![nowhere], ..Default::default() };
    let [rounds, at_once] = DECISIONS;
    for _ in 0..rounds {
        let all = (0..at_once).map(|_| {
            let mut client = InferenceClient::new(channel.clone());
            let request = stage::chat(nowhere.clone());
            async move { client.chat(request).await }
        });
        for refused in join_all(all).await {
            assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
        }
    }
}

async fn ready(channel: Channel) -> Grpc<Channel> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    grpc
}

/// A stream of this method that has begun and is far from its end.
async fn open(scene: &Scene, method: &'static Method, member: &Member) -> Streaming<()> {
    let mut grpc = ready(scene.connect_narrowly(member, WINDOW).await).await;
    let path = PathAndQuery::from_static(method.path);
    let opened = match method.path {
        "/comity.membership.v1.Membership/Watch" => {
            let from = WatchRequest { after_epoch: u64::MAX };
            grpc.server_streaming(Request::new(from), path, ProstCodec::default()).await
        }
        "/comity.transparency.v1.Transparency/ListReceipts" => {
            let [from, to] = ["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]
                .map(|at| Some(comity_proto::convert::wire_instant(at.parse().unwrap())));
            let list = ListReceiptsRequest { from, to, ..Default::default() };
            grpc.server_streaming(Request::new(list), path, ProstCodec::default()).await
        }
        "/comity.inference.v1.Inference/ChatStream" => {
            let request = Request::new(stage::chat_stream(in_germany()));
            grpc.server_streaming(request, path, ProstCodec::default()).await
        }
        "/comity.inference.v1.Inference/Forward" => {
            let (envelope, payload) = (Some(stage::envelope(in_germany())), Some(ForwardPayload::default()));
            let request = Request::new(ForwardRequest { envelope, payload });
            grpc.server_streaming(request, path, ProstCodec::default()).await
        }
        "/grpc.health.v1.Health/Watch" => {
            let request = Request::new(HealthCheckRequest { service: String::new() });
            grpc.server_streaming(request, path, ProstCodec::default()).await
        }
        reflection if reflection.starts_with("/grpc.reflection.") => {
            grpc.streaming(Request::new(tokio_stream::pending::<()>()), path, ProstCodec::default()).await
        }
        new => panic!("{new} answers with a stream: say here how to open one that is far from its end"),
    };
    opened.unwrap_or_else(|status| panic!("{}: {status}", method.path)).into_inner()
}

fn assert_told(status: &Status, path: &str, how: Loses, expected: &str) {
    let told = (status.code(), reason(status));
    assert_eq!(told, (Code::PermissionDenied, expected.into()), "{path}, {how:?}: {status}");
}

#[tokio::test]
async fn every_stream_of_a_caller_that_loses_its_place_ends_and_says_why() {
    for method in METHODS.iter().filter(|method| method.answer == Answer::Stream) {
        let scene = Scene::new().await;
        let _node = endless_node(&scene).await;
        let kind = kind(method).expect("members call it");
        if method.path.ends_with("/ListReceipts") {
            decisions(&scene).await;
        }
        for (index, (how, expected)) in ALL.into_iter().enumerate() {
            let member = scene.admit(ORG, kind, &format!("m{index}")).await;
            let mut stream = open(&scene, method, &member).await;
            lose(&scene, &member, how).await;
            let end = async {
                loop {
                    match stream.message().await {
                        Ok(Some(())) => {}
                        Ok(None) => panic!("{}, {how:?}: it ended as if it were whole", method.path),
                        Err(status) => break status,
                    }
                }
            };
            let told = tokio::time::timeout(DEADLINE, end).await;
            let told = told.unwrap_or_else(|_| panic!("{}, {how:?}: it does not end", method.path));
            assert_told(&told, method.path, how, expected);
            if matches!(how, Loses::Organisation) {
                scene.lift(ORG).await;
            }
        }
    }
}

#[tokio::test]
async fn every_call_that_waits_for_its_message_ends_when_its_caller_loses_its_place() {
    let scene = Scene::new().await;
    let one_message = METHODS.iter().filter(|method| method.answer == Answer::Message);
    for (index, method) in one_message.enumerate() {
        let Some(kind) = kind(method) else { continue };
        let (how, expected) = ALL[index % ALL.len()];
        // Whom its own organisation suspends may still bring what ends that: it is heard to the end.
        let (how, expected) = if matches!(how, Loses::MembershipByItsOwn) { ALL[0] } else { (how, expected) };
        let member = scene.admit(&format!("caller{index}.example"), kind, "m1").await;
        let mut grpc = ready(scene.connect(&member).await.unwrap()).await;
        let (begins, begun) = tokio::sync::oneshot::channel();
        // Polled when the head of the call is on its way.
        let mut begins = Some(begins);
        let never = futures::stream::poll_fn(move |_| {
            begins.take().map(|begins| begins.send(()));
            std::task::Poll::<Option<()>>::Pending
        });
        let codec = ProstCodec::<(), ()>::default();
        let call = grpc.streaming(Request::new(never), PathAndQuery::from_static(method.path), codec);
        let loses = async {
            begun.await.unwrap();
            lose(&scene, &member, how).await;
        };
        let both = async { tokio::join!(call, loses) };
        let (answer, ()) = tokio::time::timeout(DEADLINE, both).await.expect("it ends long before its time is over");
        let status = match answer {
            Err(status) => status,
            Ok(mut answer) => answer.get_mut().message().await.expect_err("no message was sent"),
        };
        assert_told(&status, method.path, how, expected);
    }
}

#[tokio::test]
async fn whoever_takes_itself_out_is_told_that_it_is_said() {
    let scene = Scene::new().await;
    let node = scene.admit("own.example", Kind::Node, "n1").await;
    let (key, id) = (scene.key_of("own.example"), node.id.clone());
    for statement in
        [suspended(node.id.as_str(), By::Organisation), Statement::MemberWithdrawn { id, reason: "sold".into() }]
    {
        let signed = scene.signed(statement, &[&*key]);
        scene.submit(&node, &signed).await.unwrap();
    }
}
