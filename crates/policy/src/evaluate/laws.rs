//! The laws of the vocabulary (section 2, D4), for the whole engine and for offers, callers and demands at random.
//!
//! | module | holds |
//! |---|---|
//! | [`facts`] | what offers, terms and organisations may state |
//! | [`demands`] | what callers may demand and declare |
//! | [`world`] | a good world, and random changes of it |
//! | [`less`] | the same with less said |
//! | [`wider`] | the same with shares of owners known less well |
//! | [`grid`] | what chance would seldom bring together, one by one |
//! | [`layers`] | what an organisation demands of its own requests |
//! | [`help`] | what would help, and what is better |
//!
//! L7 is about the index, and held there.

mod demands;
mod facts;
mod grid;
mod help;
mod layers;
mod less;
mod wider;
pub(crate) mod world;

use std::time::Duration;

use comity_types::Timestamp;
use demands::layer;
use less::{Less, is_beyond_l2, less};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use serde_json::Value;
use wider::wider;
use world::{DAYS, World, theme, world};

use super::Verdict;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn l1_what_two_layers_allow_is_what_each_of_them_allows(
        worlds in proptest::collection::vec(world(), 1..3), a in layer(), b in layer()
    ) {
        let both = a.clone().meet(b.clone());
        for world in worlds.iter().map(World::read) {
            prop_assert_eq!(world.is_eligible(&both), world.is_eligible(&a) && world.is_eligible(&b));
        }
    }

    #[test]
    fn l1_holds_where_layers_demand_the_same_in_different_ways((world, a, b) in theme()) {
        let (world, both) = (world.read(), a.clone().meet(b.clone()));
        prop_assert_eq!(world.is_eligible(&both), world.is_eligible(&a) && world.is_eligible(&b), "{:?}", world.own());
    }

    #[test]
    fn l1_layers_meet_in_any_order_and_as_often_as_one_likes(a in layer(), b in layer(), c in layer()) {
        let meet = |one: &crate::Requirements, other: &crate::Requirements| one.clone().meet(other.clone());
        prop_assert_eq!(meet(&a, &b), meet(&b, &a));
        prop_assert_eq!(meet(&meet(&a, &b), &c), meet(&a, &meet(&b, &c)));
        prop_assert_eq!(&meet(&a, &a), &a);
        prop_assert_eq!(meet(&a, &crate::Requirements::default()), a);
    }

    #[test]
    fn l2_saying_less_never_makes_an_offer_eligible(
        world in world(), picks in proptest::collection::vec((any::<Index>(), select(Less::ALL.to_vec())), 1..6)
    ) {
        let (before, changed) = (world.read(), world.changed_claims());
        prop_assume!(!changed.is_empty() && !before.is_eligible(&before.file.requirements));
        let mut all = world.clone();
        for (which, how) in picks {
            let path = which.get::<String>(&changed);
            // Each alone, and with those before it.
            all = less(&all, path, how);
            for one in [&less(&world, path, how), &all] {
                let after = one.read();
                let law = !after.is_eligible(&before.file.requirements) || is_beyond_l2(&before, &after);
                prop_assert!(law, "{} {:?} of {:?}", path, how, before.own());
            }
        }
    }

    #[test]
    fn knowing_less_of_shares_never_makes_an_offer_eligible((narrow, wide) in wider()) {
        let (narrow, wide) = (narrow.read(), wide.read());
        prop_assert!(narrow.own().reasons().is_empty() || !wide.own().reasons().is_empty(), "{:?}", narrow.own());
    }

    #[test]
    fn l3_the_order_of_lists_statements_and_rules_changes_nothing(world in world()) {
        let mut turned = world.clone();
        reverse(&mut turned.0);
        prop_assert_eq!(turned.read().own(), world.read().own());
    }

    #[test]
    fn l5_the_same_question_has_the_same_answer_to_the_byte(world in world()) {
        prop_assert_eq!(format!("{:?}", world.read().own()), format!("{:?}", world.read().own()));
    }

    #[test]
    fn l6_an_offer_is_rejected_for_reasons_sorted_and_each_once(world in world()) {
        if let Verdict::Rejected { reasons } = world.read().own() {
            prop_assert!(!reasons.is_empty());
            prop_assert!(reasons.iter().zip(reasons.iter().skip(1)).all(|(one, next)| one < next), "{:?}", reasons);
        }
    }

    #[test]
    fn an_eligible_verdict_holds_until_it_expires(world in world(), later in select(DAYS.to_vec()), part in 0..1_000_i64) {
        let now = world.read();
        if let Verdict::Eligible { expires_at } = now.own() {
            let from = now.as_of.as_millis();
            let end = expires_at.map_or(from + 6_000_000_000_000, Timestamp::as_millis);
            prop_assert!(end > from, "it is over before it begins");
            let between = Timestamp::from_millis(from + (end - from) / 1_000 * part).unwrap();
            let last = Timestamp::from_millis(end).unwrap().minus(Duration::from_millis(1));
            for instant in [later.parse().unwrap(), between, last] {
                if instant >= now.as_of && expires_at.is_none_or(|end| instant < end) {
                    let then = world.at_instant(instant).read().own();
                    prop_assert!(matches!(then, Verdict::Eligible { .. }), "{} of {:?}: {:?}", instant, expires_at, then);
                }
            }
        }
    }

    #[test]
    fn what_is_eligible_passes_the_nodes_veto(world in world()) {
        let world = world.read();
        let (all, node) = (world.own(), world.node_verdict(&world.file.requirements));
        let of_others = all.reasons().iter().filter(|reason| reason.side != crate::Side::Caller);
        prop_assert!(node.reasons().iter().eq(of_others), "{:?}", node);
    }
}

/// Every list turned round.
fn reverse(value: &mut Value) {
    match value {
        Value::Array(entries) => {
            entries.reverse();
            entries.iter_mut().for_each(reverse);
        }
        Value::Object(fields) => fields.values_mut().for_each(reverse),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What the worlds cannot show, because nothing in this crate gives it.
const OUT_OF_REACH: [crate::ReasonCode; 1] = [crate::ReasonCode::FederationPolicy];

#[test]
fn the_worlds_reach_every_reason_and_many_are_eligible() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut codes, mut eligible) = (std::collections::BTreeSet::new(), 0);
    const WORLDS: usize = 4_000;
    let worlds = world();
    for _ in 0..WORLDS {
        let world = worlds.new_tree(&mut runner).unwrap().current().read();
        let verdict = world.own();
        codes.extend(verdict.reasons().iter().map(|reason| reason.code));
        eligible += usize::from(verdict.reasons().is_empty());
    }
    let missing: Vec<_> = crate::ReasonCode::ALL.iter().filter(|code| !codes.contains(code)).collect();
    assert_eq!(missing, OUT_OF_REACH.iter().collect::<Vec<_>>());
    assert!((WORLDS / 10..WORLDS * 9 / 10).contains(&eligible), "{eligible} of {WORLDS} are eligible");
}
