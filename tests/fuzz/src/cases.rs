//! Case files.

use std::collections::BTreeSet;

use comity_policy::Verdict;
use comity_policy::cases::{Expectation, World, parse};
use comity_policy::check;

use crate::world::{must, said, tables};

/// Cases that are run of one file: what costs time is their number, and what fails is one of them.
const MAX_RUN: usize = 64;

pub(crate) fn hold(text: &str) {
    match parse(text) {
        Ok(cases) => cases.iter().take(MAX_RUN).for_each(case),
        Err(error) => said(error),
    }
}

fn case(case: &Expectation) {
    let world = match &case.world {
        Ok(world) => world,
        Err(problem) => return said(problem),
    };
    let faults =
        [check::offer(&world.offer), check::organisation(&world.operator), check::organisation(world.caller.facts())];
    assert_eq!(faults.concat(), [], "a case that is accepted");
    // A world has parts that cannot be compared: what is written twice is.
    let written = must(toml::to_string(world));
    let read: World = toml::from_str(&written).unwrap_or_else(|error| panic!("{error}\nwas written:\n{written}"));
    assert_eq!(must(toml::to_string(&read)), written, "changed by TOML");

    let verdict = match case.verdict(tables()) {
        Ok(verdict) => verdict,
        Err(error) => return said(error),
    };
    if let Verdict::Rejected { reasons } = &verdict {
        assert!(!reasons.is_empty(), "rejected without a reason (L6)");
    }
    assert_eq!(case.verdict(tables()).ok().as_ref(), Some(&verdict), "two verdicts on the same (L5)");
    let outcome = case.compare(&verdict);
    let found: BTreeSet<String> = verdict.reasons().iter().map(ToString::to_string).collect();
    assert_eq!(outcome.is_as_expected(), found == case.reasons && outcome.other_end.is_none(), "{outcome:?}");
}
