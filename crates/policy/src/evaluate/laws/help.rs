//! What would help, against brute force, and what is better.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use super::world::{World, tables, world};
use crate::offer::Objective;
use crate::rank::{Preferences, Ranked, rank};
use crate::relax::relaxations;
use crate::requirements::RequirementsTable;
use crate::{Index, Offer, Organisation};

/// Keys of a requirements file that are one requirement together.
const TOGETHER: [(&str, &str); 2] =
    [("accept_retention_triggers", "max_content_retention_days"), ("accept_attested_runtimes", "no_exposure")];
/// Keys that declare, and demand nothing.
const DECLARED: [&str; 7] =
    ["purposes", "ai_act_tags", "exceptions", "access_origins", "output_used_in", "classifications", "data_categories"];

/// The offers of several worlds under the names of different nodes.
fn named(worlds: &[World]) -> Vec<(Offer, Organisation)> {
    let of = |(index, world): (usize, &World)| {
        let mut read = world.read();
        read.offer.node = format!("spiffe://op.example/node/n{index}").parse().unwrap();
        (read.offer, read.operator)
    };
    worlds.iter().enumerate().map(of).collect()
}

fn preferences() -> impl Strategy<Value = Preferences> {
    let places = proptest::collection::btree_map(
        select(vec!["EU", "US", "GDPR-ADEQUATE", "FR"]).prop_map(|set| set.parse().unwrap()),
        0..3_u8,
        0..3,
    );
    let seal = proptest::collection::btree_map(select(vec![Objective::Sov1, Objective::Sov2]), 0..3_u8, 0..3);
    (places, seal, 0..3_u8, 0..3_u8, 0..3_u8).prop_map(|(locations, seal, price, latency, carbon)| Preferences {
        locations,
        seal,
        price,
        latency,
        carbon,
        ..Preferences::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_relaxation_brings_back_what_a_file_without_the_key_would(
        asks in world(), others in proptest::collection::vec(world(), 0..3)
    ) {
        let question = asks.read();
        // Its own offer among them: what it demands and what its offer states were made for each other.
        let offers = named(&others.into_iter().chain([asks.clone()]).collect::<Vec<_>>());
        let index = Index::of_pairs(offers.iter().cloned(), Arc::new(tables().clone()));
        let request = question.request(&question.file.requirements);
        let found = relaxations(&index, &request);
        prop_assert!(found.iter().all(|one| !one.regained.is_empty()));
        prop_assert!(found.is_sorted_by_key(|one| std::cmp::Reverse(one.regained.len())));
        let keys: BTreeSet<String> = asks.0["require"].as_object().unwrap().keys().cloned().collect();
        let is_demand = |key: &&String| !DECLARED.contains(&key.as_str()) && !TOGETHER.iter().any(|(with, _)| key == with);
        for key in keys.iter().filter(is_demand) {
            let mut table = asks.0["require"].clone();
            let fields = table.as_object_mut().unwrap();
            fields.remove(key);
            for (with, _) in TOGETHER.iter().filter(|(_, of)| key == of) {
                fields.remove(*with);
            }
            let without = serde_json::from_value::<RequirementsTable>(table).unwrap().expand(tables()).unwrap();
            let eligible = |requirements: &crate::Requirements| -> BTreeSet<usize> {
                let request = question.request(requirements);
                let is = |(offer, operator): &(Offer, Organisation)| crate::evaluate(offer, operator, &request, tables()).reasons().is_empty();
                (0..offers.len()).filter(|index| is(&offers[*index])).collect()
            };
            let before = eligible(&question.file.requirements);
            let regained: Vec<usize> = eligible(&without.requirements).difference(&before).copied().collect();
            let said = found.iter().find(|one| one.constraint == key).map(|one| one.regained.clone());
            prop_assert_eq!(said.unwrap_or_default(), regained, "{}", key);
        }
        prop_assert!(found.iter().all(|one| keys.contains(one.constraint)), "{:?}", found);
    }

    #[test]
    fn l4_preferences_order_offers_and_neither_add_nor_remove_one(
        worlds in proptest::collection::vec(world(), 0..6), prefer in preferences(),
        waits in proptest::collection::vec(proptest::option::of(1..500_u64), 6), turn in any::<Pick>()
    ) {
        let offers = named(&worlds);
        let mut ranked: Vec<_> =
            offers.iter().zip(&waits).map(|((offer, _), wait)| Ranked { offer, latency_ms: *wait }).collect();
        let as_of = "2026-11-22".parse().unwrap();
        let order = rank(&ranked, &prefer, tables(), as_of);
        let names = |all: &[comity_types::OfferName]| all.iter().cloned().collect::<BTreeSet<_>>();
        prop_assert_eq!(names(&order), ranked.iter().map(|one| one.offer.name()).collect());
        prop_assert_eq!(order.len(), ranked.len());
        if !ranked.is_empty() {
            let by = turn.index(ranked.len());
            ranked.rotate_left(by);
            prop_assert_eq!(rank(&ranked, &prefer, tables(), as_of), order, "the order of offers decides nothing");
        }
        // Without a preference: by price, those without one last, then by name; where currencies differ, by name alone.
        let currencies: BTreeSet<_> =
            offers.iter().filter_map(|(offer, _)| offer.price.as_ref()).map(|price| price.currency.clone()).collect();
        let plain = rank(&ranked, &Preferences::default(), tables(), as_of);
        let key = |name: &comity_types::OfferName| {
            let price = &offers.iter().find(|(offer, _)| offer.name() == *name).unwrap().0.price;
            let price = price.as_ref().filter(|_| currencies.len() < 2);
            let sum = price.map(|one| one.input_micros_per_million_tokens + one.output_micros_per_million_tokens);
            (sum.is_none(), sum, name.clone())
        };
        prop_assert!(plain.is_sorted_by_key(key));
    }
}
