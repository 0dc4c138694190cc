//! Statements that operators have signed, and not enough of them yet.

use clap::Subcommand;
use comity_proto::json::Canonical;
use comity_proto::membership::{ListProposalsResponse, Proposal as Waiting, RejectProposalRequest};
use serde_json::json;

use crate::args::Global;
use crate::commands::enrolment::approve;
use crate::error::CliError;
use crate::output::{joined, say};
use crate::session::Session;
use crate::signing::{counted, named, proposal_json, proposals, statement_of};
use crate::view;

/// Statements that wait for more operators.
#[derive(Debug, Subcommand)]
pub(crate) enum Proposal {
    /// List them
    List,
    /// Show one whole: what is signed, and by whom, each signature checked here
    Show {
        /// Its id as `comity proposal list` shows it, or the beginning of that
        id: String,
    },
    /// Say no to one, and take one's own signature off it; it ends when nobody's is left or too few can still sign
    #[command(visible_alias = "withdraw", after_help = AFTER)]
    Reject {
        /// Its id as `comity proposal list` shows it, or the beginning of that
        id: String,
        /// Show what would become of it, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// What `--help` says about what a no is worth.
const AFTER: &str = "\
Any operator may say no, and nobody alone takes off the table what enough others want: a proposal ends when the last \
signature is withdrawn, or when those who have not said no are fewer than it takes. To change one's mind is to approve it. A no is not \
signed and not in the log: whoever kept a copy of what was signed can hand it in again, for as long as it is of now.";

/// Does what is asked.
pub(crate) async fn run(command: &Proposal, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    match command {
        Proposal::List => list(&session, global).await,
        Proposal::Show { id } => show(&session, id, global).await,
        Proposal::Reject { id, dry_run } => reject(&session, id, *dry_run, global).await,
    }
}

async fn list(session: &Session, global: &Global) -> Result<(), CliError> {
    let waiting = proposals(session).await?;
    let rows = waiting.iter().map(row).collect::<Result<_, _>>()?;
    let header = ["id", "statement", "about", "signed", "signed by", "refused by", "since"];
    global.output.list(&header, rows, &Canonical(&ListProposalsResponse { proposals: waiting }))
}

async fn show(session: &Session, id: &str, global: &Global) -> Result<(), CliError> {
    let waiting = proposals(session).await?;
    let found = named(&waiting, id)?.ok_or_else(|| unknown(id))?;
    let followed = session.log().await?;
    let shown = approve::shown_proposal(session, followed.log().federation(), found).await?;
    let since = view::instant(found.proposed_at.as_ref());
    let mut json = proposal_json(found);
    if let Some(json) = json.as_object_mut() {
        json.insert("refusedBy".to_owned(), json!(found.refused_by));
        json.insert("proposedAt".to_owned(), json!(since));
    }
    let own = [("id", found.id.as_str()), ("since", &since)];
    let all = own.into_iter().chain(shown.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    global.output.record(all.map(|(name, value)| (name, value.to_owned())).collect(), &json)
}

fn unknown(id: &str) -> CliError {
    CliError::NotFound { kind: "proposal", name: id.to_owned(), list: "comity proposal list" }
}

async fn reject(session: &Session, id: &str, dry_run: bool, global: &Global) -> Result<(), CliError> {
    let waiting = proposals(session).await?;
    let found = named(&waiting, id)?.ok_or_else(|| unknown(id))?;
    if dry_run {
        say("a dry run: nothing is changed. A no is not a statement, and not signed");
        let signed = found.signed_by.contains(&session.identity().id().to_string());
        let json = json!({ "wouldReject": found.id, "withdrawsSignature": signed });
        let fields = vec![
            ("would reject", found.id.clone()),
            ("one's own signature", if signed { "would be withdrawn" } else { "is not on it" }.to_owned()),
        ];
        return global.output.record(fields, &json);
    }
    let request = RejectProposalRequest { proposal_id: found.id.clone() };
    let answer = session.membership().reject_proposal(request).await;
    let answer = answer.map_err(|status| CliError::call("reject the proposal", status))?.into_inner();
    let stands = answer.proposal.map_or_else(
        || "it has ended".to_owned(),
        |left| format!("it waits on: {} have signed, {} said no", counted(&left), left.refused_by.len()),
    );
    let ended = stands == "it has ended";
    let fields = vec![("rejected", found.id.clone()), ("now", stands)];
    global.output.record(fields, &json!({ "rejected": found.id, "ended": ended }))
}

fn row(proposal: &Waiting) -> Result<Vec<String>, CliError> {
    let statement = statement_of(proposal)?;
    Ok(vec![
        proposal.id.clone(),
        statement.kind().replace('_', " "),
        statement.scope().map(|scope| scope.to_string()).unwrap_or_default(),
        counted(proposal),
        proposal.signed_by.join(" "),
        joined(&proposal.refused_by),
        view::instant(proposal.proposed_at.as_ref()),
    ])
}
