//! Federations.

mod diff;
pub(crate) mod init;
mod show;
mod state;

use clap::Subcommand;

use crate::args::Global;
use crate::error::CliError;

/// Found a federation, and look at one.
#[derive(Debug, Subcommand)]
pub(crate) enum Federation {
    /// Make the files of a new federation: its broker's, and its first operator's identity
    Init(init::InitArgs),
    /// Who belongs to it and who governs it, now or at an epoch, as its log proves (members)
    Show {
        /// Rebuild the state at this epoch
        #[arg(long, value_name = "N")]
        at_epoch: Option<u64>,
    },
    /// What two epochs differ in: who governs, who belongs to it, what they state and what is offered (members)
    Diff {
        /// The earlier epoch
        #[arg(value_name = "N")]
        from: u64,
        /// The later one [default: the last]
        #[arg(value_name = "M")]
        to: Option<u64>,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: Federation, global: &Global) -> Result<(), CliError> {
    match command {
        Federation::Init(args) => init::run(&args, global.output),
        Federation::Show { at_epoch } => show::run(at_epoch, global).await,
        Federation::Diff { from, to } => diff::run(from, to, global).await,
    }
}
