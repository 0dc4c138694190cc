//! What nodes publish.

use super::*;
use crate::signed::Application;
use crate::statement::offer_digest;

/// An offer of `node`.
fn offer(node: &str, id: &str) -> Offer {
    let json = format!(r#"{{"id":"{id}","node":"{node}","model":"tiny","capabilities":[]}}"#);
    serde_json::from_str(&json).unwrap()
}

pub(super) fn published(node: &str, offers: Vec<Offer>) -> Statement {
    Statement::OffersPublished { node: read(node), address: "127.0.0.1:1".into(), offers }
}

#[test]
fn a_node_publishes_by_its_own_key_or_its_organisations() {
    let mut test = with_both();
    let other = joined(&mut test, OTHER);
    test.say(other, &[A, OTHER]).unwrap();
    let statement = published(NODE, vec![offer(NODE, "o1")]);
    for stranger in [OTHER, B, STRANGER, "alice", "eve"] {
        assert!(has_no_say(&test.say(statement.clone(), &[stranger])), "{stranger}");
    }
    assert_eq!(test.say(statement, &[NODE]), Ok(()));
    let name = offer(NODE, "o1").name();
    assert!(test.federation.offer(&name).is_some());
    assert_eq!(test.say(published(NODE, vec![]), &[A]), Ok(()), "what is not said again is not offered any more");
    assert!(test.federation.offer(&name).is_none());
    assert_eq!(test.federation.node(&read(NODE)).unwrap().address.as_deref(), Some("127.0.0.1:1"));
}

#[test]
fn a_node_offers_nothing_of_another_and_nothing_twice() {
    let mut test = with_both();
    for offers in [vec![offer(STRANGER, "o1")], vec![offer(NODE, "o1"), offer(NODE, "o1")]] {
        let taken = test.say(published(NODE, offers), &[NODE]);
        assert!(matches!(taken, Err(Refused::Offer { .. })), "{taken:?}");
    }
    let many = |found| published(NODE, (0..found).map(|n| offer(NODE, &format!("o{n}"))).collect());
    let found = MAX_OFFERS_PER_NODE + 1;
    assert_eq!(test.say(many(found), &[NODE]), Err(Refused::TooManyOffers { node: read(NODE), found }));
    assert_eq!(test.say(many(MAX_OFFERS_PER_NODE), &[NODE]), Ok(()));
}

#[test]
fn every_offer_is_known_by_the_digest_of_what_its_node_said_last() {
    let mut test = with_a();
    let known = |test: &TestFederation, offer: &Offer| test.federation.offer_sha256(&offer.name());
    let [one, mut other] = ["o1", "o2"].map(|id| offer(NODE, id));
    test.say(published(NODE, vec![one.clone(), other.clone()]), &[NODE]).unwrap();
    assert_eq!((known(&test, &one), known(&test, &other)), (Some(offer_digest(&one)), Some(offer_digest(&other))));
    other.context_tokens = Some(1);
    test.say(published(NODE, vec![other.clone()]), &[NODE]).unwrap();
    assert_eq!((known(&test, &one), known(&test, &other)), (None, Some(offer_digest(&other))));
}

#[test]
fn nobody_publishes_but_a_node_that_is_there() {
    let mut test = with_a();
    assert_eq!(test.say(published(OTHER, vec![]), &[A]), Err(Refused::NotAMember(read(OTHER))));
    let app = "spiffe://org-a.example/app/chat";
    let statement = joined(&mut test, app);
    test.say(statement, &[A, app]).unwrap();
    assert_eq!(test.say(published(app, vec![]), &[app]), Err(Refused::NotAMember(read(app))));
    let operator = operator_text("alice");
    assert!(test.say(published(&operator, vec![]), &["alice"]).is_err());
}

#[test]
fn a_suspended_node_publishes_nothing_whoever_signs_and_whoever_suspended_it() {
    let mut test = with_a();
    for subject in [NODE, A] {
        test.say(suspended(subject, By::Organisation), &[A]).unwrap();
        for signer in [NODE, A] {
            assert_eq!(test.say(published(NODE, vec![]), &[signer]), Err(Refused::Suspended(read(subject))));
        }
        test.say(lifted(subject, By::Organisation), &[A]).unwrap();
    }
    assert_eq!(test.say(published(NODE, vec![]), &[NODE]), Ok(()));
}

#[test]
fn a_withdrawn_node_and_its_key_publish_nothing_more() {
    let mut test = with_a();
    test.say(published(NODE, vec![offer(NODE, "o1")]), &[NODE]).unwrap();
    test.say(withdrawn(NODE), &[A]).unwrap();
    assert_eq!(test.say(published(NODE, vec![]), &[NODE]), Err(Refused::NotAMember(read(NODE))));
    let key = test.key("another").public();
    let again = Statement::MemberAdmitted { id: read(NODE), key, tls_key: TlsKey::Admitted, invite: None };
    test.say(again, &[A, "another"]).unwrap();
    assert_eq!(test.federation.node(&read(NODE)).unwrap().offers, []);
    assert!(has_no_say(&test.say(published(NODE, vec![]), &[NODE])));
}

/// An application of A's with its first node, which means to publish these.
fn applied_with(test: &mut TestFederation, offers: Vec<Offer>) -> Envelope {
    let application = Application { offers, ..Application::open(&test.application(A, NODE)).unwrap() };
    application.sign(&[&test.keys[A], &test.keys[NODE]]).unwrap()
}

#[test]
fn what_an_organisation_applies_with_is_its_own_signed_word_and_no_offer_in_force() {
    let mut test = TestFederation::founded(&["alice", "bob", "carol"], 2);
    for offers in [vec![offer(STRANGER, "o1")], vec![offer(NODE, "o1"), offer(NODE, "o1")]] {
        let application = applied_with(&mut test, offers);
        let taken = test.say(Statement::OrganisationAdmitted { application }, &BOTH);
        assert!(matches!(taken, Err(Refused::Offer { .. })), "{taken:?}");
    }
    let found = MAX_OFFERS_PER_NODE + 1;
    let application = applied_with(&mut test, (0..found).map(|n| offer(NODE, &format!("o{n}"))).collect());
    let taken = test.say(Statement::OrganisationAdmitted { application }, &BOTH);
    assert_eq!(taken, Err(Refused::TooManyOffers { node: read(NODE), found }));
    let honest = applied_with(&mut test, vec![offer(NODE, "o1")]);
    let text = String::from_utf8(honest.payload.clone()).unwrap();
    let mut forged = honest.clone();
    forged.payload = text.replace("\"tiny\"", "\"huge\"").into_bytes();
    let taken = test.say(Statement::OrganisationAdmitted { application: forged }, &BOTH);
    assert!(matches!(taken, Err(Refused::Unreadable(_))), "{taken:?}");
    test.say(Statement::OrganisationAdmitted { application: honest }, &BOTH).unwrap();
    assert!(test.federation.offer(&offer(NODE, "o1").name()).is_none(), "an intention is not in force");
    assert_eq!(test.say(published(NODE, vec![offer(NODE, "o2")]), &[NODE]), Ok(()), "nor does it bind");
}

#[test]
fn an_application_without_offers_is_written_as_it_was_before_there_were_any() {
    let mut test = TestFederation::founded(&["alice"], 1);
    let text = String::from_utf8(test.application(A, NODE).payload).unwrap();
    assert!(!text.contains("offers"), "{text}");
}
