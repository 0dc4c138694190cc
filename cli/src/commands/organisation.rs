//! The organisations of the federation.

mod list;
mod show;

use clap::Subcommand;
use comity_types::TrustDomain;

use crate::args::Global;
use crate::error::CliError;

/// The organisations of the federation.
#[derive(Debug, Subcommand)]
pub(crate) enum Organisation {
    /// List them
    List,
    /// Show one
    Show {
        /// Its trust domain
        id: TrustDomain,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: Organisation, global: &Global) -> Result<(), CliError> {
    match command {
        Organisation::List => list::run(global).await,
        Organisation::Show { id } => show::run(&id, global).await,
    }
}
