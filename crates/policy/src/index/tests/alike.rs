//! Organisations and offers that differ in what no question reads are alike, and get their own words all the same.

use std::sync::Arc;

use super::super::Index;
use crate::evaluate::laws::world::tables;
use crate::reason::ReasonCodes;
use crate::requirements::RequirementsFile;
use crate::{Offer, Organisation, Request, evaluate};

/// One list, asked for whether all of a place is in it and for whether any of it is, is two questions.
#[test]
fn a_list_that_one_axis_allows_and_another_forbids_is_held_against_each() {
    let caller = operator("ca", "seat = 'FR'");
    for [allowed, forbidden] in [["processing", "storage"], ["storage", "processing"]] {
        let text =
            format!("allowed_{allowed}_locations = ['UA-43', 'DE']\nforbidden_{forbidden}_locations = ['UA-43', 'DE']");
        let file = RequirementsFile::from_toml(&text, tables()).unwrap();
        let offers = ["'UA'", "'UA-43'", "'DE'", "'FR'", "'UA', 'DE'"].map(|places| {
            let text = format!(
                "id = 'o{}'\nnode = 'spiffe://op.example/node/n'\nmodel = 'm'\ncapabilities = ['chat']\n\
                 processing_locations = [{places}]\nstorage_locations = [{places}]\nsub_processors = []",
                places.replace(['\'', ',', ' '], "").to_lowercase()
            );
            toml::from_str::<Offer>(&text).unwrap()
        });
        let index = Index::new([operator("op", "seat = 'DE'")], offers, Arc::new(tables().clone()));
        let request = Request::any(&caller, &file);
        let answer = index.ask(&request);
        for place in 0..index.len() {
            let (offer, operator) = (index.offer(place).unwrap(), index.operator(place).unwrap());
            let expected = evaluate(offer, operator, &request, tables());
            let codes: ReasonCodes = expected.reasons().iter().map(|reason| reason.code).collect();
            assert_eq!((answer.codes(place), answer.verdict(place, &request)), (codes, expected), "{}", offer.id);
        }
    }
}

/// Questions about who owns and who rules.
const ASKED: &str = "allowed_controller_seats = [\"EU\"]\nno_exposure = [\"US-CLOUD-ACT\"]\n\
    foreign_ownership = { home = [\"EU\"], individual_bp = 2400, aggregate_bp = 3900 }\n";

/// One offer of each operator, held against [`ASKED`] after every answer was held against that of the full scan.
fn index(operators: &[Organisation], more: &str) -> Index {
    let offers = operators.iter().map(|operator| {
        let text = format!(
            "id = 'o'\nnode = 'spiffe://{}/node/n'\nmodel = 'm'\ncapabilities = ['chat']\n{more}",
            operator.trust_domain
        );
        toml::from_str::<Offer>(&text).unwrap()
    });
    let file = RequirementsFile::from_toml(ASKED, tables()).unwrap();
    let caller: Organisation = toml::from_str("trust_domain = 'ca.example'\nname = 'CA'\nseat = 'FR'").unwrap();
    let index = Index::new(operators.iter().cloned(), offers, Arc::new(tables().clone()));
    let request = Request::any(&caller, &file);
    let answer = index.ask(&request);
    for (place, operator) in operators.iter().enumerate() {
        let expected = evaluate(index.offer(place).unwrap(), operator, &request, tables());
        assert_eq!(answer.verdict(place, &request), expected, "{}", operator.name);
    }
    index
}

fn operator(name: &str, facts: &str) -> Organisation {
    toml::from_str(&format!("trust_domain = '{name}.example'\nname = '{name}'\n{facts}")).unwrap()
}

/// How many classes more than one with the same facts an operator with other facts adds to those of the first.
fn told_apart_by(one: &str, other: &str, offers: &str) -> usize {
    let classes = |other| index(&[operator("op1", one), operator("op2", other)], offers).classes();
    classes(other) - classes(one)
}

#[test]
fn owners_of_other_names_and_facts_on_other_evidence_make_no_difference() {
    let owned = |name: &str| {
        format!(
            "seat = 'FR'\n[ownership]\nparties = {{ {name} = {{ seat = 'US' }} }}\n\
             stakes = [{{ holder = '{name}', share = {{ percent = 60 }} }}]"
        )
    };
    assert_eq!(told_apart_by(&owned("A"), &owned("B"), ""), 0);
    let declared = |name: &str| format!("seat = 'FR'\nultimate_controllers = [{{ name = '{name}', seat = 'US' }}]");
    assert_eq!(told_apart_by(&declared("A"), &declared("B"), ""), 0);
    let audited = "seat = { value = 'FR', assurance = 'audited', issuer = 'A' }";
    assert_eq!(told_apart_by("seat = 'FR'", audited, ""), 0);
}

#[test]
fn what_a_question_reads_of_an_owner_tells_organisations_apart() {
    let owned = |party: &str, percent: u32| {
        format!(
            "seat = 'FR'\n[ownership]\nparties = {{ {party} }}\n\
             stakes = [{{ holder = 'A', share = {{ percent = {percent} }} }}]"
        )
    };
    let one = owned("A = { seat = 'US' }", 60);
    let differs = [
        owned("A = { seat = 'FR' }", 60),
        owned("A = { seat = 'US', headquarters = 'FR' }", 60),
        owned("A = { seat = 'US', kind = 'person' }", 60),
        owned("A = { seat = 'US' }", 40),
    ];
    for other in differs {
        assert!(told_apart_by(&one, &other, "") > 0, "{other}");
    }
    // It stops being so at some time.
    let until = "seat = { value = 'FR', until = 2027-01-01 }";
    assert!(told_apart_by("seat = 'FR'", until, "") > 0);
}

#[test]
fn whoever_controls_without_a_stated_seat_is_named_in_its_own_operators_reasons() {
    let owned = |name: &str| {
        format!(
            "seat = 'FR'\n[ownership]\nparties = {{ {name} = {{}} }}\n\
             stakes = [{{ holder = '{name}', share = {{ percent = 60 }} }}]"
        )
    };
    // `index` holds the words of each against those of the full scan.
    assert!(told_apart_by(&owned("A"), &owned("B"), "") > 0);
}

#[test]
fn a_clause_that_a_licence_does_not_have_tells_nobody_apart() {
    let users = |count: u32| format!("seat = 'FR'\nmonthly_active_users = {{ count = {count}, month = '2025-03' }}");
    let added = |licence: &str| {
        told_apart_by(&users(5), &users(800_000_000), &format!("licence = '{licence}'\nmodalities = ['text']"))
    };
    assert_eq!([added("Apache-2.0"), added("LicenseRef-Llama-4")], [0, 1]);
}
