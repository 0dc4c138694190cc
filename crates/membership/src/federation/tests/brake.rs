//! What one operator can do alone: stop, and for 72 hours.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn braked(subject: &str) -> TestFederation {
    let mut test = with_a();
    test.say(suspended(subject, By::Brake), &["alice"]).unwrap();
    test
}

#[test]
fn one_operator_stops_an_organisation_a_member_or_a_certificate() {
    let certificate = Digest::of(b"certificate");
    for subject in [A, NODE, &format!("{NODE}#sha256={certificate}")] {
        let test = braked(subject);
        let standing = test.federation.standing_with(&read(NODE), certificate);
        assert!(matches!(standing, Standing::Suspended { .. }), "{subject}: {standing:?}");
        let until = test.now.unwrap().plus(BRAKE);
        assert_eq!(test.federation.brakes(), [(until, read(subject))]);
    }
}

#[test]
fn one_operator_lets_nobody_in_and_puts_nobody_out() {
    let mut test = with_a();
    assert_eq!(test.admit(B, STRANGER, &["alice"]), too_few(1));
    assert_eq!(test.say(evicted(A), &["alice"]), too_few(1));
    test.say(suspended(A, By::Federation), &BOTH).unwrap();
    assert_eq!(test.say(lifted(A, By::Brake), &["alice"]), Err(Refused::Ratified(read(A))));
}

#[test]
fn nobody_brakes_but_an_operator() {
    let mut test = with_both();
    for other in [A, NODE, B, STRANGER, "eve"] {
        assert!(has_no_say(&test.say(suspended(A, By::Brake), &[other])), "{other}");
    }
}

#[test]
fn a_brake_holds_for_72_hours_and_until_an_entry_says_that_it_has_lapsed() {
    let mut test = braked(A);
    test.wait(BRAKE - SECOND);
    assert_eq!(test.enter(lapsed(A)), Err(Refused::NotLapsed(read(A))));
    test.wait(SECOND);
    assert!(!test.is_active(NODE), "no clock ends it");
    assert_eq!(test.enter(lapsed(A)), Ok(()));
    assert!(test.is_active(NODE));
    assert_eq!(test.enter(lapsed(A)), Err(Refused::NotLapsed(read(A))));
}

#[test]
fn operators_lift_no_suspension_that_they_signed_before() {
    let mut test = braked(A);
    let vote = test.signed(lifted(A, By::Federation), &BOTH);
    test.say(lifted(A, By::Brake), &["alice"]).unwrap();
    test.wait(SECOND);
    let since = test.now.unwrap();
    test.say(suspended(A, By::Brake), &["bob"]).unwrap();
    test.wait(SECOND);
    assert_eq!(test.enter(Body::Signed(vote)), Err(Refused::NotSeen { subject: read(A), since }));
    assert!(!test.is_active(NODE));
    test.say(lifted(A, By::Federation), &BOTH).unwrap();
    assert!(test.is_active(NODE));
}

#[test]
fn nothing_lapses_but_a_brake() {
    let mut test = with_a();
    test.say(suspended(A, By::Federation), &BOTH).unwrap();
    test.say(suspended(NODE, By::Organisation), &[A]).unwrap();
    test.wait(BRAKE * 2);
    for subject in [A, NODE, OTHER, B, &format!("{NODE}#sha256={}", Digest::of(b""))] {
        assert!(test.enter(lapsed(subject)).is_err(), "{subject}");
    }
}

#[test]
fn two_operators_ratify_a_brake_and_then_it_neither_lapses_nor_is_taken_back_by_one() {
    let mut test = braked(A);
    assert_eq!(test.say(suspended(A, By::Federation), &BOTH), Ok(()));
    test.wait(BRAKE * 2);
    assert_eq!(test.enter(lapsed(A)), Err(Refused::NotLapsed(read(A))));
    assert_eq!(test.say(lifted(A, By::Brake), &["alice"]), Err(Refused::Ratified(read(A))));
    assert_eq!(test.say(suspended(A, By::Federation), &BOTH), Err(Refused::AlreadySuspended(read(A))));
    assert_eq!(test.say(lifted(A, By::Federation), &BOTH), Ok(()));
}

#[test]
fn whoever_braked_takes_it_back_alone_and_no_other_operator_does() {
    let mut test = braked(A);
    let taken = test.say(lifted(A, By::Brake), &["bob"]);
    assert_eq!(taken, Err(Refused::TooFew { who: "operators who braked it", have: 0, needed: 1 }));
    let by =
        |name: &str| test.federation.is_braked_by(&read(&format!("spiffe://fed.example/operator/{name}")), &read(A));
    assert_eq!((by("alice"), by("bob")), (true, false));
    assert_eq!(test.say(lifted(A, By::Brake), &["alice"]), Ok(()));
    assert!(test.is_active(NODE));
}

#[test]
fn a_brake_that_has_ended_gives_no_say_in_anothers() {
    let mut test = braked(A);
    test.wait(BRAKE);
    test.enter(lapsed(A)).unwrap();
    test.say(suspended(A, By::Brake), &["bob"]).unwrap();
    let taken = test.say(lifted(A, By::Brake), &["alice"]);
    assert!(matches!(taken, Err(Refused::TooFew { .. })), "{taken:?}");
}

#[test]
fn an_operator_brakes_a_subject_once_until_the_threshold_has_spoken_of_it() {
    let mut test = braked(A);
    assert_eq!(test.say(suspended(A, By::Brake), &["bob"]), Err(Refused::AlreadySuspended(read(A))));
    test.say(lifted(A, By::Brake), &["alice"]).unwrap();
    assert_eq!(test.say(suspended(A, By::Brake), &["alice"]), Err(Refused::BrakeSpent(read(A))));
    assert_eq!(test.say(suspended(A, By::Brake), &["bob", "alice"]), Err(Refused::BrakeSpent(read(A))));
    test.say(suspended(A, By::Brake), &["bob"]).unwrap();
    test.wait(BRAKE);
    test.enter(lapsed(A)).unwrap();
    assert_eq!(test.say(suspended(A, By::Brake), &["bob"]), Err(Refused::BrakeSpent(read(A))));
    test.say(suspended(A, By::Federation), &BOTH).unwrap();
    test.say(lifted(A, By::Federation), &BOTH).unwrap();
    assert_eq!(test.say(suspended(A, By::Brake), &["alice"]), Ok(()));
}

#[test]
fn one_operator_cannot_brake_the_others_into_a_veto_of_its_own() {
    let mut test = with_a();
    let taken = test.say(suspended(&operator_text("bob"), By::Brake), &["alice"]);
    assert!(matches!(taken, Err(Refused::LastOperator(_))), "bob and carol govern without alice: {taken:?}");
    let mut test = TestFederation::founded(&["alice", "bob", "carol", "dora"], 2);
    assert_eq!(test.say(suspended(&operator_text("bob"), By::Brake), &["alice"]), Ok(()));
    let taken = test.say(suspended(&operator_text("carol"), By::Brake), &["alice"]);
    assert!(matches!(taken, Err(Refused::LastOperator(_))), "{taken:?}");
    assert_eq!(test.say(suspended(&operator_text("alice"), By::Federation), &["carol", "dora"]), Ok(()));
}

#[test]
fn one_operator_does_not_use_up_the_versions_that_others_are_signing() {
    let mut test = with_a();
    let envelope = test.signed(evicted(A), &["bob", "carol"]);
    test.say(suspended(A, By::Brake), &["alice"]).unwrap();
    test.say(lifted(A, By::Brake), &["alice"]).unwrap();
    assert_eq!(test.enter(Body::Signed(envelope)), Ok(()));
}

#[test]
fn a_brake_is_not_said_twice() {
    let mut test = with_a();
    let brake = test.signed(suspended(NODE, By::Brake), &["alice"]);
    test.enter(Body::Signed(brake.clone())).unwrap();
    let lift = test.signed(lifted(NODE, By::Brake), &["alice"]);
    test.enter(Body::Signed(lift.clone())).unwrap();
    assert!(matches!(test.enter(Body::Signed(brake)), Err(Refused::Version { .. })));
    assert!(matches!(test.enter(Body::Signed(lift)), Err(Refused::Said { .. })));
}
