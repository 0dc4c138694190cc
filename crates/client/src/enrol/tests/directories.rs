//! What stands in a directory decides which invite may be taken up there.

use super::*;

fn key(world: &World) -> Digest {
    IdentityDir::create(world.member_dir()).unwrap().key().unwrap().public_key_digest()
}

#[tokio::test]
async fn a_directory_that_joined_refuses_another_invite_and_says_who_stands_there() {
    let world = World::new().await;
    world.desk.approve();
    join_now(&world, &world.invite()).await.unwrap();
    let key_before = key(&world);
    let refused = join_now(&world, &world.invite()).await.unwrap_err();
    let EnrolError::AlreadyJoined { dir, identity } = &refused else { panic!("{refused:?}") };
    assert_eq!((dir, identity.as_str()), (&world.member_dir(), MEMBER));
    assert!(refused.to_string().contains(MEMBER) && refused.to_string().contains("hint"), "{refused}");
    assert_eq!((world.desk.asked().len(), key(&world)), (1, key_before), "nobody was asked, the key stands");
}

#[tokio::test]
async fn a_directory_of_another_federation_is_refused() {
    let (world, other) = (World::new().await, World::new().await);
    world.desk.approve();
    join_now(&world, &world.invite()).await.unwrap();
    let refused = join_now(&world, &other.invite()).await.unwrap_err();
    assert!(matches!(refused, EnrolError::AlreadyJoined { .. }), "{refused:?}");
    assert!(other.desk.asked().is_empty());
}

#[tokio::test]
async fn the_directory_of_the_founding_operator_takes_no_invite() {
    let world = World::new().await;
    let dir = world.founded.operator_dir.path();
    let refused = join(Joining::new(&world.invite(), &[Kind::Operator], None, dir)).await.unwrap_err();
    assert!(matches!(refused, EnrolError::AlreadyJoined { .. }), "{refused:?}");
    assert!(world.desk.asked().is_empty());
}

#[tokio::test]
async fn a_directory_that_waits_refuses_another_invite_and_says_which_enrolment_waits() {
    let world = World::new().await;
    let (first, second) = (world.invite(), world.invite());
    assert!(matches!(join_now(&world, &first).await.unwrap(), JoinState::Pending { .. }));
    let refused = join_now(&world, &second).await.unwrap_err();
    assert!(
        matches!(&refused, EnrolError::AlreadyAsked { enrolment_id, .. } if *enrolment_id == first.id_text()),
        "{refused:?}"
    );
    world.desk.approve();
    assert!(matches!(join_now(&world, &first).await.unwrap(), JoinState::Issued(_)), "the first one goes on");
}

#[tokio::test]
async fn after_a_lost_reply_no_other_invite_takes_the_place() {
    let world = World::new().await;
    let (first, second) = (world.invite(), world.invite());
    world.desk.approve();
    world.desk.lose_next_reply();
    join_now(&world, &first).await.unwrap_err();
    let refused = join_now(&world, &second).await.unwrap_err();
    assert!(matches!(refused, EnrolError::AlreadyAsked { .. }), "{refused:?}");
    assert!(matches!(join_now(&world, &first).await.unwrap(), JoinState::Issued(_)));
}

#[tokio::test]
async fn an_invite_that_the_broker_calls_worthless_makes_room_for_the_next_one_and_the_key_stays() {
    let world = World::new().await;
    world.desk.approve();
    let mut keys = Vec::new();
    for reason in ["INVITE_UNKNOWN", "INVITE_EXPIRED", "INVITE_BOUND_TO_ANOTHER_KEY", "INVITE_OF_ANOTHER_KIND"] {
        world.desk.refuse_next(Failure::new(Code::FailedPrecondition, reason, "no"));
        assert!(matches!(join_now(&world, &world.invite()).await, Err(EnrolError::Call(_))), "{reason}");
        keys.push(key(&world));
    }
    assert!(matches!(join_now(&world, &world.invite()).await.unwrap(), JoinState::Issued(_)));
    assert!(keys.iter().all(|before| *before == key(&world)));
}

#[tokio::test]
async fn an_invite_that_was_refused_for_what_can_be_mended_keeps_its_place() {
    let world = World::new().await;
    world.desk.refuse_next(Failure::new(Code::InvalidArgument, "INVALID_FIELD", "organisation: missing"));
    join_now(&world, &world.invite()).await.unwrap_err();
    let refused = join_now(&world, &world.invite()).await.unwrap_err();
    assert!(matches!(refused, EnrolError::AlreadyAsked { .. }), "{refused:?}");
}

#[tokio::test]
async fn an_identity_of_a_kind_that_was_not_asked_for_is_not_stored() {
    let world = World::new().await;
    world.desk.approve();
    let refused = join_as(&world, &world.invite(), &[Kind::Node]).await.unwrap_err();
    assert!(matches!(&refused, EnrolError::OtherKind { identity, .. } if identity.as_str() == MEMBER), "{refused:?}");
    assert!(!IdentityDir::create(world.member_dir()).unwrap().is_joined());
}

#[tokio::test]
async fn a_directory_of_another_kind_is_no_success_even_for_its_own_invite() {
    let world = World::new().await;
    world.desk.approve();
    let invite = world.invite();
    join_now(&world, &invite).await.unwrap();
    let refused = join_as(&world, &invite, &[Kind::Node]).await.unwrap_err();
    assert!(matches!(refused, EnrolError::OtherKind { .. }), "{refused:?}");
}
