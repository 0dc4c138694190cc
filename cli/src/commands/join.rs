//! `comity join`: from an invite to an identity.

use std::path::{Path, PathBuf};

use clap::Args;
use comity_client::enrol::{self, JoinState};
use comity_identity::{IdentityDir, Invite};
use comity_policy::Organisation;
use comity_runtime::config;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;

/// Take up an invite. Safe to call again: the same key asks, and gets the same answer.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// The invite, as an operator handed it over
    invite: String,
    /// Where the identity goes; its key is made there and stays
    #[arg(long)]
    dir: PathBuf,
    /// The facts of the organisation, where it is new to the federation (organisation.toml)
    #[arg(long, value_name = "FILE")]
    organisation: Option<PathBuf>,
}

/// Joins, or says what it waits for.
pub(crate) async fn run(args: &JoinArgs, global: &Global) -> Result<(), CliError> {
    let invite: Invite = args.invite.parse().map_err(|error: comity_identity::invite::InviteError| {
        CliError::Usage { problem: error.to_string(), hint: "operators make invites with `comity invite`".to_owned() }
    })?;
    let organisation = args.organisation.as_deref().map(read_organisation).transpose()?;
    match Box::pin(enrol::join(&invite, organisation.as_ref(), &args.dir)).await.map_err(failed)? {
        JoinState::Issued(dir) => issued(&dir, global),
        JoinState::Pending { enrolment_id, fingerprint } => Err(CliError::Pending { enrolment_id, fingerprint }),
        JoinState::Rejected { reason } => Err(CliError::Rejected { reason }),
    }
}

/// Reads an organisation's facts.
fn read_organisation(path: &Path) -> Result<Organisation, CliError> {
    let broken =
        |error| CliError::Client { doing: "read the organisation's facts", source: Box::new(error), hint: None };
    config::load(path).map_err(broken)
}

fn issued(dir: &IdentityDir, global: &Global) -> Result<(), CliError> {
    let identity = dir.identity().map_err(failed)?;
    let path = dir.path().display().to_string();
    let fields = vec![("joined as", identity.spiffe_id.to_string()), ("identity", path.clone())];
    global.output.record(fields, &json!({ "spiffe_id": identity.spiffe_id, "dir": path }))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Client { doing: "join", source: Box::new(error), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_an_organisation_is_accepted_and_says_everything() {
        let facts =
            read_organisation(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/organisation.example.toml"))
                .unwrap();
        assert!(facts.seat.is_some() && facts.ultimate_controllers.is_some(), "{facts:?}");
    }
}
