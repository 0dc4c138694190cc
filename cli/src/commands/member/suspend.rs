//! `comity suspend`.

use clap::Args;
use comity_membership::Subject;
use comity_proto::membership::SuspendRequest;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;

/// Stop an organisation, a node or an app. New calls are refused at once.
#[derive(Debug, Args)]
pub(crate) struct SuspendArgs {
    /// An organisation's trust domain, or the SPIFFE ID of a member
    member: Subject,
    /// Why; the member sees it
    #[arg(long)]
    reason: String,
}

/// Does so.
pub(crate) async fn run(args: SuspendArgs, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let member = args.member.to_string();
    let request = SuspendRequest { member: member.clone(), reason: args.reason };
    let answer =
        session.membership().suspend(request).await.map_err(|status| CliError::call("suspend the member", status))?;
    let epoch = answer.into_inner().epoch;
    let fields = vec![("suspended", member.clone()), ("epoch", epoch.to_string())];
    global.output.record(fields, &json!({ "suspended": member, "epoch": epoch }))
}
