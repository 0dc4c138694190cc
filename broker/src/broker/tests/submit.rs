//! What is signed is held to the same bounds as any message, before it is looked at who signed.

use comity_identity::KeyPair;
use comity_membership::signed::STATEMENT_TYPE;
use comity_membership::{By, Payload, Statement};
use comity_policy::Organisation;
use comity_proto::error::Detail;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, SubmitRequest};
use comity_transparency::{Envelope, Signer};
use comity_types::{Clock as _, Digest};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::testing::{HOUR, Member, Scene, assert_refused, lifted, offer, organisation, suspended, updated};

const ORG: &str = "org-a.example";
const ADDRESS: &str = "n1.org-a.example:7444";

/// A federation with one node.
async fn stage() -> (Scene, Member) {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    (scene, node)
}

/// A payload as somebody else's program may write it.
fn payload(scene: &Scene, statement: Statement, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let version = scene.federation().next_version(&statement.scope().unwrap());
    let payload = Payload { federation: scene.root_sha256, version, at: scene.clock.now(), statement };
    let mut json = serde_json::to_value(payload).unwrap();
    change(&mut json);
    serde_json::to_vec(&json).unwrap()
}

fn sealed(payload: Vec<u8>, signer: &dyn Signer) -> Envelope {
    let mut envelope = Envelope::new(STATEMENT_TYPE, payload);
    envelope.sign(signer).unwrap();
    envelope
}

/// Checks that it is refused for this field, and changes nothing.
async fn assert_invalid(scene: &Scene, envelope: &Envelope, field: &str) {
    let before = scene.federation().epoch();
    let refused = scene.submit(&scene.operator, envelope).await.unwrap_err();
    let detail = Detail::of(&refused).unwrap_or_else(|| panic!("{refused}"));
    assert_eq!((refused.code(), detail.reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{refused}");
    assert_eq!(detail.metadata.get("field").map(String::as_str), Some(field), "{refused}");
    assert_eq!(scene.federation().epoch(), before);
}

#[tokio::test]
async fn offers_out_of_bounds_are_refused_by_their_field() {
    let (scene, node) = stage().await;
    let statement = || Statement::OffersPublished {
        node: node.id.clone(),
        address: ADDRESS.into(),
        offers: vec![offer(&node.id, "o1", "MIT"), offer(&node.id, "o2", "MIT")],
    };
    type Change = fn(&mut Value);
    let published: fn(&mut Value) -> &mut Value = |json| &mut json["statement"]["offers_published"];
    let cases: [(&str, Change); 5] = [
        ("address", |json| json["statement"]["offers_published"]["address"] = json!("here")),
        ("address", |json| json["statement"]["offers_published"]["address"] = json!("x".repeat(300) + ":1")),
        ("offers[1]", |json| json["statement"]["offers_published"]["offers"][1]["licence"] = json!("M".repeat(10_000))),
        ("envelope", |json| json["statement"]["offers_published"]["offers"][1]["model"] = json!("no model")),
        ("envelope", |json| json["statement"]["offers_published"]["offers"][0]["colour"] = json!("red")),
    ];
    for (field, change) in cases {
        let payload = payload(&scene, statement(), |json| {
            assert!(published(json).is_object());
            change(json);
        });
        assert_invalid(&scene, &sealed(payload, &node.key), field).await;
    }
    let twice = Statement::OffersPublished {
        node: node.id.clone(),
        address: ADDRESS.into(),
        offers: vec![offer(&node.id, "o1", "MIT"); 2],
    };
    let refused = scene.submit(&node, &scene.signed(twice, &[&node.key])).await;
    assert_refused(refused, Code::InvalidArgument, "INVALID_FIELD");
}

#[tokio::test]
async fn facts_out_of_bounds_are_refused_by_their_field_where_they_are_updated_and_where_they_are_admitted() {
    let (scene, _) = stage().await;
    let long = |domain: &str| Organisation { name: "x".repeat(2_000), ..organisation(domain) };
    let key = scene.key_of(ORG);
    let envelope = scene.signed(updated(long(ORG), Default::default()), &[&*key]);
    assert_invalid(&scene, &envelope, "organisation.name").await;
    let huge = Organisation { name: "x".repeat(100 * 1024), ..organisation(ORG) };
    let envelope = scene.signed(updated(huge, Default::default()), &[&*key]);
    assert_invalid(&scene, &envelope, "organisation").await;

    let (invite, member) = (scene.invite("org-b.example", Kind::App, "a1").await, KeyPair::generate().unwrap());
    let id = "spiffe://org-b.example/app/a1".parse().unwrap();
    let facts = long("org-b.example");
    let application = scene.application(&invite, &facts, Default::default(), id, &member, vec!["AAAA".into()]);
    let envelope = scene.signed(Statement::OrganisationAdmitted { application }, &[&scene.operator.key]);
    assert_invalid(&scene, &envelope, "organisation.name").await;
}

#[tokio::test]
async fn what_is_no_statement_of_this_version_is_refused() {
    let (scene, node) = stage().await;
    let statement = || Statement::MemberWithdrawn { id: node.id.clone(), reason: "sold".into() };
    let key = scene.key_of(ORG);
    type Change = fn(&mut Value);
    let cases: [Change; 4] = [
        |json| json["statement"] = json!({"member_promoted": {"id": "spiffe://org-a.example/node/n1"}}),
        |json| json["statement"]["member_withdrawn"]["until"] = json!(1),
        |json| json["valid_until"] = json!("2030-01-01"),
        |json| json["version"] = json!("1"),
    ];
    for change in cases {
        let payload = payload(&scene, statement(), change);
        assert_invalid(&scene, &sealed(payload, &*key), "envelope").await;
    }
    for payload in [b"".to_vec(), b"{}".to_vec(), b"\xff".to_vec()] {
        assert_invalid(&scene, &sealed(payload, &*key), "envelope").await;
    }
    let mut other_type = Envelope::new("application/json", payload(&scene, statement(), |_| {}));
    other_type.sign(&*key).unwrap();
    assert_invalid(&scene, &other_type, "envelope").await;
    assert!(scene.federation().member(&node.id).is_some());
}

#[tokio::test]
async fn what_is_no_envelope_or_too_long_a_one_is_refused() {
    let (scene, node) = stage().await;
    let mut client = MembershipClient::new(scene.connect(&node).await.unwrap());
    let mut submit =
        async |envelope: Vec<u8>| client.submit(SubmitRequest { envelope: envelope.into() }).await.map(drop);
    for bytes in [b"".to_vec(), b"[]".to_vec(), vec![b' '; 1024 * 1024 + 1]] {
        let refused: Status = submit(bytes).await.unwrap_err();
        assert_eq!(Detail::of(&refused).unwrap().metadata["field"], "envelope", "{refused}");
    }
}

#[tokio::test]
async fn a_statement_counts_in_its_own_federation_and_at_its_own_place() {
    let (scene, node) = stage().await;
    let (key, statement) =
        (scene.key_of(ORG), || Statement::MemberWithdrawn { id: node.id.clone(), reason: "sold".into() });
    let elsewhere =
        Payload { federation: Digest::of(b"another"), version: 1, at: scene.clock.now(), statement: statement() };
    let elsewhere = comity_membership::sign(&elsewhere, &[&*key]).unwrap();
    assert_refused(scene.submit(&node, &elsewhere).await, Code::InvalidArgument, "INVALID_FIELD");
    let ahead = scene.signed_at(7, statement(), &[&*key]);
    let refused = scene.submit(&node, &ahead).await.unwrap_err();
    let detail = Detail::of(&refused).unwrap();
    assert_eq!((detail.reason.as_str(), detail.metadata["next"].as_str()), ("VERSION", "1"), "{refused}");
    assert_eq!(detail.metadata["scope"], "organisation/org-a.example");
}

#[tokio::test]
async fn anchors_that_tls_could_not_trust_are_refused_and_the_broker_starts_again() {
    let (scene, _) = stage().await;
    for anchors in [vec!["AAAA".to_owned()], vec!["no base64".to_owned()], vec![]] {
        let statement = Statement::AnchorsChanged { organisation: ORG.parse().unwrap(), anchors };
        assert_refused(scene.say_of(ORG, statement).await, Code::InvalidArgument, "INVALID_FIELD");
    }
    scene.stop().await;
    scene.start().await.unwrap();
}

/// The anchors of the organisation, once more.
fn as_they_are(scene: &Scene) -> Statement {
    let organisation = ORG.parse().unwrap();
    let anchors = scene.federation().organisation(&organisation).unwrap().anchors.clone();
    Statement::AnchorsChanged { organisation, anchors }
}

#[tokio::test]
async fn an_organisation_that_signs_without_end_is_held_up_and_may_still_suspend_its_own_and_others_go_on() {
    let (scene, node) = stage().await;
    scene.admit("org-b.example", Kind::Node, "n1").await;
    let refused = loop {
        // White space is signed as it stands.
        let mut payload = payload(&scene, as_they_are(&scene), |_| {});
        payload.resize(600_000, b' ');
        if let Err(refused) = scene.submit(&node, &sealed(payload, &*scene.key_of(ORG))).await {
            break refused;
        }
        assert!(scene.federation().epoch() < 100, "nothing holds it up");
    };
    assert_refused(Err::<(), _>(refused), Code::ResourceExhausted, "STATEMENT_RATE");
    scene.say_of("org-b.example", updated(organisation("org-b.example"), Default::default())).await.unwrap();
    scene.say_of(ORG, suspended(node.id.as_str(), By::Organisation)).await.unwrap();
    scene.clock.advance(HOUR);
    scene.say_of(ORG, lifted(node.id.as_str(), By::Organisation)).await.unwrap();
}

#[tokio::test]
async fn nobody_spends_what_an_organisation_may_sign_by_a_statement_that_it_has_not_signed() {
    let (scene, node) = stage().await;
    let stranger = KeyPair::generate().unwrap();
    // Each new key signs as well, whosever it is: that alone says nothing of the organisation.
    let keys =
        || Statement::KeysChanged { organisation: ORG.parse().unwrap(), keys: vec![stranger.public_key().unwrap()] };
    for _ in 0..40 {
        let mut payload = payload(&scene, keys(), |_| {});
        payload.resize(600_000, b' ');
        let refused = scene.submit(&node, &sealed(payload, &stranger)).await;
        assert_refused(refused, Code::PermissionDenied, "TOO_FEW_SIGNATURES");
    }
    scene.say_of(ORG, as_they_are(&scene)).await.unwrap();
}
