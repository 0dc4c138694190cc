//! Terms of offers: what they promise, and whom they serve.

use std::collections::{BTreeMap, BTreeSet};

use comity_policy::Terms;
use comity_policy::caller_rules::{
    CallerRules, Comparison, Indirect, OwnershipRule, OwnershipTarget, OwnershipTest, PlaceChecks, Served,
};
use comity_policy::limits::{MAX_ENTRIES, MAX_ID_BYTES, MAX_INTERVALS, MAX_RULES};
use comity_policy::terms::{
    Ceiling, Certification, Certifications, Disclosure, HighRisk, HumanReview, Logging, Quota, Retention,
    RetentionData, RetentionRule, RetentionTrigger, ReviewMode, Support, TrainingUse, TransferBasis,
};
use comity_types::{Currency, Money};

use super::claims::{claim, instant_at, interval, place_list, strings, wire_claim, wire_instant, wire_interval};
use super::organisation::{interest, organisation_type, wire_interest, wire_organisation_type};
use super::{
    MAX_LIST, MAX_TEXT_BYTES, MAX_VALUES, Read, WireError, bounded, enums, optional, optional_text, or_default,
    own_word, parse, place_set, share, text, texts, wire_place_set,
};
use crate::policy as wire;

/// The threshold of an ownership rule that states none: half.
const HALF_BP: u32 = 5_000;

enums!(training_use, wire_training_use, TrainingUse, TrainingUse, [Never, OptIn, OptOut, Always]);
enums!(review_mode, wire_review_mode, ReviewMode, ReviewMode, [Never, FlaggedOnly, Routine]);
enums!(
    transfer_basis,
    wire_transfer_basis,
    TransferBasis,
    TransferBasis,
    [Adequacy, StandardClauses, CorporateRules, NoneNeeded]
);
enums!(high_risk, wire_high_risk, HighRisk, HighRisk, [Allowed, Prohibited]);
enums!(disclosure, wire_disclosure, Disclosure, Disclosure, [Full, CodeOnly]);
enums!(support, wire_support, Support, Support, [BestEffort, BusinessHours, AroundTheClock]);
enums!(retention_data, wire_retention_data, RetentionData, RetentionData, [Content, Metadata, ClassifierOutput]);
enums!(
    retention_trigger,
    wire_retention_trigger,
    RetentionTrigger,
    RetentionTrigger,
    [Routine, AbuseMonitoring, ApplicationState, SafetyFlagged, LegalObligation]
);
enums!(ownership_test, wire_ownership_test, OwnershipTest, OwnershipTest, [Ownership, Control, Either]);
enums!(comparison, wire_comparison, Comparison, Comparison, [MoreThan, AtLeast]);
enums!(indirect, wire_indirect, Indirect, Indirect, [Cascade, LookThrough]);

impl TryFrom<wire::Terms> for Terms {
    type Error = WireError;

    fn try_from(wire: wire::Terms) -> Result<Self, WireError> {
        own_word::check(&wire)?;
        Self::read(wire)
    }
}

impl Read<wire::Terms> for Terms {
    fn read(wire: wire::Terms) -> Result<Self, WireError> {
        let categories = |wire: wire::Texts| texts("accepted_data_categories.texts", wire.texts, MAX_LIST);
        Ok(Self {
            version: wire.version,
            retention: claim("retention", wire.retention, retention)?,
            training_use: claim("training_use", wire.training_use, |path, wire| {
                Ok((training_use(&format!("{path}.training_use"), wire.training_use)?, wire.provenance))
            })?,
            human_review: claim("human_review", wire.human_review, human_review)?,
            content_logging: claim("content_logging", wire.content_logging, |_, wire| {
                Ok((Logging(wire.flag), wire.provenance))
            })?,
            transfer_basis: claim("transfer_basis", wire.transfer_basis, |path, wire| {
                Ok((transfer_basis(&format!("{path}.transfer_basis"), wire.transfer_basis)?, wire.provenance))
            })?,
            certifications: claim("certifications", wire.certifications, certifications)?,
            allowed_purposes: texts("allowed_purposes", wire.allowed_purposes, MAX_LIST)?,
            prohibited_purposes: texts("prohibited_purposes", wire.prohibited_purposes, MAX_LIST)?,
            high_risk: some(wire.high_risk, |number| high_risk("high_risk", number))?,
            caller_rules: wire.caller_rules.map(caller_rules).transpose()?,
            classification_ceilings: ceilings(wire.classification_ceilings)?,
            accepted_data_categories: wire.accepted_data_categories.map(categories).transpose()?,
            governing_law: optional("governing_law", &wire.governing_law)?,
            courts: optional("courts", &wire.courts)?,
            liability_cap: wire.liability_cap.map(|wire| money("liability_cap", &wire)).transpose()?,
            support: some(wire.support, |number| support("support", number))?,
            availability_bp: wire.availability_bp.map(|bp| share("availability_bp", bp)).transpose()?,
            quota: claim("quota", wire.quota, |_, wire| {
                Ok((Quota { requests_per_day: wire.requests_per_day }, wire.provenance))
            })?,
            disclosure: or_default(wire.disclosure, |number| disclosure("disclosure", number))?,
        })
    }
}

/// The value of a number, or nothing where it is unspecified.
pub(super) fn some<T>(number: i32, read: impl Fn(i32) -> Result<T, WireError>) -> Result<Option<T>, WireError> {
    if number == 0 { Ok(None) } else { read(number).map(Some) }
}

fn retention(path: &str, wire: wire::RetentionClaim) -> Result<(Retention, Option<wire::Provenance>), WireError> {
    let path = format!("{path}.rules");
    bounded(&path, wire.rules.len(), MAX_RULES)?;
    let rule = |(index, rule): (usize, &wire::RetentionRule)| {
        let path = format!("{path}[{index}]");
        Ok(RetentionRule {
            data: retention_data(&format!("{path}.data"), rule.data)?,
            trigger: retention_trigger(&format!("{path}.trigger"), rule.trigger)?,
            max_days: rule.max_days,
        })
    };
    let rules = wire.rules.iter().enumerate().map(rule).collect::<Result<_, WireError>>()?;
    Ok((Retention(rules), wire.provenance))
}

fn human_review(
    path: &str,
    wire: wire::HumanReviewClaim,
) -> Result<(HumanReview, Option<wire::Provenance>), WireError> {
    let reviewer_places = place_list(&format!("{path}.reviewer_places"), &wire.reviewer_places)?;
    Ok((HumanReview { mode: review_mode(&format!("{path}.mode"), wire.mode)?, reviewer_places }, wire.provenance))
}

fn certifications(
    path: &str,
    wire: wire::CertificationsClaim,
) -> Result<(Certifications, Option<wire::Provenance>), WireError> {
    let path = format!("{path}.certifications");
    bounded(&path, wire.certifications.len(), MAX_ENTRIES)?;
    let all = wire.certifications.into_iter().enumerate();
    let all = all.map(|(index, wire)| certification(&format!("{path}[{index}]"), wire));
    Ok((Certifications(all.collect::<Result<_, _>>()?), wire.provenance))
}

fn certification(path: &str, wire: wire::Certification) -> Result<Certification, WireError> {
    let at = |field: &str, stamp| instant_at(&format!("{path}.{field}"), stamp);
    let short = |field: &str, value| optional_text(&format!("{path}.{field}"), value, MAX_TEXT_BYTES);
    Ok(Certification {
        scheme: text(&format!("{path}.scheme"), wire.scheme, MAX_TEXT_BYTES)?,
        edition: short("edition", wire.edition)?,
        level: short("level", wire.level)?,
        auditor: short("auditor", wire.auditor)?,
        issued: at("issued", wire.issued)?,
        expires: at("expires", wire.expires)?,
        period_start: at("period_start", wire.period_start)?,
        period_end: at("period_end", wire.period_end)?,
        scope_services: texts(&format!("{path}.scope_services"), wire.scope_services, MAX_LIST)?,
        scope_sites: place_list(&format!("{path}.scope_sites"), &wire.scope_sites)?,
    })
}

fn caller_rules(wire: wire::CallerRules) -> Result<CallerRules, WireError> {
    use wire::served::Served as Wire;
    const PATH: &str = "caller_rules";
    bounded("caller_rules.ownership", wire.ownership.len(), MAX_RULES)?;
    let served = match wire.served.and_then(|served| served.served) {
        Some(Wire::Everyone(true)) => Served::Everyone,
        Some(Wire::Places(set)) => Served::Places(place_set("caller_rules.served.places", &set)?),
        Some(Wire::Everyone(false)) | None => {
            return Err(WireError::new("caller_rules.served", "must be `everyone: true` or a set of places"));
        }
    };
    let ownership = wire.ownership.into_iter().enumerate();
    let ownership = ownership.map(|(index, rule)| ownership_rule(&format!("{PATH}.ownership[{index}]"), rule));
    bounded("caller_rules.denied_organisation_types", wire.denied_organisation_types.len(), MAX_VALUES)?;
    let denied = wire.denied_organisation_types.iter().enumerate();
    let denied =
        denied.map(|(index, number)| organisation_type(&format!("{PATH}.denied_organisation_types[{index}]"), *number));
    Ok(CallerRules {
        served,
        served_except: place_set("caller_rules.served_except", &wire.served_except.unwrap_or_default())?,
        check: PlaceChecks {
            seat: !wire.ignore_seat,
            headquarters: wire.check_headquarters,
            access_origin: !wire.ignore_access_origin,
        },
        ownership: ownership.collect::<Result<_, _>>()?,
        denied_organisation_types: denied.collect::<Result<_, _>>()?,
        denied_sectors: texts("caller_rules.denied_sectors", wire.denied_sectors, MAX_ENTRIES)?,
        denied_lists: texts("caller_rules.denied_lists", wire.denied_lists, MAX_ENTRIES)?,
        min_terms_version: wire.min_terms_version,
    })
}

fn ownership_rule(path: &str, wire: wire::OwnershipRule) -> Result<OwnershipRule, WireError> {
    use wire::ownership_rule::Target as Wire;
    let target = match wire.target {
        Some(Wire::PlacesNotServed(true)) => OwnershipTarget::PlacesNotServed,
        Some(Wire::Places(set)) => OwnershipTarget::Places(place_set(&format!("{path}.places"), &set)?),
        Some(Wire::Lists(set)) => OwnershipTarget::Lists(texts(&format!("{path}.lists"), set.lists, MAX_ENTRIES)?),
        Some(Wire::PlacesNotServed(false)) | None => {
            let problem = "must be `places_not_served: true`, a set of places or lists";
            return Err(WireError::new(format!("{path}.target"), problem));
        }
    };
    bounded(&format!("{path}.in_force"), wire.in_force.len(), MAX_INTERVALS)?;
    let in_force = wire.in_force.into_iter().enumerate();
    let in_force = in_force.map(|(index, wire)| interval(&format!("{path}.in_force[{index}]"), Some(wire)));
    Ok(OwnershipRule {
        id: text(&format!("{path}.id"), wire.id, MAX_ID_BYTES)?,
        target,
        test: or_default(wire.test, |number| ownership_test(&format!("{path}.test"), number))?,
        interests: interests(&format!("{path}.interests"), &wire.interests)?,
        comparison: or_default(wire.comparison, |number| comparison(&format!("{path}.comparison"), number))?,
        threshold_bp: share(&format!("{path}.threshold_bp"), wire.threshold_bp.unwrap_or(HALF_BP))?,
        aggregate: !wire.individual,
        indirect: or_default(wire.indirect, |number| indirect(&format!("{path}.indirect"), number))?,
        in_force: in_force.collect::<Result<_, _>>()?,
    })
}

pub(super) fn interests(path: &str, wire: &[i32]) -> Result<BTreeSet<comity_policy::ownership::Interest>, WireError> {
    bounded(path, wire.len(), MAX_VALUES)?;
    wire.iter().enumerate().map(|(index, number)| interest(&format!("{path}[{index}]"), *number)).collect()
}

fn ceilings(wire: Vec<wire::Ceiling>) -> Result<BTreeMap<String, Ceiling>, WireError> {
    bounded("classification_ceilings", wire.len(), MAX_RULES)?;
    let mut all = BTreeMap::new();
    for (index, wire) in wire.into_iter().enumerate() {
        let path = format!("classification_ceilings[{index}]");
        let scheme = text(&format!("{path}.scheme"), wire.scheme, MAX_TEXT_BYTES)?;
        let level = text(&format!("{path}.level"), wire.level, MAX_TEXT_BYTES)?;
        let caveats = texts(&format!("{path}.caveats"), wire.caveats, MAX_ENTRIES)?;
        if all.insert(scheme, Ceiling { level, caveats }).is_some() {
            return Err(WireError::new(format!("{path}.scheme"), "another ceiling has this scheme"));
        }
    }
    Ok(all)
}

pub(super) fn money(path: &str, wire: &wire::Money) -> Result<Money, WireError> {
    let currency: Currency = parse(format!("{path}.currency"), &wire.currency)?;
    Ok(Money { currency, micros: wire.micros })
}

impl From<&Terms> for wire::Terms {
    fn from(terms: &Terms) -> Self {
        let rule = |rule: &RetentionRule| wire::RetentionRule {
            data: wire_retention_data(rule.data).into(),
            trigger: wire_retention_trigger(rule.trigger).into(),
            max_days: rule.max_days,
        };
        let place = |place: &Option<comity_types::Place>| place.as_ref().map(ToString::to_string).unwrap_or_default();
        let ceiling = |(scheme, ceiling): (&String, &Ceiling)| wire::Ceiling {
            scheme: scheme.clone(),
            level: ceiling.level.clone(),
            caveats: strings(&ceiling.caveats),
        };
        Self {
            version: terms.version,
            retention: wire_claim(terms.retention.as_ref(), |all, provenance| wire::RetentionClaim {
                rules: all.0.iter().map(rule).collect(),
                provenance,
            }),
            training_use: wire_claim(terms.training_use.as_ref(), |found, provenance| wire::TrainingUseClaim {
                training_use: wire_training_use(*found).into(),
                provenance,
            }),
            human_review: wire_claim(terms.human_review.as_ref(), |review, provenance| wire::HumanReviewClaim {
                mode: wire_review_mode(review.mode).into(),
                reviewer_places: strings(&review.reviewer_places),
                provenance,
            }),
            content_logging: wire_claim(terms.content_logging.as_ref(), |logging, provenance| wire::FlagClaim {
                flag: logging.0,
                provenance,
            }),
            transfer_basis: wire_claim(terms.transfer_basis.as_ref(), |basis, provenance| wire::TransferBasisClaim {
                transfer_basis: wire_transfer_basis(*basis).into(),
                provenance,
            }),
            certifications: wire_claim(terms.certifications.as_ref(), |all, provenance| wire::CertificationsClaim {
                certifications: all.0.iter().map(wire_certification).collect(),
                provenance,
            }),
            allowed_purposes: strings(&terms.allowed_purposes),
            prohibited_purposes: strings(&terms.prohibited_purposes),
            high_risk: terms.high_risk.map(|found| wire_high_risk(found).into()).unwrap_or_default(),
            caller_rules: terms.caller_rules.as_ref().map(Into::into),
            classification_ceilings: terms.classification_ceilings.iter().map(ceiling).collect(),
            accepted_data_categories: terms
                .accepted_data_categories
                .as_ref()
                .map(|all| wire::Texts { texts: strings(all) }),
            governing_law: place(&terms.governing_law),
            courts: place(&terms.courts),
            liability_cap: terms
                .liability_cap
                .as_ref()
                .map(|cap| wire::Money { currency: cap.currency.to_string(), micros: cap.micros }),
            support: terms.support.map(|found| wire_support(found).into()).unwrap_or_default(),
            availability_bp: terms.availability_bp,
            quota: wire_claim(terms.quota.as_ref(), |quota, provenance| wire::QuotaClaim {
                requests_per_day: quota.requests_per_day,
                provenance,
            }),
            disclosure: wire_full_or(terms.disclosure),
        }
    }
}

/// Full is what is meant where nothing is said.
pub(super) fn wire_full_or(disclosure: Disclosure) -> i32 {
    match disclosure {
        Disclosure::Full => 0,
        other @ Disclosure::CodeOnly => wire_disclosure(other).into(),
    }
}

fn wire_certification(one: &Certification) -> wire::Certification {
    wire::Certification {
        scheme: one.scheme.clone(),
        edition: one.edition.clone().unwrap_or_default(),
        level: one.level.clone().unwrap_or_default(),
        auditor: one.auditor.clone().unwrap_or_default(),
        issued: one.issued.map(wire_instant),
        expires: one.expires.map(wire_instant),
        period_start: one.period_start.map(wire_instant),
        period_end: one.period_end.map(wire_instant),
        scope_services: strings(&one.scope_services),
        scope_sites: strings(&one.scope_sites),
    }
}

impl From<&CallerRules> for wire::CallerRules {
    fn from(rules: &CallerRules) -> Self {
        use wire::served::Served as Wire;
        let served = match &rules.served {
            Served::Everyone => Wire::Everyone(true),
            Served::Places(places) => Wire::Places(wire_place_set(places)),
        };
        Self {
            served: Some(wire::Served { served: Some(served) }),
            served_except: (!rules.served_except.is_empty()).then(|| wire_place_set(&rules.served_except)),
            ownership: rules.ownership.iter().map(wire_ownership_rule).collect(),
            ignore_seat: !rules.check.seat,
            check_headquarters: rules.check.headquarters,
            ignore_access_origin: !rules.check.access_origin,
            denied_organisation_types: rules
                .denied_organisation_types
                .iter()
                .map(|kind| wire_organisation_type(*kind).into())
                .collect(),
            denied_sectors: strings(&rules.denied_sectors),
            denied_lists: strings(&rules.denied_lists),
            min_terms_version: rules.min_terms_version,
        }
    }
}

fn wire_ownership_rule(rule: &OwnershipRule) -> wire::OwnershipRule {
    use wire::ownership_rule::Target;
    wire::OwnershipRule {
        id: rule.id.clone(),
        target: Some(match &rule.target {
            OwnershipTarget::PlacesNotServed => Target::PlacesNotServed(true),
            OwnershipTarget::Places(places) => Target::Places(wire_place_set(places)),
            OwnershipTarget::Lists(lists) => Target::Lists(wire::ListSet { lists: strings(lists) }),
        }),
        test: wire_ownership_test(rule.test).into(),
        interests: rule.interests.iter().map(|one| wire_interest(*one).into()).collect(),
        comparison: wire_comparison(rule.comparison).into(),
        threshold_bp: Some(rule.threshold_bp),
        individual: !rule.aggregate,
        indirect: wire_indirect(rule.indirect).into(),
        in_force: rule.in_force.iter().map(|interval| wire_interval(*interval).unwrap_or_default()).collect(),
    }
}
