//! The offers of the federation.

pub(crate) mod diff;
mod list;
mod show;

use clap::{ArgGroup, Subcommand};
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
    /// Show, field by field, what is not as in another one, or as it was, by what the log proves that nodes published
    #[command(group(ArgGroup::new("beside").required(true).args(["other", "since"])))]
    Diff {
        /// Its name, such as org-a.example/n1/chat
        name: OfferName,
        /// The other one's name
        other: Option<OfferName>,
        /// What it was at this epoch
        #[arg(long, value_name = "N")]
        since: Option<u64>,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: Offer, global: &Global) -> Result<(), CliError> {
    match command {
        Offer::List { model } => list::run(model.as_ref(), global).await,
        Offer::Show { name } => show::run(&name, global).await,
        Offer::Diff { name, other, since } => diff::run(&name, other.as_ref(), since, global).await,
    }
}
