//! The first entry.

use super::*;
use crate::signed::Genesis;

fn genesis(operators: &[(&str, PublicKey)], root_threshold: u32, membership_threshold: u32) -> Body {
    let operators = operators.iter().map(|(id, key)| (read(id), key.clone())).collect();
    let (federation, root_sha256) = (read("fed.example"), Digest::of(b"root"));
    Body::Founded(Genesis { federation, root_sha256, operators, root_threshold, membership_threshold })
}

/// Founds by operators of these ids, each with its own key.
fn found(ids: &[&str], root_threshold: u32, membership_threshold: u32) -> Result<(), Refused> {
    let mut test = TestFederation { now: Some(read("2026-11-25")), ..TestFederation::default() };
    let operators: Vec<_> = ids.iter().map(|id| (*id, test.key(id).public())).collect();
    test.enter(genesis(&operators, root_threshold, membership_threshold))
}

#[test]
fn the_founding_comes_first_and_only_then() {
    let mut test = three();
    let key = test.key("alice").public();
    assert_eq!(test.enter(genesis(&[(&operator_text("alice"), key)], 1, 1)), Err(Refused::Founding));
    let mut nothing = TestFederation { now: test.now, ..TestFederation::default() };
    assert_eq!(nothing.say(evicted(A), &["alice"]), Err(Refused::Founding));
    assert_eq!(nothing.enter(lapsed(A)), Err(Refused::Founding));
}

#[test]
fn a_founding_names_operators_who_can_govern() {
    let (alice, bob) = (&*operator_text("alice"), &*operator_text("bob"));
    assert_eq!(found(&[alice, bob], 1, 2), Ok(()));
    assert_eq!(found(&[alice, bob], 2, 1), Ok(()));
    let many: Vec<String> = (0..=MAX_OPERATORS).map(|n| operator_text(&format!("o{n}"))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(found(&many[1..], 1, 1), Ok(()));
    for (ids, root, membership) in [
        (&[][..], 1, 1),
        (&many, 1, 1),
        (&[alice, bob], 0, 1),
        (&[alice, bob], 1, 0),
        (&[alice, bob], 3, 1),
        (&[alice, bob], 1, 3),
        (&["spiffe://org-a.example/operator/alice"], 1, 1),
        (&["spiffe://fed.example/node/alice"], 1, 1),
    ] {
        let taken = found(ids, root, membership);
        assert!(matches!(taken, Err(Refused::Governance(_))), "{ids:?} {root} {membership}: {taken:?}");
    }
}

#[test]
fn two_operators_with_one_key_are_refused() {
    let mut test = TestFederation { now: Some(read("2026-11-25")), ..TestFederation::default() };
    let key = test.key("alice").public();
    let body = genesis(&[(&operator_text("alice"), key.clone()), (&operator_text("bob"), key)], 2, 2);
    assert!(matches!(test.enter(body), Err(Refused::Governance(_))));
}

#[test]
fn operators_are_members_of_the_federation_itself() {
    let test = three();
    assert!(test.is_active(&operator_text("alice")));
    assert_eq!(test.federation.members().count(), 3);
    assert_eq!((test.federation.organisations().count(), test.federation.root_version()), (0, 1));
}
