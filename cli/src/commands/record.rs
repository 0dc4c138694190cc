//! Records: what a decision's leaf commits to.

use clap::Subcommand;
use comity_proto::transparency::EraseRecordRequest;
use comity_types::ids::Kind;
use serde_json::json;

use super::receipt::show;
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// What is recorded of decisions.
#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// Erase what is recorded of a decision and of its outcome (operators of the organisation that asked, or of the federation)
    #[command(after_help = AFTER)]
    Erase {
        /// The decision: 32 hexadecimal digits
        decision: String,
        /// Erase it without asking for confirmation
        #[arg(long)]
        yes: bool,
        /// Show what would be erased, and erase nothing
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
    },
}

/// What `--help` says about what is left.
const AFTER: &str = "\
The leaves stay in the log, which verifies as before; what they commit to is gone from the broker, with the salt without \
which nobody can compute it again. Receipts that were handed out are their holders'.";

/// Does what is asked.
pub(crate) async fn run(command: Record, global: &Global) -> Result<(), CliError> {
    let Record::Erase { decision, yes, dry_run } = command;
    if dry_run {
        return would_erase(&decision, global).await;
    }
    if !yes {
        return Err(CliError::Usage {
            problem: "what is erased cannot be brought back".to_owned(),
            hint: format!(
                "look at it with --dry-run, keep a receipt with `comity receipt show {decision} --save FILE`, and add --yes"
            ),
        });
    }
    let session = Session::open(global).await?;
    let request = EraseRecordRequest { decision_id: decision.clone() };
    let answer = session.transparency().erase_record(request).await;
    answer.map_err(|status| CliError::call("erase the record", status))?;
    say("the record is erased; the log keeps its leaves");
    global.output.record(vec![("erased", decision.clone())], &json!({ "erased": decision }))
}

/// Shows what is recorded. Whose decision it has to be, the broker says when it is erased.
async fn would_erase(decision: &str, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let id = session.identity().id();
    if id.kind() != Kind::Operator {
        return Err(CliError::Usage {
            problem: format!("{id} is no operator, and only operators erase"),
            hint: "use the identity of an operator of the organisation that asked, or of the federation".to_owned(),
        });
    }
    let (_, verified) = show::fetch(&session, decision).await?;
    say("a dry run: nothing is erased. This is what is recorded; the leaves in the log would stay");
    show::print(&verified, &[], global)
}
