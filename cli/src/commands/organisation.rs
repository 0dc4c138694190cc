//! The organisations of the federation.

mod anchors;
mod applied;
mod approved;
mod keys;
mod list;
mod show;
pub(crate) mod update;

use std::path::{Path, PathBuf};

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
    /// Replace all facts of one's own, and what it demands of its own requests
    #[command(after_help = update::AFTER)]
    Update {
        /// Its organisation.toml, whole: what the file does not state is unknown from then on
        file: PathBuf,
        /// Show what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Show, field by field, what an update by a file would change; or what somebody states, and means to offer, who waits
    /// to be let in; or, once it is in, where what it publishes is not what it applied with
    Diff {
        /// An organisation.toml, or the id of an enrolment as `comity enrolment list` shows it, and for one that is in
        /// `comity organisation show`
        what: String,
    },
    /// The certificate authorities of one's own organisation
    #[command(subcommand)]
    Anchors(anchors::Anchors),
    /// The keys that sign for one's own organisation
    #[command(subcommand)]
    Keys(keys::Keys),
}

/// Does what is asked.
pub(crate) async fn run(command: Organisation, global: &Global) -> Result<(), CliError> {
    match command {
        Organisation::List => list::run(global).await,
        Organisation::Show { id } => show::run(&id, global).await,
        Organisation::Diff { what } => match what.parse() {
            Ok(enrolment) => applied::run(&enrolment, global).await,
            Err(_) => update::run(Path::new(&what), true, global).await,
        },
        Organisation::Anchors(command) => anchors::run(command, global).await,
        Organisation::Keys(command) => keys::run(command, global).await,
        Organisation::Update { file, dry_run } => update::run(&file, dry_run, global).await,
    }
}
