//! A directory that has asked goes on by its key, without the invite: once, or until it is decided.

use std::time::Duration;

use comity_types::Clock as _;

use super::*;
use crate::enrol::resume::wait_with;
use crate::testing::MovedClock;

const KINDS: &[Kind] = &[Kind::App];

async fn asked() -> (World, Invite) {
    let world = World::new().await;
    let invite = world.invite();
    assert!(matches!(join_now(&world, &invite).await.unwrap(), JoinState::Pending { .. }));
    (world, invite)
}

#[tokio::test]
async fn what_a_directory_has_asked_for_is_completed_without_the_invite() {
    let (world, invite) = asked().await;
    let dir = world.member_dir();
    assert!(has_asked(&dir));
    let key = IdentityDir::create(&dir).unwrap().key().unwrap().public_key_digest();
    let expected = JoinState::Pending { enrolment_id: invite.id_text(), fingerprint: key.fingerprint() };
    assert_eq!(resume(&Resuming::new(KINDS, &dir)).await.unwrap(), expected);
    world.desk.approve();
    assert!(matches!(resume(&Resuming::new(KINDS, &dir)).await.unwrap(), JoinState::Issued(_)));
    assert_eq!(Identity::open(&dir).unwrap().id().as_str(), MEMBER);
    assert!(!has_asked(&dir));
    assert_eq!(world.desk.asked().len(), 1, "the invite was shown once");
}

#[tokio::test]
async fn whoever_waits_goes_on_as_soon_as_operators_have_approved() {
    let (world, _) = asked().await;
    let dir = world.member_dir();
    let (mut told, resuming) = (0, Resuming::new(KINDS, &dir));
    let state = wait_with(&resuming, None, Duration::from_millis(5), |_| {
        told += 1;
        if told == 3 {
            world.desk.approve();
        }
    });
    assert!(matches!(state.await.unwrap(), JoinState::Issued(_)));
    assert_eq!(told, 3);
}

#[tokio::test]
async fn patience_that_is_over_leaves_it_waiting() {
    let (world, _) = asked().await;
    let dir = world.member_dir();
    let patience = Some(Duration::from_millis(20));
    let state = wait_with(&Resuming::new(KINDS, &dir), patience, Duration::from_millis(5), |_| {}).await.unwrap();
    assert!(matches!(state, JoinState::Pending { .. }) && has_asked(&dir), "{state:?}");
}

#[tokio::test]
async fn who_is_turned_down_learns_why_and_the_directory_takes_another_invite() {
    let (world, _) = asked().await;
    let dir = world.member_dir();
    // Whoever runs a broker chooses the words, and they go to a terminal.
    world.desk.turn_down("nobody\u{1b} knows\u{202e} you");
    let state = wait_with(&Resuming::new(KINDS, &dir), None, Duration::from_millis(5), |_| {}).await.unwrap();
    assert_eq!(state, JoinState::Rejected { reason: "nobody knows you".into() });
    assert!(!has_asked(&dir));
    world.desk.approve();
    assert!(matches!(join_now(&world, &world.invite()).await.unwrap(), JoinState::Issued(_)));
}

#[tokio::test]
async fn an_invite_that_has_ended_since_still_waits_for_operators() {
    let (world, invite) = asked().await;
    world.desk.refuse_next(Failure::new(Code::FailedPrecondition, "INVITE_EXPIRED", "it ended"));
    assert!(matches!(join_now(&world, &invite).await.unwrap(), JoinState::Pending { .. }));
}

#[tokio::test]
async fn a_directory_that_has_asked_for_nothing_says_so() {
    let world = World::new().await;
    let refused = resume(&Resuming::new(KINDS, &world.member_dir())).await.unwrap_err();
    assert!(matches!(refused, EnrolError::NothingAsked { .. }), "{refused:?}");
}

#[tokio::test]
async fn an_ended_certificate_is_replaced_for_the_admitted_key_without_an_invite() {
    let clock = MovedClock::by(Duration::ZERO);
    let world = World::with_clock(clock.clone()).await;
    world.desk.approve();
    join_now(&world, &world.invite()).await.unwrap();
    clock.advance(LIFETIME * 3);
    world.desk.issue_by(clock.clone());
    world.roll_broker_by(&*clock);
    let identity = Identity::open_with_clock(world.member_dir(), clock.clone()).unwrap();
    assert!(identity.leaf().not_after < clock.now());
    let not_after = renew(&identity).await.unwrap();
    assert!(not_after > clock.now() && identity.leaf().not_after == not_after);
}

#[tokio::test]
async fn a_key_that_is_not_admitted_any_more_gets_no_certificate_for_an_ended_one() {
    let clock = MovedClock::by(Duration::ZERO);
    let world = World::with_clock(clock.clone()).await;
    world.desk.approve();
    join_now(&world, &world.invite()).await.unwrap();
    clock.advance(LIFETIME * 3);
    world.desk.dismiss_all();
    world.roll_broker_by(&*clock);
    let identity = Identity::open_with_clock(world.member_dir(), clock).unwrap();
    let EnrolError::Call(status) = renew(&identity).await.unwrap_err() else { panic!() };
    assert_eq!(comity_proto::error::Detail::of(&status).unwrap().reason, "KEY_NOT_ADMITTED");
}
