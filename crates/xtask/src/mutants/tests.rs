use serde_json::{Value, json};

use super::*;

fn outcome(line: u32, change: &str, summary: &str) -> Value {
    let mutant =
        json!({ "name": format!("crates/a.rs:{line}:5: {change}"), "file": "crates/a.rs", "genre": "FnValue" });
    json!({ "scenario": { "Mutant": mutant }, "summary": summary, "phase_results": [] })
}

fn tally(outcomes: &[Value]) -> Result<Tally> {
    Tally::read(&json!({ "outcomes": outcomes, "total_mutants": outcomes.len() }).to_string())
}

fn survivors(all: &[(&str, usize)]) -> Survivors {
    all.iter()
        .map(|(change, times)| (Mutant { file: "crates/a.rs".into(), change: (*change).into() }, *times))
        .collect()
}

#[test]
fn a_result_is_counted_and_its_survivors_are_named_without_their_lines() {
    let baseline = json!({ "scenario": "Baseline", "summary": "Success" });
    let of = |line, summary| outcome(line, "replace < with == in T::f", summary);
    let outcomes = [
        baseline,
        of(1, "CaughtMutant"),
        of(2, "Timeout"),
        of(3, "Unviable"),
        of(4, "MissedMutant"),
        of(9, "MissedMutant"),
    ];
    let tally = tally(&outcomes).unwrap();
    assert_eq!(tally.missed, survivors(&[("replace < with == in T::f", 2)]));
    assert!(tally.to_string().ends_with("| 5 | 4 | 1 | 1 | 2 | 1 | 50.0 % |"), "{tally}");
}

#[test]
fn ninety_five_of_a_hundred_viable_mutants_are_enough_and_ninety_four_are_not() {
    let of = |caught, missed, unviable| Tally { caught, unviable, missed: survivors(&[("f", missed)]), timeouts: 0 };
    assert!(of(95, 5, 50).check().is_ok());
    assert!(of(94, 6, 50).check().unwrap_err().to_string().contains("94 of 100 viable"));
    assert!(of(0, 0, 7).check().unwrap_err().to_string().contains("no mutant was tried"));
    let slow = Tally { timeouts: 1, ..of(94, 5, 0) };
    assert!(slow.check().is_ok(), "what never ends is noticed");
}

#[test]
fn a_run_whose_tests_fail_by_themselves_says_nothing() {
    let failed = [json!({ "scenario": "Baseline", "summary": "Failure" })];
    assert!(tally(&failed).unwrap_err().to_string().contains("without any mutant"));
}

#[test]
fn the_list_has_a_file_a_change_and_a_reason_in_each_entry() {
    let list =
        "# Mutants\n\n- [another](list.md)\n- `crates/a.rs`: `replace || with && in f`. Both are the same there.\n";
    assert_eq!(listed(list).unwrap(), survivors(&[("replace || with && in f", 1)]));
    for wrong in ["- `crates/a.rs`: `f`.", "- `crates/a.rs`: f survives", "- `crates/a.rs` `f`. It is the same."] {
        assert!(listed(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_survivor_that_is_not_listed_and_an_entry_that_does_not_survive_are_named() {
    let (found, list) =
        (survivors(&[("both", 1), ("new", 1), ("twice", 2)]), survivors(&[("both", 1), ("old", 1), ("twice", 1)]));
    let differences = differences(&found, &list);
    let [new, old, twice] = differences.as_slice() else { panic!("{differences:?}") };
    assert!(new.contains("`new`, and it is not listed") && twice.contains("`twice`, and it is not listed"));
    assert!(old.contains("`old` is listed, and does not survive"));
}

#[test]
fn the_list_that_is_checked_in_can_be_read() {
    assert!(!listed(&read(&crate::workspace_root().join(LIST)).unwrap()).unwrap().is_empty());
}
