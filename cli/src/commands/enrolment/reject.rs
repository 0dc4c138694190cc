//! `comity reject`.

use clap::Args;
use comity_proto::membership::RejectRequest;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;

/// Turn an enrolment down, or revoke an invite that nobody has taken up.
#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// The enrolment's or invite's id, as `comity enrolment list` shows it
    id: String,
    /// Why; the member sees it
    #[arg(long)]
    reason: String,
}

/// Turns it down or revokes it.
pub(crate) async fn run(args: RejectArgs, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let request = RejectRequest { enrolment_id: args.id.clone(), reason: args.reason };
    session.membership().reject(request).await.map_err(|status| CliError::call("reject the enrolment", status))?;
    global.output.record(vec![("rejected", args.id.clone())], &json!({ "rejected": args.id }))
}
