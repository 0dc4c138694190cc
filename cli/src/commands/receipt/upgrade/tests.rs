//! A receipt that is kept is replaced by nothing that says less, or something else.

use comity_transparency::record::Field;
use comity_types::DecisionId;

use super::super::show::shows_less;
use super::super::testing::TestLog;
use super::*;

fn id(number: u8) -> String {
    DecisionId::from_bytes([number; 16]).to_string()
}

/// A log in which two outcomes of the first decision are, and the first of a second one.
fn scene() -> (TestLog, [Receipt; 3]) {
    let mut log = TestLog::new();
    let first = log.decision(1, &[(Field::CALLER, "a")]);
    let outcomes = ["x", "y"].map(|offer| log.outcome(1, first, &[(Field::OFFER, offer)]));
    let other = log.decision(2, &[]);
    let receipts =
        [log.receipt(first, Some(outcomes[0])), log.receipt(first, Some(outcomes[1])), log.receipt(other, None)];
    (log, receipts)
}

#[test]
fn a_receipt_of_another_decision_than_was_asked_for_is_not_believed() {
    let (log, [receipt, _, other]) = scene();
    assert!(
        believed(&receipt, &id(1), &log.root).is_ok() && believed(&receipt, &id(1).to_uppercase(), &log.root).is_ok()
    );
    let swapped = believed(&other, &id(1), &log.root).unwrap_err();
    assert!(swapped.contains(&id(2)) && swapped.contains("was asked for"), "{swapped}");
    assert!(believed(&receipt, &id(1), &TestLog::new().root).is_err(), "another log's");
}

#[test]
fn a_receipt_with_another_outcome_or_none_replaces_nothing_and_is_kept_beside() {
    let (log, [old, other, _]) = scene();
    let alone = Receipt { outcome: None, ..old.clone() };
    assert!(merged(&alone, &old, &id(1), &log.root).is_ok(), "what ran has ended");
    for (new, said) in [(&other, "leaf 2"), (&alone, "says nothing")] {
        let problem = merged(&old, new, &id(1), &log.root).unwrap_err();
        assert!(problem.contains(said), "{problem}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r");
    write(&old, &file).unwrap();
    for number in 1..=2 {
        let error = kept_beside(&file, &other, "it says something else");
        assert_eq!(crate::exit::status(&error), 1);
        assert_eq!(read(&dir.path().join(format!("r.broker-{number}"))).unwrap(), other);
    }
    assert_eq!(read(&file).unwrap(), old);
}

#[test]
fn what_was_shown_before_is_shown_still_whatever_was_erased_and_a_forged_part_is_not_taken() {
    let (log, [old, ..]) = scene();
    let mut erased = old.clone();
    erased.decision.record = None;
    assert_eq!(merged(&old, &erased, &id(1), &log.root).unwrap(), old);
    assert!(shows_less(&old, &erased) && !shows_less(&erased, &old) && !shows_less(&old, &old));
    let mut forged = old.clone();
    forged.outcome.as_mut().unwrap().path[0] = comity_types::Digest::of(b"x");
    assert!(merged(&old, &forged, &id(1), &log.root).is_err());
}
