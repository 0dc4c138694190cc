//! What a reason says to people: the field that was read, whose it is, what would be accepted and what was found.

use super::*;

/// A case, and all that its first reason says: side, party, path, what was expected, what was found, the rule.
const WORDS: &[(&str, [&str; 6])] = &[
    ("CLAIM_MISSING", ["caller", "offer", "processing_locations", "a stated value", "unknown", ""]),
    ("PROCESSING_LOCATION_NOT_ALLOWED", ["caller", "offer", "processing_locations", "EU", "US", ""]),
    ("forbidden-places/access", ["caller", "offer", "access_locations", "not EU", "FR", ""]),
    ("BROKER_PATH_NOT_ALLOWED", ["caller", "broker", "broker.places", "EU", "US", ""]),
    ("OPERATOR_SEAT_NOT_ALLOWED", ["caller", "operator", "operator.seat", "EU", "CH", ""]),
    (
        "COMPELLED_ACCESS_EXPOSURE",
        ["caller", "operator", "operator.establishments", "nobody within reach of US-CLOUD-ACT", "US", "US-CLOUD-ACT"],
    ),
    (
        "exposure-parties/sub-processor",
        ["caller", "S", "S.seat", "nobody within reach of US-CLOUD-ACT", "US", "US-CLOUD-ACT"],
    ),
    (
        "FOREIGN_OWNERSHIP_THRESHOLD_EXCEEDED",
        ["caller", "operator", "operator.ownership", "at most 24.00 % from elsewhere", "more", ""],
    ),
    ("CERTIFICATION_MISSING", ["caller", "offer", "terms.certifications", "BSI-C5", "none", ""]),
    (
        "CERTIFICATION_LEVEL_TOO_LOW",
        ["caller", "offer", "terms.certifications", "BSI-C5, type-2 or higher", "type-1", ""],
    ),
    ("ASSURANCE_TOO_LOW", ["caller", "offer", "processing_locations", "audited", "self-declared", ""]),
    ("QUOTA_EXCEEDED", ["federation", "offer", "terms.quota", "at most 1000 requests a day", "1000 used", ""]),
    ("availability/below", ["caller", "offer", "terms.availability_bp", "99.50", "99.49", ""]),
    ("LICENCE_NOT_ACCEPTABLE", ["caller", "offer", "licence", "Apache-2.0", "CC-BY-NC-4.0", ""]),
    ("NODE_TERMS_INCOMPLETE", ["node", "offer", "terms.caller_rules", "terms that say who is served", "nothing", ""]),
    ("served/excepted", ["node", "offer", "terms.caller_rules.served", "not DE", "DE", ""]),
    (
        "CALLER_ORG_TYPE_NOT_SERVED",
        ["node", "caller", "caller.organisation_type", "another kind of organisation", "military", ""],
    ),
    (
        "CALLER_OWNERSHIP_RESTRICTED",
        [
            "node",
            "caller",
            "caller.ownership",
            "no more than 50.00 % of what the rule counts",
            "owners that cross it, or may",
            "V50",
        ],
    ),
    (
        "ownership-tests/controller",
        ["node", "caller", "caller.ownership", "no more than 50.00 % of what the rule counts", "P (CN)", "R"],
    ),
    // Of several things that are as bad, the first is named.
    (
        "ownership-tests/two-controllers",
        ["node", "caller", "caller.ownership", "no more than 50.00 % of what the rule counts", "P (CN)", "R"],
    ),
    (
        "ownership-tests/nothing-stated",
        [
            "node",
            "caller",
            "caller.ownership",
            "no more than 50.00 % of what the rule counts",
            "owners that nobody states",
            "R",
        ],
    ),
    (
        "ownership-targets/list-perhaps",
        [
            "node",
            "caller",
            "caller.ownership",
            "no more than 50.00 % of what the rule counts",
            "control that nobody states",
            "R",
        ],
    ),
    (
        "CALLER_TERMS_NOT_ACCEPTED",
        [
            "node",
            "caller",
            "caller.accepted_terms",
            "version 3 or newer of op.example's terms (they are at 3)",
            "version 2",
            "",
        ],
    ),
    (
        "terms/none",
        [
            "node",
            "caller",
            "caller.accepted_terms",
            "version 3 or newer of op.example's terms (they are at 0)",
            "none",
            "",
        ],
    ),
    ("PURPOSE_UNDECLARED", ["node", "request", "request.purposes", "at least one purpose", "none", ""]),
    (
        "LICENCE_TERRITORY_EXCLUDED",
        ["licence", "operator", "operator.principal_place_of_business", "not EU", "FR", "LicenseRef-Llama-4"],
    ),
    (
        "STATUTORY_PROHIBITION",
        [
            "statute",
            "request",
            "request.ai_act_tags",
            "no use that the law forbids",
            "social scoring that leads to unjustified or unrelated bad treatment",
            "eu-aiact:A5-1-c",
        ],
    ),
    ("MODEL_NOT_OFFERED", ["federation", "offer", "model", "another", "m", ""]),
];

#[test]
fn a_fact_that_a_place_depends_on_is_its_own_partys() {
    let text = "[fixture]\nas_of = 2026-11-22\n[fixture.offer]\nid = 'o'\nnode = 'spiffe://op.example/node/n'\n\
        model = 'm'\ncapabilities = ['chat']\nprocessing_locations = ['US']\n[fixture.operator]\n\
        trust_domain = 'op.example'\nname = 'OP'\n[fixture.caller]\ntrust_domain = 'ca.example'\nname = 'CA'\n\
        [fixture.require]\nallowed_processing_locations = ['GDPR-ADEQUATE']\n[[case]]\nid = '1'\nexpect = []";
    let verdict = parse(text).unwrap()[0].verdict(Tables::builtin().unwrap()).unwrap();
    let missing = verdict.reasons().iter().find(|reason| reason.subject.ends_with("dpf_participation")).unwrap();
    assert_eq!((missing.party.as_str(), missing.path.as_str()), ("operator", "operator.dpf_participation"));
}

#[test]
fn a_reason_says_on_whose_behalf_it_is_what_was_read_what_was_expected_and_what_was_found() {
    let files = [
        include_str!("../../../../../tests/cases/reasons.toml"),
        include_str!("../../../../../tests/cases/edges.toml"),
    ];
    let cases: Vec<_> = files.into_iter().flat_map(|file| parse(file).unwrap()).collect();
    for (id, words) in WORDS {
        let case = cases.iter().find(|case| case.id == *id).unwrap_or_else(|| panic!("there is no case {id}"));
        let verdict = case.verdict(Tables::builtin().unwrap()).unwrap();
        let Reason { side, party, path, expected, actual, rule, .. } = &verdict.reasons()[0];
        assert_eq!([side.as_str(), party, path, expected, actual, rule], *words, "{id}");
        assert_eq!(verdict.clone().into_reasons(), verdict.reasons(), "{id}");
    }
}
