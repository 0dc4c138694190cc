//! What the model's licence demands of the operator and, where its rules flow down, of the caller (VOCABULARY D14).
//!
//! A licence that is not stated, or that no table has, may demand anything, so it refuses (L2: saying less never helps).
//! The table has the licences that demand nothing, too; a caller that cares names the licences that it allows.

use std::collections::BTreeSet;

use comity_types::Place;
use comity_types::time::Phase;

use super::facet::{Facet, OfUse, Use};
use super::findings::{Field, Findings, Joined};
use super::reading::{All, Read, claim_of};
use super::truth::{Doubt, OPERATOR, Participant, Party, PartyPath, Truth};
use crate::offer::Modality;
use crate::organisation::ActiveUsers;
use crate::tables::blocs::Reach;
use crate::tables::licences::{Binds, Grant, LicenceRule, Territory, Unstated};
use crate::{Claim, Offer, Organisation, ReasonCode, Side, Tables};

/// What the model's licence demands.
pub(super) struct Licence;

/// A clause of a licence, and what it is held against.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Clause<'a> {
    licence: Option<Read<'a, All<String>>>,
    about: About<'a>,
}

/// What a clause is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum About<'a> {
    /// What the model is used for, and whether anybody knows the licence.
    Purposes,
    /// Where the licensee is, for models of some modalities.
    Territory(Option<Read<'a, All<BTreeSet<Modality>>>>, Licensee<'a>),
    /// How many people use what the operator offers.
    Scale(Option<Read<'a, All<ActiveUsers>>>),
}

/// Whom a licence binds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Licensee<'a> {
    /// Who runs the model, with the place where it does most of its business.
    Operator(Option<Read<'a, All<Place>>>, Participant<'a>),
    /// Who calls it, where the rules flow down.
    Caller,
}

impl Facet for Licence {
    const SIDE: Side = Side::Licence;
    type Facts<'a> = Clause<'a>;
    type Part = OfUse;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        tables: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let (licence, modalities) = (offer.licence.as_ref(), offer.modalities.as_ref());
        let place = operator.principal_place_of_business.as_ref();
        let whom = match place.and_then(Claim::timeless) {
            Some(place) => Participant::operator_at(operator, place, tables),
            None => Participant::operator(operator),
        };
        // Of a licence that is stated for all time, or not at all, a clause that the table does not have makes no difference.
        let settled = match licence {
            None => Some(None),
            Some(licence) => licence.timeless().map(|licence| tables.licences.get(licence)),
        };
        let has = move |clause: &dyn Fn(&LicenceRule) -> bool| settled.is_none_or(|rule| rule.is_some_and(clause));
        let may_reach = |rule: &LicenceRule| rule.territory.as_ref().is_some_and(|of| may_reach(of, modalities));
        let (read, by_place) = (modalities.map(Read::of), Licensee::Operator(place.map(Read::of), whom));
        let users = About::Scale(operator.monthly_active_users.as_ref().map(Read::of));
        let clauses = [
            Some(About::Purposes),
            has(&may_reach).then_some(About::Territory(read, by_place)),
            has(&|rule| rule.binds == Binds::OperatorAndCaller && may_reach(rule))
                .then_some(About::Territory(read, Licensee::Caller)),
            has(&|rule| rule.scale.is_some()).then_some(users),
        ];
        clauses.into_iter().flatten().map(move |about| Clause { licence: licence.map(Read::of), about })
    }

    fn is_asked(_: &Use<'_>) -> bool {
        true
    }

    fn check<'t>(clause: &Self::Facts<'t>, asked: &Use<'t>, findings: &mut Findings<'t>) {
        let Some(licence) = findings.value(&"licence", claim_of(clause.licence)) else { return };
        let licences = &findings.tables.licences;
        let Some(rule) = licences.get(&licence) else {
            if !licences.is_unconditional(&licence) {
                findings.doubt(&"licence", Doubt::unrecognised(&licence));
            }
            return;
        };
        match clause.about {
            About::Purposes => check_field_of_use(rule, asked, findings),
            About::Territory(modalities, licensee) => {
                check_territory(rule, claim_of(modalities), licensee, asked, findings);
            }
            About::Scale(users) => check_scale(rule, claim_of(users), findings),
        }
    }
}

/// False if a clause is about other models.
fn may_reach(territory: &Territory, modalities: Option<&Claim<BTreeSet<Modality>>>) -> bool {
    let stated = modalities.and_then(Claim::timeless).filter(|all| !all.is_empty());
    territory.modalities.is_empty() || stated.is_none_or(|stated| !stated.is_disjoint(&territory.modalities))
}

/// The clause holds for a model of the modalities that it names and a licensee with most of its business where it says.
/// Where one of the two does not hold, the other need not be known. Where the rules flow down, the caller is bound like
/// a licensee.
fn check_territory<'t>(
    rule: &'t LicenceRule,
    modalities: Option<&Claim<BTreeSet<Modality>>>,
    licensee: Licensee<'_>,
    asked: &Use<'_>,
    findings: &mut Findings<'t>,
) {
    let Some(territory) = &rule.territory else { return };
    let caller = Party::caller(asked.caller);
    let (bound, place) = match licensee {
        Licensee::Operator(place, operator) => (operator, claim_of(place)),
        Licensee::Caller if rule.binds != Binds::OperatorAndCaller => return,
        Licensee::Caller => (caller.participant(), caller.organisation.principal_place_of_business.as_ref()),
    };
    let multimodal = is_multimodal(territory, modalities, findings);
    if multimodal == Truth::No {
        return;
    }
    let path = bound.path("principal_place_of_business");
    let place = findings.look(&path, place);
    let inside = match &place {
        Ok(place) => findings.is_in(place, &territory.excluded, Reach::Overlap, Some(bound)),
        Err(doubt) => Truth::Unknown(vec![doubt.clone()]),
    };
    match (multimodal, inside, place) {
        (_, Truth::No, _) => {}
        (Truth::Yes, Truth::Yes, Ok(place)) => {
            let expected = format_args!("not {}", Joined(&territory.excluded));
            let field = Field { path: &path, expected: &expected, actual: &place };
            findings.reject_by(ReasonCode::LicenceTerritoryExcluded, &place, field, &rule.licence);
        }
        (multimodal, inside, _) => {
            findings.doubts(&"modalities", multimodal.doubts());
            findings.doubts(&path, inside.doubts());
        }
    }
}

/// Whether the clause is about such a model: one of several modalities, of which one is among those that it names.
fn is_multimodal(
    territory: &Territory,
    modalities: Option<&Claim<BTreeSet<Modality>>>,
    findings: &mut Findings<'_>,
) -> Truth {
    if territory.modalities.is_empty() {
        return Truth::Yes;
    }
    match findings.look(&"modalities", modalities) {
        Err(doubt) => Truth::Unknown(vec![doubt]),
        Ok(modalities) if modalities.is_empty() => Truth::Unknown(vec![Doubt::missing("modalities")]),
        Ok(modalities) if modalities.is_disjoint(&territory.modalities) => Truth::No,
        Ok(_) => Truth::Yes,
    }
}

fn check_scale(rule: &LicenceRule, claim: Option<&Claim<ActiveUsers>>, findings: &mut Findings<'_>) {
    let Some(scale) = &rule.scale else { return };
    let path = PartyPath { role: OPERATOR, field: "monthly_active_users" };
    if claim.is_none() && scale.unstated == Unstated::Below {
        return;
    }
    let Some(users) = findings.value(&path, claim) else { return };
    let expected = format_args!("at most {} in {}", scale.more_than, scale.month);
    let actual = format_args!("{} in {}", users.count, users.month);
    let field = Field { path: &path, expected: &expected, actual: &actual };
    // Another month says nothing of the one that counts.
    if users.month != scale.month {
        findings.reject_by(ReasonCode::ClaimMissing, format_args!("{path}.{}", scale.month), field, &rule.licence);
    } else if users.count > scale.more_than {
        findings.reject_by(ReasonCode::LicenceScaleThresholdExceeded, "", field, &rule.licence);
    }
}

fn check_field_of_use<'t>(rule: &'t LicenceRule, asked: &Use<'_>, findings: &mut Findings<'t>) {
    if rule.excluded_purposes.is_empty() {
        return;
    }
    let purposes = &findings.tables.purposes;
    let expected = format_args!("not {}", Joined(&rule.excluded_purposes));
    for purpose in &asked.declared.purposes {
        let field = Field { path: &"request.purposes", expected: &expected, actual: purpose };
        let excluded = rule.excluded_purposes.iter().any(|one| purposes.is_within(purpose, one));
        if excluded && !is_granted(purpose, rule, asked, findings) {
            findings.reject_by(ReasonCode::LicenceFieldOfUseExcluded, purpose, field, &rule.licence);
        }
        // A purpose that includes an excluded one does not evade the clause by being broad.
        let narrower = |one: &&String| *one != purpose && purposes.is_within(one, purpose);
        if rule.excluded_purposes.iter().filter(narrower).any(|one| !is_granted(one, rule, asked, findings)) {
            findings.reject_by(ReasonCode::PurposeTooBroad, purpose, field, &rule.licence);
        }
    }
}

/// Whether the licensor gave the purpose back to callers like this one. What is not stated of the caller grants nothing.
fn is_granted<'t>(purpose: &str, rule: &'t LicenceRule, asked: &Use<'_>, findings: &mut Findings<'t>) -> bool {
    rule.grants.iter().any(|grant| applies(grant, purpose, asked, findings))
}

fn applies<'t>(grant: &'t Grant, purpose: &str, asked: &Use<'_>, findings: &mut Findings<'t>) -> bool {
    let caller = Party::caller(asked.caller);
    let given = grant.purposes.iter().any(|one| findings.tables.purposes.is_within(purpose, one));
    if !given || findings.phase(&grant.in_force) != Phase::Within {
        return false;
    }
    let facts = caller.organisation;
    let (kind_path, seat_path) = (caller.path("organisation_type"), caller.path("seat"));
    let Ok(kind) = findings.look(&kind_path, facts.organisation_type.as_ref()) else { return false };
    let Ok(seat) = findings.look(&seat_path, facts.seat.as_ref()) else { return false };
    let holds = grant.organisation_types.contains(&kind)
        && findings.is_in(&seat, &grant.seats, Reach::Within, Some(caller.participant())) == Truth::Yes;
    if holds {
        findings.expires(grant.in_force.until);
    }
    holds
}

#[cfg(test)]
mod tests;
