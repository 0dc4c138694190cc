//! Requests that are refused: each with its reason, and no byte of them at any node.

use comity_identity::StaticAnchors;
use comity_proto::error::Detail;
use comity_proto::{metadata, policy};
use comity_transparency::Checkpoint;
use comity_transparency::leaf::Leaf;
use comity_transparency::proof::verify_inclusion;
use comity_transparency::receipt::{Proven, Receipt};
use comity_transparency::record::RecordKind;
use comity_transparency::tree::leaf_hash;
use prost::Message as _;

use super::node::{Node, somebody_says};
use super::world::{LOG, Organisation};
use super::*;

/// Refuses `body`, and checks that the node got nothing.
async fn refused(world: &World, body: Vec<u8>) -> (Code, String) {
    let (_, trailers) = read(world.call(Method::Chat, body, &[]).await).await;
    ended(&trailers)
}

#[tokio::test]
async fn what_is_not_one_whole_plain_message_is_refused_and_reaches_no_node() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    let whole = framed(&message(in_germany()));
    let expect = |code, reason: &str| (code, reason.to_owned());

    assert_eq!(refused(&world, Vec::new()).await, expect(Code::InvalidArgument, "REQUEST_CUT"));
    assert_eq!(refused(&world, whole[..whole.len() - 1].to_vec()).await, expect(Code::InvalidArgument, "REQUEST_CUT"));
    assert_eq!(refused(&world, whole.repeat(2)).await, expect(Code::InvalidArgument, "MORE_THAN_ONE_MESSAGE"));
    let mut compressed = whole.clone();
    compressed[0] = 1;
    assert_eq!(refused(&world, compressed).await, expect(Code::Unimplemented, "COMPRESSED"));
    assert_eq!(
        refused(&world, framed(&vec![0; REQUEST_BYTES + 1])).await,
        expect(Code::ResourceExhausted, "REQUEST_TOO_LARGE")
    );

    assert_eq!(node.connections(), 0);
}

#[tokio::test]
async fn an_envelope_that_is_not_of_this_version_is_refused_with_the_fields_path() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    // An envelope with the model, and a field 99 that a newer version may have as a constraint.
    let envelope = [&[0x0a, 10][..], MODEL.as_bytes(), &[0x98, 0x06, 1]].concat();
    let unknown = [&[0x0a, u8::try_from(envelope.len()).unwrap()][..], &envelope].concat();
    let twice = message(in_germany()).repeat(2);
    let cases = [(unknown, "envelope"), (twice, "envelope"), (Vec::new(), "envelope"), (vec![0x1a, 0], "")];
    for (bytes, field) in cases {
        let (_, trailers) = read(world.call(Method::Chat, framed(&bytes), &[]).await).await;
        let status = Status::from_header_map(&trailers).unwrap();
        let detail = Detail::of(&status).unwrap();
        assert_eq!((ended(&trailers).0, detail.metadata["field"].as_str()), (Code::InvalidArgument, field));
        assert!(!status.message().starts_with(':'), "{status}");
    }
    let wrong_place = policy::PlaceSet { places: vec!["UK".into()] };
    let requirements = policy::Requirements { allowed_processing_locations: vec![wrong_place], ..Default::default() };
    let (_, trailers) = read(world.ask(requirements).await).await;
    let detail = Detail::of(&Status::from_header_map(&trailers).unwrap()).unwrap();
    assert_eq!(detail.metadata["field"], "envelope.requirements.allowed_processing_locations");
    // Of what nobody reads, nobody says how much it wants at most.
    let bounded = comity_proto::inference::Envelope { max_output_tokens: Some(16), ..world::envelope(in_germany()) };
    for method in [Method::Embed, Method::Forward] {
        let (_, trailers) = read(world.call(method, framed(&world::message_of(&bounded)), &[]).await).await;
        let detail = Detail::of(&Status::from_header_map(&trailers).unwrap()).unwrap();
        assert_eq!(
            (detail.reason.as_str(), &*detail.metadata["field"]),
            ("INVALID_FIELD", "envelope.max_output_tokens")
        );
    }
    assert_eq!(node.connections(), 0);
}

#[tokio::test]
async fn a_malformed_deadline_is_refused() {
    let world = World::new().await;
    let (_, trailers) =
        read(world.call(Method::Chat, framed(&message(in_germany())), &[("grpc-timeout", "soon")]).await).await;
    assert_eq!(ended(&trailers), (Code::InvalidArgument, "INVALID_TIMEOUT".into()));
}

#[tokio::test]
async fn without_an_eligible_offer_the_refusal_names_every_reason_and_is_kept() {
    let world = World::new().await;
    let abroad = world.node("a.example", "US", 1, answers("never")).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::FailedPrecondition, "NO_ELIGIBLE_OFFER".into()));
    let refusal = Detail::of(&Status::from_header_map(&trailers).unwrap()).unwrap().refusal.unwrap();
    assert_eq!((refusal.considered, refusal.verdicts[0].offer.as_str()), (1, "a.example/n1/o1"));
    assert!(refusal.verdicts[0].reasons.iter().any(|reason| reason.code == "PROCESSING_LOCATION_NOT_ALLOWED"));
    let (decisions, outcomes) = world.journal(0).await;
    assert_eq!((decisions[0].id.to_string(), outcomes.len(), abroad.connections()), (refusal.decision_id, 0, 0));
    assert!(decisions[0].refused.contains("PROCESSING_LOCATION_NOT_ALLOWED"), "{}", decisions[0].refused);
    // The proof of it is in the same trailers, and says that nothing was tried.
    let receipt = whole_receipt_of(&trailers);
    let checkpoint = Checkpoint::open(&receipt.checkpoint, LOG, &world.log_key).unwrap();
    let Proven { index, leaf, path, .. } = &receipt.decision;
    verify_inclusion(*index, checkpoint.size, leaf_hash(leaf), path, checkpoint.root).unwrap();
    assert_eq!((Leaf::from_bytes(leaf).unwrap().decision, receipt.outcome), (decisions[0].id, None));
}

/// The caller is told that a call has ended when its outcome is durable, and otherwise that there is no record of it.
#[tokio::test]
async fn an_answer_whose_outcome_cannot_be_kept_has_no_good_end() {
    for (script, arrives) in [(answers("hello"), "hello"), (declines(overloaded()), "")] {
        // The decision is written, and what comes after it is not.
        let world = World::with_log(|dir, key, clock| DecisionLog::broken_after(1, dir, key, clock)).await;
        let node = world.node("a.example", "DE", 1, script).await;
        let (bytes, trailers) = read(world.ask(in_germany()).await).await;
        assert_eq!((bytes.as_slice(), node.seen().len()), (arrives.as_bytes(), 1));
        assert_eq!(ended(&trailers), (Code::Unavailable, "LEDGER_FAILED".into()));
        assert!(!trailers.contains_key(metadata::RECEIPT) && !trailers.contains_key(metadata::USAGE));
    }
}

#[tokio::test]
async fn a_model_that_nobody_offers_is_not_found() {
    let world = World::new().await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::NotFound, "MODEL_NOT_OFFERED".into()));
}

/// The receipt among the trailers.
fn whole_receipt_of(trailers: &http::HeaderMap) -> Receipt {
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD_NO_PAD, &trailers[metadata::RECEIPT]);
    let wire = comity_proto::transparency::Receipt::decode(bytes.unwrap().as_slice()).unwrap();
    Receipt::try_from(wire).unwrap()
}

/// What it shows: of the decision, and of each try.
fn receipt_of(trailers: &http::HeaderMap) -> (Vec<Field>, Option<String>) {
    let receipt = whole_receipt_of(trailers);
    let decision = receipt.decision.record.unwrap();
    let shown = RecordKind::Decision.fields().filter(|field| decision.get(*field).is_some()).collect();
    let tries = receipt
        .outcome
        .map(|outcome| String::from_utf8(outcome.record.unwrap().get(Field::TRIES).unwrap().to_vec()).unwrap());
    (shown, tries)
}

#[tokio::test]
async fn what_listens_at_an_address_is_not_told_to_those_who_ask() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    let impostor = Organisation::new("a.example");
    let impostor = impostor.credentials(&node.id);
    let impostor = Node::start(node.id.clone(), impostor, StaticAnchors::default(), answers("never")).await;
    // Nothing listens on the discard port of the loopback.
    let addresses = [
        "127.0.0.1:9".to_owned(),
        impostor.address.clone(),
        somebody_says(b"HTTP/1.1 400 Bad Request\r\n\r\n").await,
        somebody_says(b"220 mail.a.example ESMTP\r\n").await,
    ];
    let mut told = Vec::new();
    for address in &addresses {
        world.publish(&node, address, "DE", 1).await;
        let (_, trailers) = read(world.ask(in_germany()).await).await;
        let status = Status::from_header_map(&trailers).unwrap();
        let mut metadata = Detail::of(&status).unwrap().metadata;
        assert!(metadata.remove("decision_id").is_some());
        assert_eq!(ended(&trailers), (Code::Unavailable, "NODES_UNAVAILABLE".into()));
        let (_, outcome) = receipt_of(&trailers);
        told.push((status.message().to_owned(), metadata, outcome.unwrap()));
    }
    assert!(told.iter().all(|each| *each == told[0]), "{told:#?}");
}

#[tokio::test]
async fn nothing_is_decided_by_a_state_in_which_the_caller_takes_no_part() {
    let world = World::new().await;
    let _node = world.node("a.example", "DE", 1, answers("never")).await;
    let body = Body::new(http_body_util::Full::new(framed(&message(in_germany())).into()));
    let (caller, certificate) = (World::app(), World::certificate());
    let parts = world.access.parts();
    let admitted = request::admit(&caller, certificate, Method::Chat, Request::new(body), parts).await.ok().unwrap();
    assert!(decide::decide(parts, &admitted).is_ok());
    // It was let in before.
    world.suspend("app.example").await;
    let lost = decide::decide(parts, &admitted).err().unwrap();
    assert_eq!((lost.code, lost.reason), (Code::PermissionDenied, "ORGANISATION_SUSPENDED"));
}
