//! What the model's licence demands of the operator and, where its rules flow down, of the caller (VOCABULARY D14).
//!
//! A licence that is not stated may demand anything, so it refuses (L2: saying less never helps). One that has no row
//! demands nothing that could be asked here; a caller that cares names the licences that it allows.

use comity_types::time::Phase;

use super::Question;
use super::findings::{Field, Findings, Party, Truth, joined};
use crate::tables::blocs::Reach;
use crate::tables::licences::{Binds, Grant, LicenceRule, Scale, Territory, Unstated};
use crate::{ReasonCode, Side};

pub(super) fn check(question: &Question<'_>, findings: &mut Findings<'_>) {
    findings.speak_for(Side::Licence);
    let Some(licence) = findings.value("licence", question.offer.licence.as_ref()) else { return };
    let Some(rule) = findings.tables.licences.get(&licence) else { return };
    if let Some(territory) = &rule.territory {
        check_territory(territory, rule, question.operator(), question, findings);
        // Where the rules flow down, the caller is bound like a licensee.
        if rule.binds == Binds::OperatorAndCaller {
            check_territory(territory, rule, question.caller(), question, findings);
        }
    }
    if let Some(scale) = &rule.scale {
        check_scale(scale, rule, question, findings);
    }
    check_field_of_use(rule, question, findings);
}

/// Where a licensee does most of its business is what the clause asks.
fn check_territory(
    territory: &Territory,
    rule: &LicenceRule,
    bound: Party<'_>,
    question: &Question<'_>,
    findings: &mut Findings<'_>,
) {
    if !territory.modalities.is_empty() {
        let Some(modalities) = findings.value("modalities", question.offer.modalities.as_ref()) else { return };
        // The clause is about models of several modalities, of which one is among those it names.
        if modalities.is_disjoint(&territory.modalities) {
            return;
        }
    }
    let path = bound.path("principal_place_of_business");
    let Some(place) = findings.value(&path, bound.organisation.principal_place_of_business.as_ref()) else { return };
    match findings.is_in(&place, &territory.excluded, Reach::Overlap, Some(bound)) {
        Truth::No => {}
        Truth::Unknown(doubts) => findings.doubts(&path, doubts),
        Truth::Yes => {
            let expected = format!("not {}", joined(&territory.excluded));
            let field = Field { path: &path, expected: &expected, actual: place.as_str() };
            findings.reject_by(ReasonCode::LicenceTerritoryExcluded, place.as_str(), field, &rule.licence);
        }
    }
}

fn check_scale(scale: &Scale, rule: &LicenceRule, question: &Question<'_>, findings: &mut Findings<'_>) {
    let operator = question.operator();
    let path = operator.path("monthly_active_users");
    let claim = operator.organisation.monthly_active_users.as_ref();
    if claim.is_none() && scale.unstated == Unstated::Below {
        return;
    }
    let Some(users) = findings.value(&path, claim) else { return };
    let expected = format!("at most {} in {}", scale.more_than, scale.month);
    let actual = format!("{} in {}", users.count, users.month);
    let field = Field { path: &path, expected: &expected, actual: &actual };
    // Another month says nothing of the one that counts.
    if users.month != scale.month {
        findings.reject_by(ReasonCode::ClaimMissing, format!("{path}.{}", scale.month), field, &rule.licence);
    } else if users.count > scale.more_than {
        findings.reject_by(ReasonCode::LicenceScaleThresholdExceeded, "", field, &rule.licence);
    }
}

fn check_field_of_use(rule: &LicenceRule, question: &Question<'_>, findings: &mut Findings<'_>) {
    if rule.excluded_purposes.is_empty() {
        return;
    }
    let purposes = &findings.tables.purposes;
    let declared = &question.request.declared.purposes;
    let excluded = |purpose: &&String| rule.excluded_purposes.iter().any(|one| purposes.is_within(purpose, one));
    for purpose in declared.iter().filter(excluded) {
        if !is_granted(purpose, rule, question, findings) {
            let expected = format!("not {}", joined(&rule.excluded_purposes));
            let field = Field { path: "request.purposes", expected: &expected, actual: purpose };
            findings.reject_by(ReasonCode::LicenceFieldOfUseExcluded, purpose, field, &rule.licence);
        }
    }
}

/// Whether the licensor gave the purpose back to callers like this one. What is not stated of the caller grants nothing.
fn is_granted(purpose: &str, rule: &LicenceRule, question: &Question<'_>, findings: &mut Findings<'_>) -> bool {
    rule.grants.iter().any(|grant| applies(grant, purpose, question, findings))
}

fn applies(grant: &Grant, purpose: &str, question: &Question<'_>, findings: &mut Findings<'_>) -> bool {
    let caller = question.caller();
    let given = grant.purposes.iter().any(|one| findings.tables.purposes.is_within(purpose, one));
    if !given || grant.in_force.phase(findings.as_of) != Phase::Within {
        return false;
    }
    let facts = caller.organisation;
    let (kind_path, seat_path) = (caller.path("organisation_type"), caller.path("seat"));
    let Ok(kind) = findings.look(&kind_path, facts.organisation_type.as_ref()) else { return false };
    let Ok(seat) = findings.look(&seat_path, facts.seat.as_ref()) else { return false };
    let holds = grant.organisation_types.contains(&kind)
        && findings.is_in(&seat, &grant.seats, Reach::Within, Some(caller)) == Truth::Yes;
    if holds {
        findings.expires(grant.in_force.until);
    }
    holds
}
