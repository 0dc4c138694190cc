//! `comity reject`.

use clap::Args;
use comity_membership::{InviteId, Statement};
use comity_proto::membership::RejectRequest;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;
use crate::signing::{Role, Signatory};

/// Turn an enrolment down, or revoke an invite that nobody has taken up.
#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// The enrolment's or invite's id, as `comity enrolment list` shows it
    id: String,
    /// Why; the member sees it
    #[arg(long)]
    reason: String,
    /// Show what would be said or signed, and by whom, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Turns it down or revokes it: operators by their word, an organisation its own invite by a statement.
pub(crate) async fn run(args: RejectArgs, global: &Global) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    match signatory.role() {
        Role::Operator => {
            if args.dry_run {
                say(
                    "a dry run: nothing is changed. An operator's no is not a statement: one is enough, and it is not signed",
                );
                let would = json!({ "wouldReject": args.id, "reason": args.reason });
                return global.output.record(vec![("would reject", args.id), ("reason", args.reason)], &would);
            }
            let request = RejectRequest { enrolment_id: args.id.clone(), reason: args.reason };
            let answer = signatory.session().membership().reject(request).await;
            answer.map_err(|status| CliError::call("reject the enrolment", status))?;
        }
        Role::Organisation(organisation) => {
            let invite: InviteId = args.id.parse().map_err(|error: comity_types::Invalid| CliError::Usage {
                problem: error.to_string(),
                hint: "`comity enrolment list` shows the invites that are open".to_owned(),
            })?;
            let statement = Statement::InviteRevoked { organisation: organisation.clone(), invite };
            if args.dry_run {
                return signatory.would(global, &[statement]).await;
            }
            let _said = signatory.say("revoke the invite", statement).await?;
        }
    }
    global.output.record(vec![("rejected", args.id.clone())], &json!({ "rejected": args.id }))
}
