//! `comity reject`.

use clap::Args;
use comity_membership::{InviteId, Statement};
use comity_proto::membership::{EnrolmentState, RejectRequest};
use serde_json::json;

use super::approve::{enrolment, still_open};
use super::list;
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;
use crate::signing::{Role, Signatory};

/// What `--help` says about what a no is worth.
const AFTER: &str = "\
A no to an enrolment is one operator's vote: it is turned down when as many have said no as could let it in, or when too few \
are left who can. Until then the other operators see who said no and why, and to change one's mind is to approve it. The \
member sees the reason of the last no, once it is final. An invite that nobody has taken up is revoked by one operator alone.";

/// Say no to an enrolment, or revoke an invite that nobody has taken up.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct RejectArgs {
    /// The enrolment's or invite's id, as `comity enrolment list` shows it
    id: String,
    /// Why; operators see it, and the member once it is final
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
                return would(&signatory, args, global).await;
            }
            let request = RejectRequest { enrolment_id: args.id.clone(), reason: args.reason };
            let answer = signatory.session().membership().reject(request).await;
            let answer = answer.map_err(|status| CliError::call("reject the enrolment", status))?.into_inner();
            if let Some(left) = answer.enrolment {
                let noes = list::refusals(&left);
                say("it waits on: whether it is turned down, the other operators have a say in as well");
                let fields = vec![("rejected", args.id.clone()), ("said no so far", noes)];
                return global.output.record(fields, &json!({ "rejected": args.id, "ended": false }));
            }
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
    global.output.record(vec![("rejected", args.id.clone())], &json!({ "rejected": args.id, "ended": true }))
}

/// What an operator's no would do, to whom.
async fn would(signatory: &Signatory, args: RejectArgs, global: &Global) -> Result<(), CliError> {
    let found = still_open(enrolment(signatory.session(), &args.id).await?)?;
    say("a dry run: nothing is changed, and nothing is signed");
    let is_open = found.state() == EnrolmentState::Open;
    let does = if is_open { "revokes the invite" } else { "is one vote on the enrolment" };
    let (noes, of) = (list::refusals(&found), found.spiffe_id.clone());
    let would =
        json!({ "wouldReject": args.id, "for": of, "reason": args.reason, "does": does, "refusedBefore": noes });
    let mut fields = vec![("would reject", args.id), ("for", of), ("reason", args.reason), ("which", does.to_owned())];
    fields.extend((!noes.is_empty()).then_some(("said no so far", noes)));
    global.output.record(fields, &would)
}
