//! Territories that bind callers too, which no licence that ships has.

use std::sync::LazyLock;

use crate::cases::parse;
use crate::requirements::RequirementsFile;
use crate::tables::TableName;
use crate::{Offer, Organisation, ReasonCode, Request, Tables, evaluate};

/// Those that ship, and three rules on the EEA: for operators alone, for callers as well, and that for models of images.
fn tables() -> &'static Tables {
    static TABLES: LazyLock<Tables> = LazyLock::new(|| {
        let rule = |licence: &str, binds: &str, modalities: &str| {
            format!(
                "\n[[rule]]\nlicence = 'LicenseRef-{licence}'\nbinds = '{binds}'\nterritory = {{ excluded = ['EEA'], \
                 modalities = {modalities} }}\ninstrument = ''\nsource = ''\nrecorded_at = 2026-11-23\nverified = true\n"
            )
        };
        let licences = TableName::Licences.builtin().to_owned()
            + &rule("Operator", "operator", "[]")
            + &rule("Both", "operator-and-caller", "[]")
            + &rule("Images", "operator-and-caller", "['image']");
        Tables::parse(|name| if name == TableName::Licences { &licences } else { name.builtin() }).unwrap()
    });
    &TABLES
}

/// Whether the territory speaks against an offer as `changed` of an operator in the US to a caller in Germany.
fn is_excluded(licence: &str, changed: &str) -> bool {
    let all = parse(include_str!("../../../../../tests/cases/edges.toml")).unwrap();
    let world = all[0].world.as_ref().unwrap();
    let place = |place: &str| Some(crate::Claim::always(place.parse().unwrap()));
    let operator = Organisation { principal_place_of_business: place("US"), ..world.operator.clone() };
    let caller = Organisation { principal_place_of_business: place("DE"), ..world.caller.facts().clone() };
    let text = format!(
        "id = 'o'\nnode = 'spiffe://op.example/node/n'\nmodel = 'm'\ncapabilities = ['chat']\nlicence = {licence}\n{changed}"
    );
    let offer: Offer = toml::from_str(&text).unwrap();
    let file = RequirementsFile::from_toml("purposes = ['dpv:CustomerCare']", tables()).unwrap();
    let request = Request { as_of: world.as_of, ..Request::any(&caller, &file) };
    let codes: Vec<_> =
        evaluate(&offer, &operator, &request, tables()).reasons().iter().map(|reason| reason.code).collect();
    codes.contains(&ReasonCode::LicenceTerritoryExcluded)
}

#[test]
fn a_territory_binds_the_caller_where_the_rules_flow_down() {
    assert!(is_excluded("'LicenseRef-Both'", ""));
    assert!(!is_excluded("'LicenseRef-Operator'", ""));
}

#[test]
fn it_does_so_as_well_while_the_licence_is_stated_for_a_time() {
    let until = |licence: &str| format!("{{ value = 'LicenseRef-{licence}', until = 2031-01-01 }}");
    assert!(is_excluded(&until("Both"), ""));
    assert!(!is_excluded(&until("Operator"), ""));
}

#[test]
fn a_clause_on_models_of_images_is_not_about_one_of_text_however_long_that_is_so() {
    for (modalities, is_about) in [("['image', 'text']", true), ("['text']", false)] {
        assert_eq!(is_excluded("'LicenseRef-Images'", &format!("modalities = {modalities}")), is_about);
        let for_a_time = format!("modalities = {{ value = {modalities}, until = 2031-01-01 }}");
        assert_eq!(is_excluded("'LicenseRef-Images'", &for_a_time), is_about);
    }
}
