//! `comity join`: from an invite to an identity.

use std::path::PathBuf;

use clap::Args;
use comity_client::enrol::{self, EnrolError, JoinState, Joining, OwnAuthority};
use comity_client::split_hint;
use comity_identity::invite::InviteError;
use comity_identity::{IdentityDir, Invite};
use comity_types::ids::Kind;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::organisation_file;

/// What this program acts as: nodes have a program of their own.
const KINDS: &[Kind] = &[Kind::App, Kind::Operator];

/// What `--help` says about calling it again.
const AGAIN: &str = "\
Safe to call again with the same invite and directory: the same key asks, and gets the same answer. Another \
invite needs another directory.

Exit status: 0 joined; 1 refused; 2 a mistake or a fault; 75 while operators have not decided, so that a \
script can ask again until it ends with another status.";

/// Take up an invite.
#[derive(Debug, Args)]
#[command(after_help = AGAIN)]
pub(crate) struct JoinArgs {
    /// The invite, as an operator handed it over
    invite: String,
    /// Where the identity goes; its key is made there and stays
    #[arg(long)]
    dir: PathBuf,
    /// What the organisation is and demands, where it is new to the federation (organisation.toml)
    #[arg(long, value_name = "FILE")]
    organisation: Option<PathBuf>,
    /// The certificates of your organisation's own authority, in PEM: the broker hosts none for it then
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The key of that authority, in PEM, if it is to sign here: it is read, and stays where it is
    #[arg(long, value_name = "FILE", requires = "ca")]
    ca_key: Option<PathBuf>,
}

/// Joins, or says what it waits for.
pub(crate) async fn run(args: &JoinArgs, global: &Global) -> Result<(), CliError> {
    let invite: Invite = args.invite.parse().map_err(no_invite)?;
    let organisation = match args.organisation.as_deref() {
        Some(path) => Some(organisation_file::read(path, &*global.tables()?)?),
        None => None,
    };
    let authority = args.ca.as_deref().map(|ca| OwnAuthority::read(ca, args.ca_key.as_deref())).transpose();
    let authority = authority.map_err(EnrolError::from).map_err(failed)?;
    let joining =
        Joining { authority: authority.as_ref(), ..Joining::new(&invite, KINDS, organisation.as_ref(), &args.dir) };
    match Box::pin(enrol::join(joining)).await.map_err(failed)? {
        JoinState::Issued(dir) => issued(&dir, global),
        JoinState::Pending { enrolment_id, fingerprint } => Err(CliError::Pending { enrolment_id, fingerprint }),
        JoinState::AwaitsCertificate { id, request, certificate } => {
            Err(CliError::AwaitsCertificate { id, request, certificate })
        }
        JoinState::Rejected { reason } => Err(CliError::Rejected { reason }),
    }
}

fn issued(dir: &IdentityDir, global: &Global) -> Result<(), CliError> {
    let identity = dir.identity().map_err(EnrolError::from).map_err(failed)?;
    let path = dir.path().display().to_string();
    let fields = vec![("joined as", identity.spiffe_id.to_string()), ("identity", path.clone())];
    global.output.record(fields, &json!({ "spiffeId": identity.spiffe_id, "dir": path }))
}

/// Not an invite, or only a part of one: the error says which, and what to do.
fn no_invite(error: InviteError) -> CliError {
    let (problem, hint) = split_hint(&error.to_string());
    let source = Box::new(error);
    match hint {
        Some(hint) => CliError::Usage { problem, hint: format!("{hint}; operators make invites with `comity invite`") },
        None => CliError::Client { doing: "use the invite", source, hint: None },
    }
}

fn failed(error: EnrolError) -> CliError {
    let taken = matches!(error, EnrolError::AlreadyJoined { .. } | EnrolError::AlreadyAsked { .. });
    if let EnrolError::Call(status) = error {
        return CliError::call("join", *status);
    }
    let hint = taken.then(|| "choose another --dir: a directory holds one identity, from one invite".to_owned());
    CliError::Client { doing: "join", source: Box::new(error), hint }
}
