//! Operators take a proposal off the table: whoever signed takes that back, and none alone stops what enough others want.

use comity_membership::{By, Statement};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::submit_response::Outcome;
use comity_proto::membership::{Kind, ListProposalsRequest, Proposal, RejectProposalRequest};
use comity_transparency::Envelope;
use tonic::{Code, Status};

use crate::testing::{Member, Scene, assert_refused, suspended};

const ORG: &str = "org-a.example";

/// Three operators of whom two decide, and what the first has proposed.
async fn stage() -> (Scene, Envelope, String) {
    let scene = Scene::governed_by(&["ada", "bob", "eve"], 2).await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let signed = scene.signed(suspended(ORG, By::Federation), &[&scene.operator.key]);
    let Outcome::Proposal(proposal) = scene.submit(&scene.operator, &signed).await.unwrap() else { panic!("in force") };
    (scene, signed, proposal.id)
}

async fn reject(scene: &Scene, by: &Member, id: &str) -> Result<Option<Proposal>, Status> {
    let mut client = MembershipClient::new(scene.connect(by).await.unwrap());
    let answer = client.reject_proposal(RejectProposalRequest { proposal_id: id.to_owned() }).await;
    answer.map(|answer| answer.into_inner().proposal)
}

async fn waiting(scene: &Scene) -> usize {
    let answer = scene.operator().await.list_proposals(ListProposalsRequest {}).await.unwrap();
    answer.into_inner().proposals.len()
}

#[tokio::test]
async fn whoever_proposed_alone_takes_it_back_and_may_propose_it_again() {
    let (scene, signed, id) = stage().await;
    assert_eq!(reject(&scene, &scene.operator, &id).await.unwrap(), None);
    assert_eq!(waiting(&scene).await, 0);
    assert_refused(reject(&scene, &scene.operator, &id).await, Code::NotFound, "PROPOSAL_NOT_FOUND");
    assert!(matches!(scene.submit(&scene.operator, &signed).await.unwrap(), Outcome::Proposal(_)));
}

#[tokio::test]
async fn one_operators_no_stops_nothing_that_two_others_want() {
    let (scene, mut signed, id) = stage().await;
    let [bob, eve] = &scene.co_operators[..] else { panic!("three operators") };
    let left = reject(&scene, eve, &id).await.unwrap().unwrap();
    assert_eq!((left.signed_by, left.refused_by), (vec![scene.operator.id.to_string()], vec![eve.id.to_string()]));
    signed.sign(&bob.key).unwrap();
    assert!(matches!(scene.submit(bob, &signed).await.unwrap(), Outcome::Epoch(_)));
}

#[tokio::test]
async fn what_too_few_can_still_sign_has_ended() {
    let (scene, _, id) = stage().await;
    for (operator, left) in scene.co_operators.iter().zip([1, 0]) {
        assert_eq!(usize::from(reject(&scene, operator, &id).await.unwrap().is_some()), left);
        assert_eq!(waiting(&scene).await, left);
    }
}

#[tokio::test]
async fn who_said_no_may_sign_after_all_and_a_restart_forgets_no_no() {
    let (scene, mut signed, id) = stage().await;
    let [bob, eve] = &scene.co_operators[..] else { panic!("three operators") };
    reject(&scene, bob, &id).await.unwrap().unwrap();
    scene.stop().await;
    scene.start().await.unwrap();
    // With a second no it would have ended: the first counts.
    let refused = scene.operator().await.list_proposals(ListProposalsRequest {}).await.unwrap().into_inner();
    assert_eq!(refused.proposals[0].refused_by, [bob.id.to_string()]);
    signed.sign(&bob.key).unwrap();
    assert!(matches!(scene.submit(bob, &signed).await.unwrap(), Outcome::Epoch(_)));
    assert_refused(reject(&scene, eve, &id).await, Code::NotFound, "PROPOSAL_NOT_FOUND");
}

#[tokio::test]
async fn how_many_have_to_sign_counts_the_threshold_that_is_to_be() {
    let scene = Scene::governed_by(&["ada", "bob", "eve"], 1).await;
    let governance = scene.federation().governance().unwrap().clone();
    for (threshold, needed) in [(2, 2), (3, 3)] {
        let statement = Statement::RootChanged {
            operators: governance.operators.clone(),
            root_threshold: threshold,
            membership_threshold: 1,
        };
        let signed = scene.signed(statement, &[&scene.operator.key]);
        let Outcome::Proposal(proposal) = scene.submit(&scene.operator, &signed).await.unwrap() else { panic!() };
        assert_eq!((proposal.needed, proposal.signed_by.len()), (needed, 1));
    }
}
