//! Owners whose shares are known within bounds, and the same with wider bounds (VOCABULARY D10).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::demands::families;
use super::world::{RULES, World, good, ownership_rules};

/// What is demanded of an operator that its ownership may answer.
const KEYS: [&str; 4] = ["allowed_controller_seats", "forbidden_controller_seats", "no_exposure", "foreign_ownership"];

/// A share in percent: at least, at most, and how much further the bounds of the wider world are.
type Bounds = (u32, u32, u32, u32);

/// A world whose operator or caller has owners that are asked about, and the same with wider bounds.
pub(super) fn wider() -> impl Strategy<Value = (World, World)> {
    (asked(), graphs(), select(vec!["null", "[]"])).prop_map(|((who, asked), (narrow, wide), controllers)| {
        let world = |ownership: Value| {
            let mut world = good();
            for (path, value) in &asked {
                world.set(path, value.clone());
            }
            world.set(&format!("{who}.ultimate_controllers"), serde_json::from_str(controllers).unwrap());
            world.set(&format!("{who}.ownership"), ownership);
            world
        };
        (world(narrow), world(wide))
    })
}

/// Of whom, and what.
fn asked() -> impl Strategy<Value = (&'static str, Vec<(String, Value)>)> {
    let all: Vec<Value> = families().into_iter().flatten().collect();
    let asks = |demand: &Value| demand.as_object().unwrap().keys().any(|key| KEYS.contains(&key.as_str()));
    let demand = select(all.into_iter().filter(asks).collect::<Vec<_>>()).prop_map(|demand| {
        let keys = demand.as_object().unwrap().iter().map(|(key, value)| (format!("require.{key}"), value.clone()));
        ("operator", keys.collect::<Vec<_>>())
    });
    prop_oneof![demand, ownership_rules().prop_map(|rules| ("caller", vec![(RULES.to_owned(), rules)]))]
}

/// Something that is held, by whom, how, and how much of it.
type Stake = (&'static str, &'static str, &'static str, Bounds);

/// Any stakes, most of which leave much undisclosed; or two owners that share nearly the whole, between whom a few percent
/// decide.
fn stakes() -> impl Strategy<Value = Vec<Stake>> {
    let interest = prop_oneof![5 => Just("shareholding"), 2 => Just("voting-rights"), 1 => Just("golden-share")];
    let bounds = (0..=70_u32, 0..40_u32, 0..30_u32, 0..30_u32);
    let stake = (select(vec!["self", "self", "H"]), select(vec!["P", "Q", "H"]), interest, bounds);
    let few = || (0..4_u32, 0..12_u32, 0..12_u32);
    let two = (select(vec!["self", "H"]), 35..=65_u32, few(), few()).prop_map(|(subject, of_p, p, q)| {
        let of = |holder, least, (spread, down, up)| (subject, holder, "shareholding", (least, spread, down, up));
        let whole = ("self", "H", "shareholding", (100, 0, 0, 0));
        let held = (subject == "H").then_some(whole);
        [of("P", of_p, p), of("Q", 100 - of_p, q)].into_iter().chain(held).collect()
    });
    prop_oneof![proptest::collection::vec(stake, 1..6), two]
}

/// Owners P and Q, directly and through a holding H.
fn graphs() -> impl Strategy<Value = (Value, Value)> {
    let seat = || select(vec![r#""FR""#, r#""DE""#, r#""US""#, r#""CN""#, r#""UK""#, "null"]);
    let parties = (seat(), seat(), seat());
    (parties, stakes()).prop_map(|((p, q, h), stakes)| {
        let party = |seat: &str| json!({ "seat": serde_json::from_str::<Value>(seat).unwrap() });
        let parties = json!({ "P": party(p), "Q": party(q), "H": party(h) });
        let (mut seen, mut left) = (BTreeSet::new(), BTreeMap::new());
        let (mut narrow, mut wide) = (Vec::new(), Vec::new());
        for (subject, holder, interest, (least, spread, down, up)) in stakes {
            if subject == holder || !seen.insert((subject, holder, interest)) {
                continue;
            }
            // No more than the whole is held.
            let rest = left.entry((subject, interest)).or_insert(100_u32);
            let least = least.min(*rest);
            *rest -= least;
            let stake = |(least, most): (u32, u32)| {
                json!({ "subject": subject, "holder": holder, "interest": interest,
                        "share": { "at_least": least, "at_most": most } })
            };
            let (now, then) = bounds_of((least, spread, down, up));
            narrow.push(stake(now));
            wide.push(stake(then));
        }
        (json!({ "parties": parties, "stakes": narrow }), json!({ "parties": parties, "stakes": wide }))
    })
}

fn bounds_of((least, spread, down, up): Bounds) -> ((u32, u32), (u32, u32)) {
    let most = (least + spread).min(100);
    ((least, most), (least.saturating_sub(down), (most + up).min(100)))
}

#[test]
fn the_narrow_worlds_are_often_rejected_and_often_not() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    const WORLDS: usize = 400;
    let eligible = (0..WORLDS)
        .map(|_| wider().new_tree(&mut runner).unwrap().current().0.read())
        .filter(|world| world.own().reasons().is_empty())
        .count();
    assert!((WORLDS / 10..WORLDS * 9 / 10).contains(&eligible), "{eligible} of {WORLDS} are eligible");
}
