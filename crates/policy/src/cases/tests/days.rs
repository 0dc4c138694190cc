//! Until when an answer holds, where several rows give one.

use super::*;
use crate::tables::TableName;

/// The tables that ship, with Germany in two blocs, each until a day.
fn tables(one: &str, other: &str) -> Tables {
    let row = |bloc: &str, to: &str| {
        format!(
            "[[bloc]]\nbloc = '{bloc}'\nmember = 'DE'\nto = {to}\ninstrument = ''\nsource = ''\nrecorded_at = 2026-01-01\nverified = true\n"
        )
    };
    let blocs = row("ONE", one) + &row("OTHER", other);
    Tables::parse(|name| if name == TableName::Blocs { &blocs } else { name.builtin() }).unwrap()
}

#[test]
fn a_place_is_allowed_for_as_long_as_the_set_that_holds_it_longest() {
    let terms = "{ allowed_purposes = ['dpv:Purpose'], caller_rules = { served = 'everyone' } }";
    let cases = read(&format!(
        "[[case]]\nid = '1'\nset = {{ 'offer.terms' = {terms}, 'offer.storage_locations' = ['DE'], 'require.purposes' = ['dpv:Purpose'], 'require.allowed_storage_locations' = ['ONE', 'OTHER'] }}\nexpect = []\nexpires_at = 2028-01-01"
    ))
    .unwrap();
    for (one, other) in [("2027-01-01", "2028-01-01"), ("2028-01-01", "2027-01-01"), ("2028-01-01", "2028-01-01")] {
        let outcome = cases[0].compare(&cases[0].verdict(&tables(one, other)).unwrap());
        assert!(outcome.is_as_expected(), "{one}, {other}: {outcome:?}");
    }
}
