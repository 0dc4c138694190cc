use comity_identity::root::RootError;
use comity_types::Digest;

use super::*;
use crate::identity::Identity;
use crate::testing::{LIFETIME, MEMBER, World};

mod directories;

async fn join_now(world: &World, invite: &Invite) -> Result<JoinState, EnrolError> {
    join(invite, &[Kind::App, Kind::Operator], None, &world.member_dir()).await
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
    assert!(world.desk.asked().is_empty());
}

#[tokio::test]
async fn the_secret_is_not_sent_to_whoever_only_has_a_copy_of_the_root() {
    let (world, impostor) = (World::new().await, World::new().await);
    impostor.desk.show_root(world.desk.root());
    let invite = Invite { address: impostor.address.to_string(), ..world.invite() };
    let EnrolError::Call(status) = join_now(&world, &invite).await.unwrap_err() else { panic!() };
    assert_eq!(crate::explain(&status).cause, crate::Cause::WrongBroker);
    assert!(impostor.desk.asked().is_empty());
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
