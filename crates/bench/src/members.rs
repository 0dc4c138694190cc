//! Organisations: those that operate nodes, and those that ask.

use comity_policy::Organisation;
use serde_json::{Value, json};

use crate::dice::Dice;

/// Where organisations have their seat, of a hundred.
pub(crate) const SEATS: &[(usize, &str)] = &[
    (26, "US"),
    (12, "DE"),
    (11, "FR"),
    (8, "GB"),
    (6, "NL"),
    (5, "CH"),
    (4, "SE"),
    (3, "IE"),
    (3, "ES"),
    (3, "IT"),
    (2, "PL"),
    (2, "FI"),
    (2, "NO"),
    (3, "CA"),
    (3, "JP"),
    (2, "KR"),
    (2, "SG"),
    (1, "IN"),
    (1, "BR"),
    (1, "AU"),
];

/// An organisation that operates nodes.
pub(crate) fn operator(index: usize, dice: &mut Dice) -> Organisation {
    let seat = *dice.weighted(SEATS);
    let mut facts = facts("op", index, seat, dice);
    if dice.percent(40) {
        set(&mut facts, "dpf_participation", json!(dice.percent(60)));
    }
    read(facts)
}

/// An organisation that asks.
pub(crate) fn caller(index: usize, dice: &mut Dice) -> Organisation {
    let seat = *dice.one(&["DE", "FR", "NL", "SG", "US", "SE", "CH", "ES"]);
    let mut facts = facts("ca", index, seat, dice);
    set(&mut facts, "sector", json!(dice.one(&["84.11", "62.01", "86.10", "64.19"])));
    set(&mut facts, "organisation_type", json!(dice.one(&["governmental", "commercial", "academic-scientific"])));
    set(&mut facts, "restricted_party_lists", json!([]));
    read(facts)
}

fn facts(kind: &str, index: usize, seat: &str, dice: &mut Dice) -> Value {
    let elsewhere = *dice.weighted(SEATS);
    let mut establishments = vec![seat];
    if dice.percent(30) {
        establishments.push(elsewhere);
    }
    let mut facts = json!({
        "trust_domain": format!("{kind}{index}.example"),
        "name": format!("{kind} {index}"),
        "seat": seat,
        "headquarters": seat,
        "principal_place_of_business": seat,
        "establishments": establishments,
    });
    if let Some(ownership) = ownership(&format!("{kind} {index}"), seat, elsewhere, dice) {
        set(&mut facts, "ownership", ownership);
    }
    facts
}

/// Who owns it, each by a name of its own: mostly somebody at home, sometimes a foreign parent, several, free float, or
/// nobody says.
fn ownership(whose: &str, seat: &str, elsewhere: &str, dice: &mut Dice) -> Option<Value> {
    let [one, other] = ["Holding", "Fund"].map(|kind| format!("{kind} of {whose}"));
    let of = |holder: &str, share: Value| json!({ "holder": holder, "share": share });
    let (at_home, abroad) = (json!({ "seat": seat }), json!({ "seat": elsewhere }));
    let (parties, stakes) = match dice.below(100) {
        0..55 => (json!({ one.clone(): at_home }), json!([of(&one, json!({ "percent": 100 }))])),
        55..70 => (json!({ one.clone(): abroad }), json!([of(&one, json!({ "percent": 100 }))])),
        70..80 => (
            json!({ one.clone(): at_home, other.clone(): abroad, "F": { "kind": "dispersed" } }),
            json!([
                of(&one, json!({ "percent": 40 })),
                of(&other, json!({ "at_least": 25, "at_most": 35 })),
                of("F", json!({ "percent": 25 })),
            ]),
        ),
        80..90 => (
            json!({ one.clone(): at_home, other.clone(): abroad }),
            json!([
                of(&one, json!({ "percent": 80 })),
                { "subject": one, "holder": other, "share": { "percent": 51 } },
            ]),
        ),
        _ => return None,
    };
    Some(json!({ "parties": parties, "stakes": stakes }))
}

/// Sets a field.
pub(crate) fn set(facts: &mut Value, field: &str, value: Value) {
    if let Some(fields) = facts.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

#[expect(clippy::expect_used, reason = "measurements end loudly")]
fn read(facts: Value) -> Organisation {
    serde_json::from_value(facts).expect("facts that the policy reads")
}
