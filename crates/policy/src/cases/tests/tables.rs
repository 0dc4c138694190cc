//! Cases under other tables than those that ship.

use super::*;
use crate::tables::TableName;

const ROW: &str = "instrument = ''\nsource = ''\nrecorded_at = 2026-01-01\nverified = true\n";
const TERMS: &str = "{ allowed_purposes = ['dpv:Purpose'], caller_rules = { served = 'everyone' } }";

/// The tables that ship, with one of them changed.
fn changed(table: TableName, text: &str) -> Tables {
    Tables::parse(|name| if name == table { text } else { name.builtin() }).unwrap()
}

/// A case of an offer that serves everyone.
fn case(set: &str, expect: &str) -> Expectation {
    let set = format!("{{ 'offer.terms' = {TERMS}, 'require.purposes' = ['dpv:Purpose'], {set} }}");
    read(&format!("[[case]]\nid = '1'\nset = {set}\n{expect}")).unwrap().remove(0)
}

#[test]
fn a_place_is_allowed_for_as_long_as_the_set_that_holds_it_longest() {
    let case = case(
        "'offer.storage_locations' = ['DE'], 'require.allowed_storage_locations' = ['ONE', 'OTHER']",
        "expect = []\nexpires_at = 2028-01-01",
    );
    for (one, other) in [("2027-01-01", "2028-01-01"), ("2028-01-01", "2027-01-01"), ("2028-01-01", "2028-01-01")] {
        let row = |bloc: &str, to: &str| format!("[[bloc]]\nbloc = '{bloc}'\nmember = 'DE'\nto = {to}\n{ROW}");
        let tables = changed(TableName::Blocs, &(row("ONE", one) + &row("OTHER", other)));
        let outcome = case.compare(&case.verdict(&tables).unwrap());
        assert!(outcome.is_as_expected(), "{one}, {other}: {outcome:?}");
    }
}

#[test]
fn a_runtime_shields_from_a_law_if_a_verifier_whose_word_counts_affirms_one_that_the_caller_trusts() {
    let verifier = format!("[[issuer]]\nid = 'V'\nabout = ''\nup_to = 'attested'\n{ROW}");
    let tables = changed(TableName::Issuers, &verifier);
    let reasons = |issuer: &str, appraisal: &str, runtime: &str| {
        let claim = format!(
            "{{ value = '{runtime}', assurance = 'attested', issuer = '{issuer}', appraisal = '{appraisal}' }}"
        );
        let asked = "'require.no_exposure' = ['US-CLOUD-ACT'], 'require.accept_attested_runtimes' = ['tdx']";
        let case = case(
            &format!("'offer.sub_processors' = [], 'offer.runtime' = {claim}, 'operator.seat' = 'US', {asked}"),
            "expect = []",
        );
        let verdict = case.verdict(&tables).unwrap();
        verdict.reasons().iter().map(|reason| reason.code).collect::<Vec<_>>()
    };
    assert_eq!(reasons("V", "affirming", "tdx"), []);
    for (issuer, appraisal, runtime) in [("V", "warning", "tdx"), ("W", "affirming", "tdx"), ("V", "affirming", "sev")]
    {
        let exposed = reasons(issuer, appraisal, runtime).contains(&ReasonCode::CompelledAccessExposure);
        assert!(exposed, "{issuer} {appraisal} {runtime}");
    }
}
