//! Nobody fills the table: what waits, somebody in office has signed, and each of them has a share and no more.

use std::collections::BTreeMap;

use comity_identity::KeyPair;
use comity_membership::{By, Statement};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::submit_response::Outcome;
use comity_proto::membership::{Kind, ListProposalsRequest, Proposal, RejectProposalRequest};
use comity_transparency::{Envelope, Signer};
use tonic::{Code, Status};

use crate::registry::proposals::MAX_PROPOSALS_OF_ONE;
use crate::testing::{Member, Scene, assert_refused, suspended};

const ORG: &str = "org-a.example";

/// Three operators of whom two decide, and a node of an organisation.
async fn stage() -> (Scene, Member) {
    let scene = Scene::governed_by(&["ada", "bob", "eve"], 2).await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    (scene, node)
}

/// A change by which somebody with this key would govern alone.
fn usurped(key: &KeyPair) -> Statement {
    let id = "spiffe://fed.example/operator/new".parse().unwrap();
    let operators = BTreeMap::from([(id, key.public_key().unwrap())]);
    Statement::RootChanged { operators, root_threshold: 1, membership_threshold: 1 }
}

async fn listed(scene: &Scene) -> Vec<Proposal> {
    scene.operator().await.list_proposals(ListProposalsRequest {}).await.unwrap().into_inner().proposals
}

fn waits(outcome: Result<Outcome, Status>) -> Proposal {
    match outcome.unwrap() {
        Outcome::Proposal(proposal) => proposal,
        Outcome::Epoch(epoch) => panic!("it is in force at {epoch}"),
    }
}

/// With white space before its last brace, so that it has this many bytes.
fn padded(scene: &Scene, statement: Statement, bytes: usize, signers: &[&dyn Signer]) -> Envelope {
    let mut envelope = scene.signed(statement, &[]);
    let room = bytes - envelope.payload.len();
    let last = envelope.payload.pop().unwrap();
    envelope.payload.extend(std::iter::repeat_n(b' ', room));
    envelope.payload.push(last);
    signers.iter().for_each(|signer| envelope.sign(*signer).unwrap());
    envelope
}

#[tokio::test]
async fn what_nobody_in_office_has_signed_never_waits_whoever_hands_it_in() {
    let (scene, node) = stage().await;
    let length = || std::fs::metadata(scene.file("proposals.journal")).unwrap().len();
    let before = length();
    for by in [&node, &scene.operator] {
        let key = KeyPair::generate().unwrap();
        let refused = scene.submit(by, &scene.signed(usurped(&key), &[&key])).await;
        assert!(refused.as_ref().unwrap_err().message().contains("hint: "), "{refused:?}");
        assert_refused(refused, Code::PermissionDenied, "TOO_FEW_SIGNATURES");
    }
    assert_eq!((listed(&scene).await.len(), length()), (0, before));
}

#[tokio::test]
async fn those_who_are_to_govern_add_theirs_to_what_one_in_office_has_proposed() {
    let (scene, node) = stage().await;
    let key = KeyPair::generate().unwrap();
    let change = usurped(&key);
    waits(scene.submit(&node, &scene.signed(change.clone(), &[&scene.operator.key])).await);
    let both = waits(scene.submit(&node, &scene.signed(change, &[&key])).await);
    assert_eq!((both.signed_by.len(), both.needed), (2, 3));
}

#[tokio::test]
async fn a_change_of_operators_that_waits_ends_with_the_office_of_the_only_one_in_office_who_signed_it() {
    let scene = Scene::governed_by(&["ada", "bob", "eve", "joe"], 2).await;
    let [bob, eve, _] = &scene.co_operators[..] else { panic!("four operators") };
    let key = KeyPair::generate().unwrap();
    waits(scene.submit(eve, &scene.signed(usurped(&key), &[&eve.key, &key])).await);
    scene.say(suspended(eve.id.as_str(), By::Federation), &[&scene.operator.key, &bob.key]).await.unwrap();
    assert!(listed(&scene).await.is_empty());
    for signers in [&[&key as &dyn Signer][..], &[&key, &eve.key]] {
        let again = scene.submit(bob, &scene.signed(usurped(&key), signers)).await.unwrap_err();
        assert_eq!(again.code(), Code::PermissionDenied, "{again}");
    }
    assert!(listed(&scene).await.is_empty());
}

#[tokio::test]
async fn an_operator_who_pads_changes_of_operators_with_keys_of_its_own_has_one_share_all_the_same() {
    let (scene, _) = stage().await;
    let bob = &scene.co_operators[0];
    let proposed = || {
        let key = KeyPair::generate().unwrap();
        scene.signed(usurped(&key), &[&bob.key, &key])
    };
    for _ in 0..MAX_PROPOSALS_OF_ONE {
        waits(scene.submit(bob, &proposed()).await);
    }
    assert_refused(scene.submit(bob, &proposed()).await, Code::ResourceExhausted, "TOO_MANY_PROPOSALS");
    waits(scene.submit(bob, &scene.signed(suspended(ORG, By::Federation), &[&scene.operator.key])).await);
}

#[tokio::test]
async fn long_proposals_fill_the_share_of_who_signed_them_before_short_ones_do() {
    let (scene, _) = stage().await;
    let bob = &scene.co_operators[0];
    let proposed = || {
        let key = KeyPair::generate().unwrap();
        padded(&scene, usurped(&key), 200_000, &[&bob.key, &key])
    };
    let mut taken = 0;
    let refused = loop {
        match scene.submit(bob, &proposed()).await {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
        assert!(taken < MAX_PROPOSALS_OF_ONE, "no bound on bytes");
    };
    assert_refused(Err::<(), _>(refused), Code::ResourceExhausted, "TOO_MANY_PROPOSALS");
    waits(scene.submit(bob, &scene.signed(suspended(ORG, By::Federation), &[&scene.operator.key])).await);
}

#[tokio::test]
async fn an_operator_who_signs_and_takes_back_without_end_fills_no_disk() {
    let (scene, _) = stage().await;
    let (ada, bob) = (&scene.operator, &scene.co_operators[0]);
    let key = KeyPair::generate().unwrap();
    let change = |signers: &[&dyn Signer]| padded(&scene, usurped(&key), 250_000, signers);
    let id = waits(scene.submit(ada, &change(&[&ada.key])).await).id;
    let signed = change(&[&bob.key]);
    let mut client = MembershipClient::new(scene.connect(bob).await.unwrap());
    let refused = async {
        for _ in 0..100 {
            scene.submit(bob, &signed).await?;
            client.reject_proposal(RejectProposalRequest { proposal_id: id.clone() }).await?;
        }
        Ok::<_, Status>(())
    };
    assert_refused(refused.await, Code::ResourceExhausted, "STATEMENT_RATE");
    // Nobody else pays for it.
    let evicted = Statement::Evicted { organisation: ORG.parse().unwrap(), reason: "enough".into() };
    waits(scene.submit(ada, &scene.signed(evicted, &[&ada.key])).await);
}
