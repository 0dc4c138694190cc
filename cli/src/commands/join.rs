//! `comity join`: from an invite to an identity.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use comity_client::enrol::{self, EnrolError, JoinState, Joining, OwnAuthority, Resuming, Told};
use comity_client::split_hint;
use comity_client::workload_api::Socket;
use comity_identity::invite::InviteError;
use comity_identity::{IdentityDir, Invite, Inviter};
use comity_policy::OrganisationFile;
use comity_runtime::web::bundle;
use comity_types::ids::Kind;
use indicatif::ProgressBar;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::organisation_file;
use crate::output::say;

/// What this program acts as: nodes have a program of their own.
const KINDS: &[Kind] = &[Kind::App, Kind::Operator];

/// How often the sign of life moves.
const TICK: Duration = Duration::from_millis(120);

/// What `--help` says about calling it again.
const AGAIN: &str = "\
It prints the fingerprint to compare with operators, and at a terminal waits until they have decided. Whoever does not \
want to wait stops it (Ctrl-C): the first command that uses the directory afterwards completes the identity. Safe to \
call again with the same invite and directory: the same key asks, and gets the same answer. Another invite needs another \
directory.

Exit status: 0 joined; 1 refused; 2 a mistake or a fault; 75 while operators have not decided, so that a \
script can ask again until it ends with another status.";

/// How long it waits at a terminal: whoever sits there longer has left.
const AT_A_TERMINAL: Duration = Duration::from_secs(24 * 60 * 60);

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
    #[arg(long, value_name = "FILE", conflicts_with = "hosted")]
    ca: Option<PathBuf>,
    /// The key of that authority, in PEM, if it is to sign here: it is read, and stays where it is
    #[arg(long, value_name = "FILE", requires = "ca")]
    ca_key: Option<PathBuf>,
    /// Have the broker host a certificate authority for your organisation, with a key of its own; so it is without --ca
    #[arg(long)]
    hosted: bool,
    /// The SPIFFE trust bundle of your organisation (JWKS), a file or an https URL, where it is new to the federation and SPIRE
    /// or another Workload API hands out certificates; --workload-api says where
    #[arg(long, value_name = "FILE|URL", conflicts_with_all = ["ca", "hosted"])]
    spiffe_bundle: Option<String>,
    /// Wait for operators, for as long as this [default at a terminal: 24h; elsewhere: 0s]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "24h", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
}

/// Joins, or says what it waits for.
pub(crate) async fn run(args: &JoinArgs, global: &Global) -> Result<(), CliError> {
    let invite: Invite = args.invite.parse().map_err(no_invite)?;
    let organisation = match args.organisation.as_deref() {
        Some(path) => Some(organisation_file::read(path, &*global.tables()?)?),
        None => None,
    };
    let authority = match global.workload_api {
        Some(_) => Some(handed_out(args, &invite, organisation.as_ref()).await?),
        None => own_authority(args)?,
    };
    let joining =
        Joining { authority: authority.as_ref(), ..Joining::new(&invite, KINDS, organisation.as_ref(), &args.dir) };
    let first = Box::pin(enrol::join(joining)).await.map_err(failed)?;
    let at_a_terminal = io::stderr().is_terminal();
    let patience = args.wait.unwrap_or(if at_a_terminal { AT_A_TERMINAL } else { Duration::ZERO });
    let waits = matches!(first, JoinState::Pending { .. } | JoinState::AwaitsCertificate { .. });
    let last =
        if waits && !patience.is_zero() { wait(&args.dir, first, patience, authority.as_ref()).await? } else { first };
    issued(&decided(last, &args.dir)?, global)
}

/// The authority whose certificates are in files; none where the broker hosts one.
fn own_authority(args: &JoinArgs) -> Result<Option<OwnAuthority>, CliError> {
    if args.spiffe_bundle.is_some() {
        return Err(CliError::Usage {
            problem: "--spiffe-bundle is for certificates that a Workload API hands out, and none is named".to_owned(),
            hint: "name it with --workload-api SOCKET (COMITY_WORKLOAD_API), here and for every command as this identity; \
                   an authority whose certificates are in files is --ca"
                .to_owned(),
        });
    }
    let read = args.ca.as_deref().map(|ca| OwnAuthority::read(ca, args.ca_key.as_deref())).transpose();
    read.map_err(EnrolError::from).map_err(failed)
}

/// The authority of whoever has key and certificate of a Workload API, which makes a new key with every certificate.
async fn handed_out(
    args: &JoinArgs,
    invite: &Invite,
    organisation: Option<&OrganisationFile>,
) -> Result<OwnAuthority, CliError> {
    let usage = |problem: &str, hint: &str| CliError::Usage { problem: problem.to_owned(), hint: hint.to_owned() };
    if args.ca.is_some() || args.hosted {
        return Err(usage(
            "--workload-api says that certificates are handed out, and --ca or --hosted that they are not",
            "leave out --workload-api (COMITY_WORKLOAD_API), or --ca and --hosted",
        ));
    }
    match (organisation, args.spiffe_bundle.as_deref()) {
        (Some(organisation), Some(source)) => {
            let unusable = |source| CliError::Client { doing: "use the trust bundle", source, hint: None };
            let bundle = bundle::load(source).await.map_err(|error| unusable(Box::new(error)))?;
            let domain = organisation.facts.trust_domain.clone();
            OwnAuthority::of_bundle(domain, &bundle).map_err(|error| unusable(Box::new(error)))
        }
        (Some(_), None) if invite.from == Inviter::Operators => Err(usage(
            "an organisation that is new to the federation brings the authorities of its Workload API's certificates",
            "name its SPIFFE trust bundle with --spiffe-bundle FILE|URL",
        )),
        // A member of an organisation that takes part already states no anchors: those stand in the log.
        _ => Ok(OwnAuthority::of_workload_api()),
    }
}

/// Waits until it is decided, `patience` is over or somebody stops it; gives how it stands then.
async fn wait(
    dir: &Path,
    first: JoinState,
    patience: Duration,
    authority: Option<&OwnAuthority>,
) -> Result<JoinState, CliError> {
    if let Some(waits) = decided(first.clone(), dir).err() {
        say(&format!("{waits}\n{}", waits.hint().unwrap_or_default()));
    }
    let spinner =
        ProgressBar::new_spinner().with_message("waiting for the federation's operators; Ctrl-C stops waiting");
    spinner.enable_steady_tick(TICK);
    let resuming = Resuming { authority, ..Resuming::new(KINDS, dir) };
    let waiting = enrol::wait(&resuming, Some(patience), |told| match told {
        Told::Away(why) => spinner.set_message(format!("the broker is away, asking again: {why}")),
        Told::Stands(JoinState::AwaitsCertificate { certificate, .. }) => {
            spinner.set_message(format!("admitted; waiting for {}", certificate.display()));
        }
        Told::Stands(_) => spinner.set_message("waiting for the federation's operators; Ctrl-C stops waiting"),
    });
    let stands = tokio::select! {
        stands = waiting => stands.map_err(failed),
        _stopped = tokio::signal::ctrl_c() => Ok(first),
    };
    spinner.finish_and_clear();
    stands
}

/// Completes the identity that a directory has asked for, if it waits for one.
pub(crate) async fn complete(dir: &Path, workload_api: Option<&Socket>) -> Result<(), CliError> {
    if !enrol::has_asked(dir) {
        return Ok(());
    }
    let own = workload_api.map(|_| OwnAuthority::of_workload_api());
    let resuming = Resuming { authority: own.as_ref(), ..Resuming::new(KINDS, dir) };
    let state = Box::pin(enrol::resume(&resuming)).await.map_err(failed)?;
    decided(state, dir).map(drop)
}

/// The identity, or what it waits for.
fn decided(state: JoinState, dir: &Path) -> Result<IdentityDir, CliError> {
    match state {
        JoinState::Issued(dir) => Ok(dir),
        JoinState::Pending { enrolment_id, fingerprint } => {
            Err(CliError::Pending { enrolment_id, fingerprint, sign: enrol::to_be_signed(dir) })
        }
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
