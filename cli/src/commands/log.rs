//! The federation's log, and the broker's of its decisions.

mod decisions;
mod show;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

use crate::args::Global;
use crate::error::CliError;

pub(crate) use verify::root_path;

/// The federation's log: signed statements, in order.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// List its entries: who signed what, and when it came into force
    Show {
        /// Show those after this epoch
        #[arg(long, value_name = "N", default_value_t = 0)]
        after: u64,
    },
    /// Check every signature and every step from the root document that is pinned, and the root of the tree against the
    /// broker's checkpoint; from the broker, or offline from a file
    #[command(after_help = verify::AFTER)]
    Verify {
        /// A log on disk: a node's data/federation.log, or what `comity log export` wrote
        file: Option<PathBuf>,
        /// The root document that a file is held against [default: that of the identity]
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
    },
    /// Write the log to a file, a line of JSON to an entry, once it is verified
    Export {
        /// The file
        #[arg(required_unless_present = "decisions")]
        file: Option<PathBuf>,
        /// Write the broker's decision log in its place, into this folder, as c2sp.org/tlog-tiles has it: for verifiers of
        /// other makers, and for the proof that the log goes on from what the folder has of it
        #[arg(long, value_name = "DIR", conflicts_with = "file")]
        decisions: Option<PathBuf>,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: Log, global: &Global) -> Result<(), CliError> {
    match command {
        Log::Show { after } => show::run(after, global).await,
        Log::Verify { file: None, .. } => verify::online(global).await,
        Log::Verify { file: Some(file), root } => verify::offline(&file, root.as_deref(), global),
        Log::Export { decisions: Some(dir), .. } => decisions::export(&dir, global).await,
        Log::Export { file: Some(file), .. } => verify::export(&file, global).await,
        Log::Export { .. } => Err(CliError::Usage {
            problem: "neither a file nor a folder is named".to_owned(),
            hint: "`comity log export FILE`, or `comity log export --decisions DIR`".to_owned(),
        }),
    }
}
