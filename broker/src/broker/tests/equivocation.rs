//! Two different statements at one position: from a member they are refused and told of, in the journal they keep the broker
//! from starting.

use std::path::PathBuf;

use comity_membership::equivocation::Evidence;
use comity_membership::{Body, By, Entry, Statement};
use comity_proto::membership::Kind;
use comity_runtime::genesis::genesis;
use comity_transparency::Envelope;
use tonic::Code;

use crate::ledger::journal::Journal;
use crate::testing::{Logged, Member, Scene, assert_refused, offer, suspended};
use crate::{BrokerError, data_dir};

const ORG: &str = "org-a.example";
const ADDRESS: &str = "n1.org-a.example:7444";

/// What is kept of statements that members signed twice.
fn kept(scene: &Scene) -> Vec<PathBuf> {
    let Ok(folders) = std::fs::read_dir(scene.file("equivocations")) else { return Vec::new() };
    folders.map(|folder| folder.unwrap().path().join("equivocation.json")).collect()
}

fn proves(scene: &Scene, file: &PathBuf, first: &Envelope, second: &Envelope) {
    let evidence: Evidence = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let proven = evidence.check(&genesis(&scene.root, scene.root_sha256)).unwrap();
    assert_eq!((proven.first.sha256, proven.second.sha256), (first.payload_digest(), second.payload_digest()));
}

#[tokio::test]
async fn a_member_that_signs_a_second_statement_at_a_taken_position_is_refused_and_told_of_and_stops_nobody() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let logged = Logged::default();
    let _guard = logged.collect();
    let published = |licence: &str| Statement::OffersPublished {
        node: node.id.clone(),
        address: ADDRESS.into(),
        offers: vec![offer(&node.id, "o1", licence)],
    };
    let first = scene.signed_at(1, published("MIT"), &[&node.key]);
    scene.submit(&node, &first).await.unwrap();
    scene.submit(&node, &scene.signed(published("Apache-2.0"), &[&node.key])).await.unwrap();
    // The position of the last one, and one of before.
    for (version, count) in [(1, 1), (2, 2)] {
        let second = scene.signed_at(version, published("LicenseRef-other"), &[&node.key]);
        assert_refused(scene.submit(&node, &second).await, Code::Aborted, "EQUIVOCATION");
        let told = logged.lines_with("a second statement was signed at a position that is taken");
        assert_eq!((told.len(), kept(&scene).len()), (count, count), "{told:?}");
        assert!(told[count - 1].contains("WARN") && told[count - 1].contains(node.id.as_str()), "{told:?}");
    }
    // However many more it signs there: counted, and kept once.
    let third = scene.signed_at(1, published("LicenseRef-third"), &[&node.key]);
    assert_refused(scene.submit(&node, &third).await, Code::Aborted, "EQUIVOCATION");
    assert_eq!((scene.registry().equivocations(), kept(&scene).len()), (3, 2));
    for file in kept(&scene) {
        let evidence: Evidence = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        evidence.check(&genesis(&scene.root, scene.root_sha256)).unwrap();
    }
    scene.submit(&node, &scene.signed(published("BSD-3-Clause"), &[&node.key])).await.unwrap();
}

#[tokio::test]
async fn what_is_signed_again_or_by_another_key_or_by_nobody_who_has_a_say_is_no_alarm() {
    let scene = Scene::governed_by(&["alice", "bob"], 1).await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let statement = || suspended(ORG, By::Brake);
    let (alice, bob) = (&scene.operator, &scene.co_operators[0]);
    let by = |operator: &Member, reason: &str| {
        let (subject, reason) = (ORG.parse().unwrap(), reason.into());
        scene.signed_at(1, Statement::Suspended { subject, reason, by: By::Brake }, &[&operator.key])
    };
    scene.submit(alice, &scene.signed_at(1, statement(), &[&alice.key])).await.unwrap();
    // Two at once, each by a key of their own.
    assert_refused(scene.submit(bob, &by(bob, "at once")).await, Code::Aborted, "EQUIVOCATION");
    // The answer was lost: the same again, of a later moment.
    scene.clock.advance(std::time::Duration::from_secs(1));
    let again = scene.signed_at(1, statement(), &[&alice.key]);
    assert_refused(scene.submit(alice, &again).await, Code::Aborted, "EQUIVOCATION");
    // In her name, and not by her.
    let mut forged = by(alice, "forged");
    forged.signatures[0].sig[3] ^= 1;
    assert!(scene.submit(alice, &forged).await.is_err());
    assert_eq!((scene.registry().equivocations(), kept(&scene).len()), (0, 0));
    assert_refused(scene.submit(alice, &by(alice, "another")).await, Code::Aborted, "EQUIVOCATION");
    assert_eq!((scene.registry().equivocations(), kept(&scene).len()), (1, 1));
}

#[tokio::test]
async fn a_broker_whose_journal_has_a_second_statement_at_one_position_does_not_start_and_keeps_the_proof() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let operator = &scene.operator.key;
    let first = scene.signed(suspended(ORG, By::Federation), &[operator]);
    let version = comity_membership::Payload::peek(&first).unwrap().version;
    scene.submit(&scene.operator, &first).await.unwrap();
    let evicted = Statement::Evicted { organisation: ORG.parse().unwrap(), reason: "enough".into() };
    let second = scene.signed_at(version, evicted, &[operator]);
    let federation = scene.federation();
    scene.stop().await;
    let entry =
        Entry { epoch: federation.epoch() + 1, at: federation.at().unwrap(), body: Body::Signed(second.clone()) };
    let path = data_dir::registry(scene.data_dir());
    let (journal, _) = Journal::open(&path).unwrap();
    journal.append(entry.to_json().unwrap()).await.unwrap();
    drop(journal);
    let checked = comity_runtime::chain::text(&data_dir::check(&scene.config()).unwrap_err());
    let evidence = scene.file("equivocation.json");
    assert!(checked.contains("equivocation: two statements") && !evidence.exists(), "{checked}");
    let error = scene.start().await.unwrap_err();
    let BrokerError::Registry(_) = &error else { panic!("{error:?}") };
    let said = comity_runtime::chain::text(&error);
    for part in [
        "serves nobody",
        "equivocation: two statements",
        "equivocation.json",
        scene.operator.id.as_str(),
        &first.payload_digest().to_string(),
        &second.payload_digest().to_string(),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    proves(&scene, &evidence, &first, &second);
}
