//! `comity evict`.

use clap::Args;
use comity_membership::Statement;
use comity_types::TrustDomain;

use crate::args::Global;
use crate::confirm;
use crate::error::CliError;
use crate::session::Session;
use crate::signing::{Signatory, report};

/// Put an organisation out, with all its members; to come back it has to be invited and approved again (operators).
#[derive(Debug, Args)]
pub(crate) struct EvictArgs {
    /// Its trust domain
    organisation: TrustDomain,
    /// Why; everybody sees it
    #[arg(long, value_parser = confirm::reason)]
    reason: String,
    /// Show what would be signed and who has to sign it, and sign nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask first, at a terminal
    #[arg(long)]
    yes: bool,
}

/// Does so.
pub(crate) async fn run(args: EvictArgs, global: &Global) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    signatory.operator()?;
    let EvictArgs { organisation, reason, dry_run, yes } = args;
    let statement = Statement::Evicted { organisation: organisation.clone(), reason };
    if dry_run {
        return signatory.would(global, &[statement]).await;
    }
    let question = format!(
        "This puts {organisation} out, with all its members: to come back it is invited and approved anew. Sign it?"
    );
    confirm::before_the_end(&question, yes)?;
    let said = signatory.say("evict the organisation", statement).await?;
    report(global, ("evicted", organisation.as_str()), &said)
}
