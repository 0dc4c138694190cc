//! Whose terms an organisation accepts.

use super::*;
use crate::terms_digest;

/// An offer of `node` under terms of this version that demand an acceptance.
pub(super) fn offer(node: &str, id: &str, version: u32) -> Offer {
    let json = format!(
        r#"{{"id":"{id}","node":"{node}","model":"tiny","capabilities":[],"terms":{{"version":{version},
            "caller_rules":{{"served":"everyone","min_terms_version":{version}}}}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

pub(super) fn accepted(domain: &str, of: &str, version: u32, terms: BTreeSet<Digest>) -> Statement {
    Statement::TermsAccepted { organisation: read(domain), of: read(of), version, terms }
}

fn withdrawn_terms(domain: &str, of: &str) -> Statement {
    Statement::TermsWithdrawn { organisation: read(domain), of: read(of) }
}

/// With two organisations, of whom B offers something under terms of version 3.
fn with_terms() -> TestFederation {
    let mut test = with_both();
    test.say(offers::published(STRANGER, vec![offer(STRANGER, "o1", 3)]), &[STRANGER]).unwrap();
    test
}

/// Whose terms A has accepted, as the policy is handed it.
fn known(test: &TestFederation) -> Vec<(String, u32)> {
    let facts = &test.federation.organisation(&read(A)).unwrap().facts;
    facts.accepted_terms.iter().map(|(of, version)| (of.to_string(), *version)).collect()
}

#[test]
fn an_organisation_accepts_terms_by_its_own_key_alone_and_takes_it_back_so() {
    let mut test = with_terms();
    let terms = test.federation.terms_of(&read(B), 3);
    assert_eq!(terms, BTreeSet::from([terms_digest(offer(STRANGER, "o1", 3).terms.as_ref().unwrap())]));
    let statement = accepted(A, B, 3, terms);
    for stranger in [B, NODE, STRANGER, "alice", "eve"] {
        assert!(has_no_say(&test.say(statement.clone(), &[stranger])), "{stranger}");
    }
    assert_eq!(known(&test), []);
    assert_eq!(test.say(statement, &[A]), Ok(()));
    assert_eq!(known(&test), [(B.to_owned(), 3)]);
    assert_eq!(test.federation.organisation(&read(A)).unwrap().organisation.accepted_terms, BTreeMap::new());
    assert!(has_no_say(&test.say(withdrawn_terms(A, B), &[B])));
    assert_eq!(test.say(withdrawn_terms(A, B), &[A]), Ok(()));
    assert_eq!(known(&test), []);
    let again = test.say(withdrawn_terms(A, B), &[A]);
    assert_eq!(again, Err(Refused::NotAccepted { organisation: read(A), of: read(B) }));
}

#[test]
fn what_nobody_states_is_not_accepted() {
    let mut test = with_terms();
    let of = |test: &mut TestFederation, version, terms: &[&[u8]]| {
        let terms = terms.iter().map(|bytes| Digest::of(bytes)).collect();
        test.say(accepted(A, B, version, terms), &[A])
    };
    for version in [0, 2, 4, u32::MAX] {
        assert!(matches!(of(&mut test, version, &[]), Err(Refused::Terms { .. })), "{version}");
    }
    assert!(matches!(of(&mut test, 3, &[b"other terms"]), Err(Refused::Terms { .. })));
    let too_many: Vec<String> = (0..=MAX_TERMS).map(|n| n.to_string()).collect();
    let too_many: Vec<&[u8]> = too_many.iter().map(String::as_bytes).collect();
    assert!(matches!(of(&mut test, 3, &too_many), Err(Refused::Terms { .. })));
    let stranger = test.say(accepted(A, "org-c.example", 3, BTreeSet::new()), &[A]);
    assert_eq!(stranger, Err(Refused::NotAMember(read("org-c.example"))));
    assert_eq!(
        test.say(accepted("org-c.example", B, 3, BTreeSet::new()), &["org-c.example"]),
        Err(Refused::NotAMember(read("org-c.example")))
    );
    assert_eq!(known(&test), []);
    assert_eq!(of(&mut test, 3, &[]), Ok(()), "by the version alone, where the terms could not be read");
}

#[test]
fn an_acceptance_stays_at_its_version_until_another_is_accepted() {
    let mut test = with_terms();
    test.say(accepted(A, B, 3, BTreeSet::new()), &[A]).unwrap();
    let both = vec![offer(STRANGER, "o1", 3), offer(STRANGER, "o2", 4)];
    test.say(offers::published(STRANGER, both), &[STRANGER]).unwrap();
    assert_eq!((known(&test), test.federation.newest_terms_of(&read(B))), (vec![(B.to_owned(), 3)], Some(4)));
    test.say(accepted(A, B, 4, BTreeSet::new()), &[A]).unwrap();
    assert_eq!(known(&test), [(B.to_owned(), 4)]);
    test.say(accepted(A, B, 3, BTreeSet::new()), &[A]).unwrap();
    assert_eq!(known(&test), [(B.to_owned(), 3)]);
}

#[test]
fn an_update_of_facts_neither_accepts_nor_takes_back() {
    let mut test = with_terms();
    test.say(accepted(A, B, 3, BTreeSet::new()), &[A]).unwrap();
    let mut facts = crate::testing::organisation(A);
    let update = |facts: &Organisation| Statement::OrganisationUpdated {
        organisation: Box::new(facts.clone()),
        layers: Box::default(),
    };
    assert_eq!(test.say(update(&facts), &[A]), Ok(()));
    assert_eq!(known(&test), [(B.to_owned(), 3)]);
    facts.accepted_terms.insert(read(B), 9);
    assert_eq!(test.say(update(&facts), &[A]), Err(Refused::AcceptedInFacts(read(A))));
    assert_eq!(known(&test), [(B.to_owned(), 3)]);
}

#[test]
fn nothing_is_accepted_any_more_of_who_has_left_nor_by_who_has_left() {
    for (leaves, by) in [(B, B), (A, A)] {
        let mut test = with_terms();
        test.say(accepted(A, B, 3, BTreeSet::new()), &[A]).unwrap();
        test.say(left(leaves), &[by]).unwrap();
        let node = if leaves == A { NODE } else { STRANGER };
        test.admit(leaves, node, &BOTH).unwrap();
        assert_eq!(known(&test), [], "{leaves} came back");
    }
}

#[test]
fn at_most_so_many_are_accepted() {
    let mut test = with_terms();
    test.say(accepted(A, B, 3, BTreeSet::new()), &[A]).unwrap();
    let state = test.federation.organisation_mut(&read::<TrustDomain>(A)).unwrap();
    let one = state.accepted.values().next().unwrap().clone();
    state.accepted = (0..MAX_ACCEPTED).map(|n| (read(&format!("o{n}.example")), one.clone())).collect();
    assert!(matches!(test.say(accepted(A, B, 3, BTreeSet::new()), &[A]), Err(Refused::Terms { .. })));
    let state = test.federation.organisation_mut(&read::<TrustDomain>(A)).unwrap();
    state.accepted.pop_last();
    assert_eq!(test.say(accepted(A, B, 3, BTreeSet::new()), &[A]), Ok(()));
}
