use std::collections::BTreeSet;

use comity_types::Interval;

use super::Assurance::{Attested, Audited, RegistryCorroborated, SelfDeclared};
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn said(value: &str) -> Statement<BTreeSet<String>> {
    Statement::declared(value.split_whitespace().map(str::to_owned).collect())
}

fn by(issuer: &str, value: &str) -> Statement<BTreeSet<String>> {
    Statement { issuer: Some(issuer.into()), assurance: Audited, ..said(value) }
}

fn from_until(from: Option<&str>, until: Option<&str>) -> Interval {
    Interval { from: from.map(at), until: until.map(at) }
}

fn fault(statements: Vec<Statement<BTreeSet<String>>>) -> Fault {
    Claim::new(statements).unwrap().resolve(at("2026-11-22")).unwrap_err()
}

#[test]
fn a_statement_holds_from_its_first_instant_until_before_its_last() {
    let validity = from_until(Some("2026-11-22"), Some("2026-11-23"));
    let claim = Claim::of(Statement { validity, ..said("DE") });
    let of = |instant| claim.resolve(at(instant)).map(|_| claim.changes(at(instant)));
    assert_eq!(of("2026-11-21T23:59:59.999Z"), Err(Fault::NotYet(Some(at("2026-11-22")))));
    assert_eq!(of("2026-11-22"), Ok(Some(at("2026-11-23"))));
    assert_eq!(of("2026-11-22T23:59:59.999Z"), Ok(Some(at("2026-11-23"))));
    assert_eq!(of("2026-11-23"), Err(Fault::Expired(Some(at("2026-11-23")))));
}

#[test]
fn a_statement_does_not_hold_before_it_was_made_nor_once_it_was_taken_back() {
    let made = Claim::of(Statement { issued_at: Some(at("2026-11-22")), ..said("DE") });
    assert_eq!(made.resolve(at("2026-11-21")).unwrap_err(), Fault::NotYet(Some(at("2026-11-22"))));
    assert!(made.resolve(at("2026-11-22")).is_ok());
    let back = Claim::of(Statement { revoked_at: Some(at("2026-11-22")), ..said("DE") });
    assert!(back.resolve(at("2026-11-21")).is_ok());
    assert_eq!(back.changes(at("2026-11-21")), Some(at("2026-11-22")));
    assert_eq!(back.changes(at("2026-11-22")), None);
    assert_eq!(back.resolve(at("2026-11-22")).unwrap_err(), Fault::Revoked);
}

#[test]
fn what_is_to_come_is_said_before_what_is_over_and_that_before_what_was_taken_back() {
    let coming = Statement { validity: from_until(Some("2027-01-01"), None), ..by("a", "DE") };
    let over = Statement { validity: from_until(None, Some("2026-01-01")), ..by("b", "DE") };
    let long_over = Statement { validity: from_until(None, Some("2025-01-01")), ..by("c", "DE") };
    let back = Statement { revoked_at: Some(at("2026-01-01")), ..by("d", "DE") };
    let of = |all: &[&Statement<BTreeSet<String>>]| fault(all.iter().map(|one| (*one).clone()).collect());
    assert_eq!(of(&[&back, &over, &coming]), Fault::NotYet(Some(at("2027-01-01"))));
    assert_eq!(of(&[&back, &long_over, &over]), Fault::Expired(Some(at("2026-01-01"))));
    assert_eq!(of(&[&back]), Fault::Revoked);
    // Taken back, whatever its dates say.
    assert_eq!(of(&[&Statement { revoked_at: Some(at("2020-01-01")), ..coming }]), Fault::Revoked);
}

#[test]
fn live_statements_count_together_and_the_answer_ends_when_one_of_them_changes() {
    let ends = Statement { validity: from_until(None, Some("2027-01-01")), ..said("DE") };
    let begins = Statement { validity: from_until(Some("2026-12-01"), None), ..by("a", "FR") };
    let claim = Claim::new(vec![ends, begins, by("b", "US")]).unwrap();
    let now = claim.resolve(at("2026-11-22")).unwrap();
    assert_eq!((now.len(), claim.changes(at("2026-11-22"))), (2, Some(at("2026-12-01"))));
    let later = claim.resolve(at("2026-12-01")).unwrap();
    assert_eq!((later.len(), claim.changes(at("2026-12-01"))), (3, Some(at("2027-01-01"))));
}

#[test]
fn statements_that_cannot_be_joined_contradict_each_other_while_both_are_live() {
    let of = |value: &str| Statement::declared(value.to_owned());
    let other = Statement { issuer: Some("a".into()), validity: from_until(None, Some("2027-01-01")), ..of("b") };
    let claim = Claim::new(vec![of("a"), other]).unwrap();
    assert_eq!(claim.resolve(at("2026-11-22")).unwrap_err(), Fault::Conflict);
    assert_eq!(*claim.resolve(at("2027-01-01")).unwrap(), "a");
}

#[test]
fn a_level_counts_as_far_as_its_issuer_and_its_field_bear_it() {
    let trusts = |issuer: &str, level| match issuer {
        "register" => level <= RegistryCorroborated,
        "auditor" => level <= Audited,
        "verifier" => true,
        _ => false,
    };
    let level = |issuer: Option<&str>, assurance, appraisal, attestable| {
        Statement { issuer: issuer.map(str::to_owned), assurance, appraisal, ..said("DE") }.level(attestable, trusts)
    };

    assert_eq!(level(None, Audited, None, true), SelfDeclared, "nobody's word");
    assert_eq!(level(Some("somebody"), Audited, None, true), SelfDeclared);
    assert_eq!(level(Some("auditor"), Audited, None, true), Audited);
    assert_eq!(level(Some("register"), Audited, None, true), RegistryCorroborated, "as far as its word goes");
    assert_eq!(level(Some("verifier"), SelfDeclared, None, true), SelfDeclared);
    let affirming = Some(Appraisal::Affirming);
    assert_eq!(level(Some("verifier"), Attested, affirming, true), Attested);
    assert_eq!(level(Some("verifier"), Attested, affirming, false), SelfDeclared, "no quote shows a seat");
    assert_eq!(level(Some("auditor"), Attested, affirming, true), Audited);
    for appraisal in [None, Some(Appraisal::None), Some(Appraisal::Warning), Some(Appraisal::Contraindicated)] {
        assert_eq!(level(Some("verifier"), Attested, appraisal, true), SelfDeclared, "{appraisal:?}");
    }
}
