//! Kills of decision logs by the hundred, and every other fault of the catalogue some dozens of times: what `cargo xtask
//! faults` does for longer.

use std::process::Command;

/// Rounds: half a minute to a minute on two cores.
const ROUNDS: &str = "400";

/// The figures go to this process's own output, so that they are printed whether it passes or not.
#[test]
fn whatever_happens_to_a_log_nothing_acknowledged_is_lost_and_nothing_is_signed_twice_differently() {
    let mut campaign = Command::new(env!("CARGO_BIN_EXE_comity-faults"));
    let status = campaign.args(["campaign", "--rounds", ROUNDS]).status().unwrap();
    assert!(status.success(), "a promise was broken: it is printed above, with the seed");
}
