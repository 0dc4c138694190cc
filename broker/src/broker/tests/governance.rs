//! Operators decide together: what one of them signs waits for the others, except for a brake.

use std::time::Duration;

use comity_identity::KeyPair;
use comity_membership::federation::BRAKE;
use comity_membership::{By, Standing, Statement};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::submit_response::Outcome;
use comity_proto::membership::{Kind, ListEnrolmentsRequest, ListNodesRequest, ListProposalsRequest, Proposal};
use comity_transparency::Envelope;
use tonic::{Code, Status};

use crate::registry::proposals::{MAX_PROPOSALS_OF_ONE, PROPOSAL_LIFE};
use crate::testing::{DEADLINE, Member, Scene, assert_refused, copy_of, lifted, member, suspended};

const ORG: &str = "org-a.example";

/// Three operators of whom two decide, and two organisations.
async fn stage() -> Scene {
    let scene = Scene::governed_by(&["ada", "bob", "eve"], 2).await;
    scene.admit(ORG, Kind::Node, "n1").await;
    scene.admit("org-b.example", Kind::Node, "n1").await;
    scene
}

fn waits(outcome: Result<Outcome, Status>) -> Proposal {
    match outcome.unwrap() {
        Outcome::Proposal(proposal) => proposal,
        Outcome::Epoch(epoch) => panic!("it is in force at {epoch}"),
    }
}

fn in_force(outcome: Result<Outcome, Status>) -> u64 {
    match outcome.unwrap() {
        Outcome::Epoch(epoch) => epoch,
        Outcome::Proposal(proposal) => panic!("it waits: {proposal:?}"),
    }
}

fn envelope(proposal: &Proposal) -> Envelope {
    serde_json::from_slice(&proposal.envelope).unwrap()
}

async fn listed(scene: &Scene, by: &Member) -> Vec<Proposal> {
    let mut client = MembershipClient::new(scene.connect(by).await.unwrap());
    client.list_proposals(ListProposalsRequest {}).await.unwrap().into_inner().proposals
}

fn takes_part(scene: &Scene, domain: &str) -> bool {
    scene.federation().organisation(&domain.parse().unwrap()).unwrap().suspensions.is_none()
}

#[tokio::test]
async fn what_one_of_two_signed_waits_and_the_second_signature_puts_it_in_force() {
    let scene = stage().await;
    let [bob, eve] = &scene.co_operators[..] else { panic!("three operators") };
    let signed = scene.signed(suspended(ORG, By::Federation), &[&scene.operator.key]);
    let proposal = waits(scene.submit(&scene.operator, &signed).await);
    assert_eq!((&proposal.signed_by, proposal.needed), (&vec![scene.operator.id.to_string()], 2));
    assert_eq!((proposal.id.clone(), envelope(&proposal)), (signed.payload_digest().to_string(), signed.clone()));
    assert!(takes_part(&scene, ORG));
    assert_eq!(listed(&scene, bob).await, std::slice::from_ref(&proposal));

    let mut shown = envelope(&proposal);
    shown.sign(&bob.key).unwrap();
    let epoch = in_force(scene.submit(bob, &shown).await);
    assert_eq!((epoch, takes_part(&scene, ORG)), (scene.federation().epoch(), false));
    assert!(listed(&scene, bob).await.is_empty());
    // Who comes late finds it said.
    shown.sign(&eve.key).unwrap();
    assert_eq!(in_force(scene.submit(eve, &shown).await), epoch);
}

#[tokio::test]
async fn whoever_signs_needs_not_bring_what_the_others_signed() {
    let scene = stage().await;
    let statement = suspended(ORG, By::Federation);
    let [ada, bob] =
        [&scene.operator, &scene.co_operators[0]].map(|operator| scene.signed(statement.clone(), &[&operator.key]));
    assert_eq!(ada.payload, bob.payload);
    waits(scene.submit(&scene.operator, &ada).await);
    in_force(scene.submit(&scene.operator, &bob).await);
    let epoch = scene.federation().epoch();
    let both = comity_membership::Entry::from_json(&entry(&scene, epoch).await).unwrap();
    let comity_membership::Body::Signed(both) = both.body else { panic!("{both:?}") };
    assert_eq!(both.signatures.len(), 2, "the log holds the proof");
}

async fn entry(scene: &Scene, epoch: u64) -> Vec<u8> {
    let request = comity_proto::membership::WatchRequest { after_epoch: epoch - 1 };
    let mut watched = scene.operator().await.watch(request).await.unwrap().into_inner();
    watched.message().await.unwrap().unwrap().entry.to_vec()
}

#[tokio::test]
async fn an_operator_who_signs_twice_counts_once_and_a_stranger_not_at_all() {
    let scene = stage().await;
    let signed = scene.signed(suspended(ORG, By::Federation), &[&scene.operator.key]);
    for _ in 0..2 {
        assert_eq!(waits(scene.submit(&scene.operator, &signed).await).signed_by.len(), 1);
    }
    let mut twice = signed.clone();
    twice.signatures.push(twice.signatures[0].clone());
    let (mut with_stranger, mut with_organisation, mut forged) = (signed.clone(), signed.clone(), signed.clone());
    with_stranger.sign(&KeyPair::generate().unwrap()).unwrap();
    with_organisation.sign(&*scene.key_of(ORG)).unwrap();
    forged.sign(&scene.co_operators[0].key).unwrap();
    forged.signatures[1].sig = forged.signatures[0].sig.clone();
    for refused in [twice, with_stranger, with_organisation, forged] {
        assert_refused(scene.submit(&scene.operator, &refused).await, Code::PermissionDenied, "SIGNATURE_REFUSED");
    }
    let length = || std::fs::metadata(scene.file("proposals.journal")).unwrap().len();
    let before = length();
    // Another signature by the same key, as every one of this kind of key is.
    let again = scene.signed(suspended(ORG, By::Federation), &[&scene.operator.key]);
    assert_ne!(again, signed);
    waits(scene.submit(&scene.operator, &again).await);
    assert_eq!(length(), before, "nothing is new");
    let mut unsigned = signed;
    unsigned.signatures.clear();
    assert_refused(scene.submit(&scene.operator, &unsigned).await, Code::PermissionDenied, "SIGNATURE_REFUSED");
    assert!(takes_part(&scene, ORG));
    assert_eq!(listed(&scene, &scene.operator).await[0].signed_by.len(), 1);
}

#[tokio::test]
async fn proposals_survive_a_restart() {
    let scene = stage().await;
    let signed = scene.signed(suspended(ORG, By::Federation), &[&scene.operator.key]);
    let proposal = waits(scene.submit(&scene.operator, &signed).await);
    scene.stop().await;
    scene.start().await.unwrap();
    assert_eq!(listed(&scene, &scene.operator).await, [proposal]);
    let second = scene.signed(suspended(ORG, By::Federation), &[&scene.co_operators[1].key]);
    in_force(scene.submit(&scene.operator, &second).await);
    scene.stop().await;
    scene.start().await.unwrap();
    assert!(listed(&scene, &scene.operator).await.is_empty());
    assert!(!takes_part(&scene, ORG));
}

#[tokio::test]
async fn a_proposal_ends_when_it_is_overtaken_by_another_statement_of_its_scope_and_with_time() {
    let scene = stage().await;
    let own = scene.signed(suspended(ORG, By::Federation), &[&scene.operator.key]);
    let other = scene.signed(suspended("org-b.example", By::Federation), &[&scene.operator.key]);
    waits(scene.submit(&scene.operator, &own).await);
    let other = waits(scene.submit(&scene.operator, &other).await);
    let evicted = Statement::Evicted { organisation: ORG.parse().unwrap(), reason: "enough".into() };
    scene.govern(evicted).await.unwrap();
    assert_eq!(listed(&scene, &scene.operator).await, [other], "what is about another organisation goes on");
    let mut late = own;
    late.sign(&scene.co_operators[0].key).unwrap();
    assert_refused(scene.submit(&scene.operator, &late).await, Code::Aborted, "EQUIVOCATION");
    // All certificates end as well.
    scene.stop().await;
    scene.clock.advance(PROPOSAL_LIFE);
    scene.start().await.unwrap();
    let issued = scene.certify(&scene.operator.key).await.unwrap();
    assert!(listed(&scene, &member(&issued, copy_of(&scene.operator.key))).await.is_empty());
}

#[tokio::test]
async fn what_a_suspended_operator_signed_counts_no_more_and_does_not_stand_in_the_way() {
    let scene = Scene::governed_by(&["ada", "bob", "eve", "joe"], 3).await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let [bob, eve, joe] = &scene.co_operators[..] else { panic!("four operators") };
    let statement = suspended(ORG, By::Federation);
    let by_eve = scene.signed(statement.clone(), &[&eve.key]);
    assert_eq!(waits(scene.submit(eve, &by_eve).await).signed_by, [eve.id.to_string()]);
    scene.say(suspended(eve.id.as_str(), By::Federation), &[&scene.operator.key, &bob.key, &joe.key]).await.unwrap();

    let mut client = MembershipClient::new(scene.connect(eve).await.unwrap());
    assert_refused(client.list_nodes(ListNodesRequest {}).await, Code::PermissionDenied, "MEMBER_SUSPENDED");
    assert!(listed(&scene, &scene.operator).await.is_empty());
    assert_refused(scene.submit(bob, &by_eve).await, Code::PermissionDenied, "SIGNATURE_REFUSED");
    let others = scene.signed(statement, &[&scene.operator.key, &bob.key, &joe.key]);
    in_force(scene.submit(bob, &others).await);
}

#[tokio::test]
async fn who_governs_changes_by_the_old_and_the_new_together() {
    let scene = stage().await;
    let (bob, new) = (&scene.co_operators[0], KeyPair::generate().unwrap());
    let id = "spiffe://fed.example/operator/new".parse().unwrap();
    let mut operators = scene.federation().governance().unwrap().operators.clone();
    operators.clear();
    operators.insert(id, comity_transparency::Signer::public_key(&new).unwrap());
    let change = Statement::RootChanged { operators, root_threshold: 1, membership_threshold: 1 };
    let by_the_old = scene.signed(change.clone(), &[&scene.operator.key, &bob.key]);
    assert_eq!(waits(scene.submit(bob, &by_the_old).await).needed, 3, "two of the old, and the new one");
    let whole = scene.signed(change, &[&new]);
    in_force(scene.submit(bob, &whole).await);
    let mut former = scene.operator().await;
    assert_refused(former.list_nodes(ListNodesRequest {}).await, Code::PermissionDenied, "UNKNOWN_MEMBER");
    let by_a_former = scene.federation().standing(&scene.operator.id);
    assert_eq!(by_a_former, Standing::Unknown);
}

#[tokio::test]
async fn a_brake_holds_at_once_and_ends_by_the_clock_unless_it_is_ratified() {
    for ratified in [false, true] {
        let scene = stage().await;
        let by_bob = scene.signed(suspended(ORG, By::Brake), &[&scene.co_operators[usize::from(ratified)].key]);
        in_force(scene.submit(&scene.operator, &by_bob).await);
        assert!(!takes_part(&scene, ORG));
        if ratified {
            scene.govern(suspended(ORG, By::Federation)).await.unwrap();
        }
        scene.clock.advance(BRAKE - Duration::from_millis(1));
        scene.end_brakes().await;
        assert!(!takes_part(&scene, ORG), "it holds to its last instant");
        scene.clock.advance(Duration::from_millis(1));
        scene.end_brakes().await;
        assert_eq!(takes_part(&scene, ORG), !ratified);
    }
}

#[tokio::test]
async fn an_operator_brakes_once_until_the_others_have_spoken_and_may_take_it_back() {
    let scene = stage().await;
    let bob = &scene.co_operators[0];
    scene.say(suspended(ORG, By::Brake), &[&bob.key]).await.unwrap();
    scene.say(lifted(ORG, By::Brake), &[&bob.key]).await.unwrap();
    assert!(takes_part(&scene, ORG));
    let again = scene.say(suspended(ORG, By::Brake), &[&bob.key]).await;
    assert_refused(again, Code::FailedPrecondition, "STATEMENT_REFUSED");
    scene.govern(suspended(ORG, By::Federation)).await.unwrap();
    let back = scene.say(lifted(ORG, By::Brake), &[&bob.key]).await;
    assert_refused(back, Code::FailedPrecondition, "STATEMENT_REFUSED");
    scene.govern(lifted(ORG, By::Federation)).await.unwrap();
    scene.say(suspended(ORG, By::Brake), &[&bob.key]).await.unwrap();
    assert!(!takes_part(&scene, ORG));
}

#[tokio::test]
async fn a_brake_that_lapsed_while_the_broker_was_down_is_lifted_when_it_is_back() {
    let scene = stage().await;
    scene.say(suspended(ORG, By::Brake), &[&scene.operator.key]).await.unwrap();
    scene.stop().await;
    scene.clock.advance(BRAKE);
    scene.start().await.unwrap();
    let lapsed = async {
        while !takes_part(&scene, ORG) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, lapsed).await.expect("it looks as soon as it runs");
}

#[tokio::test]
async fn what_was_proposed_against_somebody_ends_when_they_are_lifted() {
    let scene = stage().await;
    let bob = &scene.co_operators[0];
    scene.say(suspended(ORG, By::Brake), &[&bob.key]).await.unwrap();
    let ratified = scene.signed(suspended(ORG, By::Federation), &[&bob.key]);
    waits(scene.submit(bob, &ratified).await);
    scene.say(lifted(ORG, By::Brake), &[&bob.key]).await.unwrap();
    assert!(listed(&scene, bob).await.is_empty());
    assert!(takes_part(&scene, ORG));
}

#[tokio::test]
async fn who_takes_their_own_brake_back_ends_nothing_that_another_has_signed_against_the_subject() {
    let scene = stage().await;
    let (alice, bob) = (&scene.operator, &scene.co_operators[0]);
    scene.say(suspended(ORG, By::Brake), &[&bob.key]).await.unwrap();
    let for_good =
        Statement::Suspended { subject: ORG.parse().unwrap(), reason: "it leaks prompts".into(), by: By::Federation };
    waits(scene.submit(alice, &scene.signed(for_good, &[&alice.key])).await);
    scene.say(lifted(ORG, By::Brake), &[&bob.key]).await.unwrap();
    let left = listed(&scene, bob).await;
    assert_eq!(left.iter().map(|one| one.signed_by.clone()).collect::<Vec<_>>(), [vec![alice.id.to_string()]]);
}

#[tokio::test]
async fn nor_what_somebody_has_signed_beside_one_who_has_lost_their_vote_since() {
    let scene = Scene::governed_by(&["ada", "bob", "eve", "joe", "kim"], 3).await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let (alice, [bob, eve, ..]) = (&scene.operator, &scene.co_operators[..]) else { panic!("five operators") };
    let for_good = scene.signed(suspended(ORG, By::Federation), &[&alice.key, &bob.key]);
    waits(scene.submit(alice, &for_good).await);
    scene.say(suspended(bob.id.as_str(), By::Brake), &[&eve.key]).await.unwrap();
    scene.say(suspended(ORG, By::Brake), &[&eve.key]).await.unwrap();
    scene.say(lifted(ORG, By::Brake), &[&eve.key]).await.unwrap();
    let left = listed(&scene, alice).await;
    assert_eq!(left.iter().map(|one| one.signed_by.clone()).collect::<Vec<_>>(), [vec![alice.id.to_string()]]);
}

#[tokio::test]
async fn a_vote_to_lift_does_not_count_against_a_later_suspension() {
    let scene = stage().await;
    let (alice, bob) = (&scene.operator, &scene.co_operators[0]);
    scene.say(suspended(ORG, By::Brake), &[&bob.key]).await.unwrap();
    let vote = scene.signed(lifted(ORG, By::Federation), &[&alice.key]);
    waits(scene.submit(alice, &vote).await);
    scene.say(lifted(ORG, By::Brake), &[&bob.key]).await.unwrap();
    assert!(listed(&scene, bob).await.is_empty(), "nothing is left to be signed by one more");
}

#[tokio::test]
async fn what_could_not_come_into_force_is_refused_before_anybody_else_signs_it() {
    let scene = stage().await;
    let evicted = Statement::Evicted { organisation: "nobody.example".parse().unwrap(), reason: "x".into() };
    let endless = Statement::Evicted { organisation: ORG.parse().unwrap(), reason: "x".repeat(100_000) };
    for statement in [evicted, endless, lifted(ORG, By::Federation)] {
        let signed = scene.signed(statement, &[&scene.operator.key]);
        scene.submit(&scene.operator, &signed).await.unwrap_err();
    }
    assert!(listed(&scene, &scene.operator).await.is_empty());
}

#[tokio::test]
async fn an_operator_who_proposes_without_end_leaves_room_for_the_others() {
    let scene = stage().await;
    let bob = &scene.co_operators[0];
    let proposed = |index: usize| {
        let reason = format!("reason {index}");
        scene.signed(Statement::Evicted { organisation: ORG.parse().unwrap(), reason }, &[&bob.key])
    };
    for index in 0..MAX_PROPOSALS_OF_ONE {
        waits(scene.submit(bob, &proposed(index)).await);
    }
    let more = scene.submit(bob, &proposed(MAX_PROPOSALS_OF_ONE)).await;
    assert_refused(more, Code::ResourceExhausted, "TOO_MANY_PROPOSALS");
    let by_another = scene.signed(suspended(ORG, By::Federation), &[&scene.operator.key]);
    waits(scene.submit(&scene.operator, &by_another).await);
}

#[tokio::test]
async fn an_operator_who_was_removed_does_not_wait_to_be_let_in_again() {
    let scene = Scene::new().await;
    let before = scene.federation().governance().unwrap().operators.clone();
    scene.admit("fed.example", Kind::Operator, "bob").await;
    let removed = Statement::RootChanged { operators: before, root_threshold: 1, membership_threshold: 1 };
    scene.govern(removed).await.unwrap();
    let waiting = scene.operator().await.list_enrolments(ListEnrolmentsRequest::default()).await.unwrap().into_inner();
    assert!(waiting.enrolments.is_empty(), "{waiting:?}");
}
