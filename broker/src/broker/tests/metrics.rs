//! What the broker counts, as whoever scrapes it reads it.

use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::Kind;
use comity_proto::policy;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::access::tests::node::answers;
use crate::access::tests::stage::{chat, node};
use crate::access::tests::world::in_germany;
use crate::testing::{DEADLINE, Scene};

/// An empty message.
const EMPTY: &str = "";

pub(crate) async fn scrape(scene: &Scene) -> String {
    let mut tcp = TcpStream::connect(scene.metrics()).await.unwrap();
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: broker\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Scrapes until it tells this, which `what` says.
async fn scrape_until(scene: &Scene, what: &str, told: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let until = async {
        loop {
            text = scrape(scene).await;
            if told(&text) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let until = tokio::time::timeout(DEADLINE, until).await;
    assert!(until.is_ok(), "{what} not in {text}");
    text
}

/// Scrapes until every one of these lines is there: what a call ends with is counted after its caller has it.
async fn until_told(scene: &Scene, lines: &[&str]) -> String {
    let all = |text: &str| lines.iter().all(|line| text.lines().any(|one| one == *line));
    scrape_until(scene, &format!("{lines:#?} are"), all).await
}

#[tokio::test]
async fn calls_decisions_tries_statements_and_suspensions_are_counted_and_nothing_that_a_caller_chose_is_told() {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.metrics = Some("127.0.0.1:0".parse().unwrap());
    scene.start_with(config).await.unwrap();
    let _node = node(&scene, "a.example", "DE", 1, answers(EMPTY)).await;
    let app = scene.admit("app.example", Kind::App, "a1").await;
    let channel = scene.connect(&app).await.unwrap();
    let mut inference = InferenceClient::new(channel.clone());
    inference.chat(chat(in_germany())).await.unwrap();
    let mut elsewhere = chat(in_germany());
    elsewhere.envelope.as_mut().unwrap().model = "chosen-by-the-caller".into();
    inference.chat(elsewhere).await.unwrap_err();
    let in_france = policy::PlaceSet { places: vec!["FR".into()] };
    let refused = policy::Requirements { allowed_processing_locations: vec![in_france], ..Default::default() };
    inference.chat(chat(refused)).await.unwrap_err();
    let unknown = Request::post("/chosen.by.the.caller/Method").header("content-type", "application/grpc");
    channel.oneshot(unknown.body(Body::empty()).unwrap()).await.unwrap();
    scene.suspend("a.example").await;
    let text = until_told(
        &scene,
        &[
            "comity_broker_calls_total{method=\"/comity.inference.v1.Inference/Chat\",code=\"OK\"} 1",
            "comity_broker_calls_total{method=\"/comity.inference.v1.Inference/Chat\",code=\"NOT_FOUND\"} 1",
            "comity_broker_calls_total{method=\"/comity.inference.v1.Inference/Chat\",code=\"FAILED_PRECONDITION\"} 1",
            "comity_broker_calls_total{method=\"unknown\",code=\"UNIMPLEMENTED\"} 1",
            "comity_broker_decisions_total{outcome=\"eligible\"} 1",
            "comity_broker_decisions_total{outcome=\"refused\"} 1",
            "comity_broker_relay_attempts_total{outcome=\"answered\"} 1",
            "comity_broker_ejected{who=\"node\"} 0",
            "comity_broker_ejected{who=\"offer\"} 0",
            "comity_broker_commit_seconds_count 2",
            "comity_broker_statements_total{kind=\"suspended\"} 1",
            "comity_broker_statements_total{kind=\"organisation_admitted\"} 2",
            "comity_broker_suspensions{of=\"organisation\"} 1",
            "comity_broker_suspensions{of=\"member\"} 0",
            "comity_broker_journal_failures_total 0",
        ],
    )
    .await;
    let epoch = format!("comity_broker_membership_epoch {}", scene.federation().epoch());
    assert!(text.lines().any(|line| line == epoch), "{text}");
    for told in ["chosen", "app.example", "a.example", "test-model"] {
        assert!(!text.contains(told), "{told} is in {text}");
    }
    scene.clock.advance(std::time::Duration::from_secs(90));
    until_told(&scene, &["comity_broker_last_statement_age_seconds 90"]).await;
}

/// Whoever starts a broker on an old disk knows by this that all of it is read again, and that it holds.
#[tokio::test]
async fn a_broker_that_has_started_reads_its_whole_log_again_and_says_how_long_ago() {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.metrics = Some("127.0.0.1:0".parse().unwrap());
    scene.start_with(config).await.unwrap();
    let examined = |text: &str| {
        let age = text.lines().find_map(|line| line.strip_prefix("comity_broker_decision_log_examined_age_seconds "));
        age.unwrap().parse::<i64>().unwrap() >= 0
    };
    scrape_until(&scene, "that it was examined is", examined).await;
}
