//! `comity withdraw`.

use clap::Args;
use comity_membership::{Statement, Subject};

use crate::args::Global;
use crate::confirm;
use crate::error::CliError;
use crate::session::Session;
use crate::signing::{Signatory, report};

/// Leave the federation, or take a member of one's own out of it. Nobody is asked; whoever has the organisation's key.
#[derive(Debug, Args)]
pub(crate) struct WithdrawArgs {
    /// The organisation's own trust domain, or the SPIFFE ID of one of its members
    member: Subject,
    /// Why; everybody sees it
    #[arg(long, default_value = "")]
    reason: String,
    /// Show what would be signed and who has to sign it, and sign nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask first, at a terminal
    #[arg(long)]
    yes: bool,
}

/// Does so.
pub(crate) async fn run(args: WithdrawArgs, global: &Global) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    let own = signatory.organisation()?.clone();
    let WithdrawArgs { member, reason, dry_run, yes } = args;
    if *member.trust_domain() != own {
        return Err(CliError::Usage {
            problem: format!("{member} is not of {own}"),
            hint: "an organisation withdraws itself and its own members; operators evict others".to_owned(),
        });
    }
    let statement = match member.clone() {
        Subject::Organisation(organisation) => Statement::OrganisationWithdrawn { organisation, reason },
        Subject::Member(id) => Statement::MemberWithdrawn { id, reason },
        Subject::Certificate { .. } => {
            return Err(CliError::Usage {
                problem: "a certificate cannot leave".to_owned(),
                hint: "`comity suspend` stops one certificate".to_owned(),
            });
        }
    };
    if dry_run {
        return signatory.would(global, &[statement]).await;
    }
    if let Subject::Organisation(own) = &member {
        let question = format!(
            "This takes all of {own} out, with every member: to come back it is invited and approved anew. Sign it?"
        );
        confirm::before_the_end(&question, yes)?;
    }
    let said = signatory.say("withdraw", statement).await?;
    report(global, ("withdrawn", &member.to_string()), &said)
}
