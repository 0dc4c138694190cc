//! An offer with all its terms, in the words that `comity offer show` has, for whoever shows one: as it is listed, as an
//! organisation applied with it, or as it was published when something was decided.
//!
//! Whatever is in an offer is taken apart field by field: one that is added does not compile until it has words here. What is
//! not stated is said to be unknown, since that refuses whoever asks for it.

use std::collections::BTreeMap;

use comity_policy::caller_rules::{
    CallerRules, Comparison, OwnershipRule, OwnershipTarget, OwnershipTest, PlaceChecks, Served,
};
use comity_policy::offer::{Objective, SubProcessor};
use comity_policy::terms::{
    Ceiling, Certification, Certifications, Disclosure, HumanReview, Logging, Quota, Retention, RetentionRule,
    ReviewMode,
};
use comity_policy::{Controller, Offer, Organisation, Terms};
use comity_types::{Interval, Money, Price};

use crate::output::{joined, known};
use crate::view;

/// How whole an offer is that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// As its node or its organisation signed it.
    Signed,
    /// As the broker lists it: without the demands that its organisation keeps from others.
    Listed,
}

/// What an offer promises and demands, and who operates it, where that is not told beside it, a line each.
pub(crate) fn fields(offer: &Offer, operator: Option<&Organisation>, told: Told) -> Vec<(&'static str, String)> {
    let Offer {
        // Its name, which is told beside this.
        id: _,
        node: _,
        model,
        model_digest,
        model_provider,
        modalities,
        capabilities,
        processing_locations,
        storage_locations,
        access_locations,
        sub_processors,
        seal,
        cada_level,
        gaiax_label,
        safety_grade,
        runtime,
        licence,
        price: cost,
        terms,
        state,
        in_force: held,
        context_tokens,
        carbon_grams_per_million_tokens: carbon,
    } = offer;
    let mut fields = vec![
        ("model", model.to_string()),
        ("model's SHA-256", view::claim(model_digest.as_ref(), ToString::to_string)),
        ("made by", known(model_provider.as_ref())),
        ("reads and writes", view::claim(modalities.as_ref(), |all| listed(all, ToString::to_string))),
        ("can", joined(capabilities.iter().map(view::word))),
        ("context tokens", known(*context_tokens)),
        ("licence", view::claim(licence.as_ref(), Clone::clone)),
        ("price", known(cost.as_ref().map(price))),
        ("CO2", known(carbon.map(|grams| format!("{grams} g for a million tokens")))),
        ("its node says it is", view::word(state)),
        ("in force", in_force(held)),
        ("processed in", view::places(processing_locations.as_ref())),
        ("stored in", view::places(storage_locations.as_ref())),
        ("reached from", view::places(access_locations.as_ref())),
        ("runs in", view::claim(runtime.as_ref(), Clone::clone)),
        ("sovereignty ratings", view::claim(seal.as_ref(), ratings)),
        ("CADA level", view::claim(cada_level.as_ref(), ToString::to_string)),
        ("Gaia-X label", view::claim(gaiax_label.as_ref(), ToString::to_string)),
        ("safety grade", view::claim(safety_grade.as_ref(), ToString::to_string)),
    ];
    fields.extend(operator.into_iter().flat_map(operator_fields));
    fields.push(("sub-processors", view::claim(sub_processors.as_ref(), |all| listed(all, sub_processor))));
    match terms {
        Some(terms) => fields.extend(promise_fields(terms).into_iter().chain(demand_fields(terms, told))),
        None => fields.push(("terms", "unknown: nobody is served".to_owned())),
    }
    fields
}

fn operator_fields(operator: &Organisation) -> [(&'static str, String); 4] {
    [
        ("operator", operator.trust_domain.to_string()),
        ("operator's seat", view::claim(operator.seat.as_ref(), ToString::to_string)),
        ("operator's controllers", view::controllers(operator)),
        ("operator's owners", view::owners(operator)),
    ]
}

/// Things one after another, of which each may have blanks in it.
fn listed<T>(all: impl IntoIterator<Item = T>, one: impl Fn(T) -> String) -> String {
    let all: Vec<_> = all.into_iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn price(price: &Price) -> String {
    let Price { currency, input_micros_per_million_tokens: input, output_micros_per_million_tokens: output } = price;
    format!("{currency} {} in, {} out, for a million tokens", units(*input), units(*output))
}

/// An amount of money, exactly.
fn money(money: &Money) -> String {
    let Money { currency, micros } = money;
    format!("{currency} {}", units(*micros))
}

/// Micro-units as units, exactly.
pub(crate) fn units(micros: u64) -> String {
    const MICROS: u64 = 1_000_000;
    format!("{}.{:06}", micros / MICROS, micros % MICROS)
}

/// Hundredths of a percent as percent, exactly.
pub(crate) fn percent(hundredths: u32) -> String {
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// When something is in force.
fn in_force(held: &Interval) -> String {
    let bounds = view::validity(held);
    if bounds.is_empty() { "always".to_owned() } else { bounds.trim().to_owned() }
}

fn ratings(ratings: &BTreeMap<Objective, u8>) -> String {
    listed(ratings, |(objective, rating)| format!("{objective} {rating}"))
}

fn sub_processor(one: &SubProcessor) -> String {
    let SubProcessor {
        id,
        lei,
        role,
        places,
        content_access,
        seat,
        principal_place_of_business,
        establishments,
        ultimate_controllers,
    } = one;
    let content = if *content_access { "reads content" } else { "reads no content" };
    let controller = |Controller { name, seat }: &Controller| format!("{name} of {seat}");
    format!(
        "{id} ({} in {}, {content}, LEI {}, seat {}, main place of business {}, establishments {}, controlled by {})",
        view::word(role),
        joined(places),
        known(lei.as_ref()),
        known(seat.as_ref()),
        known(principal_place_of_business.as_ref()),
        known(establishments.as_ref().map(|all| listed(all, ToString::to_string))),
        known(ultimate_controllers.as_ref().map(|all| listed(all, controller))),
    )
}

/// What the terms promise.
fn promise_fields(terms: &Terms) -> Vec<(&'static str, String)> {
    let Terms {
        version,
        retention: kept,
        training_use,
        human_review,
        content_logging,
        transfer_basis,
        certifications,
        governing_law,
        courts,
        liability_cap,
        support,
        availability_bp,
        quota,
        disclosure,
        // The demands.
        allowed_purposes: _,
        prohibited_purposes: _,
        high_risk: _,
        caller_rules: _,
        classification_ceilings: _,
        accepted_data_categories: _,
    } = terms;
    let requests = |Quota { requests_per_day }: &Quota| format!("{requests_per_day} of each organisation");
    let requests = quota.as_ref().map(|quota| view::claim(Some(quota), requests));
    vec![
        ("version of the terms", version.to_string()),
        ("kept", view::claim(kept.as_ref(), |Retention(rules)| retention(rules))),
        ("trained on", view::claim(training_use.as_ref(), view::word)),
        ("read by people", view::claim(human_review.as_ref(), review)),
        ("content logged", view::claim(content_logging.as_ref(), |Logging(is_logged)| yes_or_no(*is_logged))),
        ("certificates", view::claim(certifications.as_ref(), |Certifications(all)| listed(all, certificate))),
        ("leaves the EEA by", view::claim(transfer_basis.as_ref(), view::word)),
        ("governing law", known(governing_law.as_ref())),
        ("courts", known(courts.as_ref())),
        ("liable for at most", known(liability_cap.as_ref().map(money))),
        ("support", known(support.as_ref().map(view::word))),
        ("available", known(availability_bp.map(percent))),
        ("requests a day", requests.unwrap_or_else(|| "as many as there are".to_owned())),
        ("reasons shown to callers", view::word(disclosure)),
    ]
}

/// What the terms demand of callers, which a listing may leave out.
fn demand_fields(terms: &Terms, told: Told) -> Vec<(&'static str, String)> {
    let Terms {
        allowed_purposes,
        prohibited_purposes,
        high_risk,
        caller_rules,
        classification_ceilings,
        accepted_data_categories,
        disclosure,
        // The promises.
        version: _,
        retention: _,
        training_use: _,
        human_review: _,
        content_logging: _,
        transfer_basis: _,
        certifications: _,
        governing_law: _,
        courts: _,
        liability_cap: _,
        support: _,
        availability_bp: _,
        quota: _,
    } = terms;
    if caller_rules.is_none() && *disclosure == Disclosure::CodeOnly && told == Told::Listed {
        return vec![("serves", "not shown to other organisations: `comity explain` says who is served".to_owned())];
    }
    let mut fields = vec![
        ("allowed purposes", joined(allowed_purposes)),
        ("prohibited purposes", joined(prohibited_purposes)),
        ("high-risk uses", known(*high_risk)),
        ("classified at most", joined(classification_ceilings.iter().map(ceiling))),
        ("personal data", accepted_data_categories.as_ref().map_or_else(|| "any".to_owned(), joined)),
    ];
    match caller_rules {
        Some(rules) => fields.extend(rule_fields(rules)),
        None => fields.push(("serves", "unknown: nobody is served".to_owned())),
    }
    fields
}

/// The highest level of a scheme that is accepted.
fn ceiling((scheme, ceiling): (&String, &Ceiling)) -> String {
    let Ceiling { level, caveats } = ceiling;
    let caveats = if caveats.is_empty() { String::new() } else { format!(" ({})", joined(caveats)) };
    format!("{scheme} {level}{caveats}")
}

fn retention(rules: &[RetentionRule]) -> String {
    if rules.is_empty() {
        return "nothing".to_owned();
    }
    listed(rules, |RetentionRule { data, trigger, max_days }| format!("{data} for {max_days} days ({trigger})"))
}

fn review(review: &HumanReview) -> String {
    let HumanReview { mode, reviewer_places } = review;
    match (mode, reviewer_places.is_empty()) {
        (ReviewMode::Never, true) => mode.to_string(),
        (_, true) => format!("{mode} (by people in unknown places)"),
        (_, false) => format!("{mode} (by people in {})", joined(reviewer_places)),
    }
}

fn yes_or_no(flag: bool) -> String {
    if flag { "yes".to_owned() } else { "no".to_owned() }
}

fn certificate(one: &Certification) -> String {
    let Certification {
        scheme,
        edition,
        level,
        auditor,
        issued,
        expires,
        period_start,
        period_end,
        scope_services,
        scope_sites,
    } = one;
    // Whoever asks for a level, an edition or a date is refused where none is stated.
    let more = [
        Some(level.clone().unwrap_or_else(|| "no level".to_owned())),
        Some(edition.as_ref().map_or_else(|| "no edition".to_owned(), |edition| format!("edition {edition}"))),
        auditor.as_ref().map(|auditor| format!("by {auditor}")),
        Some(issued.map_or_else(|| "no date of issue".to_owned(), |at| format!("issued {at}"))),
        Some(expires.map_or_else(|| "no end".to_owned(), |at| format!("expires {at}"))),
        period_start.map(|at| format!("on a period from {at}")),
        period_end.map(|at| format!("on a period until {at}")),
        (!scope_services.is_empty()).then(|| format!("for the models {}", joined(scope_services))),
        (!scope_sites.is_empty()).then(|| format!("for the places {}", joined(scope_sites))),
    ];
    format!("{scheme} ({})", more.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn rule_fields(rules: &CallerRules) -> Vec<(&'static str, String)> {
    let CallerRules {
        served,
        served_except,
        check,
        ownership,
        denied_organisation_types,
        denied_sectors,
        denied_lists,
        min_terms_version,
    } = rules;
    let served = match served {
        Served::Everyone => "everyone".to_owned(),
        Served::Places(places) => joined(places),
    };
    let owners: Vec<_> = ownership.iter().map(ownership_rule).collect();
    vec![
        ("serves", served),
        ("but not", joined(served_except)),
        ("checked of a caller", place_checks(*check)),
        ("not owned or controlled from", if owners.is_empty() { "-".to_owned() } else { owners.join("; ") }),
        ("kinds not served", joined(denied_organisation_types.iter().map(|kind| kind.as_str()))),
        ("sectors not served", joined(denied_sectors)),
        ("nobody on the lists", joined(denied_lists)),
        ("terms accepted since version", min_terms_version.to_string()),
    ]
}

/// Which of a caller's places have to be served.
fn place_checks(check: PlaceChecks) -> String {
    let PlaceChecks { seat, headquarters, access_origin } = check;
    let all = [(seat, "its seat"), (headquarters, "its headquarters"), (access_origin, "where the call comes from")];
    listed(all.into_iter().filter(|(is_checked, _)| *is_checked), |(_, place)| place.to_owned())
}

fn ownership_rule(rule: &OwnershipRule) -> String {
    let OwnershipRule { id, target, test, interests, comparison, threshold_bp, aggregate, indirect, in_force: held } =
        rule;
    let target = match target {
        OwnershipTarget::PlacesNotServed => "places not served".to_owned(),
        OwnershipTarget::Places(places) => joined(places),
        OwnershipTarget::Lists(lists) => format!("lists {}", joined(lists)),
    };
    let test = match test {
        OwnershipTest::Ownership => "ownership",
        OwnershipTest::Control => "control",
        OwnershipTest::Either => "ownership or control",
    };
    let comparison = match comparison {
        Comparison::MoreThan => "more than",
        Comparison::AtLeast => "at least",
    };
    let interests = if interests.is_empty() {
        "capital or votes".to_owned()
    } else {
        interests.iter().map(view::word).collect::<Vec<_>>().join(" or ")
    };
    let holders = if *aggregate { "all such holders together" } else { "each such holder alone" };
    let held: Vec<_> = held.iter().map(in_force).collect();
    let held = if held.is_empty() { "always".to_owned() } else { held.join(" or ") };
    format!(
        "{id}: {target} (by {test}, {comparison} {} of {interests}, {holders}, indirect stakes by {}, in force {held})",
        percent(*threshold_bp),
        view::word(indirect),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_and_retention_are_written_for_people() {
        assert_eq!(units(1_500_000), "1.500000");
        assert_eq!(percent(9_990), "99.90 %");
        assert_eq!(retention(&[]), "nothing");
    }

    #[test]
    fn demands_that_a_listing_leaves_out_are_not_told_to_refuse_everybody_and_of_what_was_signed_none_is_left_out() {
        let said = |disclosure, told| demand_fields(&Terms { disclosure, ..Terms::default() }, told).pop().unwrap().1;
        assert_eq!(said(Disclosure::Full, Told::Listed), "unknown: nobody is served");
        assert!(said(Disclosure::CodeOnly, Told::Listed).starts_with("not shown"));
        assert_eq!(said(Disclosure::CodeOnly, Told::Signed), "unknown: nobody is served");
    }
}
