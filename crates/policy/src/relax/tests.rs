use std::sync::Arc;

use crate::cases::parse;
use crate::relax::relaxations;
use crate::requirements::RequirementsFile;
use crate::{Index, Request, Tables};

/// Offers that process in each of these places, and what dropping one requirement of the caller would bring back.
fn regained(places: &[&str], require: &str) -> Vec<(&'static str, Vec<usize>)> {
    let tables = Tables::builtin().unwrap();
    let all = parse(include_str!("../../../../tests/cases/edges.toml")).unwrap();
    let world = all[0].world.as_ref().unwrap();
    let file = RequirementsFile::from_toml(&format!("purposes = ['dpv:CustomerCare']\n{require}"), tables).unwrap();
    let offers: Vec<_> = places
        .iter()
        .map(|place| {
            let mut offer = world.offer.clone();
            offer.processing_locations = Some(crate::Claim::always([place.parse().unwrap()].into()));
            offer
        })
        .collect();
    let request = Request { as_of: world.as_of, ..Request::any(world.caller.facts(), &file) };
    let offers = offers.into_iter().map(|offer| (offer, world.operator.clone()));
    let index = Index::of_pairs(offers, Arc::new(tables.clone()));
    relaxations(&index, &request).into_iter().map(|one| (one.constraint, one.regained)).collect()
}

#[test]
fn what_brings_most_offers_back_comes_first_and_what_brings_none_is_left_out() {
    let one_each = "allowed_processing_locations = ['EU']\nforbidden_processing_locations = ['FR', 'US']";
    let allowed = ("allowed_processing_locations", vec![1, 2]);
    let forbidden = ("forbidden_processing_locations", vec![0]);
    assert_eq!(regained(&["FR", "CH", "GB", "DE", "US"], one_each), [allowed, forbidden]);
    assert_eq!(regained(&["DE"], one_each), [], "an offer that is eligible cannot come back");
    assert_eq!(regained(&["US"], one_each), [], "two requirements stand against it");
}
