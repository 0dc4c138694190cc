//! Whether the codes in terms and offers mean anything: a typo would refuse everybody, or prohibit nothing.

use std::collections::BTreeSet;

use comity_policy::offer::{CallerRules, OwnershipTarget, Served};
use comity_policy::requirements::RequirementsTable;
use comity_policy::{Tables, Terms};
use comity_types::PlaceOrBloc;

use super::{Config, Misfit};

/// Every code that no table of this version has, and every licence that cannot be one.
pub(super) fn unknown(config: &Config, tables: &Tables) -> Vec<Misfit> {
    let in_terms = config.terms.iter().flat_map(|(name, terms)| {
        let unknown = unknown_in_terms(terms, tables).into_iter();
        unknown.map(move |(field, problem)| Misfit::new(format!("terms.{name}.{field}"), problem))
    });
    let licences = config.offers.iter().filter_map(|offer| {
        let licence = &offer.licence.as_ref()?.value;
        let problem = format!("{licence:?} is no SPDX identifier such as Apache-2.0, nor LicenseRef-...: correct it");
        (!is_licence(licence)).then(|| Misfit::new(format!("offers.{}.licence", offer.id), problem))
    });
    in_terms.chain(licences).collect()
}

fn unknown_in_terms(terms: &Terms, tables: &Tables) -> Vec<(&'static str, String)> {
    let purposes = [("allowed_purposes", &terms.allowed_purposes), ("prohibited_purposes", &terms.prohibited_purposes)];
    let purposes = purposes.into_iter().flat_map(|(field, list)| {
        list.iter()
            .filter(|purpose| !knows_purpose(tables, purpose))
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
        OwnershipTarget::PlacesNotServed => None,
        OwnershipTarget::Places(places) => Some(("caller_rules.ownership", places)),
    });
    served.into_iter().chain([("caller_rules.served_except", &rules.served_except)]).chain(targets).collect()
}

/// Whether the table of purposes has it; requirements are refused for the purposes that it does not have.
fn knows_purpose(tables: &Tables, purpose: &str) -> bool {
    RequirementsTable { purposes: [purpose.to_owned()].into(), ..Default::default() }.expand(tables).is_ok()
}

/// Whether it is a place, which its type has checked, or a bloc with members.
fn knows_place(tables: &Tables, code: &PlaceOrBloc) -> bool {
    code.place().is_some() || tables.blocs().any(|(bloc, _)| bloc == code.as_str())
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
