//! What could not be checked is told from what is forged.

use super::*;
use crate::commands::receipt::testing::TestLog;
use crate::exit;

/// A receipt held against a log file with nothing in it, after `change`.
fn against_an_empty_log(change: impl FnOnce(&mut Receipt)) -> CliError {
    let mut log = TestLog::new();
    // The decisions of this log are of epoch 3.
    let decision = log.decision(1, &[(Field::CALLER, "spiffe://a.example/app/x")]);
    let mut receipt = log.receipt(decision, None);
    change(&mut receipt);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fed.log");
    fs::write(&file, "").unwrap();
    log.root.founded_at = TestLog::at();
    let (root, now) = (&log.root, TestLog::at());
    let tables = Arc::new(comity_policy::Tables::builtin().unwrap().clone());
    let against = Against { root, log: None, policy: None, tables: &tables, now };
    let digest = Root::digest(&root.to_json().unwrap());
    held(&receipt, Path::new("r.receipt"), (&file, digest), against).unwrap_err()
}

#[test]
fn a_log_that_ends_before_the_decision_says_that_it_is_too_short_and_not_that_the_receipt_is_forged() {
    let error = against_an_empty_log(|_| {});
    let (said, hint) = (error.to_string(), error.hint().unwrap());
    assert!(said.contains("fed.log ends at epoch 0, and the decision of r.receipt was made at epoch 3"), "{said}");
    assert!(said.contains("could not be checked") && !said.contains("not to be believed"), "{said}");
    assert!(hint.contains("fetch a newer one, with `comity log export`"), "{hint}");
    assert_eq!(exit::status(&error), exit::FAULT);
}

#[test]
fn what_is_forged_is_not_to_be_believed_however_short_the_log_is() {
    let forged = against_an_empty_log(|receipt| receipt.decision.index += 1);
    assert!(forged.to_string().contains("r.receipt is not to be believed"), "{forged}");
    assert_ne!(exit::status(&forged), exit::FAULT);
}
