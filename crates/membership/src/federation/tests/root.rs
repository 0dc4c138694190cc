//! Who governs, changed.

use super::*;

/// That these govern, each by its own key, unless a key of another holder is named: `alice=eve`.
fn root(test: &mut TestFederation, operators: &[&str], threshold: u32) -> Statement {
    let operators = operators.iter().map(|text| {
        let (name, holder) = text.split_once('=').unwrap_or((text, text));
        (operator(name), test.key(holder).public())
    });
    let operators = operators.collect();
    Statement::RootChanged { operators, root_threshold: threshold, membership_threshold: threshold }
}

fn change(test: &mut TestFederation, operators: &[&str], threshold: u32, signers: &[&str]) -> Result<(), Refused> {
    let statement = root(test, operators, threshold);
    test.say(statement, signers)
}

#[test]
fn a_new_root_needs_the_old_threshold_and_the_new() {
    let mut test = with_a();
    let new = ["carol", "dora", "emil"];
    let old = |have| Err(Refused::TooFew { who: "operators that govern now", have, needed: 2 });
    let to_be = |have| Err(Refused::TooFew { who: "operators that are to govern", have, needed: 2 });
    assert_eq!(change(&mut test, &new, 2, &["alice", "dora", "emil"]), old(1));
    assert_eq!(change(&mut test, &new, 2, &["dora", "emil"]), old(0));
    assert_eq!(change(&mut test, &new, 2, &["alice", "bob", "dora"]), to_be(1));
    assert_eq!(change(&mut test, &new, 2, &["alice", "bob"]), to_be(0));
    assert!(has_no_say(&change(&mut test, &new, 2, &["alice", "bob", "carol", "dora", "eve"])));
    assert_eq!(change(&mut test, &new, 2, &["alice", "carol", "dora"]), Ok(()), "who stays counts in both");
    assert_eq!(test.federation.root_version(), 2);
    assert!(has_no_say(&test.say(evicted(A), &["alice", "carol"])));
    assert_eq!(test.standing(&operator_text("alice")), Standing::Unknown);
    assert_eq!(test.say(evicted(A), &["carol", "emil"]), Ok(()));
}

#[test]
fn a_root_has_its_own_threshold() {
    let mut test = with_a();
    let all = ["alice", "bob", "carol"];
    let Statement::RootChanged { operators, .. } = root(&mut test, &all, 1) else { panic!() };
    let statement = Statement::RootChanged { operators, root_threshold: 3, membership_threshold: 1 };
    assert!(matches!(test.say(statement.clone(), &BOTH), Err(Refused::TooFew { needed: 3, .. })));
    test.say(statement, &all).unwrap();
    assert_eq!(test.say(suspended(A, By::Federation), &["alice"]), Ok(()));
    assert!(matches!(change(&mut test, &all, 1, &BOTH), Err(Refused::TooFew { needed: 3, .. })));
    assert_eq!(change(&mut test, &all, 1, &all), Ok(()));
}

#[test]
fn roots_follow_each_other_one_by_one() {
    let mut test = three();
    let statement = root(&mut test, &["alice", "bob"], 2);
    for version in [0, 2, u64::MAX] {
        let envelope = test.signed_at(version, statement.clone(), &BOTH);
        let taken = test.enter(Body::Signed(envelope));
        assert_eq!(taken, Err(Refused::Version { scope: Scope::Root, next: 1, found: version }));
    }
    let envelope = test.signed_at(1, statement, &BOTH);
    test.enter(Body::Signed(envelope.clone())).unwrap();
    assert_eq!(test.enter(Body::Signed(envelope)), Err(Refused::Said { scope: Scope::Root }));
    let other = root(&mut test, &["alice", "bob", "carol"], 1);
    let other = test.signed_at(1, other, &BOTH);
    let taken = test.enter(Body::Signed(other));
    assert!(matches!(taken, Err(Refused::Equivocation { scope: Scope::Root, version: 1, next: 2, .. })), "{taken:?}");
}

#[test]
fn a_new_root_names_operators_who_can_govern() {
    let mut test = three();
    for (operators, threshold) in [(&["alice", "bob"][..], 3), (&["alice", "bob=alice"], 1), (&["alice", "bob"], 0)] {
        let taken = change(&mut test, operators, threshold, &BOTH);
        let refused = matches!(taken, Err(Refused::Governance(_) | Refused::TooFew { .. } | Refused::Signatures(_)));
        assert!(refused, "{operators:?} {threshold}: {taken:?}");
    }
    // With an operator of an organisation, or two of one key, whoever signs.
    let key = test.key("alice").public();
    let statement = |ids: [SpiffeId; 2], keys: [&PublicKey; 2]| Statement::RootChanged {
        operators: ids.into_iter().zip(keys.map(Clone::clone)).collect(),
        root_threshold: 1,
        membership_threshold: 1,
    };
    let bob = test.key("bob").public();
    let foreign = read("spiffe://org-a.example/operator/bob");
    let taken = test.say(statement([operator("alice"), foreign], [&key, &bob]), &BOTH);
    assert!(matches!(taken, Err(Refused::Governance(_))), "{taken:?}");
    let taken = test.say(statement([operator("alice"), operator("bob")], [&key, &key]), &BOTH);
    assert!(matches!(taken, Err(Refused::Governance(_))), "{taken:?}");
}

#[test]
fn an_operator_who_stays_keeps_its_suspension_and_counts_in_neither_threshold() {
    let mut test = with_a();
    test.say(suspended(&operator_text("carol"), By::Federation), &BOTH).unwrap();
    let new = ["alice", "carol", "dora"];
    assert!(has_no_say(&change(&mut test, &new, 2, &["alice", "bob", "carol"])));
    assert_eq!(change(&mut test, &new, 2, &["alice", "bob", "dora"]), Ok(()));
    assert!(!test.is_active(&operator_text("carol")));
    assert!(has_no_say(&test.say(evicted(A), &["alice", "carol"])));
}

#[test]
fn a_new_root_leaves_enough_operators_who_are_not_suspended() {
    let mut test = three();
    test.say(suspended(&operator_text("carol"), By::Federation), &BOTH).unwrap();
    let taken = change(&mut test, &["alice", "bob", "carol"], 3, &BOTH);
    assert!(matches!(taken, Err(Refused::TooFew { .. } | Refused::Governance(_))), "{taken:?}");
    let Statement::RootChanged { operators, .. } = root(&mut test, &["alice", "bob", "carol"], 3) else { panic!() };
    let statement = Statement::RootChanged { operators, root_threshold: 2, membership_threshold: 3 };
    assert!(matches!(test.say(statement, &BOTH), Err(Refused::Governance(_))));
}

#[test]
fn an_operator_with_a_new_key_is_free_of_what_the_old_one_did_and_the_old_one_is_nobody() {
    let mut test = with_a();
    test.say(suspended(&operator_text("carol"), By::Federation), &BOTH).unwrap();
    assert_eq!(change(&mut test, &["alice", "bob", "carol=carol2"], 3, &["alice", "bob", "carol2"]), Ok(()));
    assert!(test.is_active(&operator_text("carol")));
    assert!(has_no_say(&test.say(evicted(A), &["alice", "bob", "carol"])));
    assert_eq!(test.say(evicted(A), &["alice", "bob", "carol2"]), Ok(()));
}

#[test]
fn what_was_said_of_an_operator_goes_with_it() {
    let mut test = TestFederation::founded(&["alice", "bob", "carol", "dora"], 2);
    let certificate = format!("{}#sha256={}", operator_text("carol"), Digest::of(b""));
    test.say(suspended(&certificate, By::Brake), &["alice"]).unwrap();
    assert_eq!(test.federation.brakes().len(), 1);
    change(&mut test, &["alice", "bob", "dora"], 2, &BOTH).unwrap();
    assert_eq!((test.federation.brakes(), test.federation.suspended_certificates().count()), (vec![], 0));
    change(&mut test, &["alice", "bob", "carol", "dora"], 2, &BOTH).unwrap();
    assert_eq!(test.say(suspended(&certificate, By::Brake), &["alice"]), Ok(()));
}

#[test]
fn an_operator_who_left_and_came_back_has_no_say_in_its_old_brakes() {
    let mut test = with_a();
    test.say(suspended(A, By::Brake), &["carol"]).unwrap();
    change(&mut test, &["alice", "bob"], 2, &BOTH).unwrap();
    assert!(!test.is_active(NODE), "the brake holds");
    change(&mut test, &["alice", "bob", "carol"], 2, &BOTH).unwrap();
    assert!(matches!(test.say(lifted(A, By::Brake), &["carol"]), Err(Refused::TooFew { have: 0, .. })));
    test.wait(BRAKE);
    assert_eq!(test.enter(lapsed(A)), Ok(()));
}

#[test]
fn an_operator_who_stands_twice_is_refused_and_not_the_last_of_the_two() {
    let mut test = three();
    let statement = root(&mut test, &["alice", "bob"], 2);
    let mut envelope = test.signed(statement, &[]);
    let text = String::from_utf8(envelope.payload).unwrap();
    let (alice, eve) = (test.key("alice").public(), test.key("eve").public());
    let one = format!(r#""{}":"{alice}""#, operator("alice"));
    assert!(text.contains(&one));
    let both = format!(r#""{}":"{eve}",{one}"#, operator("alice"));
    envelope.payload = text.replace(&one, &both).into_bytes();
    for name in BOTH {
        envelope.sign(test.key(name)).unwrap();
    }
    assert!(
        matches!(test.enter(Body::Signed(envelope)), Err(Refused::Unreadable(why)) if why.contains("cannot be read"))
    );
}
