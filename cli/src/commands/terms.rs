//! Whose terms an organisation accepts.

mod accept;
mod list;

use clap::Subcommand;
use comity_types::TrustDomain;

use crate::args::Global;
use crate::error::CliError;

/// Whose terms one's own organisation accepts.
#[derive(Debug, Subcommand)]
pub(crate) enum Terms {
    /// List the versions of terms that are stated, and which of them are accepted: by one's own organisation, or by all of
    /// them for operators of the federation
    List,
    /// Accept the terms of an organisation at a version; the digests of what its offers state are signed with it
    #[command(after_help = accept::AFTER)]
    Accept {
        /// Whose terms
        organisation: TrustDomain,
        /// Their version [default: the newest that its offers state]
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// Say what would be signed, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Accept the terms of an organisation no longer
    Withdraw {
        /// Whose terms
        organisation: TrustDomain,
        /// Say what would be signed, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: Terms, global: &Global) -> Result<(), CliError> {
    match command {
        Terms::List => list::run(global).await,
        Terms::Accept { organisation, version, dry_run } => accept::run(&organisation, version, dry_run, global).await,
        Terms::Withdraw { organisation, dry_run } => accept::withdraw(&organisation, dry_run, global).await,
    }
}
