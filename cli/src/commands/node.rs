//! The nodes of the federation.

mod list;
mod show;

use clap::Subcommand;
use comity_types::SpiffeId;

use crate::args::Global;
use crate::error::CliError;

/// The nodes of the federation.
#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// List them
    List,
    /// Show one
    Show {
        /// Its SPIFFE ID, such as spiffe://org-a.example/node/n1
        id: SpiffeId,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: Node, global: &Global) -> Result<(), CliError> {
    match command {
        Node::List => list::run(global).await,
        Node::Show { id } => show::run(&id, global).await,
    }
}
