//! The apps of the federation.

mod list;
mod show;

use clap::Subcommand;
use comity_types::SpiffeId;

use crate::args::Global;
use crate::error::CliError;

/// The apps of the federation.
#[derive(Debug, Subcommand)]
pub(crate) enum App {
    /// List them
    List,
    /// Show one
    Show {
        /// Its SPIFFE ID, such as spiffe://org-a.example/app/assistant
        id: SpiffeId,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: App, global: &Global) -> Result<(), CliError> {
    match command {
        App::List => list::run(global).await,
        App::Show { id } => show::run(&id, global).await,
    }
}
