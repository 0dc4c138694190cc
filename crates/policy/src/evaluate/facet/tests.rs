//! What the index is told of pieces, so that it asks fewer questions: nothing that an answer would show.

use super::{AnyFacet, Facet, sort};
use crate::evaluate::{commercial, control, places};
use crate::requirements::RequirementsFile;
use crate::{Offer, Organisation, Request, Tables};

fn offer(text: &str) -> Offer {
    toml::from_str(&format!(
        "id = 'o'\nnode = 'spiffe://op.example/node/n'\nmodel = 'm'\ncapabilities = ['chat']\n{text}"
    ))
    .unwrap()
}

fn organisation(text: &str) -> Organisation {
    toml::from_str(&format!("trust_domain = 'op.example'\nname = 'OP'\n{text}")).unwrap()
}

/// The places that the pieces of a facet are; "" for one that is asked about in full.
fn places_of<F: Facet>(offer: &Offer, operator: &Organisation) -> Vec<String> {
    let sorted = sort::<F>(&mut [(offer, operator)].into_iter(), Tables::builtin().unwrap());
    let place = |piece: &super::Piece| piece.place.as_ref().map_or_else(String::new, ToString::to_string);
    sorted.first.iter().map(place).collect()
}

#[test]
fn a_place_that_is_stated_for_all_time_is_told() {
    let stated = offer(
        "processing_locations = ['DE', 'FR']\nstorage_locations = ['DE']\naccess_locations = ['FR']
         sub_processors = [{ id = 's', role = 'cloud-host', places = ['DE', 'US'], content_access = true }]",
    );
    let operator = organisation("seat = 'FR'");
    assert_eq!(places_of::<places::Processing>(&stated, &operator), ["DE", "FR"]);
    assert_eq!(places_of::<places::Storage>(&stated, &operator), ["DE"]);
    assert_eq!(places_of::<places::Access>(&stated, &operator), ["FR"]);
    assert_eq!(places_of::<places::Readers>(&stated, &operator), ["DE", "US"]);
    assert_eq!(places_of::<control::OperatorSeat>(&stated, &operator), ["FR"]);
    let for_a_time = "{ value = ['DE'], until = 2031-01-01 }";
    let passing = offer(&format!("processing_locations = {for_a_time}\nstorage_locations = []"));
    let operator = organisation("seat = { value = 'FR', until = 2031-01-01 }");
    assert_eq!(places_of::<places::Processing>(&passing, &operator), [""]);
    assert_eq!(places_of::<places::Storage>(&passing, &operator), [""]);
    assert_eq!(places_of::<control::OperatorSeat>(&passing, &operator), [""]);
}

#[test]
fn the_lists_of_a_facet_are_those_of_the_request() {
    let demanded = "allowed_processing_locations = ['EU']\nallowed_storage_locations = ['EU']
        allowed_access_locations = ['EU']\nallowed_operator_seats = ['EU']";
    let file = |text: &str| RequirementsFile::from_toml(text, Tables::builtin().unwrap()).unwrap();
    let caller = organisation("");
    let is_held = |facet: &AnyFacet, file: &RequirementsFile| {
        let request = Request::any(&caller, file);
        facet.lists(&request).map(|lists| lists.is_demanded())
    };
    let of_places = [
        AnyFacet::of::<places::Processing>(),
        AnyFacet::of::<places::Storage>(),
        AnyFacet::of::<places::Access>(),
        AnyFacet::of::<places::Readers>(),
        AnyFacet::of::<control::OperatorSeat>(),
    ];
    for facet in &of_places {
        assert_eq!((is_held(facet, &file(demanded)), is_held(facet, &file(""))), (Some(true), Some(false)));
    }
    assert_eq!(is_held(&AnyFacet::of::<commercial::MaxPrice>(), &file(demanded)), None);
}

#[test]
fn prices_of_one_currency_and_side_are_on_one_scale_from_the_least_to_the_most() {
    let price = |currency: &str, input, output| {
        let of = "micros_per_million_tokens";
        offer(&format!("price = {{ currency = '{currency}', input_{of} = {input}, output_{of} = {output} }}"))
    };
    let (offers, operator) =
        ([price("EUR", 3, 9), price("USD", 1, 5), price("EUR", 2, 9), price("EUR", 7, 8), offer("")], organisation(""));
    let mut subjects = offers.iter().map(|offer| (offer, &operator));
    let sorted = sort::<commercial::MaxPrice>(&mut subjects, Tables::builtin().unwrap());
    let starts = std::iter::once(0).chain(sorted.runs.iter().copied());
    let run = |(start, end): (usize, &usize)| {
        sorted.first[start..*end].iter().map(|piece| (piece.offer, piece.number)).collect::<Vec<_>>()
    };
    let mut runs: Vec<_> = starts.zip(&sorted.runs).map(run).collect();
    runs.sort();
    let (eur_in, eur_out) = (vec![(2, 0), (0, 0), (3, 0)], vec![(3, 1), (0, 1)]);
    assert_eq!(runs, [vec![(1, 0)], vec![(1, 1)], eur_in, eur_out, vec![(4, 0)]]);
}
