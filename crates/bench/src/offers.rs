//! Offers: a few models, places and terms, written again and again, and prices of their own.

use comity_policy::{Offer, Organisation};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::members::{SEATS, set};

/// Models, with their licence and their modalities; the first are offered most.
const MODELS: &[(usize, (&str, &str, &str))] = &[
    (20, ("llama-4-maverick", "LicenseRef-Llama-4", "image")),
    (18, ("llama-3.3-70b", "LicenseRef-Llama-3.3", "text")),
    (16, ("mistral-small-3", "Apache-2.0", "text")),
    (14, ("qwen-3-32b", "Apache-2.0", "text")),
    (12, ("gemma-3-27b", "LicenseRef-Gemma", "image")),
    (10, ("deepseek-v3", "MIT", "text")),
    (8, ("phi-4", "MIT", "text")),
    (6, ("command-r-plus", "CC-BY-NC-4.0", "text")),
    (5, ("mixtral-8x22b", "Apache-2.0", "text")),
    (4, ("granite-3-8b", "Apache-2.0", "text")),
    (3, ("olmo-2-32b", "Apache-2.0", "text")),
    (2, ("apertus-70b", "Apache-2.0", "text")),
];
/// How many numbered variants each model has: sizes, contexts, quantisations.
const VARIANTS: usize = 5;

/// An offer of one of the operators.
pub(crate) fn offer(index: usize, operators: &[Organisation], dice: &mut Dice) -> Offer {
    let operator = dice.one(operators);
    let seat = operator.seat.iter().flat_map(|claim| claim.statements()).next().map(|one| one.value.to_string());
    let seat = seat.unwrap_or_default();
    let (model, licence, modality) = *dice.weighted(MODELS);
    let places = places(&seat, dice);
    let access = if dice.percent(15) { with_another(&places, dice) } else { places.clone() };
    let mut offer = json!({
        "id": format!("o{index}"),
        "node": format!("spiffe://{}/node/n{}", operator.trust_domain, index % 4),
        "model": format!("{model}-{}", dice.below(VARIANTS)),
        "capabilities": capabilities(dice),
        "modalities": if modality == "image" { json!(["text", "image"]) } else { json!(["text"]) },
        "processing_locations": places,
        "storage_locations": places,
        "access_locations": access,
        "sub_processors": sub_processors(&seat, dice),
        "licence": licence,
        "price": {
            "currency": if seat == "US" { "USD" } else { "EUR" },
            "input_micros_per_million_tokens": 50_000 + dice.below(4_000) * 1_000,
            "output_micros_per_million_tokens": 150_000 + dice.below(12_000) * 1_000,
        },
        "terms": terms(&seat, dice),
    });
    if dice.percent(30) {
        set(&mut offer, "seal", json!({ "SOV-1": dice.below(5), "SOV-2": dice.below(5), "SOV-3": dice.below(5) }));
    }
    if dice.percent(20) {
        let until = format!("2027-{:02}-{:02}", 1 + dice.below(12), 1 + dice.below(28));
        set(&mut offer, "in_force", json!({ "until": until }));
    }
    read(offer)
}

/// Where it runs: at home, in one place elsewhere, or in several.
fn places(seat: &str, dice: &mut Dice) -> Vec<String> {
    let mut places = vec![seat.to_owned()];
    match dice.below(100) {
        0..65 => {}
        65..80 => places = vec![(*dice.weighted(SEATS)).to_owned()],
        80..95 => places = with_another(&places, dice),
        _ => places = with_another(&with_another(&places, dice), dice),
    }
    places
}

fn with_another(places: &[String], dice: &mut Dice) -> Vec<String> {
    let (another, mut places) = (*dice.weighted(SEATS), places.to_vec());
    if !places.iter().any(|place| place == another) {
        places.push(another.to_owned());
    }
    places
}

fn capabilities(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => json!(["chat"]),
        1 => json!(["chat", "tools"]),
        2 => json!(["chat", "tools", "json-schema"]),
        _ => json!(["chat", "forward", "tools", "json-schema"]),
    }
}

fn sub_processors(seat: &str, dice: &mut Dice) -> Value {
    let host = |name: &str, place: &str, reads: bool| {
        json!({
            "id": name, "role": "cloud-host", "places": [place], "content_access": reads,
            "seat": place, "principal_place_of_business": place, "establishments": [place], "ultimate_controllers": [],
        })
    };
    match dice.below(100) {
        0..55 => json!([]),
        55..75 => json!([host("CLOUD-US", "US", true)]),
        75..90 => json!([host("CLOUD-HOME", seat, true)]),
        _ => json!([host("BILLING", "IE", false)]),
    }
}

fn terms(seat: &str, dice: &mut Dice) -> Value {
    let mut terms = json!({
        "retention": retention(dice),
        "training_use": dice.weighted(&[(70, "never"), (15, "opt-in"), (10, "opt-out"), (5, "always")]),
        "human_review": { "mode": dice.weighted(&[(60, "never"), (30, "flagged-only"), (10, "routine")]) },
        "content_logging": dice.percent(15),
        "certifications": certifications(dice),
        "governing_law": seat,
        "high_risk": if dice.percent(70) { "allowed" } else { "prohibited" },
        "caller_rules": caller_rules(dice),
    });
    let (allowed, prohibited) = match dice.below(4) {
        0 => (json!(["dpv:Purpose"]), json!([])),
        1 => (json!(["dpv:Purpose"]), json!(["fed:MilitaryUse"])),
        2 => (json!(["dpv:Purpose"]), json!(["fed:MilitaryUse", "dpv:Marketing"])),
        _ => (json!(["dpv:ServiceProvision", "dpv:ResearchAndDevelopment"]), json!(["fed:MilitaryUse"])),
    };
    set(&mut terms, "allowed_purposes", allowed);
    set(&mut terms, "prohibited_purposes", prohibited);
    terms
}

fn retention(dice: &mut Dice) -> Value {
    let rule =
        |data: &str, trigger: &str, max_days: usize| json!({ "data": data, "trigger": trigger, "max_days": max_days });
    match dice.below(5) {
        0 => json!([]),
        1 => json!([rule("metadata", "routine", 365)]),
        2 => json!([rule("content", "abuse-monitoring", 30), rule("content", "legal-obligation", 3650)]),
        3 => json!([rule("content", "legal-obligation", 3650)]),
        _ => json!([rule("content", "routine", 30), rule("metadata", "routine", 90)]),
    }
}

fn certifications(dice: &mut Dice) -> Value {
    let iso = json!({ "scheme": "ISO27001", "edition": "2022", "issued": "2025-03-01", "expires": "2028-03-01" });
    let c5 = json!({ "scheme": "BSI-C5", "edition": "2020", "level": "type-2", "issued": "2026-08-01", "period_start": "2025-07-01", "period_end": "2026-06-30" });
    match dice.below(4) {
        0 => json!([]),
        1 => json!([iso]),
        2 => json!([iso, c5]),
        _ => json!([c5]),
    }
}

/// Everybody, some blocs, or a list with exceptions and a rule on owners, as vendors in the United States have it.
fn caller_rules(dice: &mut Dice) -> Value {
    match dice.below(100) {
        0..45 => json!({ "served": "everyone" }),
        45..60 => json!({ "served": ["EEA", "CH", "GB"] }),
        60..70 => json!({ "served": "everyone", "served_except": ["RU", "BY", "KP"], "denied_lists": ["OFAC-SDN"] }),
        70..75 => json!({ "served": ["EU"], "denied_organisation_types": ["military"] }),
        _ => json!({
            "served": ["EEA", "GB", "CH", "US", "CA", "JP", "KR", "SG", "IN", "BR", "AU", "TW", "UA"],
            "served_except": ["UA-43", "UA-40", "UA-14", "UA-09"],
            "ownership": [{ "id": "V50", "target": "places-not-served", "threshold_bp": 5000 }],
        }),
    }
}

#[expect(clippy::expect_used, reason = "measurements end loudly")]
fn read(offer: Value) -> Offer {
    serde_json::from_value(offer).expect("an offer that the policy reads")
}
