//! What two of three operators have to sign.

use super::*;

#[test]
fn one_operator_admits_nobody_and_two_do() {
    let mut test = three();
    assert_eq!(test.admit(A, NODE, &["alice"]), too_few(1));
    assert_eq!(test.admit(A, NODE, &["bob", "carol"]), Ok(()));
    assert!(test.is_active(NODE));
}

#[test]
fn one_operator_neither_suspends_nor_lifts_nor_evicts_and_two_do() {
    for subject in [A, NODE] {
        let mut test = with_a();
        for (statement, standing) in
            [(suspended(subject, By::Federation), false), (lifted(subject, By::Federation), true), (evicted(A), false)]
        {
            assert_eq!(test.say(statement.clone(), &["carol"]), too_few(1), "{}", statement.kind());
            assert_eq!(test.is_active(NODE), !standing, "{}", statement.kind());
            assert_eq!(test.say(statement.clone(), &["carol", "alice"]), Ok(()), "{}", statement.kind());
            assert_eq!(test.is_active(NODE), standing, "{}", statement.kind());
        }
    }
}

#[test]
fn a_key_counts_once_however_often_it_signs() {
    let mut test = with_a();
    let mut envelope = test.signed(evicted(A), &["alice", "alice"]);
    assert_eq!(test.enter(Body::Signed(envelope.clone())), too_few(1));
    envelope.signatures.push(envelope.signatures[0].clone());
    let twice = test.enter(Body::Signed(envelope));
    assert!(matches!(twice, Err(Refused::Signatures(EnvelopeError::Twice(_)))), "{twice:?}");
}

#[test]
fn nobody_signs_who_has_no_say_even_beside_those_who_have() {
    let mut test = with_a();
    for stranger in ["eve", A, NODE] {
        let taken = test.say(evicted(A), &["alice", "bob", stranger]);
        assert!(has_no_say(&taken), "{stranger}: {taken:?}");
    }
    assert!(test.is_active(NODE));
}

#[test]
fn a_forged_signature_is_refused_beside_enough_that_hold() {
    let mut test = with_a();
    let other = test.signed(evicted(B), &["carol"]);
    let mut envelope = test.signed(evicted(A), &BOTH);
    envelope.signatures.extend(other.signatures);
    let taken = test.enter(Body::Signed(envelope));
    assert!(matches!(taken, Err(Refused::Signatures(EnvelopeError::Forged(_)))), "{taken:?}");
}

#[test]
fn what_was_changed_after_it_was_signed_is_refused() {
    let mut test = with_both();
    let mut envelope = test.signed(evicted(A), &BOTH);
    let changed = String::from_utf8(envelope.payload).unwrap().replace(A, B);
    envelope.payload = changed.into_bytes();
    let taken = test.enter(Body::Signed(envelope));
    assert!(matches!(taken, Err(Refused::Signatures(EnvelopeError::Forged(_)))), "{taken:?}");
}

#[test]
fn a_suspended_operators_signature_counts_for_nothing() {
    let mut test = with_a();
    test.say(suspended(&operator_text("carol"), By::Federation), &BOTH).unwrap();
    assert!(has_no_say(&test.say(evicted(A), &["alice", "carol"])));
    assert!(has_no_say(&test.say(evicted(A), &["alice", "bob", "carol"])));
    assert!(has_no_say(&test.say(suspended(A, By::Brake), &["carol"])));
    assert_eq!(test.say(evicted(A), &BOTH), Ok(()));
}

#[test]
fn operators_are_not_suspended_below_the_threshold_and_a_lifted_one_counts_again() {
    let mut test = with_a();
    test.say(suspended(&operator_text("carol"), By::Federation), &["alice", "carol"]).unwrap();
    for by in [By::Federation, By::Brake] {
        let signers: &[&str] = if by == By::Brake { &["alice"] } else { &BOTH };
        let taken = test.say(suspended(&operator_text("bob"), by), signers);
        assert!(matches!(taken, Err(Refused::LastOperator(_))), "{taken:?}");
    }
    test.say(lifted(&operator_text("carol"), By::Federation), &BOTH).unwrap();
    assert_eq!(test.say(evicted(A), &["alice", "carol"]), Ok(()));
}

#[test]
fn a_partly_signed_statement_says_who_has_signed_and_counts_no_stranger() {
    let mut test = with_a();
    let envelope = test.signed(evicted(A), &["alice"]);
    let alice = test.key("alice").public().id();
    assert_eq!(test.federation.endorsed(&envelope), Ok(BTreeSet::from([alice])));
    let envelope = test.signed(evicted(A), &["eve"]);
    assert!(matches!(test.federation.endorsed(&envelope), Err(Refused::Signatures(_))));
    let envelope = test.signed_at(7, evicted(A), &["alice"]);
    assert!(matches!(test.federation.endorsed(&envelope), Err(Refused::Version { .. })));
}
