//! Which callers are served: by place, kind, sector, lists, and the terms that they accepted.

use comity_types::Place;

use crate::caller_rules::{CallerRules, Served};
use crate::evaluate::Question;
use crate::evaluate::findings::{Field, Findings, Party, Truth, joined};
use crate::tables::blocs::Reach;
use crate::{ReasonCode, Terms};

const SERVED: &str = "terms.caller_rules.served";

pub(super) fn check(rules: &CallerRules, terms: &Terms, question: &Question<'_>, findings: &mut Findings<'_>) {
    check_places(rules, question, findings);
    check_kind(rules, question.caller(), findings);
    check_sector(rules, question.caller(), findings);
    check_lists(rules, question.caller(), findings);
    check_terms(rules, terms, question, findings);
}

/// Every place of the caller that the terms look at has to be served.
fn check_places(rules: &CallerRules, question: &Question<'_>, findings: &mut Findings<'_>) {
    if rules.served == Served::Everyone && rules.served_except.is_empty() {
        return;
    }
    let caller = question.caller();
    let claims = [
        (rules.check.seat, "seat", caller.organisation.seat.as_ref()),
        (rules.check.headquarters, "headquarters", caller.organisation.headquarters.as_ref()),
    ];
    for (_, field, claim) in claims.into_iter().filter(|(checked, ..)| *checked) {
        if let Some(place) = findings.value(&caller.path(field), claim) {
            check_place(rules, &place, caller, findings);
        }
    }
    if rules.check.access_origin {
        for place in &question.request.declared.access_origins {
            check_place(rules, place, caller, findings);
        }
    }
}

fn check_place(rules: &CallerRules, place: &Place, caller: Party<'_>, findings: &mut Findings<'_>) {
    match is_served(rules, place, Some(caller), findings) {
        Truth::Yes => {}
        Truth::Unknown(doubts) => findings.doubts(SERVED, doubts),
        Truth::No => {
            let expected = match &rules.served {
                Served::Everyone => format!("not {}", joined(&rules.served_except)),
                Served::Places(places) => joined(places),
            };
            let field = Field { path: SERVED, expected: &expected, actual: place.as_str() };
            findings.reject(ReasonCode::CallerPlaceNotServed, place.as_str(), field);
        }
    }
}

/// Whether a place is served: listed, and not excepted.
pub(super) fn is_served(
    rules: &CallerRules,
    place: &Place,
    whom: Option<Party<'_>>,
    findings: &mut Findings<'_>,
) -> Truth {
    let listed = match &rules.served {
        Served::Everyone => Truth::Yes,
        Served::Places(places) => findings.is_in(place, places, Reach::Within, whom),
    };
    let excepted = if rules.served_except.is_empty() {
        Truth::No
    } else {
        findings.is_in(place, &rules.served_except, Reach::Overlap, whom)
    };
    match (listed, excepted) {
        (Truth::No, _) | (_, Truth::Yes) => Truth::No,
        (Truth::Yes, Truth::No) => Truth::Yes,
        (Truth::Unknown(doubts), _) | (_, Truth::Unknown(doubts)) => Truth::Unknown(doubts),
    }
}

fn check_kind(rules: &CallerRules, caller: Party<'_>, findings: &mut Findings<'_>) {
    if rules.denied_organisation_types.is_empty() {
        return;
    }
    let path = caller.path("organisation_type");
    let Some(kind) = findings.value(&path, caller.organisation.organisation_type.as_ref()) else { return };
    if rules.denied_organisation_types.contains(&kind) {
        let field = Field { path: &path, expected: "another kind of organisation", actual: kind.as_str() };
        findings.reject(ReasonCode::CallerOrgTypeNotServed, kind.as_str(), field);
    }
}

/// A section of NACE, such as "O", has its divisions by their own numbers, so that both are compared as they stand;
/// a class such as "84.22" is within its division "84".
fn check_sector(rules: &CallerRules, caller: Party<'_>, findings: &mut Findings<'_>) {
    if rules.denied_sectors.is_empty() {
        return;
    }
    let path = caller.path("sector");
    let Some(sector) = findings.value(&path, caller.organisation.sector.as_ref()) else { return };
    let within = |denied: &&String| sector.as_str() == denied.as_str() || sector.starts_with(&format!("{denied}."));
    if let Some(denied) = rules.denied_sectors.iter().find(within) {
        let field = Field { path: &path, expected: &format!("not {}", joined(&rules.denied_sectors)), actual: &sector };
        findings.reject(ReasonCode::CallerSectorNotServed, denied, field);
    }
}

fn check_lists(rules: &CallerRules, caller: Party<'_>, findings: &mut Findings<'_>) {
    if rules.denied_lists.is_empty() {
        return;
    }
    let path = caller.path("restricted_party_lists");
    let Some(lists) = findings.value(&path, caller.organisation.restricted_party_lists.as_ref()) else { return };
    for list in rules.denied_lists.intersection(&lists) {
        let field = Field { path: &path, expected: "on none of the lists", actual: list };
        findings.reject(ReasonCode::CallerListedParty, list, field);
    }
}

fn check_terms(rules: &CallerRules, terms: &Terms, question: &Question<'_>, findings: &mut Findings<'_>) {
    const PATH: &str = "caller.accepted_terms";
    let least = rules.min_terms_version;
    if least == 0 {
        return;
    }
    let operator = &question.operator.trust_domain;
    let accepted = question.request.caller.accepted_terms.get(operator).copied().unwrap_or(0);
    if accepted < least {
        let expected = format!("version {least} or newer of {operator}'s terms (they are at {})", terms.version);
        let actual = if accepted == 0 { "none".to_owned() } else { format!("version {accepted}") };
        findings.reject(
            ReasonCode::CallerTermsNotAccepted,
            "",
            Field { path: PATH, expected: &expected, actual: &actual },
        );
    }
}
