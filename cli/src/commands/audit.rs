//! `comity audit`: what went where and why, for a regulator.

mod held;
mod page;
pub(crate) mod row;

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use comity_proto::convert::wire_instant;
use comity_proto::transparency::ListReceiptsRequest;
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::{Receipt, Verified};
use comity_types::{Timestamp, TrustDomain};
use indicatif::ProgressBar;

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print, say};
use crate::session::Session;
use held::{Held, Holding};

/// What `--help` says about what a row is worth.
const AFTER: &str = "\
Every row is proven to be in the broker's log before it is printed, and names its leaves: `comity receipt show DECISION` \
fetches the proof of one, `comity receipt verify` checks it offline. What a row says of who answered, where and under which \
terms is held against the federation's own log at the row's epoch, as `comity receipt verify --log` does; what goes against \
it stands in the column `contradiction`. Rows of erased records say when there was a decision, and nothing else.

Exit status: 0 nothing contradicts the federation's log; 1 something does, or is not proven; 2 a mistake or a fault.";

/// What to report.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct AuditArgs {
    /// First instant that counts, such as 2026-11-01 or 2026-11-01T08:00:00Z
    #[arg(long)]
    from: Timestamp,
    /// First instant that no longer counts [default: now]
    #[arg(long)]
    to: Option<Timestamp>,
    /// Requests that this organisation made or answered [default: all that you may see]
    #[arg(long, value_name = "TRUST_DOMAIN")]
    organisation: Option<TrustDomain>,
    /// The form [default: csv; json with `-o json`]
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Where it goes [default: stdout]
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A row a line (RFC 4180)
    Csv,
    /// An array
    Json,
    /// A page to be read
    Html,
}

/// Fetches all receipts of that time, checks each, and reports them.
pub(crate) async fn run(args: AuditArgs, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let rows = rows(&session, &args, global).await?;
    let usual = match global.output {
        Format::Json => Form::Json,
        Format::Table => Form::Csv,
    };
    let text = match args.format.unwrap_or(usual) {
        Form::Csv => held::csv(&rows),
        Form::Json => held::json(&rows),
        Form::Html => page::html(&rows, &session.identity().root().federation.to_string(), args.from, args.to),
    };
    match &args.save {
        Some(path) => {
            fs::write(path, text).map_err(|source| CliError::File { doing: "write", path: path.clone(), source })?;
            say(&format!("{} decisions, each proven, written to {}", rows.len(), path.display()));
        }
        None => print(&text)?,
    }
    held::verdict(&rows)
}

async fn rows(session: &Session, args: &AuditArgs, global: &Global) -> Result<Vec<Held>, CliError> {
    let request = ListReceiptsRequest {
        from: Some(wire_instant(args.from)),
        to: args.to.map(wire_instant),
        organisation: args.organisation.as_ref().map(ToString::to_string).unwrap_or_default(),
        first_leaf: 0,
    };
    let progress = ProgressBar::new_spinner();
    let mut holding = Holding::open(session, global).await?;
    list(session, request, |receipt, verified| {
        holding.take(receipt, verified);
        progress.set_message(format!("{} decisions", holding.len()));
        progress.tick();
    })
    .await?;
    progress.finish_and_clear();
    holding.rows(session).await
}

/// Lists receipts, each held against the pinned key of the log before it is handed over.
pub(crate) async fn list(
    session: &Session,
    request: ListReceiptsRequest,
    mut each: impl FnMut(Receipt, &Verified),
) -> Result<(), CliError> {
    let failed = |status| CliError::call("list the receipts", status);
    let mut answer = session.transparency().list_receipts(request).await.map_err(failed)?.into_inner();
    let root = session.identity().root();
    let (origin, [plain, _]) = (root.decision_log_origin(), &root.decision_log);
    let key = NoteVerifier::of(plain);
    let mut number = 0_usize;
    while let Some(part) = answer.message().await.map_err(failed)? {
        number += 1;
        let unbelieved = |problem: String| CliError::Failed {
            problem: format!("receipt {number} is not to be believed: {problem}"),
            hint: "tell the operators of the federation; nothing is reported that is not proven".to_owned(),
        };
        let receipt = part.receipt.ok_or_else(|| unbelieved("it is missing".to_owned()))?;
        let receipt = Receipt::try_from(receipt).map_err(|error| unbelieved(error.to_string()))?;
        let verified = receipt.verify(&origin, &key).map_err(|error| unbelieved(error.to_string()))?;
        each(receipt, &verified);
    }
    Ok(())
}
