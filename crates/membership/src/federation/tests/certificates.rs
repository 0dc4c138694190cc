//! One certificate of a member.

use super::*;

fn certificate(member: &str, n: usize) -> (String, Digest) {
    let digest = Digest::of(&n.to_be_bytes());
    (format!("{member}#sha256={digest}"), digest)
}

#[test]
fn a_member_goes_on_with_its_other_certificates() {
    for (by, signers) in [(By::Federation, &BOTH[..]), (By::Organisation, &[A])] {
        let mut test = with_a();
        let ((subject, one), (_, other)) = (certificate(NODE, 1), certificate(NODE, 2));
        test.say(suspended(&subject, by), signers).unwrap();
        assert!(matches!(test.federation.standing_with(&read(NODE), one), Standing::Suspended { .. }));
        assert_eq!(test.federation.standing_with(&read(NODE), other), Standing::Active);
        assert!(test.is_active(NODE));
        assert_eq!(test.federation.suspended_certificates().count(), 1);
        test.say(lifted(&subject, by), signers).unwrap();
        assert_eq!(test.federation.standing_with(&read(NODE), one), Standing::Active);
        assert_eq!(test.federation.suspended_certificates().count(), 0);
    }
}

#[test]
fn a_certificate_that_is_lifted_or_lapsed_and_never_was_suspended_leaves_nothing_behind() {
    let mut test = with_a();
    let (subject, _) = certificate(NODE, 1);
    assert_eq!(test.say(lifted(&subject, By::Federation), &BOTH), Err(Refused::NotSuspended(read(&subject))));
    assert_eq!(test.enter(lapsed(&subject)), Err(Refused::NotLapsed(read(&subject))));
    assert!(test.federation.certificates.is_empty());
}

#[test]
fn certificates_that_the_threshold_suspends_are_bounded_and_leave_the_organisation_room() {
    let mut test = with_a();
    for n in 0..MAX_CERTIFICATES {
        test.say(suspended(&certificate(NODE, n).0, By::Federation), &BOTH).unwrap();
    }
    let (one_more, _) = certificate(NODE, MAX_CERTIFICATES);
    let taken = test.say(suspended(&one_more, By::Federation), &BOTH);
    assert_eq!(taken, Err(Refused::TooManyCertificates(read(NODE))));
    assert_eq!(test.say(suspended(&one_more, By::Organisation), &[A]), Ok(()));
}

#[test]
fn an_operator_brakes_one_certificate_of_a_member_until_the_threshold_has_spoken_of_that() {
    let mut test = with_a();
    let [(first, _), (second, _), (third, _)] = [1, 2, 3].map(|n| certificate(NODE, n));
    test.say(suspended(&first, By::Brake), &["alice"]).unwrap();
    let spent = || Err(Refused::BrakeSpentOnAnother(Box::new(read(&certificate(NODE, 1).0))));
    assert_eq!(test.say(suspended(&second, By::Brake), &["alice"]), spent());
    assert_eq!(test.say(suspended(&second, By::Brake), &["carol", "alice"]), spent());
    // Neither by taking it back nor by waiting, whatever digests it makes up.
    test.say(lifted(&first, By::Brake), &["alice"]).unwrap();
    assert_eq!(test.say(suspended(&second, By::Brake), &["alice"]), spent());
    test.wait(BRAKE * 2);
    assert_eq!(test.say(suspended(&third, By::Brake), &["alice"]), spent());
    // Another operator has one, and each one of every other member.
    assert_eq!(test.say(suspended(&second, By::Brake), &["bob"]), Ok(()));
    test.admit(B, STRANGER, &BOTH).unwrap();
    assert_eq!(test.say(suspended(&certificate(STRANGER, 1).0, By::Brake), &["alice"]), Ok(()));
    // It is not in the way of stopping the member, nor of the threshold.
    test.say(suspended(&first, By::Federation), &BOTH).unwrap();
    assert_eq!(test.say(suspended(&third, By::Brake), &["alice"]), Ok(()));
    assert_eq!(test.say(suspended(NODE, By::Brake), &["alice"]), Ok(()));
}

#[test]
fn certificates_of_operators_are_braked_no_further_than_the_operators_themselves() {
    let mut test = three();
    let of = |name: &str, n| certificate(&operator_text(name), n).0;
    let taken = test.say(suspended(&of("bob", 1), By::Brake), &["alice"]);
    assert!(matches!(taken, Err(Refused::LastOperator(_))), "bob and carol govern without alice: {taken:?}");
    // All of them together may.
    assert_eq!(test.say(suspended(&of("bob", 1), By::Federation), &["alice", "carol"]), Ok(()));

    let mut test = TestFederation::founded(&["alice", "bob", "carol", "dora"], 2);
    assert_eq!(test.say(suspended(&of("bob", 1), By::Brake), &["alice"]), Ok(()));
    for subject in [of("carol", 1), operator_text("carol")] {
        let taken = test.say(suspended(&subject, By::Brake), &["alice"]);
        assert!(matches!(taken, Err(Refused::LastOperator(_))), "{subject}: {taken:?}");
    }
    // Those who are left end it.
    assert_eq!(test.say(lifted(&of("bob", 1), By::Federation), &["carol", "dora"]), Ok(()));
    assert_eq!(test.say(suspended(&of("carol", 1), By::Brake), &["alice"]), Ok(()));

    let mut test = TestFederation::founded(&["alice", "bob"], 2);
    assert_eq!(test.say(suspended(&of("bob", 1), By::Federation), &["alice", "bob"]), Ok(()), "bob has another");
}

#[test]
fn what_operators_have_suspended_of_a_member_is_not_shaken_off_by_its_leave() {
    for subject in [NODE, &certificate(NODE, 1).0] {
        for (by, signers) in [(By::Federation, &BOTH[..]), (By::Brake, &["carol"])] {
            let mut test = with_a();
            test.say(suspended(subject, by), signers).unwrap();
            assert_eq!(test.say(withdrawn(NODE), &[A]), Err(Refused::Held(read(subject))));
            test.say(lifted(subject, by), signers).unwrap();
            assert_eq!(test.say(withdrawn(NODE), &[A]), Ok(()));
        }
    }
}

#[test]
fn an_organisations_own_suspensions_end_with_the_member() {
    let mut test = with_a();
    let (subject, digest) = certificate(NODE, 1);
    for subject in [NODE, &subject] {
        test.say(suspended(subject, By::Organisation), &[A]).unwrap();
    }
    test.say(withdrawn(NODE), &[A]).unwrap();
    let again = joined(&mut test, NODE);
    test.say(again, &[A, NODE]).unwrap();
    assert_eq!(test.federation.standing_with(&read(NODE), digest), Standing::Active);
}
