//! What an organisation or an offer claims, and what auditors have signed of it.

mod audit;
mod list;
mod stated;

use clap::Subcommand;
use comity_membership::Claimant;
use comity_policy::claim::ClaimPath;

use crate::args::Global;
use crate::error::CliError;

/// What an organisation or an offer claims, and what auditors have signed of it.
#[derive(Debug, Subcommand)]
pub(crate) enum Claim {
    /// List what it states, with the level that counts now and who stands behind it
    List {
        /// A trust domain, or an offer such as org-a.example/n1/chat
        of: Claimant,
    },
    /// Sign for the value of a claim, as an auditor that operators have recognised
    #[command(after_help = audit::AFTER)]
    Audit(audit::AuditArgs),
    /// Take back what one's own organisation has signed
    Withdraw {
        /// Whose claim: a trust domain or an offer
        of: Claimant,
        /// Which, as `min_assurance` names it
        path: ClaimPath,
        /// Why; everybody reads it
        #[arg(long, default_value = "")]
        reason: String,
        /// Say what would be signed, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Does what is asked.
pub(crate) async fn run(command: Claim, global: &Global) -> Result<(), CliError> {
    match command {
        Claim::List { of } => list::run(&of, global).await,
        Claim::Audit(args) => audit::run(args, global).await,
        Claim::Withdraw { of, path, reason, dry_run } => audit::withdraw(of, path, reason, dry_run, global).await,
    }
}
