//! Whose word counts on what others claim.

use clap::Subcommand;
use comity_membership::Statement;
use comity_policy::claim::{Assurance, ClaimPath};
use comity_types::{Timestamp, TrustDomain};
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::joined;
use crate::session::Session;
use crate::signing::{Signatory, report};

/// What `--help` says about who signs.
const AFTER: &str = "\
As many operators sign as admit and suspend; until they have, `comity proposal list` shows it. Recognised again, an \
auditor is recognised as it was said last: what it audited of other claims, or above that level, is over.";

/// Whose word counts on what others claim.
#[derive(Debug, Subcommand)]
pub(crate) enum Auditor {
    /// List them, with the claims on which their word counts
    List,
    /// Recognise an organisation as an auditor (operators)
    #[command(after_help = AFTER)]
    Recognise {
        /// Which
        organisation: TrustDomain,
        /// A claim on which its word counts, as `min_assurance` names it: operator.seat, processing_locations; may be repeated
        #[arg(long = "claim", value_name = "PATH", required = true)]
        claims: Vec<ClaimPath>,
        /// The highest level that its word has
        #[arg(long, value_parser = level, default_value = "audited", value_name = "LEVEL")]
        up_to: Assurance,
        /// The day or instant at which its word ends
        #[arg(long, value_name = "T")]
        until: Timestamp,
        /// Say what would be signed, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Take it back: what it has audited is over (operators)
    #[command(after_help = AFTER)]
    Revoke {
        /// Which
        organisation: TrustDomain,
        /// Why; everybody reads it
        #[arg(long)]
        reason: String,
        /// Say what would be signed, and sign nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// A level above self-declared.
pub(crate) fn level(text: &str) -> Result<Assurance, String> {
    let levels = [Assurance::RegistryCorroborated, Assurance::Audited, Assurance::Attested];
    let named = levels.into_iter().find(|level| level.as_str() == text);
    named.ok_or_else(|| format!("write one of {}", levels.map(Assurance::as_str).join(", ")))
}

/// Does what is asked.
pub(crate) async fn run(command: Auditor, global: &Global) -> Result<(), CliError> {
    match command {
        Auditor::List => list(global).await,
        Auditor::Recognise { organisation, claims, up_to, until, dry_run } => {
            let whom = organisation.to_string();
            let paths = claims.into_iter().collect();
            let statement = Statement::AuditorRecognised { auditor: organisation, paths, up_to, until };
            decide(("recognised", &whom), statement, dry_run, global).await
        }
        Auditor::Revoke { organisation, reason, dry_run } => {
            let whom = organisation.to_string();
            let statement = Statement::AuditorRevoked { auditor: organisation, reason };
            decide(("revoked", &whom), statement, dry_run, global).await
        }
    }
}

async fn decide(
    did: (&'static str, &str),
    statement: Statement,
    dry_run: bool,
    global: &Global,
) -> Result<(), CliError> {
    let signatory = Signatory::of(Session::open(global).await?)?;
    signatory.operator()?;
    if dry_run {
        return signatory.would(global, &[statement]).await;
    }
    let said = signatory.say("decide about the auditor", statement).await?;
    report(global, did, &said)
}

async fn list(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let followed = session.log().await?;
    let (federation, now) = (followed.log().federation(), session.identity().clock().now());
    let (mut rows, mut views) = (Vec::new(), Vec::new());
    for (domain, auditor) in federation.auditors() {
        let standing = match federation.is_heard(domain) {
            false => "suspended",
            true if auditor.until <= now => "ended",
            true => "recognised",
        };
        let (up_to, until) = (auditor.up_to.as_str(), auditor.until.to_string());
        rows.push(vec![domain.to_string(), joined(&auditor.paths), up_to.into(), until.clone(), standing.into()]);
        views.push(json!({
            "auditor": domain,
            "claims": auditor.paths,
            "upTo": up_to,
            "until": until,
            "standing": standing,
            "epoch": auditor.epoch,
        }));
    }
    global.output.list(&["auditor", "claims", "up to", "until", "standing"], rows, &views)
}
