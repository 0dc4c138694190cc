//! How fast what nodes publish may change.

use std::collections::BTreeSet;
use std::time::Duration;

use comity_membership::Statement;
use comity_policy::{Claim, Offer};
use comity_proto::error::Detail;
use comity_proto::membership::Kind;
use comity_proto::membership::membership_client::MembershipClient;
use comity_types::SpiffeId;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::ledger::journal::MAX_FRAME_BYTES;
use crate::testing::{Member, Scene, offer, reason};

const ORG: &str = "org-a.example";
/// Publications that a node could be set up to repeat, each another than the one before it.
const CHANGES: usize = 30;

/// Where no node listens.
const ADDRESS: &str = "n1.org-a.example:7444";

/// As many offers as a node may have, each a little other than in every other `version`.
fn many_offers(node: &SpiffeId, version: usize) -> Vec<Offer> {
    let licence = format!("LicenceRef-{version}");
    (0..256).map(|n| offer(node, &format!("o{n}"), &licence)).collect()
}

async fn publish(
    scene: &Scene,
    client: &MembershipClient<Channel>,
    node: &Member,
    version: usize,
) -> Result<u64, Status> {
    scene.publish_by(&mut client.clone(), node, ADDRESS, many_offers(&node.id, version)).await
}

#[tokio::test]
async fn a_node_that_keeps_changing_its_offers_cannot_fill_the_disk() {
    let scene = Scene::new().await;
    let (node, other) = (scene.admit(ORG, Kind::Node, "n1").await, scene.admit(ORG, Kind::Node, "n2").await);
    let client = MembershipClient::new(scene.connect(&node).await.unwrap());
    let length = || std::fs::metadata(scene.file("registry.journal")).unwrap().len();
    let before = length();

    let mut answers = Vec::new();
    for version in 0..CHANGES {
        answers.push(publish(&scene, &client, &node, version).await);
    }
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(refused.len() > CHANGES / 2 && refused.len() < CHANGES, "{} of {CHANGES} were refused", refused.len());
    for refused in &refused {
        assert_eq!((refused.code(), reason(refused).as_str()), (Code::ResourceExhausted, "PUBLISH_RATE"), "{refused}");
    }
    let grown = usize::try_from(length() - before).unwrap();
    assert!(grown <= 2 * MAX_FRAME_BYTES, "the registry grew by {grown} bytes");

    let client = MembershipClient::new(scene.connect(&other).await.unwrap());
    publish(&scene, &client, &other, 0).await.expect("another node has a budget of its own");
}

#[tokio::test]
async fn whoever_changed_too_often_is_told_when_to_come_back_and_may_publish_what_is_published() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let client = MembershipClient::new(scene.connect(&node).await.unwrap());
    let mut version = 0;
    let refused = loop {
        match publish(&scene, &client, &node, version).await {
            Ok(_) => version += 1,
            Err(refused) => break refused,
        }
    };
    let wait: u64 = Detail::of(&refused).unwrap().metadata["retry_after_seconds"].parse().unwrap();
    assert!(refused.message().contains(&format!("try again in {wait} s")), "{refused}");

    for _ in 0..3 {
        assert!(publish(&scene, &client, &node, version - 1).await.is_ok());
    }
    scene.clock.advance(Duration::from_secs(wait));
    assert!(publish(&scene, &client, &node, version).await.is_ok());
}

#[tokio::test]
async fn offers_that_no_frame_of_the_journal_holds_are_refused_by_their_field() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let places: BTreeSet<_> = (0..256).map(|n| format!("DE-{n:03}").parse().unwrap()).collect();
    let large = |n| {
        let mut offer = offer(&node.id, &format!("o{n}"), "MIT");
        let lists = [&mut offer.processing_locations, &mut offer.storage_locations, &mut offer.access_locations];
        for list in lists {
            *list = Some(Claim::always(places.clone()));
        }
        offer
    };
    let offers = (0..256).map(large).collect();
    let refused = scene.publish(&node, ADDRESS, offers).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{refused}");
    assert!(refused.message().starts_with("envelope: has ") && refused.message().contains("(hint: "), "{refused}");
}

#[tokio::test]
async fn of_two_publications_at_once_one_stands_and_the_other_is_told_the_next_version() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let [first, second] = [0, 1].map(|version| {
        let (node_id, address) = (node.id.clone(), ADDRESS.into());
        let offers = vec![offer(&node.id, "o1", &format!("LicenceRef-{version}"))];
        let statement = Statement::OffersPublished { node: node_id, address, offers };
        scene.signed(statement, &[&node.key])
    });
    let (first, second) = tokio::join!(scene.submit(&node, &first), scene.submit(&node, &second));
    let refused = [first, second].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    let [refused] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((refused.code(), reason(refused).as_str()), (Code::Aborted, "EQUIVOCATION"));
    assert_eq!(Detail::of(refused).unwrap().metadata["next"], "2");
}
