use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::Inviter;
use comity_identity::root::RootError;
use comity_membership::signed::STATEMENT_TYPE;
use comity_membership::{Application, Payload, Statement, TlsKey};
use comity_proto::error::Failure;
use comity_transparency::{Envelope, Signer as _};
use comity_types::Digest;
use tonic::Code;

use super::*;
use crate::identity::Identity;
use crate::testing::{LIFETIME, MEMBER, VERSION, World};

mod directories;
mod own_authority;
mod resuming;

async fn join_as(world: &World, invite: &Invite, kinds: &[Kind]) -> Result<JoinState, EnrolError> {
    join(Joining::new(invite, kinds, None, &world.member_dir())).await
}

async fn join_now(world: &World, invite: &Invite) -> Result<JoinState, EnrolError> {
    join_as(world, invite, &[Kind::App, Kind::Operator]).await
}

#[tokio::test]
async fn an_invite_is_taken_up_once_operators_approved() {
    let world = World::new().await;
    let invite = world.invite();
    let JoinState::Pending { enrolment_id, fingerprint } = join_now(&world, &invite).await.unwrap() else { panic!() };
    let key = IdentityDir::create(world.member_dir()).unwrap().key().unwrap().public_key_digest();
    assert_eq!((enrolment_id, fingerprint), (invite.id_text(), key.fingerprint()));
    world.desk.approve();
    assert!(matches!(join_now(&world, &invite).await.unwrap(), JoinState::Issued(_)));
    assert_eq!(Identity::open(world.member_dir()).unwrap().id().as_str(), MEMBER);
    assert_eq!(world.desk.asked()[0].0, invite.secret.reveal());
}

#[tokio::test]
async fn after_a_lost_reply_the_same_key_asks_again() {
    let world = World::new().await;
    world.desk.approve();
    world.desk.lose_next_reply();
    let invite = world.invite();
    assert!(matches!(join_now(&world, &invite).await, Err(EnrolError::Call(_))));
    assert!(matches!(join_now(&world, &invite).await.unwrap(), JoinState::Issued(_)));
    let asked = world.desk.asked();
    assert_eq!((asked.len(), asked[0].1), (2, asked[1].1));
    // Once joined, nobody is asked.
    assert!(matches!(join_now(&world, &invite).await.unwrap(), JoinState::Issued(_)));
    assert_eq!(world.desk.asked().len(), 2);
}

#[tokio::test]
async fn the_secret_is_not_sent_to_a_broker_with_another_root() {
    let world = World::new().await;
    let invite = Invite { root: Digest::of(b"another"), ..world.invite() };
    let refused = join_now(&world, &invite).await.unwrap_err();
    assert!(matches!(refused, EnrolError::Root(RootError::Digest { .. })), "{refused:?}");
    assert!(world.desk.asked().is_empty() && world.desk.shown().is_empty());
}

#[tokio::test]
async fn the_secret_is_not_sent_to_whoever_only_has_a_copy_of_the_root() {
    let (world, impostor) = (World::new().await, World::new().await);
    impostor.desk.show_root(world.desk.root());
    let invite = Invite { address: impostor.address.to_string(), ..world.invite() };
    let EnrolError::Call(status) = join_now(&world, &invite).await.unwrap_err() else { panic!() };
    assert_eq!(crate::explain(&status).cause, crate::Cause::WrongBroker);
    assert!(impostor.desk.asked().is_empty() && impostor.desk.shown().is_empty());
}

#[tokio::test]
async fn a_renewal_is_stored_and_used_from_then_on() {
    let world = World::new().await;
    world.desk.approve();
    join_now(&world, &world.invite()).await.unwrap();
    let identity = Identity::open(world.member_dir()).unwrap();
    let before = identity.leaf();
    assert!(!renew_due(&identity, identity.clock().now()));
    assert!(renew_due(&identity, before.not_after));
    let not_after = renew(&identity).await.unwrap();
    assert_eq!(identity.leaf().not_after, not_after);
    assert!(not_after.since(before.not_after) > LIFETIME / 2);
    assert_eq!(Identity::open(world.member_dir()).unwrap().leaf(), identity.leaf());
}

fn organisation_file() -> OrganisationFile {
    OrganisationFile {
        facts: toml::from_str("trust_domain = 'org-a.example'\nname = 'A'").unwrap(),
        layers: Default::default(),
    }
}

#[tokio::test]
async fn a_new_organisation_signs_what_it_applies_with_and_keeps_its_key() {
    let (world, file) = (World::new().await, organisation_file());
    let (invite, dir) = (world.invite(), world.member_dir());
    for _ in 0..2 {
        let joining = Joining::new(&invite, &[Kind::App], Some(&file), &dir);
        assert!(matches!(join(joining).await.unwrap(), JoinState::Pending { .. }));
    }
    let identity = IdentityDir::create(&dir).unwrap();
    let requests = world.desk.requests();
    for request in &requests {
        let envelope: Envelope = serde_json::from_slice(&request.application).unwrap();
        let application = Application::open(&envelope).unwrap();
        assert_eq!((&application.organisation, application.member.as_str()), (&file.facts, MEMBER));
        assert_eq!((application.federation, application.invite.to_string()), (invite.root, invite.id_text()));
        assert_eq!(application.member_key, identity.key().unwrap().public_key().unwrap());
        assert_eq!(application.keys, [identity.pending_organisation_key().unwrap().public_key().unwrap()]);
        assert_eq!(application.anchors, [STANDARD.encode(world.desk.anchor())]);
        assert!(request.admission.is_empty());
    }
    let payload = |at: usize| serde_json::from_slice::<Envelope>(&requests[at].application).unwrap().payload;
    assert_eq!(payload(0), payload(1), "asked again, the same is said");
}

#[tokio::test]
async fn by_an_organisations_invite_the_member_signs_itself_in_and_shows_no_secret() {
    let world = World::new().await;
    world.desk.approve();
    let invite = Invite { from: Inviter::Organisation, ..world.invite() };
    assert!(matches!(join_now(&world, &invite).await.unwrap(), JoinState::Issued(_)));
    let request = world.desk.requests().remove(0);
    let envelope: Envelope = serde_json::from_slice(&request.admission).unwrap();
    let key = IdentityDir::create(world.member_dir()).unwrap().key().unwrap().public_key().unwrap();
    let signers = [invite.signer().unwrap().public_key().unwrap(), key.clone()];
    assert_eq!(envelope.verify(STATEMENT_TYPE, &signers).unwrap().len(), 2);
    let payload = Payload::peek(&envelope).unwrap();
    let expected = Statement::MemberAdmitted {
        id: MEMBER.parse().unwrap(),
        key,
        tls_key: TlsKey::Admitted,
        invite: Some(invite.id_text().parse().unwrap()),
    };
    assert_eq!((payload.federation, payload.version, payload.statement), (invite.root, VERSION, expected));
    assert!(request.application.is_empty() && request.secret.is_empty());
    assert_eq!(world.desk.shown(), [b""]);
}

#[tokio::test]
async fn an_invite_that_was_used_up_by_the_reply_that_was_lost_still_ends_in_a_certificate() {
    let world = World::new().await;
    world.desk.approve();
    world.desk.lose_next_reply();
    let invite = Invite { from: Inviter::Organisation, ..world.invite() };
    join_now(&world, &invite).await.unwrap_err();
    world.desk.refuse_next(Failure::new(Code::PermissionDenied, "INVITE_UNKNOWN", "it was taken up"));
    assert!(matches!(join_now(&world, &invite).await.unwrap(), JoinState::Issued(_)));
}

#[tokio::test]
async fn without_an_authority_that_signs_a_member_learns_what_to_have_signed() {
    let world = World::new().await;
    world.desk.approve();
    world.desk.leave_signing_to_the_organisation();
    let refused = join_now(&world, &world.invite()).await;
    assert!(matches!(refused, Ok(JoinState::AwaitsCertificate { .. })), "{refused:?}");
    assert!(!IdentityDir::create(world.member_dir()).unwrap().is_joined());
}
