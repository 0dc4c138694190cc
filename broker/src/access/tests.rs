//! What the flow promises, shown on a broker's flow and scripted nodes over real TLS.

use comity_identity::Credentials;
use comity_proto::policy;
use comity_transparency::record::Field;
use comity_types::OfferName;
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use self::node::{answers, data, declines, ok, reset, says, waits};
use self::world::{
    MODEL, PAYLOAD, REQUEST_BYTES, SOON, World, ended, framed, in_germany, message, message_preferring, read,
};
use super::*;
use crate::ledger::log::DecisionLog;

mod ahead;
mod budgets;
mod choosing;
mod expiry;
mod faults;
mod hedging;
mod leaks;
pub(crate) mod node;
mod quotas;
mod refusals;
mod retries;
mod sessions;
mod shares;
pub(crate) mod stage;
mod streams;
mod undecidable;
mod unsigned;
pub(crate) mod world;

fn overloaded() -> Failure {
    Failure::new(Code::ResourceExhausted, "BACKEND_OVERLOADED", "come back later")
}

fn down() -> Failure {
    Failure::new(Code::Unavailable, "BACKEND_UNREACHABLE", "the backend is down")
}

#[tokio::test]
async fn a_request_passes_as_it_came_and_its_answer_with_usage_decision_and_offer() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    let request = framed(&message(in_germany()));
    let response = world.call(Method::Chat, request.clone(), &[("x-secret", "of the caller")]).await;
    let decision = response.headers()["comity-decision-id"].to_str().unwrap().to_owned();
    assert_eq!(response.headers()["comity-offer"], "a.example/n1/o1");
    let (bytes, trailers) = read(response).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
    assert_eq!(trailers["comity-usage-bin"], "CAMQBA");
    assert!(!trailers.contains_key("x-internal"));
    let seen = node.seen();
    assert_eq!((seen[0].path.as_str(), &seen[0].body[..]), ("/comity.inference.v1.Inference/Chat", request.as_slice()));
    assert!(seen[0].body.ends_with(PAYLOAD));
    assert!(!seen[0].headers.contains_key("x-secret"));
    let (decisions, outcomes) = world.journal(1).await;
    assert_eq!((decisions[0].id.to_string(), decisions[0].considered), (decision, 1));
    assert_eq!(
        (outcomes[0].id, outcomes[0].grpc_code, outcomes[0].bytes_out, outcomes[0].cancelled),
        (decisions[0].id, 0, framed(b"hello").len() as u64, false)
    );
    assert_eq!((outcomes[0].input_tokens, outcomes[0].output_tokens), (Some(3), Some(4)));
    assert_eq!(outcomes[0].jurisdiction, r#"["DE"]"#);
}

#[tokio::test]
async fn each_try_carries_the_proof_that_the_decision_is_in_the_log_and_names_the_node() {
    let world = World::new().await;
    let first = world.node("a.example", "DE", 1, declines(overloaded())).await;
    let second = world.node("b.example", "DE", 2, answers("hello")).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers).0, Code::Ok);
    for (attempt, node) in [(1, &first), (2, &second)] {
        let seen = &node.seen()[0];
        let (decision, candidate) = (seen.decision(&world.log_key), seen.candidate(&world.log_key));
        assert_eq!(seen.permit().attempt, attempt);
        assert_eq!(decision.get(Field::CALLER), Some(World::app().as_str().as_bytes()));
        assert_eq!(decision.get(Field::METHOD), Some(&b"ChatStream"[..]));
        // What it demands and who else was eligible is not the node's to know.
        let hidden = [Field::ENVELOPE, Field::ELIGIBLE, Field::CONSIDERED, Field::MODEL];
        assert!(hidden.into_iter().all(|field| decision.get(field).is_none()));
        let name: OfferName = candidate["offer"].as_str().unwrap().parse().unwrap();
        assert_eq!(*name.node(), node.id);
        let snapshot = world.registry.snapshot();
        let offer = snapshot.federation().offer(&name).unwrap();
        assert_eq!(candidate["offer_sha256"], comity_membership::offer_digest(offer).to_string());
        assert_eq!(decision.leaf().epoch, snapshot.epoch());
    }
    let [one, other] = [&first, &second].map(|node| node.seen()[0].decision(&world.log_key).leaf().decision);
    assert_eq!(one, other);
}

#[tokio::test]
async fn failover_stays_inside_the_eligible_set_and_no_other_node_sees_a_byte() {
    let world = World::new().await;
    let declining = world.node("a.example", "DE", 2, declines(overloaded())).await;
    let cheaper_abroad = world.node("b.example", "US", 1, answers("from abroad")).await;
    let suspended = world.node("c.example", "DE", 1, answers("from a suspended one")).await;
    world.suspend("c.example").await;
    let eligible = world.node("d.example", "DE", 3, answers("hello")).await;
    let (bytes, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
    assert_eq!((declining.seen().len(), eligible.seen().len()), (1, 1));
    for node in [&cheaper_abroad, &suspended] {
        assert_eq!((node.connections(), node.seen().len()), (0, 0), "{}", node.id);
    }
    let (decisions, outcomes) = world.journal(1).await;
    assert_eq!(
        decisions[0].eligible.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a.example/n1/o1", "d.example/n1/o1"]
    );
    assert_eq!((decisions[0].considered, outcomes[0].attempt), (4, 2));
}

#[tokio::test]
async fn what_the_caller_prefers_is_tried_before_what_is_cheaper_and_makes_nothing_eligible() {
    let world = World::new().await;
    let cheap = world.node("a.example", "DE", 1, answers("cheap")).await;
    let preferred = world.node("b.example", "FR", 3, answers("preferred")).await;
    let abroad = world.node("c.example", "US", 2, answers("from abroad")).await;
    let prefer = |place: &str| {
        let locations = vec![policy::LocationPreference { place: place.into(), weight: 9 }];
        Some(policy::Preferences { locations, ..Default::default() })
    };
    let in_europe = || {
        let europe = policy::PlaceSet { places: vec!["DE".into(), "FR".into()] };
        policy::Requirements { allowed_processing_locations: vec![europe], ..Default::default() }
    };
    let asked = async |place| {
        let message = message_preferring(in_europe(), prefer(place));
        read(world.call(Method::ChatStream, framed(&message), &[]).await).await.0
    };
    assert_eq!(asked("FR").await, b"preferred");
    assert_eq!(asked("US").await, b"cheap");
    assert_eq!((cheap.seen().len(), preferred.seen().len(), abroad.connections()), (1, 1, 0));
}

#[tokio::test]
async fn when_every_eligible_node_declines_no_other_is_asked_and_the_last_ones_words_are_told() {
    let world = World::new().await;
    let declining = world.node("a.example", "DE", 2, declines(overloaded())).await;
    let abroad = world.node("b.example", "US", 1, answers("from abroad")).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::ResourceExhausted, "BACKEND_OVERLOADED".into()));
    assert_eq!((declining.seen().len(), abroad.connections()), (1, 0));
    assert_eq!(world.journal(1).await.1[0].grpc_code, i32::from(Code::ResourceExhausted));
}

#[tokio::test]
async fn a_nodes_veto_goes_to_the_next_node_and_another_error_does_not() {
    let world = World::new().await;
    let veto = Failure::new(Code::FailedPrecondition, "NODE_VETO", "my own terms say no");
    let _vetoing = world.node("a.example", "DE", 1, declines(veto)).await;
    let wrong = Failure::new(Code::InvalidArgument, "INVALID_FIELD", "no such tool");
    let _refusing = world.node("b.example", "DE", 2, declines(wrong)).await;
    let never = world.node("c.example", "DE", 3, answers("hello")).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::InvalidArgument, "INVALID_FIELD".into()));
    assert_eq!(never.connections(), 0);
}

#[tokio::test]
async fn a_node_that_does_not_trust_the_log_for_now_is_passed_over() {
    let world = World::new().await;
    let unpublished = Failure::new(Code::PermissionDenied, "LOG_UNPUBLISHED", "not published in time");
    let doubting = world.node("a.example", "DE", 1, declines(unpublished)).await;
    let _other = world.node("b.example", "DE", 2, answers("hello")).await;
    let (bytes, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
    assert_eq!(doubting.seen().len(), 1);
}

#[tokio::test]
async fn no_more_than_three_tries_are_made() {
    let world = World::new().await;
    let mut nodes = Vec::new();
    for (price, domain) in (1..).zip(["a.example", "b.example", "c.example", "d.example"]) {
        nodes.push(world.node(domain, "DE", price, declines(overloaded())).await);
    }
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers).0, Code::ResourceExhausted);
    assert_eq!(nodes.iter().map(|node| node.seen().len()).collect::<Vec<_>>(), [1, 1, 1, 0]);
}

#[tokio::test]
async fn an_unreachable_node_is_passed_over() {
    let world = World::new().await;
    let gone = world.node("a.example", "DE", 1, answers("never")).await;
    // Nothing listens on the discard port of the loopback.
    world.publish(&gone, "127.0.0.1:9", "DE", 1).await;
    let _there = world.node("b.example", "DE", 2, answers("hello")).await;
    // The second request knows, and tries the node that is there first.
    for (asked, tried) in [(1, 2), (2, 1)] {
        let (bytes, _) = read(world.ask(in_germany()).await).await;
        assert_eq!(bytes, b"hello");
        let outcomes = world.journal(asked).await.1;
        let tries: Vec<serde_json::Value> = serde_json::from_str(&outcomes.last().unwrap().tries).unwrap();
        assert_eq!((tries.len(), outcomes.last().unwrap().attempt), (tried, 1));
    }
}

#[tokio::test]
async fn a_decision_that_cannot_be_kept_sends_nothing() {
    let world = World::with_log(DecisionLog::broken).await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::Unavailable, "LEDGER_FAILED".into()));
    assert_eq!((node.connections(), node.seen().len()), (0, 0));
}
