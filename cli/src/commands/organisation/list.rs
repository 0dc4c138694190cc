//! `comity organisation list`.

use comity_policy::Organisation;
use comity_proto::json::Canonical;
use comity_proto::membership::{ListOrganisationsRequest, ListOrganisationsResponse, OrganisationEntry};

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

/// An organisation, as tables show it.
pub(super) struct Row {
    pub(super) facts: Organisation,
    pub(super) standing: &'static str,
    pub(super) suspension_reason: String,
    pub(super) nodes: u32,
    pub(super) apps: u32,
}

/// Lists the organisations.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let listing = all(global).await?;
    let rows = listing.organisations.iter().map(|entry| row(entry).map(|row| cells(&row))).collect::<Result<_, _>>()?;
    let header = ["trust domain", "name", "seat", "controllers", "standing", "nodes", "apps"];
    global.output.list(&header, rows, &Canonical(&listing))
}

/// All of them.
pub(super) async fn all(global: &Global) -> Result<ListOrganisationsResponse, CliError> {
    let session = Session::open(global).await?;
    let answer = session.membership().list_organisations(ListOrganisationsRequest {}).await;
    Ok(answer.map_err(|status| CliError::call("list the organisations", status))?.into_inner())
}

/// What tables show of an entry.
pub(super) fn row(entry: &OrganisationEntry) -> Result<Row, CliError> {
    let OrganisationEntry { organisation, standing, suspension_reason, nodes, apps } = entry.clone();
    Ok(Row {
        facts: view::organisation(organisation)?,
        standing: view::standing(standing),
        suspension_reason,
        nodes,
        apps,
    })
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        row.facts.trust_domain.to_string(),
        row.facts.name.clone(),
        view::claim(row.facts.seat.as_ref(), ToString::to_string),
        view::controllers(&row.facts),
        row.standing.to_owned(),
        row.nodes.to_string(),
        row.apps.to_string(),
    ]
}
