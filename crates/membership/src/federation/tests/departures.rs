//! Organisations that come, go and come back.

use super::*;
use comity_transparency::Signer;

use crate::signed::Application;

/// All that an organisation can have in a federation.
fn with_everything() -> TestFederation {
    let mut test = with_both();
    let invite = invites::invited(&mut test, OTHER, 1);
    test.say(invite, &[A]).unwrap();
    let app = "spiffe://org-a.example/app/chat";
    let statement = joined(&mut test, app);
    test.say(statement, &[A, app]).unwrap();
    test.say(withdrawn(app), &[A]).unwrap();
    test.say(offers::published(NODE, vec![]), &[NODE]).unwrap();
    let certificate = format!("{NODE}#sha256={}", Digest::of(b""));
    for subject in [A, NODE, &certificate] {
        test.say(suspended(subject, By::Organisation), &[A]).unwrap();
        test.say(suspended(subject, By::Brake), &["alice"]).unwrap();
    }
    test
}

#[test]
fn an_organisation_that_is_gone_leaves_nothing_but_its_versions_and_that_it_left() {
    for (statement, signers, evicted) in [(evicted(A), &BOTH[..], true), (left(A), &[A], false)] {
        let mut test = with_everything();
        test.say(statement, signers).unwrap();
        let (federation, a) = (&test.federation, read::<TrustDomain>(A));
        assert!(federation.organisation(&a).is_none());
        assert!(federation.members().all(|(id, _)| *id.trust_domain() != a));
        assert!(federation.nodes().all(|(id, _)| *id.trust_domain() != a));
        assert_eq!((federation.invites().count(), federation.suspended_certificates().count()), (0, 0));
        assert_eq!((federation.brakes(), federation.brakes.is_empty()), (vec![], true));
        let departures: Vec<_> = federation.departures().map(|(subject, all)| (subject.clone(), all.evicted)).collect();
        assert_eq!(departures, [(read(A), evicted)]);
        assert!(matches!(test.standing(NODE), Standing::Departed { .. }));
        assert!(test.is_active(STRANGER), "nobody else is touched");
    }
}

#[test]
fn whoever_lets_somebody_in_again_can_see_what_operators_held_against_them_when_they_left() {
    for (statement, signers) in [(evicted(A), &BOTH[..]), (left(A), &[A])] {
        let mut test = with_everything();
        let key = test.federation.member(&read(NODE)).unwrap().key.id();
        assert_eq!(test.federation.former(&key), None);
        test.say(statement, signers).unwrap();
        let departure = test.federation.departure(&read(A)).unwrap();
        let held: Vec<_> = departure.held.iter().map(|(subject, _)| subject.to_string()).collect();
        let certificate = format!("{NODE}#sha256={}", Digest::of(b""));
        assert_eq!(held, [A, NODE, &certificate], "what it said of its own is its own");
        assert_eq!(test.federation.former(&key), Some(&read(NODE)), "whose key it was");
        let application = test.application(A, NODE);
        test.say(Statement::OrganisationAdmitted { application }, &BOTH).unwrap();
        assert_eq!(test.federation.former(&key), None, "it is back");
    }
}

#[test]
fn whoever_is_gone_does_not_come_back_by_replay_nor_by_its_old_application() {
    for (statement, signers) in [(evicted(A), &BOTH[..]), (left(A), &[A])] {
        let mut test = three();
        let application = test.application(A, NODE);
        let admission = test.signed(Statement::OrganisationAdmitted { application: application.clone() }, &BOTH);
        test.enter(Body::Signed(admission.clone())).unwrap();
        let gone = test.signed(statement, signers);
        test.enter(Body::Signed(gone.clone())).unwrap();
        assert!(test.enter(Body::Signed(admission)).is_err());
        assert!(test.enter(Body::Signed(gone)).is_err());
        let again = test.say(Statement::OrganisationAdmitted { application }, &BOTH);
        assert_eq!(again, Err(Refused::ApplicationUsed(read(A))));
        assert!(matches!(test.standing(NODE), Standing::Departed { .. }));
    }
}

#[test]
fn an_organisation_comes_back_by_a_new_application_and_its_versions_go_on() {
    let mut test = with_everything();
    let scopes = [Scope::Governance(read(A)), Scope::Organisation(read(A)), Scope::Member(read(NODE))];
    test.say(evicted(A), &BOTH).unwrap();
    let before = scopes.each_ref().map(|scope| test.federation.next_version(scope));
    assert_eq!(test.admit(A, NODE, &["alice"]), too_few(1));
    test.admit(A, NODE, &BOTH).unwrap();
    assert!(test.is_active(NODE), "what was said of it before is over");
    let after = scopes.each_ref().map(|scope| test.federation.next_version(scope));
    assert_eq!(after, [before[0] + 1, before[1], before[2]]);
    assert!(after.iter().all(|next| *next > 1));
    assert_eq!(test.federation.departures().count(), 0);
    assert_eq!(test.say(suspended(A, By::Organisation), &[A]), Ok(()));
    assert_eq!(test.say(suspended(A, By::Brake), &["alice"]), Ok(()), "brakes begin anew");
}

#[test]
fn nobody_is_evicted_or_leaves_twice_or_is_admitted_twice() {
    let mut test = with_a();
    assert_eq!(test.admit(A, NODE, &BOTH), Err(Refused::AlreadyAMember(read(A))));
    test.say(evicted(A), &BOTH).unwrap();
    assert_eq!(test.say(evicted(A), &BOTH), Err(Refused::NotAMember(read(A))));
    assert_eq!(test.say(left(A), &[A]), Err(Refused::NotAMember(read(A))));
    assert_eq!(test.say(evicted("fed.example"), &BOTH), Err(Refused::NotAMember(read("fed.example"))));
}

/// An application that was changed, signed by these.
fn applied(test: &mut TestFederation, change: impl FnOnce(&mut Application), signers: &[&str]) -> Result<(), Refused> {
    let mut application = Application::peek(&test.application(A, NODE)).unwrap();
    change(&mut application);
    signers.iter().for_each(|signer| drop(test.key(signer).public()));
    let signers: Vec<&dyn Signer> = signers.iter().map(|name| &test.keys[*name] as &dyn Signer).collect();
    let application = application.sign(&signers).unwrap();
    test.say(Statement::OrganisationAdmitted { application }, &BOTH)
}

#[test]
fn an_application_is_signed_by_every_key_in_it_and_by_nobody_else() {
    let mut test = three();
    let second = test.key("second").public();
    for signers in [&[][..], &[A], &[NODE], &[A, NODE], &[A, "second"], &["second", NODE], &[A, "second", NODE, "eve"]]
    {
        let taken = applied(&mut test, |all| all.keys.push(second.clone()), signers);
        assert!(matches!(taken, Err(Refused::Unreadable(_))), "{signers:?}: {taken:?}");
    }
    assert_eq!(applied(&mut test, |all| all.keys.push(second.clone()), &[A, "second", NODE]), Ok(()));
}

#[test]
fn an_application_is_whole_and_for_this_federation() {
    let mut test = three();
    let signers = [A, NODE];
    assert_eq!(applied(&mut test, |all| all.federation = Digest::of(b""), &signers), Err(Refused::OtherFederation));
    let taken = applied(&mut test, |all| all.anchors.clear(), &signers);
    assert_eq!(taken, Err(Refused::Anchors { found: 0 }));
    assert!(applied(&mut test, |all| all.keys.clear(), &[NODE]).is_err());
    let twice = |all: &mut Application| all.keys.push(all.keys[0].clone());
    assert_eq!(applied(&mut test, twice, &signers), Err(Refused::Keys { found: 2 }));
    for member in [STRANGER, "spiffe://org-a.example/broker/b1", "spiffe://fed.example/node/n1"] {
        let taken = applied(&mut test, |all| all.member = read(member), &signers);
        assert!(matches!(taken, Err(Refused::WrongDomain { .. })), "{member}: {taken:?}");
    }
    let own = |all: &mut Application| all.organisation.trust_domain = read("fed.example");
    assert_eq!(applied(&mut test, own, &signers), Err(Refused::AlreadyAMember(read("fed.example"))));
    assert_eq!(applied(&mut test, |_| {}, &signers), Ok(()));
}

#[test]
fn a_statement_is_no_application_and_an_application_no_statement() {
    let mut test = three();
    let application = test.application(A, NODE);
    assert!(matches!(test.enter(Body::Signed(application)), Err(Refused::Unreadable(_))));
    let statement = test.signed(evicted(A), &BOTH);
    let taken = test.say(Statement::OrganisationAdmitted { application: statement }, &BOTH);
    assert!(matches!(taken, Err(Refused::Unreadable(_))), "{taken:?}");
}
