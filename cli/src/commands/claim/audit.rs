//! `comity claim audit` and `withdraw`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use comity_membership::{Audit, Claimant, Statement};
use comity_policy::claim::{Assurance, ClaimPath};
use comity_types::digest::Hasher;
use comity_types::{Digest, Timestamp};

use super::stated;
use crate::args::Global;
use crate::commands::auditor::level;
use crate::error::CliError;
use crate::layers;
use crate::output::say;
use crate::session::Session;
use crate::signing::{Signatory, report};

/// How much of a file is read at once, in bytes: an archive of evidence may be larger than memory.
const CHUNK_BYTES: usize = 64 * 1024;

/// What `--help` says about what it is worth.
pub(super) const AFTER: &str = "\
What is signed is the value as it stands in the federation's log, and the SHA-256 of the evidence, which stays with the \
auditor. It counts until its time is over, the value changes, the auditor is suspended or is recognised no longer, or it \
is withdrawn. `comity claim list` shows the values.";

/// Sign for the value of a claim.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Whose claim: a trust domain, or an offer such as org-a.example/n1/chat
    of: Claimant,
    /// Which, as `min_assurance` names it: operator.seat, processing_locations
    path: ClaimPath,
    /// How far it is stood behind
    #[arg(long, value_parser = level, value_name = "LEVEL")]
    level: Assurance,
    /// What the audit rests on; its SHA-256 is signed, and it stays here
    #[arg(long, value_name = "FILE")]
    evidence: PathBuf,
    /// Which value, where several are stated: its SHA-256 as `comity claim list -o json` shows it
    #[arg(long, value_name = "SHA256")]
    value: Option<Digest>,
    /// From which day or instant on it holds [default: now]
    #[arg(long, value_name = "T")]
    valid_from: Option<Timestamp>,
    /// The day or instant at which it ends
    #[arg(long, value_name = "T")]
    valid_until: Timestamp,
    /// Say what would be signed, and sign nothing
    #[arg(long)]
    dry_run: bool,
}

/// Signs for a value.
pub(super) async fn run(args: AuditArgs, global: &Global) -> Result<(), CliError> {
    let AuditArgs { of: about, path, level, evidence, value, valid_from, valid_until: until, dry_run } = args;
    let evidence = digest_of(&evidence)?;
    let signatory = Signatory::of(Session::open(global).await?)?;
    let auditor = signatory.organisation()?.clone();
    let followed = signatory.session().log().await?;
    let stated = stated::all(followed.log().federation(), &about)?.into_iter().find(|one| one.path == path);
    let stated = stated.ok_or_else(|| unstated(&about, path))?;
    say(&format!("{path} of {about}: {}", layers::text(&stated.text)));
    let value = one_of(&stated.digests, value)?;
    let from = valid_from.unwrap_or_else(|| signatory.session().identity().clock().now());
    let whom = format!("{path} of {about}");
    let statement =
        Statement::ClaimAudited { auditor, audit: Audit { about, path, value, level, evidence, from, until } };
    if dry_run {
        return signatory.would(global, &[statement]).await;
    }
    let said = signatory.say("audit the claim", statement).await?;
    report(global, ("audited", &whom), &said)
}

/// Takes back what was signed.
pub(super) async fn withdraw(
    about: Claimant,
    path: ClaimPath,
    reason: String,
    dry_run: bool,
    global: &Global,
) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    let auditor = signatory.organisation()?.clone();
    let whom = format!("{path} of {about}");
    let statement = Statement::AuditWithdrawn { auditor, about, path, reason };
    if dry_run {
        return signatory.would(global, &[statement]).await;
    }
    let said = signatory.say("withdraw the audit", statement).await?;
    report(global, ("withdrawn", &whom), &said)
}

/// The value that is meant.
fn one_of(stated: &[Digest], meant: Option<Digest>) -> Result<Digest, CliError> {
    let wrong = |problem: &str| CliError::Usage {
        problem: problem.to_owned(),
        hint: "name one with --value SHA256; `comity claim list -o json` shows them".to_owned(),
    };
    match (stated, meant) {
        (_, Some(meant)) if stated.contains(&meant) => Ok(meant),
        (_, Some(_)) => Err(wrong("no such value is stated")),
        ([one, others @ ..], None) if others.iter().all(|other| other == one) => Ok(*one),
        (_, None) => Err(wrong("several values are stated")),
    }
}

fn unstated(about: &Claimant, path: ClaimPath) -> CliError {
    CliError::Failed {
        problem: format!("{about} states no {path}"),
        hint: format!("`comity claim list {about}` shows what it does; facts of organisations begin with operator."),
    }
}

fn digest_of(path: &Path) -> Result<Digest, CliError> {
    let unread = |source| CliError::File { doing: "read", path: path.to_owned(), source };
    let (mut file, mut hasher) = (File::open(path).map_err(unread)?, Hasher::default());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(unread)?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(chunk.get(..read).unwrap_or_default());
    }
}
