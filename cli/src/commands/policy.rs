//! The decision, offline: files in, verdicts out. Nobody is asked.

mod check;
mod inputs;
mod test;

use clap::Subcommand;

use crate::args::Global;
use crate::error::CliError;

/// The decision, offline: files in, verdicts out.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Say of offers in files whether they may serve a request, and why not; ends with 1 if none may
    Check(check::CheckArgs),
    /// Run case files, and show how each failing check differs; ends with 1 if one does
    Test(test::TestArgs),
}

/// Does what is asked.
pub(crate) fn run(command: &Policy, global: &Global) -> Result<(), CliError> {
    match command {
        Policy::Check(args) => check::run(args, global),
        Policy::Test(args) => test::run(args, global),
    }
}
