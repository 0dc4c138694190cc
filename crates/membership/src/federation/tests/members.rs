//! Nodes, apps and operators of organisations, that come by their organisation's word.

use super::*;

#[test]
fn an_organisation_admits_its_own_who_prove_their_key() {
    let mut test = with_a();
    for id in [OTHER, "spiffe://org-a.example/app/chat", "spiffe://org-a.example/operator/oda"] {
        let statement = joined(&mut test, id);
        let alone = test.say(statement.clone(), &[A]);
        assert_eq!(alone, Err(Refused::TooFew { who: "the member's own key", have: 0, needed: 1 }));
        assert_eq!(test.say(statement.clone(), &[A, id]), Ok(()));
        assert!(test.is_active(id));
        let again = test.say(statement, &[A, id]);
        assert_eq!(again, Err(Refused::AlreadyAMember(read(id))));
    }
    assert_eq!(test.federation.nodes().count(), 2);
}

#[test]
fn no_organisation_has_brokers_or_members_in_anothers_domain() {
    let mut test = with_both();
    let broker = "spiffe://org-a.example/broker/b1";
    let statement = joined(&mut test, broker);
    assert!(matches!(test.say(statement, &[A, broker]), Err(Refused::WrongDomain { .. })));
    let foreign = "spiffe://org-b.example/node/n2";
    let statement = joined(&mut test, foreign);
    assert!(has_no_say(&test.say(statement, &[A, foreign])));
}

#[test]
fn which_key_its_certificates_are_for_is_as_it_was_said() {
    let mut test = with_a();
    let key = test.key(OTHER).public();
    let statement = |tls_key| Statement::MemberAdmitted { id: read(OTHER), key: key.clone(), tls_key, invite: None };
    let statements = [statement(TlsKey::ByAuthority), statement(TlsKey::Admitted)];
    for (statement, pinned) in statements.into_iter().zip([None, Some(key.id())]) {
        test.say(statement, &[A, OTHER]).unwrap();
        assert_eq!(test.federation.member(&read(OTHER)).unwrap().pinned_key(), pinned);
        test.say(withdrawn(OTHER), &[A]).unwrap();
    }
}

#[test]
fn a_withdrawn_member_is_gone_and_its_name_free_for_another_key() {
    let mut test = with_a();
    let first = joined(&mut test, OTHER);
    let first = test.signed(first, &[A, OTHER]);
    test.enter(Body::Signed(first.clone())).unwrap();
    test.say(withdrawn(OTHER), &[A]).unwrap();
    let standing = test.standing(OTHER);
    assert!(matches!(&standing, Standing::Departed { subject, .. } if *subject == read(OTHER)), "{standing:?}");
    assert!(test.federation.node(&read(OTHER)).is_none());
    assert!(matches!(test.enter(Body::Signed(first)), Err(Refused::Said { .. })), "nobody comes back by replay");
    assert_eq!(test.say(withdrawn(OTHER), &[A]), Err(Refused::NotAMember(read(OTHER))));
    let key = test.key("another").public();
    let again = Statement::MemberAdmitted { id: read(OTHER), key, tls_key: TlsKey::Admitted, invite: None };
    assert_eq!(test.say(again, &[A, "another"]), Ok(()));
    assert_eq!((test.is_active(OTHER), test.federation.departures().count()), (true, 0));
}

#[test]
fn a_leave_takes_a_reason_of_bounded_length() {
    let mut test = with_a();
    let found = MAX_REASON_BYTES + 1;
    let member = Statement::MemberWithdrawn { id: read(NODE), reason: "a".repeat(found) };
    let organisation = Statement::OrganisationWithdrawn { organisation: read(A), reason: "a".repeat(found) };
    for statement in [member, organisation] {
        assert_eq!(test.say(statement, &[A]), Err(Refused::Reason { found }));
    }
}
