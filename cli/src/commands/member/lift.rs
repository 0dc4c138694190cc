//! `comity lift`.

use clap::Args;
use comity_membership::Subject;
use comity_proto::membership::LiftRequest;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;

/// End a suspension.
#[derive(Debug, Args)]
pub(crate) struct LiftArgs {
    /// An organisation's trust domain, or the SPIFFE ID of a member
    member: Subject,
}

/// Does so.
pub(crate) async fn run(args: LiftArgs, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let member = args.member.to_string();
    let request = LiftRequest { member: member.clone() };
    let answer =
        session.membership().lift(request).await.map_err(|status| CliError::call("lift the member", status))?;
    let epoch = answer.into_inner().epoch;
    let fields = vec![("lifted", member.clone()), ("epoch", epoch.to_string())];
    global.output.record(fields, &json!({ "lifted": member, "epoch": epoch }))
}
