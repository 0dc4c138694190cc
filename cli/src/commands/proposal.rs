//! Statements that operators have signed, and not enough of them yet.

use clap::Subcommand;
use comity_proto::json::Canonical;
use comity_proto::membership::ListProposalsResponse;

use crate::args::Global;
use crate::commands::enrolment::approve;
use crate::error::CliError;
use crate::session::Session;
use crate::signing::statement_of;
use crate::view;

/// Statements that wait for more operators.
#[derive(Debug, Subcommand)]
pub(crate) enum Proposal {
    /// List them; `comity approve ID --dry-run` shows one whole
    List,
}

/// Lists them.
pub(crate) async fn run(_: &Proposal, global: &Global) -> Result<(), CliError> {
    let proposals = approve::proposals(&Session::open(global).await?).await?;
    let rows = proposals.iter().map(row).collect::<Result<_, _>>()?;
    let header = ["id", "statement", "about", "signed", "signed by", "since"];
    global.output.list(&header, rows, &Canonical(&ListProposalsResponse { proposals }))
}

fn row(proposal: &comity_proto::membership::Proposal) -> Result<Vec<String>, CliError> {
    let statement = statement_of(proposal)?;
    Ok(vec![
        proposal.id.clone(),
        statement.kind().replace('_', " "),
        statement.scope().map(|scope| scope.to_string()).unwrap_or_default(),
        format!("{} of {}", proposal.signed_by.len(), proposal.needed),
        proposal.signed_by.join(" "),
        view::instant(proposal.proposed_at.as_ref()),
    ])
}
