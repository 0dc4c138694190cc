//! Receipts: the proof of a decision and of what became of it.

mod disclose;
pub(super) mod show;
#[cfg(test)]
pub(crate) mod testing;
mod told;
mod upgrade;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use comity_client::receipt::Unproven;
use comity_runtime::chain;
use comity_transparency::receipt::Receipt as Proof;

use crate::args::Global;
use crate::error::CliError;

pub(crate) use verify::policy;

/// Longest file that is read as a receipt, in bytes: both records whole, with the cosignatures of many witnesses.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The proof that a decision, and what became of it, are in the broker's log.
#[derive(Debug, Subcommand)]
pub(crate) enum Receipt {
    /// Fetch the receipt of a decision, and show what is recorded
    Show {
        /// The decision, as `comity chat` and `comity-decision-id` say it: 32 hexadecimal digits
        decision: String,
        /// Write the receipt to this file, which can be verified offline and passed on
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// Check a receipt offline, and say in plain words what it proves and what not
    #[command(after_help = verify::AFTER)]
    Verify(verify::VerifyArgs),
    /// Write a receipt that shows only some fields, and still verifies
    Disclose(disclose::DiscloseArgs),
    /// Fetch the same receipt anew, with the cosignatures that have come since; one that goes against it replaces nothing, and is
    /// kept beside it
    Upgrade {
        /// The receipt
        file: PathBuf,
        /// Where the new one goes [default: in the place of the old one]
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: Receipt, global: &Global) -> Result<(), CliError> {
    match command {
        Receipt::Show { decision, save } => show::run(&decision, save.as_deref(), global).await,
        Receipt::Verify(args) => verify::run(&args, global),
        Receipt::Disclose(args) => disclose::run(&args),
        Receipt::Upgrade { file, save } => upgrade::run(&file, save.as_deref(), global).await,
    }
}

/// Reads a receipt's file.
fn read(path: &Path) -> Result<Proof, CliError> {
    let failed = |source| CliError::File { doing: "read", path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(CliError::Usage {
            problem: format!("{} has more than {MAX_FILE_BYTES} bytes", path.display()),
            hint: "a receipt is some kilobytes: `comity receipt show DECISION --save FILE` writes one".to_owned(),
        });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    Proof::from_file(&text).map_err(|error| CliError::BadFile {
        path: path.to_owned(),
        expected: "a receipt (c2sp.org/tlog-proof)",
        source: Box::new(error),
    })
}

/// Writes a receipt's file.
fn write(receipt: &Proof, path: &Path) -> Result<(), CliError> {
    let text = receipt.to_file().map_err(|error| CliError::Failed {
        problem: format!("the receipt cannot be written: {error}"),
        hint: "show fewer fields: `comity receipt disclose`".to_owned(),
    })?;
    // Beside, and moved over: half of a receipt proves nothing, and would stand in the place of a whole one.
    let beside = PathBuf::from(format!("{}.new", path.display()));
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| CliError::File { doing: "write", path: path.to_owned(), source })
}

/// An answer that its receipt does not prove.
pub(crate) fn unproven(error: &Unproven) -> CliError {
    CliError::Failed {
        problem: format!("nobody can prove this answer: {}", chain::text(error)),
        hint: "tell the operators of the federation: its broker ends every answer with a receipt".to_owned(),
    }
}
