//! Verifiers that want a newer Python than the oldest that the tests run on. One that is missing looked at nothing, and a test that
//! went on without it would count as passed: so each has a test of its own, which fails then. `cargo xtask test` leaves those out
//! whose package it cannot install, and says so.

use comity_tests::verifiers::Tool;

#[track_caller]
fn is_there(tool: Tool, python: &str) {
    assert!(
        tool.is_installed(),
        "{tool:?} is not installed, and looks at nothing: it wants Python {python} (hint: `cargo xtask test` installs it with the \
         newest Python in PATH, and leaves this test out where that is older)"
    );
}

#[test]
fn aics_tlog_is_one_of_those_who_look_at_the_log_and_its_receipts() {
    is_there(Tool::Aics, "3.12");
}

#[test]
fn tlog_scales_is_one_of_those_who_look_at_the_log_and_its_receipts() {
    is_there(Tool::Scales, "3.11");
}
