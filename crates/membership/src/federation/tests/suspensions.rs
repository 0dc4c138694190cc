//! Who refuses whom, and who lifts what.

use super::*;

#[test]
fn an_organisation_suspends_itself_and_its_own_and_lifts_them() {
    for subject in [A, NODE] {
        let mut test = with_a();
        assert_eq!(test.say(suspended(subject, By::Organisation), &[A]), Ok(()));
        assert!(!test.is_active(NODE));
        let again = test.say(suspended(subject, By::Organisation), &[A]);
        assert_eq!(again, Err(Refused::AlreadySuspended(read(subject))));
        assert_eq!(test.say(lifted(subject, By::Organisation), &[A]), Ok(()));
        assert!(test.is_active(NODE));
    }
}

#[test]
fn an_organisation_has_no_say_in_anothers_suspension_nor_a_member_in_its_own() {
    let mut test = with_both();
    for subject in [A, NODE] {
        for other in [B, STRANGER, NODE, "alice"] {
            assert!(has_no_say(&test.say(suspended(subject, By::Organisation), &[other])), "{other}");
        }
    }
}

#[test]
fn neither_lifts_what_the_other_has_said() {
    let mut test = with_a();
    test.say(suspended(A, By::Federation), &BOTH).unwrap();
    assert_eq!(test.say(lifted(A, By::Organisation), &[A]), Err(Refused::SuspendedByOperators(read(A))));
    assert!(has_no_say(&test.say(lifted(A, By::Federation), &[A])));
    test.say(suspended(A, By::Organisation), &[A]).unwrap();
    test.say(lifted(A, By::Federation), &BOTH).unwrap();
    assert!(!test.is_active(NODE), "the organisation's own stands");
    assert_eq!(test.say(lifted(A, By::Federation), &BOTH), Err(Refused::SuspendedByItsOwn(read(A))));
    assert!(has_no_say(&test.say(lifted(A, By::Organisation), &BOTH)));
    test.say(lifted(A, By::Organisation), &[A]).unwrap();
    assert!(test.is_active(NODE));
}

#[test]
fn the_word_of_the_federation_is_told_before_the_organisations_and_the_organisation_before_the_member() {
    let mut test = with_a();
    let says =
        |subject: &str, by, reason: &str| Statement::Suspended { subject: read(subject), reason: reason.into(), by };
    test.say(says(NODE, By::Organisation, "member, own"), &[A]).unwrap();
    for (statement, signers, told) in [
        (says(NODE, By::Federation, "member"), &BOTH[..], "member"),
        (says(A, By::Organisation, "organisation, own"), &[A], "organisation, own"),
        (says(A, By::Federation, "organisation"), &BOTH, "organisation"),
    ] {
        test.say(statement, signers).unwrap();
        let standing = test.standing(NODE);
        assert!(matches!(&standing, Standing::Suspended { reason, .. } if reason == told), "{standing:?}");
    }
}

#[test]
fn nobody_is_suspended_or_lifted_who_is_not_there() {
    let mut test = with_a();
    for subject in [B, OTHER, STRANGER, "fed.example", &format!("{OTHER}#sha256={}", Digest::of(b""))] {
        assert_eq!(test.say(suspended(subject, By::Federation), &BOTH), Err(Refused::NotAMember(read(subject))));
        assert_eq!(test.say(lifted(subject, By::Federation), &BOTH), Err(Refused::NotAMember(read(subject))));
    }
    assert_eq!(test.say(lifted(NODE, By::Federation), &BOTH), Err(Refused::NotSuspended(read(NODE))));
}

#[test]
fn a_suspension_has_a_reason_of_bounded_length() {
    let mut test = with_a();
    let says = |reason: String| Statement::Suspended { subject: read(A), reason, by: By::Federation };
    for (bytes, fits) in [(0, false), (1, true), (MAX_REASON_BYTES, true), (MAX_REASON_BYTES + 1, false)] {
        let taken = test.say(says("a".repeat(bytes)), &BOTH);
        assert_eq!(taken, if fits { Ok(()) } else { Err(Refused::Reason { found: bytes }) });
        if fits {
            test.say(lifted(A, By::Federation), &BOTH).unwrap();
        }
    }
    let evicted = Statement::Evicted { organisation: read(A), reason: String::new() };
    assert_eq!(test.say(evicted, &BOTH), Err(Refused::Reason { found: 0 }));
}

#[test]
fn somebody_who_was_never_there_is_unknown() {
    let test = with_a();
    assert_eq!((test.standing(OTHER), test.standing(STRANGER)), (Standing::Unknown, Standing::Unknown));
}
