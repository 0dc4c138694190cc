//! Records: what a decision's leaf commits to.

use clap::Subcommand;
use comity_proto::transparency::EraseRecordRequest;
use serde_json::json;

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
    },
}

/// What `--help` says about what is left.
const AFTER: &str = "\
The leaves stay in the log, which verifies as before; what they commit to is gone from the broker, with the salt without \
which nobody can compute it again. Receipts that were handed out are their holders'.";

/// Does what is asked.
pub(crate) async fn run(command: Record, global: &Global) -> Result<(), CliError> {
    let Record::Erase { decision, yes } = command;
    if !yes {
        return Err(CliError::Usage {
            problem: "what is erased cannot be brought back".to_owned(),
            hint: format!(
                "look at it with `comity receipt show {decision}`, keep a receipt with --save, and add --yes"
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
