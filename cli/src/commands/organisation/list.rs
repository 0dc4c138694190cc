//! `comity organisation list`.

use comity_policy::{Layers, Organisation};
use comity_proto::json::Canonical;
use comity_proto::membership::{ListOrganisationsRequest, ListOrganisationsResponse, OrganisationEntry};
use comity_types::TrustDomain;

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
    /// For operators and the organisation's own members.
    pub(super) layers: Option<Layers>,
}

/// Lists the organisations.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let listing = all(&Session::open(global).await?).await?;
    let rows = listing.organisations.iter().map(|entry| row(entry).map(|row| cells(&row))).collect::<Result<_, _>>()?;
    let header = ["trust domain", "name", "seat", "controllers", "standing", "nodes", "apps"];
    global.output.list(&header, rows, &Canonical(&listing))
}

/// All of them.
async fn all(session: &Session) -> Result<ListOrganisationsResponse, CliError> {
    let answer = session.membership().list_organisations(ListOrganisationsRequest {}).await;
    Ok(answer.map_err(|status| CliError::call("list the organisations", status))?.into_inner())
}

/// One of them.
pub(super) async fn one(session: &Session, id: &TrustDomain) -> Result<OrganisationEntry, CliError> {
    let mut all = all(session).await?.organisations.into_iter();
    let is_meant =
        |entry: &OrganisationEntry| entry.organisation.as_ref().is_some_and(|facts| facts.trust_domain == id.as_str());
    all.find(is_meant).ok_or_else(|| CliError::NotFound {
        kind: "organisation",
        name: id.to_string(),
        list: "comity organisation list",
    })
}

/// What tables show of an entry.
pub(super) fn row(entry: &OrganisationEntry) -> Result<Row, CliError> {
    let OrganisationEntry { organisation, standing, suspension_reason, nodes, apps, layers } = entry.clone();
    Ok(Row {
        facts: view::organisation(organisation)?,
        standing: view::standing(standing),
        suspension_reason,
        nodes,
        apps,
        layers: layers.map(|layers| view::layers(Some(layers))).transpose()?,
    })
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        row.facts.trust_domain.to_string(),
        row.facts.name.clone(),
        view::claim(row.facts.seat.as_ref(), ToString::to_string),
        view::controllers(&row.facts),
        view::standing_and_reason(row.standing, &row.suspension_reason),
        row.nodes.to_string(),
        row.apps.to_string(),
    ]
}
