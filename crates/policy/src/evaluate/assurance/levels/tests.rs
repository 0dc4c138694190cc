//! Which reason is given where somebody should stand behind a claim, and does not.

use super::*;
use crate::cases::parse;
use crate::evaluate::laws::world::tables;

const FIXTURE: &str = "
[fixture]
as_of = 2026-11-22
offer = { id = 'chat', node = 'spiffe://op.example/node/n1', model = 'm', capabilities = ['chat'], licence = 'MIT', terms = { allowed_purposes = ['dpv:Purpose'], caller_rules = { served = 'everyone' } } }
operator = { trust_domain = 'op.example', name = 'OP', seat = 'FR' }
caller = { trust_domain = 'ca.example', name = 'CA', seat = 'DE' }
require = { purposes = ['dpv:CustomerCare'] }
";

/// The reasons, for a claim at a path and a level that is asked for.
fn reasons(path: &str, claim: &str, least: &str) -> Vec<String> {
    let at = if path == "content_logging" {
        "offer.terms.content_logging".into()
    } else {
        path.replace("runtime", "offer.runtime")
    };
    let case = format!(
        "{FIXTURE}[[case]]\nid = '1'\nset = {{ '{at}' = {claim}, 'require.min_assurance' = {{ '{path}' = '{least}' }} }}\nexpect = []"
    );
    let cases = parse(&case).unwrap_or_else(|error| panic!("{error:?}: {case}"));
    cases[0].verdict(tables()).unwrap().reasons().iter().map(ToString::to_string).collect()
}

fn statement(issuer: &str, assurance: &str) -> String {
    format!("{{ value = 'FR', issuer = '{issuer}', assurance = '{assurance}' }}")
}

#[test]
fn a_declaration_is_too_little_and_a_register_is_enough() {
    assert_eq!(reasons("operator.seat", "'FR'", "registry-corroborated"), ["ASSURANCE_TOO_LOW(operator.seat)"]);
    assert_eq!(reasons("operator.seat", "'FR'", "self-declared"), [""; 0]);
    let register = statement("GLEIF", "registry-corroborated");
    assert_eq!(reasons("operator.seat", &register, "registry-corroborated"), [""; 0]);
    assert_eq!(reasons("operator.seat", &register, "audited"), ["ASSURANCE_TOO_LOW(operator.seat)"]);
}

#[test]
fn a_word_counts_as_far_as_the_table_of_issuers_has_it() {
    let not_trusted = ["ISSUER_NOT_TRUSTED(operator.seat)"];
    assert_eq!(reasons("operator.seat", &statement("somebody", "audited"), "audited"), not_trusted);
    assert_eq!(reasons("operator.seat", &statement("GLEIF", "audited"), "audited"), not_trusted);
    assert_eq!(reasons("operator.seat", &statement("GLEIF", "audited"), "registry-corroborated"), [""; 0]);
    assert_eq!(reasons("operator.seat", &statement("AUDITOR", "audited"), "audited"), [""; 0]);
}

#[test]
fn an_attestation_counts_where_hardware_can_see_the_fact_and_its_verifier_affirms_it() {
    let attested = |value: &str, appraisal: &str| {
        format!("{{ value = {value}, issuer = 'VERIFIER', assurance = 'attested', appraisal = '{appraisal}' }}")
    };
    assert_eq!(reasons("runtime", &attested("'tdx'", "affirming"), "attested"), [""; 0]);
    assert_eq!(reasons("content_logging", &attested("false", "affirming"), "attested"), [""; 0]);
    for appraisal in ["none", "warning", "contraindicated"] {
        assert_eq!(reasons("runtime", &attested("'tdx'", appraisal), "audited"), ["ATTESTATION_INVALID(runtime)"]);
    }
    assert_eq!(
        reasons("operator.seat", &attested("'FR'", "affirming"), "audited"),
        ["ASSURANCE_TOO_LOW(operator.seat)"]
    );
    let untrusted = attested("'tdx'", "affirming").replace("VERIFIER", "somebody");
    assert_eq!(reasons("runtime", &untrusted, "attested"), ["ISSUER_NOT_TRUSTED(runtime)"]);
}

#[test]
fn an_audit_lifts_the_same_value_and_no_worse_one() {
    let places = |declared: &str| {
        let audited = "{ value = ['DE'], issuer = 'AUDITOR', assurance = 'audited' }";
        let claim = format!("{{ statements = [{{ value = [{declared}] }}, {audited}] }}");
        reasons("operator.establishments", &claim, "audited")
    };
    assert_eq!(places("'DE'"), [""; 0]);
    assert_eq!(
        places("'DE', 'US'"),
        ["ASSURANCE_TOO_LOW(operator.establishments)"],
        "both together are declared at most"
    );
    assert_eq!(
        reasons(
            "operator.seat",
            "{ statements = [{ value = 'DE' }, { value = 'FR', issuer = 'AUDITOR', assurance = 'audited' }] }",
            "audited"
        ),
        ["CLAIM_CONFLICT(operator.seat)"]
    );
    assert_eq!(
        reasons("operator.headquarters", "{ value = 'FR', until = 2026-11-22 }", "self-declared"),
        ["CLAIM_EXPIRED(operator.headquarters)"]
    );
}

#[test]
fn the_most_telling_reason_is_given_in_any_order_of_statements() {
    let one = "{ value = 'tdx', issuer = 'somebody', assurance = 'attested', appraisal = 'affirming' }";
    let other = "{ value = 'tdx', issuer = 'VERIFIER', assurance = 'attested', appraisal = 'warning' }";
    for statements in [format!("{one}, {other}"), format!("{other}, {one}")] {
        let claim = format!("{{ statements = [{statements}] }}");
        assert_eq!(reasons("runtime", &claim, "attested"), ["ATTESTATION_INVALID(runtime)"]);
    }
}

#[test]
fn every_path_that_may_be_named_is_a_claim() {
    for path in PATHS {
        let case = format!(
            "{FIXTURE}[[case]]\nid = '1'\nset = {{ 'require.min_assurance' = {{ '{path}' = 'attested' }} }}\nexpect = []"
        );
        let verdict = parse(&case).unwrap()[0].verdict(tables()).unwrap();
        let reasons: Vec<_> = verdict.reasons().iter().map(|reason| reason.code).collect();
        assert!(
            matches!(reasons.as_slice(), [ReasonCode::ClaimMissing | ReasonCode::AssuranceTooLow]),
            "{path}: {reasons:?}"
        );
    }
}
