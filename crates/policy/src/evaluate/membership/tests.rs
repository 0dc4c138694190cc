//! What is remembered of places, on places that a person can count.

use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc, Timestamp};

use super::{Found, Known, Lists};
use crate::evaluate::findings::Findings;
use crate::evaluate::truth::Truth;
use crate::requirements::AllowLists;
use crate::tables::blocs::Reach;
use crate::{ReasonCode, Tables};

fn place(code: &str) -> Place {
    code.parse().unwrap()
}

fn sets(codes: &[&str]) -> BTreeSet<PlaceOrBloc> {
    codes.iter().map(|code| code.parse().unwrap()).collect()
}

fn now() -> Timestamp {
    "2026-11-22".parse().unwrap()
}

/// How many places were asked about, by the list that they were held against.
fn remembered(known: &Known<'_>) -> Vec<usize> {
    known.0.borrow().lists.iter().map(|list| list.found.len()).collect()
}

#[test]
fn a_country_is_held_against_a_list_once_whoever_asks() {
    let (tables, known, eu, gb) = (Tables::builtin().unwrap(), Known::default(), sets(&["EU"]), sets(&["GB"]));
    let findings = || Findings::of_many(tables, now(), &known);
    assert!(matches!(findings().is_in(&place("DE"), &eu, Reach::Within, None), Truth::Yes));
    assert!(matches!(findings().is_in(&place("DE"), &eu, Reach::Within, None), Truth::Yes));
    assert_eq!((remembered(&known), known.0.borrow().addresses.len()), (vec![1], 1));
    assert!(matches!(findings().probe().is_in(&place("US"), &eu, Reach::Within, None), Truth::No));
    assert_eq!(remembered(&known), [2]);
    // The same codes in another list are the same; those of another list are not.
    let again = sets(&["EU"]);
    assert!(matches!(findings().is_in(&place("DE"), &again, Reach::Within, None), Truth::Yes));
    assert_eq!(remembered(&known), [2]);
    assert!(matches!(findings().is_in(&place("DE"), &gb, Reach::Within, None), Truth::No));
    assert_eq!(remembered(&known), [2, 1]);
}

#[test]
fn what_is_so_for_everybody_is_remembered_as_that() {
    let (tables, known, eu) = (Tables::builtin().unwrap(), Known::default(), sets(&["EU"]));
    let found = known.of(&place("DE"), &eu, Reach::Within, tables, now()).unwrap();
    assert!(matches!(&*found, Found::ForAll(sum) if sum.inside_until.is_some()));
    drop(found);
    let adequate = sets(&["GDPR-ADEQUATE"]);
    let found = known.of(&place("US"), &adequate, Reach::Within, tables, now()).unwrap();
    assert!(matches!(&*found, Found::BySet(_)), "{found:?}");
}

#[test]
fn what_lists_make_of_a_country_is_known_where_it_is_the_same_for_everybody() {
    let (tables, known) = (Tables::builtin().unwrap(), Known::default());
    let (eu, adequate) = (AllowLists::one(sets(&["EU"])), AllowLists::one(sets(&["GDPR-ADEQUATE"])));
    let code = ReasonCode::ProcessingLocationNotAllowed;
    let is_refused = |allowed, country| {
        let outcome = known.outcome(&Lists::allowing(code, allowed), &place(country), tables, now())?;
        Some(outcome.codes.contains(code))
    };
    assert_eq!((is_refused(&eu, "DE"), is_refused(&eu, "US")), (Some(false), Some(true)));
    assert_eq!(is_refused(&adequate, "US"), None);
}
