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
fn an_operator_who_fills_the_bound_leaves_the_organisation_room_and_the_threshold_ratifies_all_the_same() {
    let mut test = with_a();
    for n in 0..MAX_CERTIFICATES {
        test.say(suspended(&certificate(NODE, n).0, By::Brake), &["alice"]).unwrap();
    }
    let (one_more, _) = certificate(NODE, MAX_CERTIFICATES);
    let taken = test.say(suspended(&one_more, By::Brake), &["alice"]);
    assert_eq!(taken, Err(Refused::TooManyCertificates(read(NODE))));
    assert_eq!(test.say(suspended(&one_more, By::Organisation), &[A]), Ok(()));
    assert_eq!(test.say(suspended(&certificate(NODE, 0).0, By::Federation), &BOTH), Ok(()));
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
