//! A dry run for another day: its law and its claims, over today's members and offers.

use comity_policy::{Offer, Organisation};

use super::*;
use crate::testing::organisation;

/// A broker in Germany, an app, and an offer in the United Kingdom.
struct Abroad {
    scene: Scene,
    app: Member,
}

impl Abroad {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let app = scene.admit("app.example", Kind::App, "a1").await;
        let seat = r#"{"statements":[{"value":"GB","until":"2029-01-01"}]}"#;
        let facts = Organisation { seat: serde_json::from_str(seat).unwrap(), ..organisation("op.example") };
        let node = scene.admit_of(facts, Kind::Node, "n1").await;
        publish(&scene, &node, &offer_in_britain(&node.id)).await;
        Self { scene, app }
    }

    async fn explained(&self, as_of: Option<&str>, requirements: policy::Requirements) -> Result<Explained, Status> {
        let as_of = as_of.map(|at| convert::wire_instant(at.parse().unwrap()));
        let request = ExplainRequest { as_of, ..explain(requirements) };
        let mut catalog = CatalogClient::new(self.scene.connect(&self.app).await.unwrap());
        let answer = catalog.explain(request).await?.into_inner();
        let verdict = answer.verdicts.into_iter().next().unwrap();
        let reasons = verdict.reasons.iter().map(|reason| format!("{}({})", reason.code, reason.subject)).collect();
        let text = |wire: prost_types::Timestamp| convert::instant("", wire).unwrap().to_string();
        Ok(Explained { reasons, as_of: answer.as_of.map(text), expires_at: verdict.expires_at.map(text) })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Explained {
    reasons: Vec<String>,
    as_of: Option<String>,
    expires_at: Option<String>,
}

fn offer_in_britain(node: &SpiffeId) -> Offer {
    let mut offer = crate::access::tests::world::offer(node, "GB", 1);
    offer.in_force.until = Some("2040-01-01".parse().unwrap());
    offer
}

pub(super) async fn publish(scene: &Scene, node: &Member, offer: &Offer) {
    // Nothing listens on the discard port of the loopback; nobody asks for an answer.
    scene.publish(node, "127.0.0.1:9", vec![offer.clone()]).await.unwrap();
}

fn adequate() -> policy::Requirements {
    in_places(&["EEA", "GDPR-ADEQUATE"])
}

#[tokio::test]
async fn an_offer_is_judged_by_the_law_of_the_day_that_is_asked_about() {
    let stage = Abroad::new().await;
    let today = stage.explained(None, adequate()).await.unwrap();
    let end = "2031-12-28T00:00:00Z";
    assert_eq!((today.reasons.len(), today.as_of.as_deref()), (0, Some("2026-11-23T10:00:00Z")));
    assert_eq!(today.expires_at.as_deref(), Some(end));
    let last_day = stage.explained(Some("2031-12-27T23:59:59.999Z"), adequate()).await.unwrap();
    assert_eq!((last_day.reasons.len(), last_day.expires_at.as_deref()), (0, Some(end)));
    let after = stage.explained(Some("2031-12-28"), adequate()).await.unwrap();
    assert_eq!(after.reasons, ["PROCESSING_LOCATION_NOT_ALLOWED(GB)"]);
    assert_eq!(after.as_of.as_deref(), Some(end));
}

#[tokio::test]
async fn claims_and_offers_end_on_their_day_in_a_dry_run_as_well() {
    let stage = Abroad::new().await;
    let seat = || policy::Requirements {
        allowed_operator_seats: vec![policy::PlaceSet { places: vec!["GB".into()] }],
        ..Default::default()
    };
    assert_eq!(stage.explained(Some("2028-12-31"), seat()).await.unwrap().reasons, [""; 0]);
    assert_eq!(stage.explained(Some("2029-01-01"), seat()).await.unwrap().reasons, ["CLAIM_EXPIRED(operator.seat)"]);
    let ended = stage.explained(Some("2040-01-01"), policy::Requirements::default()).await.unwrap();
    assert!(ended.reasons.iter().any(|reason| reason.starts_with("OFFER_NOT_IN_FORCE")), "{ended:?}");
}

#[tokio::test]
async fn a_live_call_is_decided_now_whatever_was_asked_before() {
    let stage = Abroad::new().await;
    let after = stage.explained(Some("2031-12-28"), adequate()).await.unwrap();
    assert_eq!(after.reasons.len(), 1);
    let mut inference = InferenceClient::new(stage.scene.connect(&stage.app).await.unwrap());
    // It is let through, to a node that is not there.
    assert_eq!(reason(&inference.chat(chat(adequate())).await.unwrap_err()), "NODES_UNAVAILABLE");
}

#[tokio::test]
async fn an_instant_out_of_bounds_is_refused_with_its_field() {
    let stage = Abroad::new().await;
    for good in ["2000-01-01", "2099-12-31T23:59:59.999Z"] {
        let found = stage.explained(Some(good), adequate()).await.unwrap();
        assert_eq!(found.as_of.unwrap().parse::<Timestamp>(), good.parse::<Timestamp>());
    }
    let raw = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let bad = [
        raw(946_684_799, 999_000_000),
        raw(4_102_444_800, 0),
        raw(0, 0),
        raw(i64::MAX, 0),
        raw(i64::MIN, 0),
        raw(1_800_000_000, -1),
        raw(1_800_000_000, 1_000_000_000),
    ];
    let mut catalog = CatalogClient::new(stage.scene.connect(&stage.app).await.unwrap());
    for as_of in bad {
        let refused = catalog.explain(ExplainRequest { as_of, ..explain(adequate()) }).await.unwrap_err();
        let detail = Detail::of(&refused).unwrap();
        assert_eq!((refused.code(), detail.reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{as_of:?}");
        assert_eq!(detail.metadata["field"], "as_of", "{refused}");
    }
}
