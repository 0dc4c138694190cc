//! What is listed is what the log has, once each, and what is not listed is missed.

use std::time::Duration;

use comity_proto::convert::wire_receipt;
use comity_proto::transparency::ListReceiptsResponse;
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::Receipt;
use comity_transparency::record::Field;

use super::super::listed::Listed;
use super::*;
use crate::commands::receipt::testing::TestLog;

fn whole(log: &TestLog) -> Whole {
    let mut whole = Whole::of(TestLog::at(), TestLog::at().plus(Duration::from_secs(1)));
    log.leaves().for_each(|(index, leaf)| whole.take(index, &leaf));
    whole
}

fn verified(log: &TestLog, receipt: &Receipt) -> Verified {
    receipt.verify(&log.root.decision_log_origin(), &NoteVerifier::of(&log.root.decision_log[0])).unwrap()
}

/// Two decisions; the first has ended.
fn log() -> TestLog {
    let mut log = TestLog::new();
    let first = log.decision(1, &[(Field::CALLER, "a")]);
    log.outcome(1, first, &[(Field::STATUS, "0")]);
    log.decision(2, &[]);
    log
}

#[test]
fn a_decision_that_is_not_listed_is_missed_and_one_that_is_listed_twice_is_told() {
    let log = log();
    let (mut whole, first) = (whole(&log), verified(&log, &log.receipt(0, Some(1))));
    assert_eq!(whole.list(&first), None);
    assert_eq!(whole.list(&first).unwrap(), "the decision of leaf 0 is listed twice");
    assert_eq!(whole.missing().map(|(index, _)| index).collect::<Vec<_>>(), [2]);
    assert_eq!(whole.list(&verified(&log, &log.receipt(2, None))), None);
    assert_eq!(whole.missing().count(), 0);
}

#[test]
fn a_row_without_what_became_of_it_or_of_another_time_or_another_tree_is_told() {
    let (log, other) = (log(), {
        let mut other = TestLog::new();
        other.decision(1, &[(Field::CALLER, "another")]);
        other
    });
    let without = whole(&log).list(&verified(&log, &log.receipt(0, None))).unwrap();
    assert!(without.contains("leaf 1 says what became of it"), "{without}");
    let elsewhere = whole(&log).list(&verified(&other, &other.receipt(0, None))).unwrap();
    assert!(elsewhere.contains("no such decision at leaf 0"), "{elsewhere}");
    let mut late = Whole::of(TestLog::at().plus(Duration::from_secs(1)), TestLog::at().plus(Duration::from_secs(2)));
    log.leaves().for_each(|(index, leaf)| late.take(index, &leaf));
    assert!(late.list(&verified(&log, &log.receipt(0, Some(1)))).unwrap().contains("another time was asked for"));
    assert_eq!(late.missing().count(), 0, "what is of another time is not missed");
}

#[test]
fn an_outcome_that_the_log_does_not_have_is_told_and_one_that_came_later_is_known_to() {
    let mut log = log();
    let before = whole(&log);
    let ended = log.outcome(2, 2, &[]);
    let receipt = verified(&log, &log.receipt(2, Some(ended)));
    assert!(ended_later(&receipt, before.size()) && !ended_later(&receipt, whole(&log).size()));
    let second = log.outcome(2, 2, &[]);
    let told = whole(&log).list(&receipt);
    assert_eq!(
        told.unwrap(),
        format!("the log that is published has no such outcome of it at leaf {ended}"),
        "{second}"
    );
}

#[test]
fn a_receipt_whose_record_was_changed_is_a_row_with_its_leaf_and_what_is_proven_of_it() {
    let log = log();
    let part = |receipt: &Receipt, damaged: &[u64]| ListReceiptsResponse {
        receipt: Some(wire_receipt(receipt)),
        damaged: damaged.to_vec(),
        ..ListReceiptsResponse::default()
    };
    let whole = log.receipt(0, Some(1));
    let good = Listed::of(part(&whole, &[]), &log.root);
    assert!(good.problem.is_none() && good.proven.is_some());
    let mut flipped = part(&whole, &[]);
    let place = &mut flipped.receipt.as_mut().unwrap().decision.as_mut().unwrap().record[Field::CALLER.place()];
    place.value = b"b".to_vec().into();
    let listed = Listed::of(flipped, &log.root);
    assert!(listed.problem.as_ref().unwrap().contains("not what the leaf commits to"), "{:?}", listed.problem);
    let (_, proven) = listed.proven.as_ref().unwrap();
    assert!(proven.decision().is_without_record() && proven.outcome().is_some());
    assert_eq!((super::super::row::Row::listed(&listed).result, listed.leaf), ("damaged", 0));
    let mut bare = whole.clone();
    bare.decision.record = None;
    let damaged = Listed::of(part(&bare, &[0]), &log.root);
    assert_eq!(damaged.problem.unwrap(), "the broker says that its record of leaf 0 is damaged");
    let mut forged = part(&whole, &[]);
    forged.receipt.as_mut().unwrap().checkpoint.clear();
    let forged = Listed::of(forged, &log.root);
    assert!(forged.proven.is_none() && forged.problem.is_some());
}
