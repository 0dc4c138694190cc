//! `comity audit`: what went where and why, for a regulator.

mod asked;
mod held;
mod listed;
mod page;
pub(crate) mod row;
mod whole;
mod why;

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use comity_client::receipt::CLOCK_TOLERANCE;
use comity_proto::convert::wire_instant;
use comity_proto::transparency::ListReceiptsRequest;
use comity_types::{Timestamp, TrustDomain};
use indicatif::ProgressBar;

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print, say};
use crate::session::Session;
use asked::Asked;
pub(crate) use held::Held;
use held::Holding;
pub(in crate::commands) use held::demanded_besides;
pub(crate) use held::quoted;
pub(crate) use listed::{Listed, list};
use whole::Published;

/// What `--help` says about what a row is worth.
const AFTER: &str = "\
The decision log is read from its first leaf, and every row is held against it at that one checkpoint: what came later is not \
in the report. That checkpoint is kept beside the identity (decisions.checkpoint.json), as by `comity log monitor`, and the next \
report's has to continue it: a log that lost something between two reports is told. Each names its leaves: `comity receipt show DECISION` fetches the proof of one, `comity receipt verify` checks it \
offline. What a row says of who asked, who answered, where and under which terms is held against the federation's own log at the \
row's epoch, as `comity receipt verify --log` does. Why it went there is in `requirements` (what the request demanded), \
`organisation_requirements`, `eligible`, `reasons`, `rank`, `chosen_by` and `tries`: docs/decision-log.md, \"An audit\", has all \
columns. What goes against either, is damaged, or is listed twice or for somebody else \
stands in the column `contradiction`. `node_signed` says whether a node signed what became of it; an answer without is the \
broker's word. Operators of the federation see all, so that a decision that the broker does not list is a row, `unlisted` \
(`completeness` is `log`); to others it is the broker's word that none is missing (`broker`). Rows of erased records say when \
there was a decision, and nothing else: they are in the report of every organisation that an operator of the federation asks \
for, since nobody can tell whose they were.

Exit status: 0 nothing contradicts the logs, and each answer is signed by its node; 1 otherwise; 2 a mistake or a fault.";

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
    in_order(args.from, args.to)?;
    let session = Session::open(global).await?;
    let wanted = Wanted { from: args.from, to: args.to, organisation: args.organisation.clone() };
    let rows = rows(&session, &wanted, global).await?;
    let usual = match global.output {
        Format::Json => Form::Json,
        Format::Table => Form::Csv,
    };
    let asked = asked(&session, &wanted);
    let notes = notes(&rows, &asked);
    let text = match args.format.unwrap_or(usual) {
        Form::Csv => held::csv(&rows),
        Form::Json => held::json(&rows),
        Form::Html => {
            let federation = session.identity().root().federation.to_string();
            page::html(&rows, &federation, (args.from, args.to), &notes)
        }
    };
    match &args.save {
        Some(path) => {
            fs::write(path, text).map_err(|source| CliError::File { doing: "write", path: path.clone(), source })?;
            say(&format!("{} decisions written to {}", rows.len(), path.display()));
        }
        None => print(&text)?,
    }
    notes.iter().for_each(|note| say(note));
    held::verdict(&rows)
}

/// Which decisions are reported.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Those from this instant on,
    pub(crate) from: Timestamp,
    /// and before this one; all that there are by now where it is absent.
    pub(crate) to: Option<Timestamp>,
    /// That this organisation asked or answered.
    pub(crate) organisation: Option<TrustDomain>,
}

/// Whether any instant is asked for: a report of none would be complete, and say that nothing was decided.
pub(super) fn in_order(from: Timestamp, to: Option<Timestamp>) -> Result<(), CliError> {
    match to {
        Some(to) if to <= from => Err(CliError::Usage {
            problem: format!("no instant is from --from ({from}) on and before --to ({to})"),
            hint: "give a --to that is later than --from, or none: then all counts that was decided by now".to_owned(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Who asks for what.
fn asked(session: &Session, args: &Wanted) -> Asked {
    let own = session.identity().id().trust_domain();
    if *own == session.identity().root().federation {
        Asked::Governor(args.organisation.clone())
    } else {
        Asked::Member(args.organisation.clone().unwrap_or_else(|| own.clone()))
    }
}

/// What holds of the report as a whole, and is in no row.
fn notes(rows: &[Held], asked: &Asked) -> Vec<String> {
    let erased = rows.iter().filter(|held| held.row.result == "erased").count();
    let mut notes = vec![match asked {
        Asked::Governor(_) => {
            "every decision that the log has of that time was listed, or is marked as unlisted".to_owned()
        }
        Asked::Member(of) => format!(
            "that no decision of {of} is missing is the broker's word, and what was erased is not listed: the operators of the \
             federation see all, and can check it"
        ),
    }];
    match asked {
        _ if erased == 0 => {}
        Asked::Governor(Some(of)) => {
            notes.push(format!("{erased} rows are of erased records: nobody can tell whether they were {of}'s"));
        }
        Asked::Governor(None) | Asked::Member(_) => {
            notes.push(format!(
                "{erased} rows are of erased records, as the broker says: nobody can tell what they were"
            ));
        }
    }
    notes
}

/// The decisions, each held against both logs.
pub(crate) async fn rows(session: &Session, args: &Wanted, global: &Global) -> Result<Vec<Held>, CliError> {
    let (asked, to) = (asked(session, args), args.to);
    // What the log has by now, whichever clock is ahead.
    let to = to.unwrap_or_else(|| session.identity().clock().now().plus(CLOCK_TOLERANCE));
    if args.from >= to {
        return Err(CliError::Usage {
            problem: format!("--from ({}) is later than now, and no --to was given", args.from),
            hint: "give a --from that has passed; `date -u` says what this machine takes for now".to_owned(),
        });
    }
    // Who sees all asks for all, and so sees what is missing.
    let organisation = match &asked {
        Asked::Governor(_) => String::new(),
        Asked::Member(_) => args.organisation.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let request = ListReceiptsRequest {
        from: Some(wire_instant(args.from)),
        to: Some(wire_instant(to)),
        organisation,
        first_leaf: 0,
    };
    let published = Published::read(session, args.from, to).await?;
    let progress = ProgressBar::new_spinner();
    let mut holding = Holding::open(session, published, asked, global).await?;
    list(session, request, |listed| {
        holding.take(listed);
        progress.set_message(format!("{} decisions", holding.len()));
        progress.tick();
    })
    .await?;
    progress.finish_and_clear();
    holding.rows().await
}
