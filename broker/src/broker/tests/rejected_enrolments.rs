//! Operators say no to who asks to be let in: one alone keeps nobody out whom enough others want.

use comity_identity::{Invite, KeyPair};
use comity_membership::Statement;
use comity_proto::enrolment::join_response::State;
use comity_proto::error::Detail;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::submit_response::Outcome;
use comity_proto::membership::{
    Enrolment, EnrolmentState, Kind, ListEnrolmentsRequest, ListProposalsRequest, RejectProposalRequest, RejectRequest,
};
use tonic::{Code, Status};

use crate::testing::{Member, Scene, assert_refused, organisation};

const ORG: &str = "org-a.example";

/// Operators of whom two decide, and an organisation that waits with this key.
async fn stage(operators: &[&str]) -> (Scene, Invite, KeyPair) {
    let scene = Scene::governed_by(operators, 2).await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    (scene, invite, key)
}

async fn reject(scene: &Scene, by: &Member, invite: &Invite, reason: &str) -> Result<Option<Enrolment>, Status> {
    let mut client = MembershipClient::new(scene.connect(by).await.unwrap());
    let request = RejectRequest { enrolment_id: invite.id_text(), reason: reason.to_owned() };
    client.reject(request).await.map(|answer| answer.into_inner().enrolment)
}

async fn approve(scene: &Scene, by: &Member, invite: &Invite) -> Outcome {
    let application = scene.waiting_application(&invite.id_text()).await;
    scene.submit(by, &scene.signed(Statement::OrganisationAdmitted { application }, &[&by.key])).await.unwrap()
}

/// Who said no, and why.
fn noes(enrolment: &Enrolment) -> Vec<(&str, &str)> {
    enrolment.refused_by.iter().map(|no| (no.operator.as_str(), no.reason.as_str())).collect()
}

async fn listed(scene: &Scene) -> Vec<Enrolment> {
    scene.operator().await.list_enrolments(ListEnrolmentsRequest::default()).await.unwrap().into_inner().enrolments
}

async fn proposals(scene: &Scene) -> usize {
    scene.operator().await.list_proposals(ListProposalsRequest {}).await.unwrap().into_inner().proposals.len()
}

#[tokio::test]
async fn one_operators_no_keeps_nobody_out_whom_two_others_want() {
    let (scene, invite, key) = stage(&["ada", "bob", "eve"]).await;
    let [bob, eve] = &scene.co_operators[..] else { panic!("three operators") };
    assert!(matches!(approve(&scene, &scene.operator, &invite).await, Outcome::Proposal(_)));
    let left = reject(&scene, eve, &invite, "a veto").await.unwrap().unwrap();
    assert_eq!(noes(&left), [(eve.id.as_str(), "a veto")]);
    // Said again it counts once, over a restart as well.
    scene.stop().await;
    scene.start().await.unwrap();
    assert!(reject(&scene, eve, &invite, "a veto").await.unwrap().is_some());
    assert_eq!((noes(&listed(&scene).await[0]), proposals(&scene).await), (vec![(eve.id.as_str(), "a veto")], 1));
    assert_refused(scene.certify(&key).await, Code::FailedPrecondition, "ENROLMENT_WAITS");
    assert!(matches!(approve(&scene, bob, &invite).await, Outcome::Epoch(_)));
    scene.certify(&key).await.unwrap();
}

#[tokio::test]
async fn a_second_no_is_final_the_member_reads_why_and_what_was_signed_before_lets_nobody_in() {
    let (scene, invite, key) = stage(&["ada", "bob", "eve"]).await;
    let [bob, eve] = &scene.co_operators[..] else { panic!("three operators") };
    approve(&scene, &scene.operator, &invite).await;
    reject(&scene, bob, &invite, "who are they").await.unwrap().unwrap();
    assert_eq!(reject(&scene, eve, &invite, "a shell company").await.unwrap(), None);
    assert_eq!((listed(&scene).await.len(), proposals(&scene).await), (0, 0));
    // Whoever was not asked sees whose word was the last.
    let request = ListEnrolmentsRequest { with_rejected: true, ..Default::default() };
    let shown = scene.operator().await.list_enrolments(request).await.unwrap().into_inner().enrolments;
    let ends: Vec<_> = shown.iter().map(|one| (one.state(), one.rejection.clone().unwrap())).collect();
    let [(EnrolmentState::Rejected, end)] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((&end.operator, end.reason.as_str()), (&eve.id.to_string(), "a shell company"));
    let rejected = scene.certify(&key).await.unwrap_err();
    let detail = Detail::of(&rejected).unwrap();
    assert_eq!((detail.reason.as_str(), detail.metadata["why"].as_str()), ("ENROLMENT_REJECTED", "a shell company"));
    let late = reject(&scene, bob, &invite, "again").await;
    assert_refused(late, Code::FailedPrecondition, "ENROLMENT_STATE");
}

#[tokio::test]
async fn as_many_as_could_let_somebody_in_turn_them_down_however_many_others_there_are() {
    let (scene, invite, key) = stage(&["ada", "bob", "eve", "joe", "kim"]).await;
    approve(&scene, &scene.operator, &invite).await;
    let [bob, eve, ..] = &scene.co_operators[..] else { panic!("five operators") };
    reject(&scene, bob, &invite, "no").await.unwrap().unwrap();
    assert_eq!(reject(&scene, eve, &invite, "no").await.unwrap(), None);
    assert_refused(scene.certify(&key).await, Code::FailedPrecondition, "ENROLMENT_REJECTED");
    assert_eq!(proposals(&scene).await, 0);
}

#[tokio::test]
async fn who_signs_after_their_no_has_changed_their_mind_and_who_says_no_takes_their_signature_back() {
    let (scene, invite, _) = stage(&["ada", "bob", "eve"]).await;
    let [bob, eve] = &scene.co_operators[..] else { panic!("three operators") };
    reject(&scene, bob, &invite, "who are they").await.unwrap().unwrap();
    approve(&scene, bob, &invite).await;
    assert!(listed(&scene).await[0].refused_by.is_empty());
    // Bob has not said no any more: this is the first.
    assert_eq!(noes(&reject(&scene, eve, &invite, "no").await.unwrap().unwrap()), [(eve.id.as_str(), "no")]);
    assert_eq!(reject(&scene, bob, &invite, "no").await.unwrap(), None);
    assert_eq!(proposals(&scene).await, 0);
}

#[tokio::test]
async fn a_no_to_the_proposal_counts_beside_one_to_the_enrolment() {
    let (scene, invite, _) = stage(&["ada", "bob", "eve"]).await;
    let [bob, eve] = &scene.co_operators[..] else { panic!("three operators") };
    let Outcome::Proposal(proposal) = approve(&scene, &scene.operator, &invite).await else { panic!("in force") };
    let mut client = MembershipClient::new(scene.connect(bob).await.unwrap());
    client.reject_proposal(RejectProposalRequest { proposal_id: proposal.id }).await.unwrap();
    assert_eq!(noes(&listed(&scene).await[0]), [(bob.id.as_str(), "")]);
    assert_eq!(reject(&scene, eve, &invite, "no").await.unwrap(), None);
}

#[tokio::test]
async fn a_no_to_a_new_operator_is_one_vote_as_well() {
    let scene = Scene::governed_by(&["ada", "bob", "eve"], 2).await;
    let [bob, eve] = &scene.co_operators[..] else { panic!("three operators") };
    let (invite, key) = (scene.invite("fed.example", Kind::Operator, "joe").await, KeyPair::generate().unwrap());
    scene.join(&invite, &key, None).await.unwrap();
    assert!(reject(&scene, eve, &invite, "a veto").await.unwrap().is_some());
    assert_refused(scene.certify(&key).await, Code::FailedPrecondition, "ENROLMENT_WAITS");
    assert_eq!(reject(&scene, bob, &invite, "too many").await.unwrap(), None);
    assert_refused(scene.certify(&key).await, Code::FailedPrecondition, "ENROLMENT_REJECTED");
    // An invite that is open, one operator revokes.
    let open = scene.invite("fed.example", Kind::Operator, "joe").await;
    assert_eq!(reject(&scene, eve, &open, "a mistake").await.unwrap(), None);
}

#[tokio::test]
async fn whoever_is_let_in_and_turned_down_at_once_is_in_and_told_so() {
    let scene = Scene::governed_by(&["ada", "bob"], 1).await;
    let [bob] = &scene.co_operators[..] else { panic!("two operators") };
    for number in 0..12 {
        let (domain, key) = (format!("org-{number}.example"), KeyPair::generate().unwrap());
        let invite = scene.invite(&domain, Kind::Node, "n1").await;
        scene.join(&invite, &key, Some(&organisation(&domain))).await.unwrap();
        let application = scene.waiting_application(&invite.id_text()).await;
        let admitted = scene.signed(Statement::OrganisationAdmitted { application }, &[&scene.operator.key]);
        let (let_in, _turned_down) =
            tokio::join!(scene.submit(&scene.operator, &admitted), reject(&scene, bob, &invite, "no"));
        let joined = scene.join(&invite, &key, Some(&organisation(&domain))).await.unwrap();
        let is_issued = matches!(joined, State::Issued(_));
        // Whatever the answers were, the log and what the member is told are one.
        assert_eq!(is_issued, scene.certify(&key).await.is_ok(), "{number}: {let_in:?} {joined:?}");
    }
}

#[tokio::test]
async fn one_enrolment_is_asked_for_by_its_id_and_a_list_is_short_where_applications_are_left_out() {
    let (scene, first, _) = stage(&["ada", "bob"]).await;
    scene.clock.advance(std::time::Duration::from_secs(1));
    let (second, key) = (scene.invite("org-b.example", Kind::Node, "n1").await, KeyPair::generate().unwrap());
    scene.join(&second, &key, Some(&organisation("org-b.example"))).await.unwrap();
    let listed = async |request: ListEnrolmentsRequest| {
        let all = scene.operator().await.list_enrolments(request).await.unwrap().into_inner().enrolments;
        all.into_iter().map(|one| (one.id, !one.application.is_empty())).collect::<Vec<_>>()
    };
    let [first, second] = [first.id_text(), second.id_text()];
    let all = ListEnrolmentsRequest::default();
    assert_eq!(listed(all.clone()).await, [(first.clone(), true), (second.clone(), true)]);
    let short = ListEnrolmentsRequest { without_applications: true, ..all.clone() };
    assert_eq!(listed(short).await, [(first, false), (second.clone(), false)]);
    let one = ListEnrolmentsRequest { enrolment_id: second.clone(), ..all };
    assert_eq!(listed(one).await, [(second, true)]);
}
