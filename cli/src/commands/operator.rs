//! The operators of the federation: who they are, and how many of them it takes.

mod change;
mod list;
mod request;
mod show;

use std::path::PathBuf;

use clap::Subcommand;
use comity_types::ids::Kind;
use comity_types::{Name, SpiffeId, TrustDomain};

use crate::args::Global;
use crate::error::CliError;

/// The operators of the federation.
#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// List them, with the thresholds
    List,
    /// Show one
    Show {
        /// The operator's name, or SPIFFE ID
        operator: String,
    },
    /// Make a key for an operator of a federation that is to be founded; the founder needs the request that this writes
    Request {
        /// Where the key goes; it stays there
        #[arg(long)]
        dir: PathBuf,
        /// The trust domain that the federation will have
        #[arg(long)]
        federation: TrustDomain,
        /// The operator's name, such as bob
        #[arg(long)]
        name: Name,
    },
    /// Change how many operators it takes; as many as it takes now have to sign, and as many as it will take
    Threshold {
        /// To change who governs
        #[arg(long)]
        root: Option<u32>,
        /// To admit, suspend, lift and evict
        #[arg(long)]
        membership: Option<u32>,
        /// Show what would be signed and who has to sign it, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Take an operator's vote away
    Remove {
        /// The operator's name, or SPIFFE ID
        operator: String,
        /// Show what would be signed and who has to sign it, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// The ID of an operator of `federation` who is called by name, or by that ID.
fn named(operator: &str, federation: &TrustDomain) -> Result<SpiffeId, CliError> {
    let by_name = |name: Name| SpiffeId::new(federation.clone(), Kind::Operator, name);
    operator.parse().or_else(|_| operator.parse().map(by_name)).map_err(|_| unknown(operator))
}

fn unknown(operator: &str) -> CliError {
    CliError::NotFound { kind: "operator", name: operator.to_owned(), list: "comity operator list" }
}

/// Does what is asked.
pub(crate) async fn run(command: Operator, global: &Global) -> Result<(), CliError> {
    match command {
        Operator::List => list::run(global).await,
        Operator::Show { operator } => show::run(&operator, global).await,
        Operator::Request { dir, federation, name } => request::run(&dir, federation, &name, global),
        Operator::Threshold { root, membership, dry_run } => {
            change::thresholds(root, membership, dry_run, global).await
        }
        Operator::Remove { operator, dry_run } => change::remove(&operator, dry_run, global).await,
    }
}
