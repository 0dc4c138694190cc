//! What callers use of an offer is counted by the day, and told.

use std::time::Duration;

use comity_proto::catalog::ExplainRequest;
use comity_proto::catalog::catalog_client::CatalogClient;
use comity_proto::error::Detail;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::Kind;
use comity_proto::policy::Capability;
use comity_types::{Clock as _, Timestamp};
use tonic::Code;

use crate::access::tests::node::{Node, answers};
use crate::access::tests::stage::{chat, envelope, node_of};
use crate::access::tests::world::{in_germany, limited};
use crate::testing::{Member, Scene};

const SECOND: Duration = Duration::from_secs(1);
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;
/// An empty message.
const EMPTY: &str = "";

/// A broker with a node that grants two requests a day, and an app.
async fn stage() -> (Scene, Node, Member) {
    let scene = Scene::new().await;
    let node = node_of(&scene, "a.example", answers(EMPTY), |id| limited(id, "DE", 1, 2)).await;
    let app = scene.admit("app.example", Kind::App, "a1").await;
    (scene, node, app)
}

/// What a request of the app ends with.
async fn ask(scene: &Scene, app: &Member) -> Result<(), (Code, Vec<String>)> {
    let mut inference = InferenceClient::new(scene.connect(app).await.unwrap());
    let refused = |status: tonic::Status| {
        let refusal = Detail::of(&status).and_then(|detail| detail.refusal).unwrap_or_else(|| panic!("{status:?}"));
        let reasons = refusal.verdicts.into_iter().flat_map(|verdict| verdict.reasons);
        (status.code(), reasons.map(|reason| reason.code).collect())
    };
    inference.chat(chat(in_germany())).await.map(drop).map_err(refused)
}

/// Why the app's request would be refused now.
async fn explained(scene: &Scene, app: &Member) -> Vec<String> {
    let mut catalog = CatalogClient::new(scene.connect(app).await.unwrap());
    let request = ExplainRequest {
        envelope: Some(envelope(in_germany())),
        capability: Capability::Chat.into(),
        ..ExplainRequest::default()
    };
    let verdicts = catalog.explain(request).await.unwrap().into_inner().verdicts;
    verdicts.into_iter().flat_map(|verdict| verdict.reasons).map(|reason| reason.code).collect()
}

fn used_up() -> (Code, Vec<String>) {
    (Code::FailedPrecondition, vec!["QUOTA_EXCEEDED".to_owned()])
}

#[tokio::test]
async fn a_caller_that_used_up_its_quota_is_refused_until_the_next_day_in_utc_and_told_so() {
    let (scene, node, app) = stage().await;
    let midnight = Timestamp::from_millis((scene.clock.now().day() + 1) * DAY_MILLIS).unwrap();
    scene.clock.advance(midnight.since(scene.clock.now()) - SECOND);
    for _ in 0..2 {
        assert_eq!(explained(&scene, &app).await, [""; 0]);
        assert_eq!(ask(&scene, &app).await, Ok(()));
    }
    assert_eq!(explained(&scene, &app).await, ["QUOTA_EXCEEDED"]);
    assert_eq!(ask(&scene, &app).await, Err(used_up()));
    assert_eq!(node.seen().len(), 2);
    scene.clock.advance(SECOND);
    assert_eq!(explained(&scene, &app).await, [""; 0]);
    assert_eq!(ask(&scene, &app).await, Ok(()));
}

#[tokio::test]
async fn all_apps_of_an_organisation_share_a_quota_and_another_organisation_has_its_own() {
    let (scene, node, app) = stage().await;
    let second = scene.admit("app.example", Kind::App, "a2").await;
    let other = scene.admit("other.example", Kind::App, "a1").await;
    for app in [&app, &second] {
        assert_eq!(ask(&scene, app).await, Ok(()));
    }
    for app in [&app, &second] {
        assert_eq!(ask(&scene, app).await, Err(used_up()));
    }
    assert_eq!(ask(&scene, &other).await, Ok(()));
    assert_eq!(node.seen().len(), 3);
}
