//! What an organisation says of itself, and nobody else does.

use super::*;
use crate::testing::organisation;

fn updated(domain: &str, name: &str) -> Statement {
    let mut organisation = organisation(domain);
    organisation.name = name.into();
    Statement::OrganisationUpdated { organisation: Box::new(organisation), layers: Box::default() }
}

fn anchors(domain: &str, anchors: usize) -> Statement {
    let anchors = (0..anchors).map(|n| format!("anchor {n}")).collect();
    Statement::AnchorsChanged { organisation: read(domain), anchors }
}

#[test]
fn an_organisations_own_things_need_one_of_its_keys_and_nobody_elses() {
    let mut test = with_both();
    let (joins, changes) = (joined(&mut test, OTHER), keys(&mut test, A, &["new"]));
    let invite = invites::invited(&mut test, OTHER, 1);
    for (statement, with) in [
        (updated(A, "name"), None),
        (anchors(A, 1), None),
        (changes, Some("new")),
        (invite, None),
        (joins, Some(OTHER)),
        (withdrawn(NODE), None),
        (left(A), None),
        (suspended(A, By::Organisation), None),
        (suspended(NODE, By::Organisation), None),
    ] {
        for other in [B, STRANGER, NODE, "alice", "eve"] {
            let signers: Vec<&str> = with.into_iter().chain([other]).collect();
            let taken = test.say(statement.clone(), &signers);
            assert!(has_no_say(&taken), "{} by {other}: {taken:?}", statement.kind());
        }
        let taken = test.say(statement.clone(), &[with.unwrap_or("eve")]);
        assert!(taken.is_err(), "{}: {taken:?}", statement.kind());
    }
    let taken = test.say(updated(A, "name"), &[A]);
    assert_eq!((taken, test.federation.organisation(&read(A)).unwrap().organisation.name.as_str()), (Ok(()), "name"));
}

#[test]
fn an_organisation_says_nothing_of_the_federation_or_of_who_is_not_there() {
    let mut test = with_a();
    for domain in [B, "fed.example"] {
        let stranger = Err(Refused::NotAMember(read(domain)));
        assert_eq!(test.say(updated(domain, "name"), &[A]), stranger);
        assert_eq!(test.say(anchors(domain, 1), &[A]), stranger);
        assert_eq!(test.say(left(domain), &[A]), stranger);
        assert_eq!(test.say(suspended(domain, By::Organisation), &[A]), stranger);
    }
    let operator = operator_text("dora");
    let joins = joined(&mut test, &operator);
    assert_eq!(test.say(joins, &[A, &operator]), Err(Refused::NotAMember(read("fed.example"))));
}

#[test]
fn anchors_are_few_and_never_none_and_say_when_they_changed() {
    let mut test = with_a();
    for found in [0, MAX_ANCHORS + 1] {
        assert_eq!(test.say(anchors(A, found), &[A]), Err(Refused::Anchors { found }));
    }
    assert_eq!(test.federation.organisation(&read(A)).unwrap().anchors_epoch, 2);
    test.say(updated(A, "name"), &[A]).unwrap();
    test.say(anchors(A, MAX_ANCHORS), &[A]).unwrap();
    let state = test.federation.organisation(&read(A)).unwrap();
    assert_eq!((state.anchors.len(), state.anchors_epoch), (MAX_ANCHORS, 4));
}

#[test]
fn every_new_key_signs_beside_one_of_the_old() {
    let mut test = with_a();
    let statement = keys(&mut test, A, &["one", "two"]);
    for signers in [&[A, "one"][..], &[A, "two"], &["one", "two"], &[A]] {
        let taken = test.say(statement.clone(), signers);
        assert!(matches!(taken, Err(Refused::TooFew { .. })), "{signers:?}: {taken:?}");
    }
    assert_eq!(test.say(statement, &[A, "one", "two"]), Ok(()));
    assert_eq!(test.keys_of(A).len(), 2);
    assert!(has_no_say(&test.say(left(A), &[A])), "the old key is nobody's");
    assert_eq!(test.say(suspended(A, By::Organisation), &["two"]), Ok(()), "one of them is enough");
    let back = keys(&mut test, A, &[A, "one"]);
    assert_eq!(test.say(back, &[A, "one"]), Ok(()), "a key that stays proves itself again");
}

#[test]
fn keys_are_few_each_once_and_never_none() {
    let mut test = with_a();
    let many: Vec<String> = (0..=MAX_KEYS).map(|n| format!("key {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let all: Vec<&str> = many.iter().copied().chain([A]).collect();
    let statement = keys(&mut test, A, &many);
    assert_eq!(test.say(statement, &all), Err(Refused::Keys { found: MAX_KEYS + 1 }));
    let statement = keys(&mut test, A, &[]);
    assert!(matches!(test.say(statement, &[A]), Err(Refused::TooFew { .. })));
    let statement = keys(&mut test, A, &["one", "one"]);
    assert!(matches!(test.say(statement, &[A, "one"]), Err(Refused::TooFew { .. })));
    let statement = keys(&mut test, A, &many[1..]);
    assert_eq!(test.say(statement, &all[1..]), Ok(()));
}

#[test]
fn a_suspended_organisation_still_speaks_for_its_own() {
    let mut test = with_a();
    test.say(suspended(A, By::Federation), &BOTH).unwrap();
    assert_eq!(test.say(withdrawn(NODE), &[A]), Ok(()));
    assert_eq!(test.say(left(A), &[A]), Ok(()));
}
