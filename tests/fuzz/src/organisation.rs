//! Organisation files: of operators, and of callers with what they demand of their own requests.

use comity_policy::organisation::OrganisationTable;
use comity_policy::requirements::RequirementsFile;
use comity_policy::{Layers, Organisation, OrganisationFile, check};

use crate::world::{CALLER, DEMANDS, OFFER, OPERATOR, evaluated, request, said, survives, tables};

pub(crate) fn hold(text: &str) {
    let table: OrganisationTable = match toml::from_str(text) {
        Ok(table) => table,
        Err(error) => return said(error),
    };
    let OrganisationFile { facts, layers } = match table.expand(tables()) {
        Ok(file) => file,
        Err(error) => return said(error),
    };
    let faults = check::organisation(&facts);
    check::codes::organisation(&facts, tables()).iter().for_each(said);
    if !faults.is_empty() {
        return faults.iter().for_each(said);
    }
    survives(&facts);
    survives(&layers);
    for demands in DEMANDS.iter() {
        as_caller(&facts, &layers, demands);
        let _as_operator = evaluated(&OFFER, &facts, &request(&CALLER, demands));
    }
}

/// What the organisation demands, of all its apps and of each, lets in nothing that is refused without it (D4).
fn as_caller(facts: &Organisation, layers: &Layers, demands: &RequirementsFile) {
    let unbound = evaluated(&OFFER, &OPERATOR, &request(facts, demands));
    for app in layers.apps.keys().map(Some).chain([None]) {
        let requirements = layers.demanded(app, &demands.requirements).requirements;
        let bound = RequirementsFile { requirements, ..demands.clone() };
        let bound = evaluated(&OFFER, &OPERATOR, &request(facts, &bound));
        let is_looser = bound.reasons().is_empty() && !unbound.reasons().is_empty();
        assert!(!is_looser, "a layer lets in what is refused without it (D4)");
    }
}
