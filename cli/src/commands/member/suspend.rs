//! `comity suspend`.

use clap::Args;
use comity_client::say::Said;
use comity_membership::{By, Statement, Subject};
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;
use crate::signing::{Role, Signatory, membership_threshold, proposal_json, report, would_sign};

/// What `--help` says about who may.
pub(crate) const AFTER: &str = "\
An operator of the federation stops whom they name at once. Where the federation needs more than one operator for it, \
this is a brake: it lapses after 72 hours unless enough others ratify it with `comity approve`, and no operator may \
brake the same member twice. Whoever has an organisation's key stops the organisation itself or what is its own; \
operators and the organisation each lift their own suspension.";

/// Stop an organisation, a member or a member's certificate. New calls are refused at once, and those that run are cut.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct SuspendArgs {
    /// An organisation's trust domain, a member's SPIFFE ID, or SPIFFE-ID#sha256=DIGEST for one certificate
    member: Subject,
    /// Why; the member sees it
    #[arg(long)]
    reason: String,
    /// Say what would be signed, and sign nothing
    #[arg(long)]
    dry_run: bool,
}

/// Does so.
pub(crate) async fn run(args: SuspendArgs, global: &Global) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    let SuspendArgs { member, reason, dry_run } = args;
    let suspended = |by| Statement::Suspended { subject: member.clone(), reason: reason.clone(), by };
    let whom = member.to_string();
    if let Role::Organisation(_) = signatory.role() {
        if dry_run {
            return would_sign(global, &suspended(By::Organisation));
        }
        let said = signatory.say("suspend the member", suspended(By::Organisation)).await?;
        return report(global, ("suspended", &whom), &said);
    }
    let alone = membership_threshold(signatory.session().log().await?.log().federation()) == 1;
    if dry_run {
        return would_sign(global, &suspended(if alone { By::Federation } else { By::Brake }));
    }
    if alone {
        let said = signatory.say("suspend the member", suspended(By::Federation)).await?;
        return report(global, ("suspended", &whom), &said);
    }
    let braked = signatory.say("suspend the member", suspended(By::Brake)).await?;
    let proposed = signatory.say("propose the suspension", suspended(By::Federation)).await?;
    both(global, &whom, &braked, &proposed)
}

/// What a brake comes to: it holds now, and others have to ratify it.
fn both(global: &Global, whom: &str, braked: &Said, proposed: &Said) -> Result<(), CliError> {
    if let (Format::Json, Said::InForce(epoch), Said::Waits(proposal)) = (global.output, braked, proposed) {
        return print_json(&json!({ "suspended": whom, "epoch": epoch, "ratification": proposal_json(proposal) }));
    }
    report(global, ("suspended", whom), braked)?;
    say("this is a brake: it lapses after 72 hours unless it is ratified");
    report(global, ("suspended", whom), proposed)
}
