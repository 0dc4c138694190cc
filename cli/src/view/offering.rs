//! An offer with all its terms, in the words that `comity offer show` has, for whoever shows one: as it is listed, or as it was
//! published when something was decided.

use std::collections::BTreeSet;

use comity_policy::caller_rules::{CallerRules, OwnershipTarget, Served};
use comity_policy::offer::SubProcessor;
use comity_policy::terms::{Ceiling, Certification, Disclosure, Retention, RetentionRule};
use comity_policy::{Offer, Organisation, Terms};
use comity_types::{Money, Price};

use crate::output::{joined, known};
use crate::view;

/// What an offer promises and demands, and who operates it, where that is not told beside it, a line each.
pub(crate) fn fields(offer: &Offer, operator: Option<&Organisation>) -> Vec<(&'static str, String)> {
    let mut fields = model_fields(offer);
    fields.extend([
        ("processed in", view::places(offer.processing_locations.as_ref())),
        ("stored in", view::places(offer.storage_locations.as_ref())),
        ("reached from", view::places(offer.access_locations.as_ref())),
    ]);
    fields.extend(operator.into_iter().flat_map(operator_fields));
    fields.push(("sub-processors", view::claim(offer.sub_processors.as_ref(), sub_processors)));
    match &offer.terms {
        Some(terms) => fields.extend(term_fields(terms)),
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

fn model_fields(offer: &Offer) -> Vec<(&'static str, String)> {
    let in_force = view::validity(&offer.in_force);
    vec![
        ("model", offer.model.to_string()),
        ("model's SHA-256", view::claim(offer.model_digest.as_ref(), ToString::to_string)),
        ("can", joined(offer.capabilities.iter().map(view::word))),
        ("context tokens", known(offer.context_tokens)),
        ("licence", view::claim(offer.licence.as_ref(), Clone::clone)),
        ("price", known(offer.price.as_ref().map(price))),
        ("in force", if in_force.is_empty() { "always".to_owned() } else { in_force.trim().to_owned() }),
    ]
}

fn price(price: &Price) -> String {
    let Price { currency, input_micros_per_million_tokens: input, output_micros_per_million_tokens: output } = price;
    format!("{currency} {} in, {} out, for a million tokens", units(*input), units(*output))
}

/// An amount of money, exactly.
fn money(money: &Money) -> String {
    format!("{} {}", money.currency, units(money.micros))
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

fn term_fields(terms: &Terms) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("version of the terms", terms.version.to_string()),
        ("kept", view::claim(terms.retention.as_ref(), |Retention(rules)| retention(rules))),
        ("trained on", view::claim(terms.training_use.as_ref(), view::word)),
        ("read by people", view::claim(terms.human_review.as_ref(), |review| review.mode.to_string())),
        ("content logged", view::claim(terms.content_logging.as_ref(), |logging| yes_or_no(logging.0))),
        ("certificates", view::claim(terms.certifications.as_ref(), |all| certificates(&all.0))),
        ("leaves the EEA by", view::claim(terms.transfer_basis.as_ref(), view::word)),
        ("governing law", known(terms.governing_law.as_ref())),
        ("courts", known(terms.courts.as_ref())),
        ("liable for at most", known(terms.liability_cap.as_ref().map(money))),
        ("support", known(terms.support.as_ref().map(view::word))),
        ("available", known(terms.availability_bp.map(percent))),
    ];
    fields.extend(demand_fields(terms));
    fields
}

/// What the terms demand of callers, which a listing may leave out.
fn demand_fields(terms: &Terms) -> Vec<(&'static str, String)> {
    if terms.caller_rules.is_none() && terms.disclosure == Disclosure::CodeOnly {
        return vec![("serves", "not shown to other organisations: `comity explain` says who is served".to_owned())];
    }
    let mut fields = vec![
        ("allowed purposes", joined(&terms.allowed_purposes)),
        ("prohibited purposes", joined(&terms.prohibited_purposes)),
        ("high-risk uses", known(terms.high_risk)),
        ("classified at most", joined(terms.classification_ceilings.iter().map(ceiling))),
        ("personal data", terms.accepted_data_categories.as_ref().map_or_else(|| "any".to_owned(), joined)),
    ];
    match &terms.caller_rules {
        Some(rules) => fields.extend(rule_fields(rules)),
        None => fields.push(("serves", "unknown: nobody is served".to_owned())),
    }
    fields
}

/// The highest level of a scheme that is accepted.
fn ceiling((scheme, ceiling): (&String, &Ceiling)) -> String {
    let caveats = if ceiling.caveats.is_empty() { String::new() } else { format!(" ({})", joined(&ceiling.caveats)) };
    format!("{scheme} {}{caveats}", ceiling.level)
}

fn retention(rules: &[RetentionRule]) -> String {
    if rules.is_empty() {
        return "nothing".to_owned();
    }
    let one = |rule: &RetentionRule| {
        format!("{} for {} days ({})", view::word(&rule.data), rule.max_days, view::word(&rule.trigger))
    };
    rules.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn yes_or_no(flag: bool) -> String {
    if flag { "yes".to_owned() } else { "no".to_owned() }
}

fn certificates(all: &BTreeSet<Certification>) -> String {
    let one = |one: &Certification| match &one.level {
        Some(level) => format!("{} ({level})", one.scheme),
        None => one.scheme.clone(),
    };
    if all.is_empty() { "none".to_owned() } else { all.iter().map(one).collect::<Vec<_>>().join(", ") }
}

fn sub_processors(all: &BTreeSet<SubProcessor>) -> String {
    let one = |one: &SubProcessor| {
        let content = if one.content_access { "reads content" } else { "reads no content" };
        format!("{} in {} ({content})", one.id, joined(&one.places))
    };
    if all.is_empty() { "none".to_owned() } else { all.iter().map(one).collect::<Vec<_>>().join(", ") }
}

fn rule_fields(rules: &CallerRules) -> Vec<(&'static str, String)> {
    let served = match &rules.served {
        Served::Everyone => "everyone".to_owned(),
        Served::Places(places) => joined(places),
    };
    let target = |target: &OwnershipTarget| match target {
        OwnershipTarget::PlacesNotServed => "places not served".to_owned(),
        OwnershipTarget::Places(places) => joined(places),
        OwnershipTarget::Lists(lists) => format!("lists {}", joined(lists)),
    };
    let ownership = rules.ownership.iter().map(|rule| format!("{}: {}", rule.id, target(&rule.target)));
    vec![
        ("serves", served),
        ("but not", joined(&rules.served_except)),
        ("not owned or controlled from", joined(ownership)),
        ("kinds not served", joined(rules.denied_organisation_types.iter().map(|kind| kind.as_str()))),
        ("sectors not served", joined(&rules.denied_sectors)),
        ("nobody on the lists", joined(&rules.denied_lists)),
        ("terms accepted since version", rules.min_terms_version.to_string()),
    ]
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
    fn demands_that_a_listing_leaves_out_are_not_told_to_refuse_everybody() {
        let said = |disclosure| demand_fields(&Terms { disclosure, ..Terms::default() }).pop().unwrap().1;
        assert_eq!(said(Disclosure::Full), "unknown: nobody is served");
        assert!(said(Disclosure::CodeOnly).starts_with("not shown"));
    }
}
