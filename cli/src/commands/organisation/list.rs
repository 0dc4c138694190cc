//! `comity organisation list`.

use comity_policy::{Layers, Organisation};
use comity_proto::membership::{ListOrganisationsRequest, OrganisationEntry};
use comity_types::TrustDomain;
use serde::Serialize;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

#[derive(Serialize)]
struct Listing {
    organisations: Vec<Row>,
}

/// An organisation, as it is printed.
#[derive(Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) facts: Organisation,
    pub(super) standing: &'static str,
    pub(super) suspension_reason: String,
    pub(super) nodes: u32,
    pub(super) apps: u32,
    /// For operators and the organisation's own members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layers: Option<Layers>,
}

/// Lists the organisations.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let organisations = all(&Session::open(global).await?).await?;
    let rows = organisations.iter().map(cells).collect();
    let header = ["trust domain", "name", "seat", "controllers", "standing", "nodes", "apps"];
    global.output.list(&header, rows, &Listing { organisations })
}

/// All of them.
pub(super) async fn all(session: &Session) -> Result<Vec<Row>, CliError> {
    let answer = session.membership().list_organisations(ListOrganisationsRequest {}).await;
    let answer = answer.map_err(|status| CliError::call("list the organisations", status))?.into_inner();
    answer.organisations.into_iter().map(row).collect()
}

/// One of them.
pub(super) async fn one(session: &Session, id: &TrustDomain) -> Result<Row, CliError> {
    let found = all(session).await?.into_iter().find(|row| row.facts.trust_domain == *id);
    found.ok_or_else(|| CliError::NotFound {
        kind: "organisation",
        name: id.to_string(),
        list: "comity organisation list",
    })
}

fn row(entry: OrganisationEntry) -> Result<Row, CliError> {
    let OrganisationEntry { organisation, standing, suspension_reason, nodes, apps, layers } = entry;
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
        row.standing.to_owned(),
        row.nodes.to_string(),
        row.apps.to_string(),
    ]
}
