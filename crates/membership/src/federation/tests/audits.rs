//! Whose word counts on what others claim.

use std::time::Duration;

use comity_policy::claim::{Assurance, Statement as Stated, value_digest};
use comity_types::Place;

use super::*;
use crate::statement::Audit;

const SEAT: &str = "operator.seat";
/// When the test's auditors stop to be recognised.
const UNTIL: &str = "2027-06-01";

pub(super) fn recognised(auditor: &str, paths: &[&str]) -> Statement {
    let paths = paths.iter().map(|path| read(path)).collect();
    Statement::AuditorRecognised { auditor: read(auditor), paths, up_to: Assurance::Audited, until: read(UNTIL) }
}

pub(super) fn revoked(auditor: &str) -> Statement {
    Statement::AuditorRevoked { auditor: read(auditor), reason: "a reason".into() }
}

/// That somebody's seat is in `place`, for the year that the test is in.
pub(super) fn of_seat(domain: &str, place: &str) -> Audit {
    let value = value_digest(&read::<Place>(place));
    let (from, until) = (read("2026-01-01"), read("2027-01-01"));
    let (about, path, evidence) = (read(domain), read(SEAT), Digest::of(b"a report"));
    Audit { about, path, value, level: Assurance::Audited, evidence, from, until }
}

pub(super) fn audited(auditor: &str, audit: Audit) -> Statement {
    Statement::ClaimAudited { auditor: read(auditor), audit }
}

pub(super) fn withdrawn(auditor: &str, about: &str) -> Statement {
    let reason = String::new();
    Statement::AuditWithdrawn { auditor: read(auditor), about: read(about), path: read(SEAT), reason }
}

pub(super) fn updated(domain: &str, seat: &str) -> Statement {
    let mut facts = crate::testing::organisation(domain);
    facts.seat = Some(comity_policy::Claim::always(read(seat)));
    Statement::OrganisationUpdated { organisation: Box::new(facts), layers: Box::default() }
}

impl TestFederation {
    /// What the policy is handed of the seat of an organisation: the level of each statement whose signature was checked.
    pub(super) fn signed_of_seat(&self, domain: &str) -> Vec<(Assurance, String, String)> {
        let facts = &self.federation.organisation(&read(domain)).unwrap().facts;
        let signed = |one: &Stated<Place>| {
            let until = one.validity.until.map(|until| until.to_string()).unwrap_or_default();
            one.countersigned.is_yes().then(|| (one.assurance, one.issuer.clone().unwrap_or_default(), until))
        };
        facts.seat.iter().flat_map(|claim| claim.statements()).filter_map(signed).collect()
    }
}

/// With A, whose seat B has audited.
fn with_audit() -> TestFederation {
    let mut test = with_both();
    test.say(recognised(B, &[SEAT]), &BOTH).unwrap();
    test.say(audited(B, of_seat(A, "DE")), &[B]).unwrap();
    assert_eq!(test.signed_of_seat(A).len(), 1);
    test
}

#[test]
fn operators_recognise_an_auditor_together_and_it_signs_for_itself_alone() {
    let mut test = with_both();
    assert_eq!(test.say(recognised(B, &[SEAT]), &["alice"]), too_few(1));
    assert!(has_no_say(&test.say(recognised(B, &[SEAT]), &[B])));
    assert_eq!(test.say(recognised(B, &[SEAT]), &BOTH), Ok(()));
    for stranger in [A, NODE, STRANGER, "alice", "eve"] {
        assert!(has_no_say(&test.say(audited(B, of_seat(A, "DE")), &[stranger])), "{stranger}");
    }
    assert_eq!(test.say(audited(B, of_seat(A, "DE")), &[B]), Ok(()));
    let signed = (Assurance::Audited, B.to_owned(), "2027-01-01T00:00:00Z".to_owned());
    assert_eq!(test.signed_of_seat(A), [signed]);
    assert_eq!(test.say(revoked(B), &["bob"]), too_few(1));
    assert!(has_no_say(&test.say(revoked(B), &[B])));
}

#[test]
fn the_word_of_who_is_not_recognised_counts_for_nothing() {
    let mut test = with_both();
    let not = |taken: &Result<(), Refused>| matches!(taken, Err(Refused::NotAnAuditor { .. }));
    assert!(not(&test.say(audited(B, of_seat(A, "DE")), &[B])));
    test.say(recognised(B, &["operator.headquarters", "seal"]), &BOTH).unwrap();
    assert!(not(&test.say(audited(B, of_seat(A, "DE")), &[B])), "of another claim");
    test.say(recognised(B, &[SEAT]), &BOTH).unwrap();
    let attested = Audit { level: Assurance::Attested, ..of_seat(A, "DE") };
    assert!(not(&test.say(audited(B, attested), &[B])), "above what it may");
    test.say(suspended(B, By::Federation), &BOTH).unwrap();
    assert!(not(&test.say(audited(B, of_seat(A, "DE")), &[B])), "while it is suspended");
    test.say(lifted(B, By::Federation), &BOTH).unwrap();
    test.wait(Duration::from_secs(200 * 24 * 3600));
    let later = Audit { until: read("2029-01-01"), ..of_seat(A, "DE") };
    assert!(not(&test.say(audited(B, later), &[B])), "after its time");
    assert_eq!(test.signed_of_seat(A), []);
}

#[test]
fn what_an_audit_says_has_to_be_stated_just_so() {
    let mut test = with_both();
    test.say(recognised(B, &[SEAT, "operator.headquarters", "seal"]), &BOTH).unwrap();
    let good = || of_seat(A, "DE");
    for bad in [
        of_seat(A, "FR"),
        of_seat(B, "DE"),
        of_seat("org-c.example", "DE"),
        Audit { path: read("operator.headquarters"), ..good() },
        Audit { path: read("seal"), ..good() },
        Audit { about: read("org-a.example/n1/o1"), ..good() },
        Audit { level: Assurance::SelfDeclared, ..good() },
        Audit { until: good().from, ..good() },
        Audit { until: read("2026-11-25"), ..good() },
    ] {
        let taken = test.say(audited(B, bad.clone()), &[B]);
        assert!(matches!(taken, Err(Refused::Audit { .. })), "{bad:?}: {taken:?}");
    }
    assert_eq!(test.say(audited(B, good()), &[B]), Ok(()));
}

#[test]
fn an_auditor_is_a_member_for_some_claims_above_self_declared_and_for_a_time() {
    let mut test = with_both();
    let refused = |taken: Result<(), Refused>| matches!(taken, Err(Refused::Auditor { .. }));
    let stranger = test.say(recognised("org-c.example", &[SEAT]), &BOTH);
    assert_eq!(stranger, Err(Refused::NotAMember(read("org-c.example"))));
    assert!(refused(test.say(recognised(B, &[]), &BOTH)));
    for (up_to, until) in [(Assurance::SelfDeclared, UNTIL), (Assurance::Audited, "2026-11-25")] {
        let statement =
            Statement::AuditorRecognised { auditor: read(B), paths: [read(SEAT)].into(), up_to, until: read(until) };
        assert!(refused(test.say(statement, &BOTH)), "{up_to:?} {until}");
    }
    let one = Auditor { paths: [read(SEAT)].into(), up_to: Assurance::Audited, until: read(UNTIL), epoch: 1 };
    let many: BTreeMap<_, _> = (0..MAX_AUDITORS).map(|n| (read(&format!("o{n}.example")), one.clone())).collect();
    test.federation.auditors = Arc::new(many);
    assert!(refused(test.say(recognised(B, &[SEAT]), &BOTH)));
    let revoked = test.say(revoked("org-c.example"), &BOTH);
    assert!(matches!(revoked, Err(Refused::NotAnAuditor { .. })));
}

#[test]
fn an_audit_ends_when_its_value_changes_and_does_not_come_back_with_it() {
    let mut test = with_audit();
    assert_eq!(test.say(updated(A, "DE"), &[A]), Ok(()));
    assert_eq!(test.signed_of_seat(A).len(), 1, "the same value, signed again");
    test.say(updated(A, "FR"), &[A]).unwrap();
    assert_eq!(test.signed_of_seat(A), []);
    test.say(updated(A, "DE"), &[A]).unwrap();
    assert_eq!(test.signed_of_seat(A), []);
}

#[test]
fn an_audit_ends_with_its_auditor() {
    for ends in [revoked(B), evicted(B), left(B), recognised(B, &["operator.headquarters"])] {
        let mut test = with_audit();
        let signers: &[&str] = if ends == left(B) { &[B] } else { &BOTH };
        test.say(ends.clone(), signers).unwrap();
        assert_eq!(test.signed_of_seat(A), [], "{}", ends.kind());
        if test.federation.organisation(&read(B)).is_none() {
            test.admit(B, STRANGER, &BOTH).unwrap();
        }
        test.say(recognised(B, &[SEAT]), &BOTH).unwrap();
        assert_eq!(test.signed_of_seat(A), [], "after {}, it has to look again", ends.kind());
    }
}

#[test]
fn a_suspended_auditors_audits_are_void_until_it_is_lifted() {
    let mut test = with_audit();
    test.say(suspended(B, By::Brake), &["carol"]).unwrap();
    assert_eq!(test.signed_of_seat(A), []);
    test.say(lifted(B, By::Brake), &["carol"]).unwrap();
    assert_eq!(test.signed_of_seat(A).len(), 1);
    test.say(suspended(B, By::Organisation), &[B]).unwrap();
    assert_eq!(test.signed_of_seat(A), []);
    test.say(lifted(B, By::Organisation), &[B]).unwrap();
    test.say(suspended(B, By::Brake), &["alice"]).unwrap();
    test.wait(BRAKE);
    test.enter(lapsed(B)).unwrap();
    assert_eq!(test.signed_of_seat(A).len(), 1);
    assert!(test.federation.is_weighed());
}

#[test]
fn an_audit_holds_no_longer_than_its_auditor_is_recognised() {
    let mut test = with_audit();
    let sooner = Statement::AuditorRecognised {
        auditor: read(B),
        paths: [read(SEAT)].into(),
        up_to: Assurance::Audited,
        until: read("2026-12-01"),
    };
    test.say(sooner, &BOTH).unwrap();
    let [(_, _, until)] = &test.signed_of_seat(A)[..] else { panic!("one") };
    assert_eq!(until, "2026-12-01T00:00:00Z");
}

#[test]
fn an_auditor_takes_back_what_it_signed_and_nobody_else_does() {
    let mut test = with_audit();
    assert!(has_no_say(&test.say(withdrawn(B, A), &[A])));
    assert_eq!(test.say(withdrawn(B, A), &[B]), Ok(()));
    assert_eq!(test.signed_of_seat(A), []);
    assert!(matches!(test.say(withdrawn(B, A), &[B]), Err(Refused::NoAudit { .. })));
    let long = Statement::AuditWithdrawn {
        auditor: read(B),
        about: read(A),
        path: read(SEAT),
        reason: "x".repeat(MAX_REASON_BYTES + 1),
    };
    assert!(matches!(test.say(long, &[B]), Err(Refused::Reason { .. })));
}

#[test]
fn an_organisation_that_calls_itself_audited_is_not() {
    let mut test = with_both();
    let mut facts = crate::testing::organisation(A);
    facts.seat = serde_json::from_str(r#"{"value":"DE","assurance":"audited","issuer":"org-b.example"}"#).unwrap();
    let update = Statement::OrganisationUpdated { organisation: Box::new(facts), layers: Box::default() };
    test.say(recognised(B, &[SEAT]), &BOTH).unwrap();
    test.say(update, &[A]).unwrap();
    assert_eq!(test.signed_of_seat(A), []);
    let handed = &test.federation.organisation(&read(A)).unwrap().facts;
    let claim = handed.seat.as_ref().unwrap();
    assert!(claim.statements().iter().all(|one| one.issuer.is_none()), "nobody's name stands where nobody signed");
}

#[test]
fn what_an_offer_states_is_audited_like_what_an_organisation_does() {
    let mut test = with_both();
    let offer = |place: &str| -> Offer {
        let json = format!(
            r#"{{"id":"o1","node":"{NODE}","model":"tiny","capabilities":[],"processing_locations":["{place}"]}}"#
        );
        serde_json::from_str(&json).unwrap()
    };
    let path: ClaimPath = read("processing_locations");
    test.say(recognised(B, &[path.as_str()]), &BOTH).unwrap();
    test.say(offers::published(NODE, vec![offer("DE")]), &[NODE]).unwrap();
    let value = offer("DE").claim_digests(path)[0];
    let audit = Audit { about: read("org-a.example/n1/o1"), path, value, ..of_seat(A, "DE") };
    assert_eq!(test.say(audited(B, audit.clone()), &[B]), Ok(()));
    let signed = |test: &TestFederation| {
        let mut all = test.federation.offers().flat_map(|offer| &offer.processing_locations);
        all.any(|claim| claim.statements().iter().any(|one| one.countersigned.is_yes()))
    };
    assert!(signed(&test));
    assert_eq!(test.federation.offer(&offer("DE").name()), Some(&offer("DE")), "what the node signed stays as it is");
    test.say(offers::published(NODE, vec![offer("DE")]), &[NODE]).unwrap();
    assert!(signed(&test), "a node that comes back offers the same");
    test.say(offers::published(NODE, vec![offer("FR")]), &[NODE]).unwrap();
    assert!(!signed(&test));
    test.say(offers::published(NODE, vec![offer("DE")]), &[NODE]).unwrap();
    assert!(!signed(&test));
    test.say(audited(B, audit), &[B]).unwrap();
    test.say(super::withdrawn(NODE), &[A]).unwrap();
    let again = joined(&mut test, NODE);
    test.say(again, &[A, NODE]).unwrap();
    test.say(offers::published(NODE, vec![offer("DE")]), &[NODE]).unwrap();
    assert!(!signed(&test), "another node of the same name is another node");
}

#[test]
fn an_auditor_has_at_most_so_many_that_stand() {
    let mut test = with_audit();
    let one = test.federation.audits.values().next().unwrap().values().next().unwrap().clone();
    let about = |n: usize| -> Claimant { read(&format!("o{n}.example")) };
    let all = |n| (about(n), BTreeMap::from([((read(SEAT), read(B)), one.clone())]));
    test.federation.audits = Arc::new((0..MAX_AUDITS).map(all).collect());
    let taken = test.say(audited(B, of_seat(A, "DE")), &[B]);
    assert!(matches!(taken, Err(Refused::Audit { .. })), "{taken:?}");
    Arc::make_mut(&mut test.federation.audits).pop_last();
    assert_eq!(test.say(audited(B, of_seat(A, "DE")), &[B]), Ok(()));
}
