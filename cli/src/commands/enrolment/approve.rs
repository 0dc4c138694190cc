//! `comity approve`.

use clap::Args;
use comity_proto::membership::ApproveRequest;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;

/// Let an enrolment in. Compare its fingerprint with the member first.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The enrolment's id, as `comity enrolment list` shows it
    id: String,
}

/// Lets it in.
pub(crate) async fn run(args: ApproveArgs, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let request = ApproveRequest { enrolment_id: args.id.clone() };
    let answer = session
        .membership()
        .approve(request)
        .await
        .map_err(|status| CliError::call("approve the enrolment", status))?;
    let epoch = answer.into_inner().epoch;
    let fields = vec![("approved", args.id.clone()), ("epoch", epoch.to_string())];
    global.output.record(fields, &json!({ "approved": args.id, "epoch": epoch }))
}
