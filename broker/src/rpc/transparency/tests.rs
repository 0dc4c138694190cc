//! A list that is too long for one answer says where it goes on, and over the parts nothing is missing and nothing twice.

use std::collections::BTreeSet;

use comity_proto::convert::wire_instant;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::Kind;
use comity_proto::policy::{PlaceSet, Requirements};
use comity_proto::transparency::transparency_client::TransparencyClient;
use comity_transparency::receipt::Receipt;
use futures::TryStreamExt as _;
use tonic::transport::Channel;

use super::*;
use crate::access::tests::node::{Node, answers};
use crate::access::tests::stage;
use crate::testing::{DEADLINE, Member, Scene};

/// Decisions that are looked through for one answer.
const MOST: usize = 3;
/// Decisions that were made: each is a refusal, and has no outcome.
const DECIDED: usize = 8;

/// A broker that looks through few decisions at once, and has refused so many.
async fn scene() -> (Scene, Node) {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.limits.listed = MOST;
    scene.start_with(config).await.unwrap();
    let node = stage::node(&scene, "a.example", "DE", 1, answers("unasked")).await;
    let app = scene.admit("callers.example", Kind::App, "asks").await;
    let nowhere = vec![PlaceSet { places: vec!["US".into()] }];
    let nowhere = Requirements { allowed_processing_locations: nowhere, ..Requirements::default() };
    for _ in 0..DECIDED {
        let mut client = InferenceClient::new(scene.connect(&app).await.unwrap());
        let refused = client.chat(stage::chat(nowhere.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    }
    (scene, node)
}

async fn client(scene: &Scene, member: &Member) -> TransparencyClient<Channel> {
    TransparencyClient::new(scene.connect(member).await.unwrap())
}

/// All messages of one answer.
async fn part(client: &mut TransparencyClient<Channel>, first_leaf: u64) -> Vec<ListReceiptsResponse> {
    let [from, to] = ["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"].map(|at| Some(wire_instant(at.parse().unwrap())));
    let request = ListReceiptsRequest { from, to, organisation: String::new(), first_leaf };
    let all = async { client.list_receipts(request).await.unwrap().into_inner().try_collect().await.unwrap() };
    tokio::time::timeout(DEADLINE, all).await.expect("the list ends")
}

/// The leaves of the decisions that are in it.
fn leaves(part: &[ListReceiptsResponse]) -> Vec<u64> {
    let receipts = part.iter().filter_map(|message| message.receipt.clone());
    receipts.map(|receipt| Receipt::try_from(receipt).unwrap().decision.index).collect()
}

#[tokio::test]
async fn a_list_says_last_where_it_goes_on_and_its_parts_together_are_all() {
    let (scene, _node) = scene().await;
    let mut client = client(&scene, &scene.operator).await;
    let (mut together, mut first_leaf, mut parts) = (Vec::new(), 0, 0);
    loop {
        let part = part(&mut client, first_leaf).await;
        let (last, before) = part.split_last().unwrap();
        assert!(before.iter().all(|message| message.next_leaf == 0 && message.receipt.is_some()), "{part:?}");
        assert!(leaves(&part).len() <= MOST, "{part:?}");
        together.extend(leaves(&part));
        parts += 1;
        if last.next_leaf == 0 {
            break;
        }
        assert!(last.receipt.is_none() && last.next_leaf > first_leaf, "{last:?}");
        first_leaf = last.next_leaf;
    }
    assert_eq!(parts, DECIDED.div_ceil(MOST));
    let once: BTreeSet<_> = together.iter().copied().collect();
    assert_eq!((together.len(), once.len()), (DECIDED, DECIDED), "{together:?}");
    assert!(together.is_sorted(), "oldest first: {together:?}");
}

/// As the documentation tells whoever writes one.
#[tokio::test]
async fn a_client_that_ignores_where_it_goes_on_has_the_first_part_alone() {
    let (scene, _node) = scene().await;
    let mut client = client(&scene, &scene.operator).await;
    let first = part(&mut client, 0).await;
    assert_eq!((leaves(&first).len(), first.last().map(|last| last.next_leaf > 0)), (MOST, Some(true)), "{first:?}");
}

/// The part counts decisions of everybody: whose list is empty so far is told where it goes on all the same.
#[tokio::test]
async fn whoever_sees_none_of_a_part_is_told_where_the_list_goes_on() {
    let (scene, _node) = scene().await;
    let stranger = scene.admit("others.example", Kind::Operator, "curious").await;
    let first = part(&mut client(&scene, &stranger).await, 0).await;
    assert!(matches!(&*first, [only] if only.receipt.is_none() && only.next_leaf > 0), "{first:?}");
}
