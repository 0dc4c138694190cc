//! Where an entry stands: after the last one, in this federation, and once.

use std::time::Duration;

use super::*;

#[test]
fn entries_follow_each_other_without_gap_or_repetition() {
    let mut test = with_a();
    let envelope = test.signed(evicted(A), &BOTH);
    let entry = test.entry(Body::Signed(envelope));
    for found in [0, 1, 2, 4, u64::MAX] {
        let taken = test.apply(&Entry { epoch: found, ..entry.clone() });
        assert_eq!(taken, Err(Refused::OutOfOrder { current: 2, found }));
    }
    assert_eq!(test.apply(&entry), Ok(()));
    assert_eq!(test.apply(&entry), Err(Refused::OutOfOrder { current: 3, found: 3 }));
}

#[test]
fn no_entry_is_older_than_the_one_before_it() {
    let mut test = with_a();
    let last = test.now.unwrap();
    let found = last.minus(Duration::from_millis(1));
    test.now = Some(found);
    assert_eq!(test.say(evicted(A), &BOTH), Err(Refused::BackInTime { last, found }));
    test.now = Some(last);
    assert_eq!(test.say(evicted(A), &BOTH), Ok(()));
    assert_eq!((test.federation.epoch(), test.federation.at()), (3, Some(last)));
}

#[test]
fn what_was_said_in_another_federation_is_not_said_here() {
    let mut test = with_a();
    let payload =
        Payload { federation: Digest::of(b"other"), version: 2, at: test.now.unwrap(), statement: evicted(A) };
    let envelope = crate::sign(&payload, &[&test.keys["alice"], &test.keys["bob"]]).unwrap();
    assert_eq!(test.enter(Body::Signed(envelope)), Err(Refused::OtherFederation));
}

#[test]
fn a_statement_is_said_once_and_no_other_at_its_version() {
    let mut test = with_a();
    let scope = Scope::Governance(read(A));
    let envelope = test.signed(suspended(A, By::Federation), &BOTH);
    let mut by_others = test.signed(suspended(A, By::Federation), &["bob", "carol"]);
    test.enter(Body::Signed(envelope.clone())).unwrap();
    let said = Err(Refused::Said { scope: scope.clone() });
    assert_eq!(test.enter(Body::Signed(envelope.clone())), said);
    assert_eq!(test.enter(Body::Signed(by_others.clone())), said, "whoever signed it");
    by_others.signatures.clear();
    let other = test.signed_at(2, suspended(NODE, By::Federation), &BOTH);
    let (first, second) = (envelope.payload_digest(), other.payload_digest());
    let contradicts =
        |next| Err(Refused::Equivocation { scope: scope.clone(), version: 2, next, epoch: 3, first, second });
    assert_eq!(test.enter(Body::Signed(other.clone())), contradicts(3));
    // However much was said since.
    test.say(lifted(A, By::Federation), &BOTH).unwrap();
    assert_eq!(test.enter(Body::Signed(other)), contradicts(4));
    assert_eq!(test.enter(Body::Signed(envelope)), Err(Refused::Version { scope: scope.clone(), next: 4, found: 2 }));
}

#[test]
fn versions_go_up_by_one_in_every_scope() {
    let mut test = with_a();
    let joins = joined(&mut test, OTHER);
    for (statement, signers) in [
        (evicted(A), &BOTH[..]),
        (suspended(A, By::Brake), &["alice"]),
        (suspended(A, By::Organisation), &[A]),
        (joins, &[A, OTHER]),
        (offers::published(NODE, vec![]), &[NODE]),
    ] {
        let scope = statement.scope().unwrap();
        let next = test.federation.next_version(&scope);
        for found in [0, next + 1, next + 2, u64::MAX] {
            // At 0 where nothing was said there is no head that it could be.
            let envelope = test.signed_at(found, statement.clone(), signers);
            let taken = test.enter(Body::Signed(envelope));
            assert_eq!(taken, Err(Refused::Version { scope: scope.clone(), next, found }), "{}", statement.kind());
        }
    }
}

#[test]
fn what_is_decided_of_one_organisation_is_in_the_way_of_no_other() {
    let mut test = with_both();
    let (one, other) = (test.signed(evicted(A), &BOTH), test.signed(evicted(B), &BOTH));
    assert_eq!((test.enter(Body::Signed(other)), test.enter(Body::Signed(one))), (Ok(()), Ok(())));
}

#[test]
fn a_refused_statement_uses_up_no_version() {
    let mut test = with_a();
    let before = test.federation.next_version(&Scope::Governance(read(A)));
    assert!(test.say(lifted(A, By::Federation), &BOTH).is_err());
    assert!(test.say(evicted(A), &["alice"]).is_err());
    assert_eq!(test.federation.next_version(&Scope::Governance(read(A))), before);
}

#[test]
fn what_was_held_back_is_not_said_later_and_nothing_is_said_ahead_of_its_time() {
    let day = Duration::from_secs(24 * 60 * 60);
    let mut test = with_a();
    let (operators, own) =
        (test.signed(suspended(A, By::Federation), &BOTH), test.signed(suspended(NODE, By::Organisation), &[A]));
    test.wait(day);
    assert_eq!(test.enter(Body::Signed(own)), Ok(()), "a day old is not too old");
    let late = test.signed(lifted(NODE, By::Organisation), &[A]);
    test.wait(day + Duration::from_millis(1));
    assert!(matches!(test.enter(Body::Signed(late)), Err(Refused::NotOfNow { .. })));
    test.wait(day * 28);
    assert!(matches!(test.enter(Body::Signed(operators)), Err(Refused::NotOfNow { .. })), "thirty days for operators");
    let (statement, now) = (suspended(A, By::Federation), test.now.unwrap());
    test.now = Some(now.plus(MAX_AHEAD + Duration::from_millis(1)));
    let early = test.signed(statement, &BOTH);
    test.now = Some(now);
    assert!(matches!(test.enter(Body::Signed(early.clone())), Err(Refused::NotOfNow { .. })));
    test.wait(Duration::from_millis(1));
    assert_eq!(test.enter(Body::Signed(early)), Ok(()));
}
