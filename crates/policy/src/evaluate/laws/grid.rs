//! What chance would seldom bring together, one by one: every pair of demands of a kind, every value that they read,
//! every day.

use comity_types::Timestamp;
use serde_json::{Value, json};

use super::demands::{families, of, read_by};
use super::facts::{GOOD, PLAIN};
use super::world::{DAYS, Read, World, claims};
use crate::evaluate::Verdict;

/// The good world with each value of each thing that a demand reads; claims declared, and audited.
fn worlds(demand: &Value) -> Vec<Read> {
    let mut all = Vec::new();
    for path in read_by(demand) {
        let claim = claims().into_iter().find(|(claim, _)| *claim == path).map(|(_, values)| values);
        let plain = PLAIN.iter().find(|(plain, _)| *plain == path).map(|(_, values)| *values);
        for text in claim.or(plain).unwrap_or_default() {
            let value: Value = serde_json::from_str(text).unwrap();
            let audited = json!({ "value": value, "issuer": "AUDITOR", "assurance": "audited" });
            for stated in [Some(value), claim.map(|_| audited)].into_iter().flatten() {
                let mut world = World(serde_json::from_str(GOOD).unwrap());
                world.set(&path, stated);
                all.push(world.read());
            }
        }
    }
    all
}

#[test]
fn l1_holds_for_every_two_demands_of_a_kind() {
    for family in families() {
        let layers: Vec<_> = family.iter().cloned().map(of).collect();
        for world in worlds(&family[0]) {
            let alone: Vec<_> = layers.iter().map(|layer| world.is_eligible(layer)).collect();
            for (one, first) in layers.iter().enumerate() {
                for (other, second) in layers.iter().enumerate() {
                    let both = world.is_eligible(&first.clone().meet(second.clone()));
                    assert_eq!(both, alone[one] && alone[other], "{} and {}", family[one], family[other]);
                }
            }
        }
    }
}

#[test]
fn an_eligible_verdict_holds_on_every_later_day_until_it_expires() {
    let days = DAYS.map(|day| day.parse::<Timestamp>().unwrap());
    for demand in families().concat() {
        let layer = of(demand.clone());
        for mut world in worlds(&demand) {
            let mut on = |day: Timestamp| {
                world.as_of = day;
                world.verdict(&layer)
            };
            for (index, day) in days.iter().enumerate() {
                let Verdict::Eligible { expires_at } = on(*day) else { continue };
                for later in days.iter().skip(index).filter(|later| expires_at.is_none_or(|end| **later < end)) {
                    assert!(on(*later).reasons().is_empty(), "{demand}: {day} to {expires_at:?}, and not on {later}");
                }
            }
        }
    }
}
