//! Which callers are served: by place, kind, sector, lists, and the terms that they accepted.

use comity_types::{Place, TrustDomain};

use super::incomplete;
use crate::caller_rules::{CallerRules, Served};
use crate::evaluate::facet::{Facet, OfUse, Use};
use crate::evaluate::findings::{Field, Findings, Joined};
use crate::evaluate::truth::{Doubt, Participant, Party, Truth};
use crate::tables::blocs::Reach;
use crate::{Offer, Organisation, ReasonCode, Side, Tables};

const SERVED: &str = "terms.caller_rules.served";

/// Which callers are served.
pub(crate) struct Callers;

impl Facet for Callers {
    const SIDE: Side = Side::Node;
    type Facts<'a> = Option<&'a CallerRules>;
    type Part = OfUse;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [offer.terms.as_ref().and_then(|terms| terms.caller_rules.as_ref())]
    }

    fn is_asked(_: &Use<'_>) -> bool {
        true
    }

    fn check<'t>(rules: &Self::Facts<'t>, asked: &Use<'t>, findings: &mut Findings<'t>) {
        let Some(rules) = rules else {
            return incomplete("terms.caller_rules", "", "terms that say who is served", findings);
        };
        let caller = Party::caller(asked.caller);
        check_places(rules, asked, findings);
        check_kind(rules, caller, findings);
        check_sector(rules, caller, findings);
        check_lists(rules, caller, findings);
    }
}

/// Whether the caller accepted the terms.
pub(crate) struct Agreement;

/// Whose terms have to be accepted, and since which version.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Accepted<'a> {
    operator: &'a TrustDomain,
    least: u32,
    current: u32,
}

impl Facet for Agreement {
    const SIDE: Side = Side::Node;
    type Facts<'a> = Accepted<'a>;
    type Part = OfUse;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        _: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        offer.terms.as_ref().and_then(|terms| {
            let least = terms.caller_rules.as_ref()?.min_terms_version;
            (least > 0).then_some(Accepted { operator: &operator.trust_domain, least, current: terms.version })
        })
    }

    fn is_asked(_: &Use<'_>) -> bool {
        true
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Use<'t>, findings: &mut Findings<'t>) {
        let Accepted { operator, least, current } = *facts;
        let accepted = asked.caller.accepted_terms.get(operator).copied().unwrap_or(0);
        if accepted < least {
            let expected = format_args!("version {least} or newer of {operator}'s terms (they are at {current})");
            let (none, version) = ("none", format_args!("version {accepted}"));
            let actual: &dyn std::fmt::Display = if accepted == 0 { &none } else { &version };
            let field = Field { path: &"caller.accepted_terms", expected: &expected, actual };
            findings.reject(ReasonCode::CallerTermsNotAccepted, "", field);
        }
    }
}

/// Every place of the caller that the terms look at has to be served.
fn check_places<'t>(rules: &'t CallerRules, asked: &Use<'_>, findings: &mut Findings<'t>) {
    if rules.served == Served::Everyone && rules.served_except.is_empty() {
        return;
    }
    let caller = Party::caller(asked.caller);
    let claims = [
        (rules.check.seat, "seat", caller.organisation.seat.as_ref()),
        (rules.check.headquarters, "headquarters", caller.organisation.headquarters.as_ref()),
    ];
    for (_, field, claim) in claims.into_iter().filter(|(checked, ..)| *checked) {
        if let Some(place) = findings.value(&caller.path(field), claim) {
            check_place(rules, &place, caller.participant(), findings);
        }
    }
    if rules.check.access_origin {
        for place in &asked.declared.access_origins {
            check_place(rules, place, caller.participant(), findings);
        }
    }
}

fn check_place<'t>(rules: &'t CallerRules, place: &Place, caller: Participant<'_>, findings: &mut Findings<'t>) {
    match is_served(rules, place, Some(caller), findings) {
        Truth::Yes => {}
        Truth::Unknown(doubts) => findings.doubts(&SERVED, doubts),
        Truth::No => {
            let but = format_args!("not {}", Joined(&rules.served_except));
            let reject = |expected: &dyn std::fmt::Display, findings: &mut Findings<'_>| {
                let field = Field { path: &SERVED, expected, actual: place };
                findings.reject(ReasonCode::CallerPlaceNotServed, place, field);
            };
            match &rules.served {
                Served::Everyone => reject(&but, findings),
                Served::Places(places) => reject(&Joined(places), findings),
            }
        }
    }
}

/// Whether a place is served: listed, and not excepted.
pub(super) fn is_served<'t>(
    rules: &'t CallerRules,
    place: &Place,
    whom: Option<Participant<'_>>,
    findings: &mut Findings<'t>,
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
        let field = Field { path: &path, expected: &"another kind of organisation", actual: &kind.as_str() };
        findings.reject(ReasonCode::CallerOrgTypeNotServed, kind.as_str(), field);
    }
}

/// Who is in a sector that is denied, or may be, since what it states is wider. A code that no table has may mean either.
fn check_sector(rules: &CallerRules, caller: Party<'_>, findings: &mut Findings<'_>) {
    if rules.denied_sectors.is_empty() {
        return;
    }
    let path = caller.path("sector");
    let Some(sector) = findings.value(&path, caller.organisation.sector.as_ref()) else { return };
    let sectors = &findings.tables.sectors;
    if let Some(denied) = rules.denied_sectors.iter().find(|denied| sectors.overlap(denied, &sector)) {
        let expected = format_args!("not {}", Joined(&rules.denied_sectors));
        let field = Field { path: &path, expected: &expected, actual: &sector };
        return findings.reject(ReasonCode::CallerSectorNotServed, denied, field);
    }
    if !sectors.knows(&sector) {
        findings.doubt(&path, Doubt::unrecognised(&sector));
    }
    for denied in rules.denied_sectors.iter().filter(|denied| !sectors.knows(denied)) {
        findings.doubt(&"terms.caller_rules.denied_sectors", Doubt::unrecognised(denied));
    }
}

fn check_lists(rules: &CallerRules, caller: Party<'_>, findings: &mut Findings<'_>) {
    if rules.denied_lists.is_empty() {
        return;
    }
    let path = caller.path("restricted_party_lists");
    let Some(lists) = findings.value(&path, caller.organisation.restricted_party_lists.as_ref()) else { return };
    for list in rules.denied_lists.intersection(&lists) {
        let field = Field { path: &path, expected: &"on none of the lists", actual: list };
        findings.reject(ReasonCode::CallerListedParty, list, field);
    }
}
