//! The federation's logs: that of statements, and the broker's of decisions.

mod decisions;
mod exported;
mod monitor;
mod show;
mod tail;
mod verify;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use crate::args::Global;
use crate::error::CliError;

pub(crate) use verify::root_path;
pub(crate) use watch::{convicted, disbelieved, verified};

/// The federation's logs: signed statements in order, and what the broker decided.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// List its entries: who signed what, and when it came into force; or decisions and what became of them
    Show {
        /// Show those after this epoch; of decisions, those with a leaf at this index or behind it
        #[arg(long, value_name = "N", default_value_t = 0)]
        after: u64,
        /// List the decisions that you may see, in the broker's decision log (operators)
        #[arg(long)]
        decisions: bool,
    },
    /// Print what comes, a line each, until it is stopped; of decisions, each when it has ended
    #[command(after_help = watch::AFTER)]
    Tail {
        /// Follow the decisions that you may see, in the broker's decision log (operators)
        #[arg(long)]
        decisions: bool,
        /// How long to wait between two looks
        #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = watch::every)]
        every: Duration,
    },
    /// Watch the broker's decision log: every new leaf is hashed, and every checkpoint has to continue the last one
    #[command(after_help = watch::AFTER)]
    Monitor {
        /// Look once, and end
        #[arg(long)]
        once: bool,
        /// How long to wait between two looks
        #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = watch::every)]
        every: Duration,
    },
    /// Check every signature and every step from the root document that is pinned, and the root of the tree against the
    /// broker's checkpoint; from the broker, or offline from a file
    #[command(after_help = verify::AFTER)]
    Verify {
        /// A log on disk: a node's data/federation.log, or what `comity log export` wrote; the folder of a decision log; or
        /// evidence against either
        file: Option<PathBuf>,
        /// The root document that a file is held against [default: that of the identity]
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
        /// Whose cosignatures of the checkpoint count, of the federation's log or of the folder's, and how many are enough
        /// (c2sp.org/tlog-policy)
        #[arg(long, value_name = "FILE", conflicts_with = "decisions")]
        policy: Option<PathBuf>,
        /// Verify the broker's decision log from its first leaf on
        #[arg(long, conflicts_with = "file")]
        decisions: bool,
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
        Log::Show { after, decisions: false } => show::run(after, global).await,
        Log::Show { after, decisions: true } => decisions::show(after, global).await,
        Log::Tail { decisions: false, every } => tail::statements(every, global).await,
        Log::Tail { decisions: true, every } => tail::decisions(every, global).await,
        Log::Monitor { once, every } => monitor::run(once, every, global).await,
        Log::Verify { file: None, decisions: false, policy, .. } => verify::online(policy.as_deref(), global).await,
        Log::Verify { file: None, decisions: true, .. } => decisions::verify(global).await,
        Log::Verify { file: Some(dir), root, policy, .. } if dir.is_dir() => {
            decisions::verify_folder(&dir, root.as_deref(), policy.as_deref(), global).await
        }
        Log::Verify { file: Some(file), root, policy, .. } => {
            verify::offline(&file, root.as_deref(), policy.as_deref(), global)
        }
        Log::Export { decisions: Some(dir), .. } => exported::export(&dir, global).await,
        Log::Export { file: Some(file), .. } => verify::export(&file, global).await,
        Log::Export { .. } => Err(CliError::Usage {
            problem: "neither a file nor a folder is named".to_owned(),
            hint: "`comity log export FILE`, or `comity log export --decisions DIR`".to_owned(),
        }),
    }
}
