//! What an organisation's invite for a member of its own is worth.

use comity_identity::{Invite, KeyPair};
use comity_membership::{InviteId, Statement};
use comity_proto::enrolment::GetInviteRequest;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{EnrolmentState, Kind, ListEnrolmentsRequest};
use comity_transparency::Envelope;
use tonic::{Code, Status};

use crate::testing::{HOUR, Logged, Member, Scene, assert_refused, member_id, reason};

const ORG: &str = "org-a.example";

/// An organisation that has invited the node `n2`.
async fn stage() -> (Scene, Invite, Member) {
    let scene = Scene::new().await;
    let first = scene.admit(ORG, Kind::Node, "n1").await;
    let invite = scene.invite_own(ORG, Kind::Node, "n2").await.unwrap();
    (scene, invite, first)
}

fn admission(scene: &Scene, invite: &Invite, key: &KeyPair) -> Envelope {
    scene.admission(invite, member_id(ORG, Kind::Node, "n2"), key, 1)
}

async fn described(scene: &Scene, invite: &Invite) -> Result<(String, u64), Status> {
    let request = GetInviteRequest { invite_id: invite.id_text(), secret: Vec::new().into() };
    let told = EnrolmentClient::new(scene.connect_to_enrol().await).get_invite(request).await?.into_inner();
    Ok((told.spiffe_id, told.version))
}

#[track_caller]
fn assert_issued(state: &Result<State, Status>) {
    assert!(matches!(state, Ok(State::Issued(_))), "{state:?}");
}

#[tokio::test]
async fn it_lets_one_key_in_which_may_ask_again_and_no_second_one() {
    let (scene, invite, _) = stage().await;
    let (key, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    assert_eq!(described(&scene, &invite).await.unwrap(), (member_id(ORG, Kind::Node, "n2").to_string(), 1));
    let signed = admission(&scene, &invite, &key);
    assert_issued(&scene.join_by(&invite, &key, &signed).await);
    let log = Logged::default();
    let collecting = log.collect();
    // As a program does it that has only the invite: it asks what that is for, and shows its key.
    assert_issued(&scene.join(&invite, &key, None).await);
    assert_eq!(log.lines_with("WARN").len(), 0, "its own holder lost the answer: {log:?}");
    let refused = scene.join(&invite, &second, None).await.unwrap_err();
    drop(collecting);
    assert_eq!(log.lines_with("WARN").len(), 1, "a human is told: {log:?}");
    assert_eq!(log.lines_with("an invite was presented by a second key").len(), 1);
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "INVITE_BOUND_TO_ANOTHER_KEY"));
    assert!(refused.message().contains(&key.public_key_digest().fingerprint()), "{refused}");
    // Whoever lost the answer: after a restart and after the invite's end as before.
    for _ in 0..2 {
        assert_issued(&scene.join_by(&invite, &key, &signed).await);
        assert!(scene.certify(&key).await.is_ok());
        scene.stop().await;
        scene.clock.advance(HOUR);
        scene.start().await.unwrap();
    }
}

#[tokio::test]
async fn whoever_knows_only_the_id_of_a_used_invite_alarms_nobody() {
    let (scene, invite, _) = stage().await;
    let (key, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    assert_issued(&scene.join(&invite, &key, None).await);
    let mut unsigned = admission(&scene, &invite, &second);
    unsigned.signatures.retain(|signature| signature.keyid == second.public_key_digest());
    let log = Logged::default();
    let collecting = log.collect();
    let refused = scene.join_by(&invite, &second, &unsigned).await.unwrap_err();
    drop(collecting);
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{refused}");
    assert_eq!(log.lines_with("WARN").len(), 0, "{log:?}");
}

#[tokio::test]
async fn of_a_member_that_has_left_the_invite_is_worth_nothing_to_anybody() {
    let (scene, invite, _) = stage().await;
    let (key, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    assert_issued(&scene.join(&invite, &key, None).await);
    let withdrawn = Statement::MemberWithdrawn { id: member_id(ORG, Kind::Node, "n2"), reason: "sold".into() };
    scene.say_of(ORG, withdrawn).await.unwrap();
    assert_refused(scene.join(&invite, &second, None).await, Code::PermissionDenied, "INVITE_UNKNOWN");
}

#[tokio::test]
async fn it_ends_with_time() {
    let (scene, invite, _) = stage().await;
    let key = KeyPair::generate().unwrap();
    let signed = admission(&scene, &invite, &key);
    scene.clock.advance(HOUR);
    assert_refused(described(&scene, &invite).await, Code::FailedPrecondition, "INVITE_EXPIRED");
    assert_refused(scene.join_by(&invite, &key, &signed).await, Code::FailedPrecondition, "INVITE_EXPIRED");
    // What has ended is in nobody's way.
    let next = scene.invite_own(ORG, Kind::Node, "n2").await.unwrap();
    assert_issued(&scene.join(&next, &key, None).await);
}

#[tokio::test]
async fn it_ends_when_the_organisation_revokes_it_and_only_then() {
    let (scene, invite, _) = stage().await;
    let key = KeyPair::generate().unwrap();
    let revoked = |organisation: &str| Statement::InviteRevoked {
        organisation: organisation.parse().unwrap(),
        invite: InviteId::from_bytes(invite.id),
    };
    let by_operators = scene.govern(revoked(ORG)).await;
    assert_refused(by_operators, Code::PermissionDenied, "SIGNATURE_REFUSED");
    scene.admit("org-b.example", Kind::Node, "n1").await;
    let by_another = scene.say_of("org-b.example", revoked("org-b.example")).await;
    assert_refused(by_another, Code::NotFound, "INVITE_UNKNOWN");
    scene.say_of(ORG, revoked(ORG)).await.unwrap();
    assert_refused(described(&scene, &invite).await, Code::PermissionDenied, "INVITE_UNKNOWN");
    let signed = admission(&scene, &invite, &key);
    assert_refused(scene.join_by(&invite, &key, &signed).await, Code::NotFound, "INVITE_UNKNOWN");
}

#[tokio::test]
async fn for_another_kind_of_program_it_is_refused_and_not_used_up() {
    let (scene, invite, _) = stage().await;
    let key = KeyPair::generate().unwrap();
    let refused = scene.join_as(&[Kind::App], &invite, &key, None).await;
    assert_refused(refused, Code::FailedPrecondition, "INVITE_OF_ANOTHER_KIND");
    assert_issued(&scene.join_as(&[Kind::Node], &invite, &key, None).await);
}

#[tokio::test]
async fn it_is_worth_nothing_without_its_key_nor_for_another_name() {
    let (scene, invite, first) = stage().await;
    let key = KeyPair::generate().unwrap();
    let statement = Statement::MemberAdmitted {
        id: member_id(ORG, Kind::Node, "n2"),
        key: comity_transparency::Signer::public_key(&key).unwrap(),
        tls_key: comity_membership::TlsKey::Admitted,
        invite: Some(InviteId::from_bytes(invite.id)),
    };
    let alone = scene.signed(statement.clone(), &[&key]);
    assert_refused(scene.join_by(&invite, &key, &alone).await, Code::PermissionDenied, "TOO_FEW_SIGNATURES");
    let by_another = scene.signed(statement, &[&first.key, &key]);
    assert_refused(scene.join_by(&invite, &key, &by_another).await, Code::PermissionDenied, "SIGNATURE_REFUSED");
    let other_name = scene.admission(&invite, member_id(ORG, Kind::Node, "n3"), &key, 1);
    assert_refused(scene.join_by(&invite, &key, &other_name).await, Code::NotFound, "INVITE_UNKNOWN");
    let signed = admission(&scene, &invite, &key);
    let other_csr = scene.join_by(&invite, &KeyPair::generate().unwrap(), &signed).await;
    assert_refused(other_csr, Code::InvalidArgument, "INVALID_FIELD");
    assert_issued(&scene.join_by(&invite, &key, &signed).await);
}

#[tokio::test]
async fn while_its_organisation_is_suspended_nobody_gets_a_certificate_by_it() {
    let (scene, invite, _) = stage().await;
    let key = KeyPair::generate().unwrap();
    scene.suspend(ORG).await;
    assert_refused(scene.join(&invite, &key, None).await, Code::PermissionDenied, "NOT_ACTIVE");
    assert_refused(scene.certify(&key).await, Code::PermissionDenied, "NOT_ACTIVE");
    scene.lift(ORG).await;
    assert!(scene.certify(&key).await.is_ok());
}

#[tokio::test]
async fn an_organisations_members_see_its_open_invites_and_nobody_else_does() {
    let (scene, invite, first) = stage().await;
    let other = scene.admit("org-b.example", Kind::Node, "n1").await;
    let listed = async |member: &Member| {
        let mut client = MembershipClient::new(scene.connect(member).await.unwrap());
        client.list_enrolments(ListEnrolmentsRequest::default()).await.unwrap().into_inner().enrolments
    };
    let [open] = listed(&first).await.try_into().unwrap();
    assert_eq!((open.id.as_str(), open.state()), (invite.id_text().as_str(), EnrolmentState::Open));
    assert_eq!((open.spiffe_id.as_str(), open.invited_by.as_str()), ("spiffe://org-a.example/node/n2", ORG));
    assert!(listed(&other).await.is_empty() && listed(&scene.operator).await.is_empty());
    scene.clock.advance(HOUR);
    assert!(listed(&first).await.is_empty(), "what has ended is not open");
}
