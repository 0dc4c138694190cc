//! What callers get whose calls outlast the drain: a status, over a real connection.

use std::time::Duration;

use bytes::Bytes;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::Kind;
use http_body::Frame;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use crate::access::tests::node::waits;
use crate::access::tests::stage;
use crate::access::tests::world::{framed, in_germany};
use crate::testing::{DEADLINE, Scene, decision_log, reason};

/// A broker that waits for no call when it stops.
async fn impatient() -> Scene {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.drain = Duration::from_millis(50);
    scene.start_with(config).await.unwrap();
    scene
}

fn says_that_the_broker_stops(status: &Status) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::Unavailable, "BROKER_STOPPING"), "{status}");
}

#[tokio::test]
async fn answers_that_outlast_the_drain_end_with_a_status_and_are_settled() {
    let scene = impatient().await;
    let (script, mut answers) = waits();
    let _node = stage::node(&scene, "a.example", "DE", 1, script).await;
    let app = scene.admit("app.example", Kind::App, "a1").await;
    let channel = scene.connect(&app).await.unwrap();
    let (mut streams, mut chats) = (InferenceClient::new(channel.clone()), InferenceClient::new(channel));

    let all = async {
        let begins = async {
            let answering = answers.recv().await.unwrap();
            answering.send(Ok(Frame::data(Bytes::from(framed(b""))))).await.unwrap();
            answering
        };
        let (stream, _streaming) = tokio::join!(streams.chat_stream(stage::chat_stream(in_germany())), begins);
        let mut stream = stream.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some());
        let stops = async {
            // The node has the other request, and does not answer it.
            let _waiting = answers.recv().await.unwrap();
            scene.stop().await;
        };
        let (chat, ()) = tokio::join!(chats.chat(stage::chat(in_germany())), stops);
        says_that_the_broker_stops(&chat.unwrap_err());
        says_that_the_broker_stops(&stream.message().await.unwrap_err());
    };
    tokio::time::timeout(DEADLINE, all).await.expect("the calls end");

    let (_, outcomes) = decision_log::read(&scene.file("decisions"));
    let outcomes: Vec<_> = outcomes.iter().map(|outcome| (outcome.grpc_code, outcome.cancelled)).collect();
    assert_eq!(outcomes, [(Code::Unavailable.into(), false); 2]);
}

#[tokio::test]
async fn a_call_of_another_service_ends_with_a_status_too() {
    let scene = impatient().await;
    let mut client = ServerReflectionClient::new(scene.connect(&scene.operator).await.unwrap());
    let endless = client.server_reflection_info(tokio_stream::pending::<ServerReflectionRequest>()).await.unwrap();
    let mut endless = endless.into_inner();
    let (told, ()) = tokio::join!(tokio::time::timeout(DEADLINE, endless.message()), scene.stop());
    says_that_the_broker_stops(&told.expect("the call ends").unwrap_err());
}
