//! The offers of the federation.

mod list;
mod show;

use clap::Subcommand;
use comity_types::{ModelName, OfferName};

use crate::args::Global;
use crate::error::CliError;

/// The offers of the federation.
#[derive(Debug, Subcommand)]
pub(crate) enum Offer {
    /// List them
    List {
        /// Only those of this model
        #[arg(long)]
        model: Option<ModelName>,
    },
    /// Show one, with all its terms
    Show {
        /// Its name, such as org-a.example/n1/chat
        name: OfferName,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: Offer, global: &Global) -> Result<(), CliError> {
    match command {
        Offer::List { model } => list::run(model.as_ref(), global).await,
        Offer::Show { name } => show::run(&name, global).await,
    }
}
