//! The node's terms: whom it serves, and for what (VOCABULARY D1, D9, D12).

use comity_types::Place;
use comity_types::time::Phase;

use super::Request;
use super::findings::{Field, Findings, joined};
use crate::offer::{CallerRules, OwnershipRule, OwnershipTarget, Served};
use crate::{Claim, Controller, Offer, ReasonCode, Terms};

pub(super) fn check(offer: &Offer, request: &Request<'_>, findings: &mut Findings<'_>) {
    let rules = offer.terms.as_ref().and_then(|terms| terms.caller_rules.as_ref());
    match rules {
        Some(rules) => check_rules(rules, request, findings),
        None => {
            let path = "offer.terms.caller_rules";
            let field = Field { path, expected: "terms that say who is served", actual: "none" };
            findings.reject(ReasonCode::NodeTermsIncomplete, "", field);
        }
    }
    if let Some(terms) = &offer.terms {
        check_purposes(terms, request, findings);
    }
}

fn check_rules(rules: &CallerRules, request: &Request<'_>, findings: &mut Findings<'_>) {
    check_places(rules, request, findings);
    for rule in &rules.ownership {
        check_ownership(rule, rules, request, findings);
    }
}

/// The caller's seat, and every place that it calls from, has to be served.
fn check_places(rules: &CallerRules, request: &Request<'_>, findings: &mut Findings<'_>) {
    const PATH: &str = "offer.terms.caller_rules.served";
    let unrestricted = rules.served == Served::Everyone && rules.served_except.is_empty();
    if unrestricted {
        return;
    }
    let seat = findings.value("caller.seat", request.caller.seat.as_ref());
    for place in seat.into_iter().chain(request.access_origins) {
        if is_served(rules, place, findings) == Some(false) {
            let expected = match &rules.served {
                Served::Everyone => format!("not {}", joined(&rules.served_except)),
                Served::Places(places) => joined(places),
            };
            let field = Field { path: PATH, expected: &expected, actual: place.as_str() };
            findings.reject(ReasonCode::CallerPlaceNotServed, place.as_str(), field);
        }
    }
}

/// `None` if it cannot be said; the reason is noted then.
fn is_served(rules: &CallerRules, place: &Place, findings: &mut Findings<'_>) -> Option<bool> {
    const PATH: &str = "offer.terms.caller_rules.served";
    let listed = match &rules.served {
        Served::Everyone => Some(true),
        Served::Places(places) => findings.is_in(PATH, place, places),
    };
    let excepted = findings.touches("offer.terms.caller_rules.served_except", place, &rules.served_except);
    match (listed, excepted) {
        (Some(false), _) | (_, Some(true)) => Some(false),
        (Some(true), Some(false)) => Some(true),
        (None, _) | (_, None) => None,
    }
}

/// Nobody who controls the caller may be seated where the rule says.
fn check_ownership(rule: &OwnershipRule, rules: &CallerRules, request: &Request<'_>, findings: &mut Findings<'_>) {
    const PATH: &str = "caller.ultimate_controllers";
    let holds = |claim: &&Claim<Vec<Controller>>| claim.validity.phase(findings.as_of) == Phase::Within;
    let Some(claim) = request.caller.ultimate_controllers.as_ref().filter(holds) else {
        let field = Field { path: PATH, expected: "controllers that are stated and in date", actual: "unknown" };
        return findings.reject(ReasonCode::CallerOwnershipUndetermined, &rule.id, field);
    };
    findings.expires(claim.validity.until);
    for controller in &claim.value {
        let tainted = match &rule.target {
            OwnershipTarget::PlacesNotServed => is_served(rules, &controller.seat, findings).map(|served| !served),
            OwnershipTarget::Places(places) => {
                findings.touches("offer.terms.caller_rules.ownership", &controller.seat, places)
            }
        };
        if tainted.is_none() {
            let field =
                Field { path: PATH, expected: "a seat that the rule can judge", actual: controller.seat.as_str() };
            findings.reject(ReasonCode::CallerOwnershipUndetermined, &rule.id, field);
        }
        if tainted == Some(true) {
            let actual = format!("{} ({})", controller.name, controller.seat);
            let field = Field { path: PATH, expected: "no controller seated where the rule says", actual: &actual };
            findings.reject(ReasonCode::CallerOwnershipRestricted, &rule.id, field);
        }
    }
}

/// Each purpose needs an allowed ancestor-or-self and no prohibited one, and must not include a prohibited one.
fn check_purposes(terms: &Terms, request: &Request<'_>, findings: &mut Findings<'_>) {
    const PATH: &str = "request.purposes";
    let tables = findings.tables;
    for unknown in [request.purposes, &terms.allowed_purposes, &terms.prohibited_purposes].into_iter().flatten() {
        if !tables.knows_purpose(unknown) {
            let field = Field { path: PATH, expected: "a purpose of the federation's table", actual: unknown };
            findings.reject(ReasonCode::CodeUnrecognised, unknown, field);
        }
    }
    if request.purposes.is_empty() {
        let field = Field { path: PATH, expected: "at least one purpose", actual: "none" };
        findings.reject(ReasonCode::PurposeUndeclared, "", field);
    }
    let (allowed, prohibited) =
        (joined(&terms.allowed_purposes), format!("not {}", joined(&terms.prohibited_purposes)));
    for purpose in request.purposes.iter().filter(|purpose| tables.knows_purpose(purpose)) {
        if !terms.allowed_purposes.iter().any(|ancestor| tables.purpose_is_within(purpose, ancestor)) {
            findings.reject(
                ReasonCode::PurposeNotAllowed,
                purpose,
                Field { path: PATH, expected: &allowed, actual: purpose },
            );
        }
        let field = Field { path: PATH, expected: &prohibited, actual: purpose };
        if terms.prohibited_purposes.iter().any(|ancestor| tables.purpose_is_within(purpose, ancestor)) {
            findings.reject(ReasonCode::PurposeProhibited, purpose, field);
        }
        let strictly_below = |narrower: &&String| *narrower != purpose;
        if terms
            .prohibited_purposes
            .iter()
            .filter(strictly_below)
            .any(|narrower| tables.purpose_is_within(narrower, purpose))
        {
            findings.reject(ReasonCode::PurposeTooBroad, purpose, field);
        }
    }
}
