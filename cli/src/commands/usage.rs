//! `comity usage`: what was used, by whom, of whom, and what it costs; of what nodes signed.

mod statement;

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use comity_types::{Timestamp, TrustDomain};

use super::audit::{self, Wanted};
use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print, print_line, say};
use crate::session::Session;
use statement::Statement;

/// What `--help` says about what a line is worth.
const AFTER: &str = "\
A line is of one organisation, app, model, offer and currency. Every request in it is held against the decision log and the \
federation's, as by `comity audit`, and its tokens are those that the node signed; requests are counted by the time of their \
decision, UTC. The price is the one that the offer's organisation signed, at the epoch of the decision; each request is rounded \
up to a millionth. An offer without a price costs nothing.

Answers that no node signed are in lines of their own, `unsigned`: their tokens are the broker's word. What was refused, has failed \
or is not known is in no line, and is counted beside. `--lines` (and JSON, always) names the leaves of both the decision and the \
outcome of every request: `comity audit` has the same numbers, and so has the receipt that the caller got, and the one that the \
node's organisation fetches. Who asked and who answered see the same lines.

Exit status: 0 all that is counted holds; 1 something contradicts the logs, and is in no line; 2 a mistake or a fault.";

/// What to state.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct UsageArgs {
    /// First instant that counts, such as 2026-11-01 or 2026-11-01T08:00:00Z [default: the first of this month]
    #[arg(long)]
    from: Option<Timestamp>,
    /// First instant that no longer counts [default: now]
    #[arg(long)]
    to: Option<Timestamp>,
    /// Requests that this organisation made or answered [default: all that you may see]
    #[arg(long, value_name = "TRUST_DOMAIN")]
    organisation: Option<TrustDomain>,
    /// The form [default: table; json with `-o json`]
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Name the leaves of every request of a line
    #[arg(long)]
    lines: bool,
    /// Where it goes [default: stdout]
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// The form of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// A row a line (RFC 4180)
    Csv,
    /// One object
    Json,
}

/// Fetches all receipts of that time, checks each, and sums up what was used.
pub(crate) async fn run(args: UsageArgs, global: &Global) -> Result<(), CliError> {
    if let Some(from) = args.from {
        audit::in_order(from, args.to)?;
    }
    let session = Session::open(global).await?;
    let from = args.from.unwrap_or_else(|| first_of_month(session.identity().clock().now()));
    audit::in_order(from, args.to)?;
    let wanted = Wanted { from, to: args.to, organisation: args.organisation.clone() };
    let rows = audit::rows(&session, &wanted, global).await?;
    let statement = Statement::of(&wanted, &rows);
    let usual = match global.output {
        Format::Json => Form::Json,
        Format::Table => Form::Table,
    };
    let text = match args.format.unwrap_or(usual) {
        Form::Table => statement.table(args.lines),
        Form::Csv => statement.csv(args.lines),
        Form::Json => statement.json(),
    };
    match &args.save {
        Some(path) => {
            fs::write(path, text).map_err(|source| CliError::File { doing: "write", path: path.clone(), source })?;
            say(&format!("{} lines written to {}", statement.lines.len(), path.display()));
        }
        None if text.ends_with('\n') => print(&text)?,
        None => print_line(&text)?,
    }
    statement.notes().iter().for_each(|note| say(note));
    statement.verdict()
}

/// The first instant of a month of UTC.
fn first_of_month(now: Timestamp) -> Timestamp {
    let text = now.to_string();
    // RFC 3339: `2026-11-30T...`.
    text.get(..7).and_then(|month| format!("{month}-01").parse().ok()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_of_this_month_unless_it_is_told_otherwise() {
        let now: Timestamp = "2026-11-30T23:59:59.999Z".parse().unwrap();
        assert_eq!(first_of_month(now).to_string(), "2026-11-01T00:00:00Z");
    }
}
