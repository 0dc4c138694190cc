use super::Blocs;
use crate::Tables;

#[test]
fn a_place_is_scoped_where_a_row_of_its_country_by_whichever_code_is() {
    let row = |member: &str, more: &str| {
        format!(
            "[[bloc]]\nbloc = 'BLOC'\nmember = '{member}'\ninstrument = ''\nsource = ''\nverified = true\nrecorded_at = 2026-11-23\n{more}\n"
        )
    };
    let scope = "scope = 'dpf_participation'";
    let blocs = Blocs::parse(&(row("US", scope) + &row("HK", scope) + &row("DE", ""))).unwrap();
    let places = &Tables::builtin().unwrap().places;
    let scoped = |place: &str| blocs.is_scoped(places, &place.parse().unwrap());
    assert!(scoped("US") && scoped("US-NY") && scoped("HK") && scoped("CN-HK"));
    assert!(!scoped("DE") && !scoped("DE-BY") && !scoped("CN"));
}
