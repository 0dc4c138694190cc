//! Requirements in plain words, a line each.

use std::collections::BTreeSet;

use comity_policy::Requirements;
use comity_policy::requirements::{
    AllowLists, ForeignOwnership, NoExposure, PriceCeiling, RequiredCertification, RetentionLimit,
};
use comity_types::Currency;

use crate::output::joined;
use crate::view::offering::{percent, units};
use crate::view::word;

/// Every requirement that is made; nothing where none is. A new one does not compile until it has words.
pub(super) fn requirements(demanded: &Requirements) -> Vec<(&'static str, String)> {
    let Requirements {
        allowed_processing_locations,
        forbidden_processing_locations,
        allowed_storage_locations,
        forbidden_storage_locations,
        allowed_access_locations,
        forbidden_access_locations,
        allowed_operator_seats,
        allowed_controller_seats,
        forbidden_controller_seats,
        no_exposure,
        foreign_ownership,
        forbidden_sub_processors,
        transfer_basis_outside,
        retention_limits,
        no_training,
        no_human_review,
        no_content_logging,
        required_certifications,
        min_seal,
        min_cada_level,
        min_gaiax_label,
        min_safety_grade,
        min_assurance,
        allowed_licences,
        allowed_governing_laws,
        min_liability_caps,
        min_support,
        min_availability_bp,
        max_prices,
        required_capabilities,
    } = demanded;
    let never = |demanded: bool| demanded.then(|| "never".to_owned());
    let lines = [
        ("processed only in", lists(allowed_processing_locations)),
        ("not processed in", any_of(forbidden_processing_locations)),
        ("stored only in", lists(allowed_storage_locations)),
        ("not stored in", any_of(forbidden_storage_locations)),
        ("reached only from", lists(allowed_access_locations)),
        ("not reached from", any_of(forbidden_access_locations)),
        ("operator seated only in", lists(allowed_operator_seats)),
        ("operator controlled only from", lists(allowed_controller_seats)),
        ("operator not controlled from", any_of(forbidden_controller_seats)),
        ("out of reach of", each(no_exposure, exposure)),
        ("owned by others at most", each(foreign_ownership, owned)),
        ("not with the sub-processors", any_of(forbidden_sub_processors)),
        ("only by a ground of the GDPR out of", lists(transfer_basis_outside)),
        ("kept at most", each(retention_limits, kept)),
        ("trained on", never(*no_training)),
        ("read by people", never(*no_human_review)),
        ("content logged", never(*no_content_logging)),
        ("certificates", each(required_certifications, certificate)),
        ("sovereignty at least", each(min_seal, |(objective, rating)| format!("{} {rating}", word(objective)))),
        ("CADA level at least", min_cada_level.map(|level| level.to_string())),
        ("Gaia-X label at least", min_gaiax_label.map(|label| label.to_string())),
        ("safety grade at least", min_safety_grade.map(|grade| grade.to_string())),
        ("believed only if", each(min_assurance, |(path, assurance)| format!("{path} is {}", assurance.as_str()))),
        ("licence one of", lists(allowed_licences)),
        ("governing law one of", lists(allowed_governing_laws)),
        ("liable for at least", each(min_liability_caps, |(currency, cap)| format!("{currency} {}", units(*cap)))),
        ("support at least", min_support.map(|support| support.to_string())),
        ("available at least", min_availability_bp.map(percent)),
        ("price at most", each(max_prices, price)),
        ("can", any_of(required_capabilities)),
    ];
    lines.into_iter().filter_map(|(what, said)| Some((what, said?))).collect()
}

/// Lists of which every one has to hold; an empty one allows nothing.
fn lists<T: Ord + ToString>(AllowLists(lists): &AllowLists<T>) -> Option<String> {
    let one =
        |list: &BTreeSet<T>| if list.is_empty() { "nothing".to_owned() } else { joined(list.iter().map(T::to_string)) };
    match lists.len() {
        0 => None,
        1 => lists.first().map(one),
        _ => Some(lists.iter().map(|list| format!("[{}]", one(list))).collect::<Vec<_>>().join(" and ")),
    }
}

/// Things side by side; none where there are none.
fn any_of<T: ToString>(things: &BTreeSet<T>) -> Option<String> {
    (!things.is_empty()).then(|| joined(things.iter().map(T::to_string)))
}

/// Demands of which every one has to hold; none where there are none.
fn each<T>(demands: impl IntoIterator<Item = T>, one: impl Fn(T) -> String) -> Option<String> {
    let all: Vec<_> = demands.into_iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(", and "))
}

fn exposure(demand: &NoExposure) -> String {
    let NoExposure { regime, accept_attested_runtimes } = demand;
    let unless = any_of(accept_attested_runtimes).map(|names| format!(" (or in an attested {names})"));
    format!("{regime}{}", unless.unwrap_or_default())
}

fn owned(demand: &ForeignOwnership) -> String {
    let ForeignOwnership { home, individual_bp, aggregate_bp, indirect, interests } = demand;
    let interests = any_of_words(interests).unwrap_or_else(|| "capital and votes".to_owned());
    format!(
        "{} each and {} together by others than {} (in {interests}, {})",
        percent(*individual_bp),
        percent(*aggregate_bp),
        joined(home),
        word(indirect)
    )
}

fn any_of_words<T: serde::Serialize>(things: &BTreeSet<T>) -> Option<String> {
    (!things.is_empty()).then(|| joined(things.iter().map(word)))
}

fn kept(limit: &RetentionLimit) -> String {
    let RetentionLimit { max_days, accept_triggers } = limit;
    let days = if *max_days == 0 { "not at all".to_owned() } else { format!("{max_days} days") };
    let longer = any_of(accept_triggers).map(|triggers| format!(" (longer for {triggers})"));
    format!("{days}{}", longer.unwrap_or_default())
}

fn certificate(demand: &RequiredCertification) -> String {
    let RequiredCertification { scheme, level, editions, max_age_days } = demand;
    let more = [
        level.as_ref().map(|level| format!("at least {level}")),
        any_of(editions).map(|editions| format!("editions {editions}")),
        max_age_days.map(|days| format!("at most {days} days old")),
    ];
    let more: Vec<_> = more.into_iter().flatten().collect();
    if more.is_empty() { scheme.clone() } else { format!("{scheme} ({})", more.join(", ")) }
}

fn price((currency, ceiling): (&Currency, &PriceCeiling)) -> String {
    let PriceCeiling { input_micros, output_micros } = ceiling;
    format!("{currency} {} in, {} out, for a million tokens", units(*input_micros), units(*output_micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> Vec<(&'static str, String)> {
        requirements(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn what_is_demanded_is_said_in_words_and_what_is_not_is_not_said() {
        assert_eq!(words("{}"), []);
        let said = words(
            r#"{"allowed_processing_locations":[["DE","FR"]],"allowed_storage_locations":[["EU"],["DE"]],
            "allowed_licences":[[]],"forbidden_access_locations":["US"],"no_training":true,
            "retention_limits":[{"max_days":0},{"max_days":30,"accept_triggers":["legal-obligation"]}],
            "foreign_ownership":[{"home":["EU"],"individual_bp":2400,"aggregate_bp":3900}],
            "no_exposure":[{"regime":"US-CLOUD-ACT","accept_attested_runtimes":["snp"]}],
            "required_certifications":[{"scheme":"BSI-C5","level":"type-2"},{"scheme":"ISO27001"}],
            "min_liability_caps":{"EUR":1500000},"min_availability_bp":9990,
            "max_prices":{"EUR":{"input_micros":1,"output_micros":2000000}}}"#,
        );
        let expected = [
            ("processed only in", "DE FR"),
            ("stored only in", "[DE] and [EU]"),
            ("not reached from", "US"),
            ("out of reach of", "US-CLOUD-ACT (or in an attested snp)"),
            (
                "owned by others at most",
                "24.00 % each and 39.00 % together by others than EU (in capital and votes, cascade)",
            ),
            ("kept at most", "not at all, and 30 days (longer for legal-obligation)"),
            ("trained on", "never"),
            ("certificates", "BSI-C5 (at least type-2), and ISO27001"),
            ("licence one of", "nothing"),
            ("liable for at least", "EUR 1.500000"),
            ("available at least", "99.90 %"),
            ("price at most", "EUR 0.000001 in, 2.000000 out, for a million tokens"),
        ];
        assert_eq!(said, expected.map(|(what, said)| (what, said.to_owned())));
    }
}
