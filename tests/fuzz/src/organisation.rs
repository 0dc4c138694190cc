//! Organisation files: of operators, and of callers.

use comity_policy::{Organisation, check};

use crate::world::{CALLER, DEMANDS, OFFER, OPERATOR, evaluated, request, said, survives, tables};

pub(crate) fn hold(text: &str) {
    let facts: Organisation = match toml::from_str(text) {
        Ok(facts) => facts,
        Err(error) => return said(error),
    };
    let faults = check::organisation(&facts);
    check::codes::organisation(&facts, tables()).iter().for_each(said);
    if !faults.is_empty() {
        return faults.iter().for_each(said);
    }
    survives(&facts);
    for demands in DEMANDS.iter() {
        let _as_caller = evaluated(&OFFER, &OPERATOR, &request(&facts, demands));
        let _as_operator = evaluated(&OFFER, &facts, &request(&CALLER, demands));
    }
}
