//! `comity`: the command line for operators, organisations and apps. Only the
//! rooms below stand yet; the commands come next, so the program says so and ends with 2.
#![expect(dead_code, reason = "the commands that use these rooms are not written yet")]

mod error;
mod output;
mod render_error;

use std::process::ExitCode;

/// The command was wrong, or something failed.
const FAULT: u8 = 2;

fn main() -> ExitCode {
    output::say("error: this build of comity has no commands yet");
    ExitCode::from(FAULT)
}
