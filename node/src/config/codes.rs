//! Whether the codes in terms and offers mean anything: a typo would refuse everybody, or prohibit nothing.

use std::collections::BTreeSet;

use comity_policy::caller_rules::{CallerRules, OwnershipTarget, Served};
use comity_policy::{Claim, Tables, Terms};
use comity_types::PlaceOrBloc;

use super::{Config, Misfit};

/// Every code that no table of this version has, and every licence that cannot be one.
pub(super) fn unknown(config: &Config, tables: &Tables) -> Vec<Misfit> {
    let in_terms = config.terms.iter().flat_map(|(name, terms)| {
        let unknown = unknown_in_terms(terms, tables).into_iter();
        unknown.map(move |(field, problem)| Misfit::new(format!("terms.{name}.{field}"), problem))
    });
    let licences = config.offers.iter().filter_map(|offer| {
        let licence =
            offer.licence.iter().flat_map(Claim::statements).map(|one| &one.value).find(|one| !is_licence(one))?;
        let problem = format!("{licence:?} is no SPDX identifier such as Apache-2.0, nor LicenseRef-...: correct it");
        Some(Misfit::new(format!("offers.{}.licence", offer.id), problem))
    });
    let places = config.offers.iter().flat_map(|offer| {
        let axes = [
            ("processing_locations", &offer.processing_locations),
            ("storage_locations", &offer.storage_locations),
            ("access_locations", &offer.access_locations),
        ];
        let stated = axes.into_iter().flat_map(|(field, claim)| {
            let statements = claim.iter().flat_map(Claim::statements);
            statements.flat_map(|one| &one.value).map(move |place| (field, place))
        });
        let unknown = stated.filter(|(_, place)| !tables.places.knows(place));
        unknown.map(|(field, place)| {
            let problem =
                format!("{place} is no place of ISO 3166: correct it (the United Kingdom is GB, Greece is GR)");
            Misfit::new(format!("offers.{}.{field}", offer.id), problem)
        })
    });
    in_terms.chain(licences).chain(places).collect()
}

fn unknown_in_terms(terms: &Terms, tables: &Tables) -> Vec<(&'static str, String)> {
    let purposes = [("allowed_purposes", &terms.allowed_purposes), ("prohibited_purposes", &terms.prohibited_purposes)];
    let purposes = purposes.into_iter().flat_map(|(field, list)| {
        list.iter()
            .filter(|purpose| !tables.purposes.knows(purpose))
            .map(move |purpose| (field, purpose_problem(purpose)))
    });
    let places = terms.caller_rules.iter().flat_map(places).flat_map(|(field, set)| {
        set.iter().filter(|code| !knows_place(tables, code)).map(move |code| (field, place_problem(code)))
    });
    purposes.chain(places).collect()
}

/// Every set of places and blocs in the rules, with its field.
fn places(rules: &CallerRules) -> Vec<(&'static str, &BTreeSet<PlaceOrBloc>)> {
    let served = match &rules.served {
        Served::Everyone => None,
        Served::Places(places) => Some(("caller_rules.served", places)),
    };
    let targets = rules.ownership.iter().filter_map(|rule| match &rule.target {
        OwnershipTarget::PlacesNotServed | OwnershipTarget::Lists(_) => None,
        OwnershipTarget::Places(places) => Some(("caller_rules.ownership", places)),
    });
    served.into_iter().chain([("caller_rules.served_except", &rules.served_except)]).chain(targets).collect()
}

/// Whether it is a place or a bloc of the tables.
fn knows_place(tables: &Tables, code: &PlaceOrBloc) -> bool {
    code.place().map_or_else(|| tables.blocs.knows(code.as_str()), |place| tables.places.knows(&place))
}

/// The grammar of an identifier of the SPDX licence list, and of `LicenseRef-`.
fn is_licence(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'+'))
}

fn purpose_problem(purpose: &str) -> String {
    format!(
        "no purpose {purpose:?} is in the Data Privacy Vocabulary as this version knows it: correct it, as in dpv:Marketing"
    )
}

fn place_problem(code: &PlaceOrBloc) -> String {
    format!("no bloc {code:?} is known: correct it, as in DE, US-CA or EU", code = code.as_str())
}
