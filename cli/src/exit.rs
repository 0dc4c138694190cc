//! What the program ends with, so that scripts can tell a no from a fault, and both from "not yet".

use comity_proto::error::Detail;
use tonic::{Code, Status};

use crate::error::CliError;

/// What `--help` says about it.
pub(crate) const HELP: &str = "\
Exit status:
  0   Done
  1   Refused, not found, or not as expected: the command was right, and the answer is no
  2   A mistake in the command or a file, or a fault; the message says what mends it
  75  An operator has not approved yet, or one's own authority has not signed: run the same command again later";

/// Nothing was wrong with the command, but the answer is no, or there is no such thing.
const REFUSED: u8 = 1;
/// The command was wrong, or something failed. What clap calls a usage error ends with it as well.
pub(crate) const FAULT: u8 = 2;
/// Operators have not decided: `EX_TEMPFAIL` of sysexits.h, as `comity-node join` has it.
const PENDING: u8 = 75;

/// The exit status for a failure.
pub(crate) fn status(error: &CliError) -> u8 {
    match error {
        CliError::Pending { .. } | CliError::AwaitsCertificate { .. } => PENDING,
        CliError::Refused { .. }
        | CliError::NotFound { .. }
        | CliError::NoRow { .. }
        | CliError::Failed { .. }
        | CliError::Rejected { .. }
        | CliError::Demo { .. } => REFUSED,
        CliError::Status { status, .. } if is_no(status.code()) || is_over_budget(status) => REFUSED,
        CliError::Status { .. }
        | CliError::File { .. }
        | CliError::BadFile { .. }
        | CliError::Usage { .. }
        | CliError::Client { .. }
        | CliError::System { .. }
        | CliError::Interrupted { .. }
        | CliError::CutOff { .. } => FAULT,
    }
}

/// True where a budget has no room: to call again is of no use before it has, unlike where somebody is overloaded.
fn is_over_budget(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted
        && Detail::of(status).is_some_and(|detail| detail.reason == "BUDGET_EXCEEDED")
}

/// True where somebody understood the call and said no.
fn is_no(code: Code) -> bool {
    matches!(
        code,
        Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::NotFound
            | Code::AlreadyExists
            | Code::Unauthenticated
    )
}
