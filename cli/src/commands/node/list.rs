//! `comity node list`.

use comity_proto::membership::{ListNodesRequest, NodeEntry};
use serde::Serialize;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

#[derive(Serialize)]
struct Listing {
    nodes: Vec<Row>,
}

/// A node, as it is printed.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) spiffe_id: String,
    pub(super) address: String,
    pub(super) standing: &'static str,
    pub(super) suspension_reason: String,
    pub(super) offers: u32,
    pub(super) link: String,
}

/// Lists the nodes.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let nodes = all(&Session::open(global).await?).await?;
    let rows = nodes.iter().map(cells).collect();
    global.output.list(&["id", "address", "standing", "offers", "link"], rows, &Listing { nodes })
}

/// All of them.
pub(super) async fn all(session: &Session) -> Result<Vec<Row>, CliError> {
    let answer = session.membership().list_nodes(ListNodesRequest {}).await;
    let answer = answer.map_err(|status| CliError::call("list the nodes", status))?.into_inner();
    Ok(answer.nodes.into_iter().map(row).collect())
}

fn row(entry: NodeEntry) -> Row {
    let NodeEntry { spiffe_id, address, standing, suspension_reason, offers, link } = entry;
    Row { spiffe_id, address, standing: view::standing(standing), suspension_reason, offers, link }
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        row.spiffe_id.clone(),
        view::address(&row.address),
        row.standing.to_owned(),
        row.offers.to_string(),
        row.link.clone(),
    ]
}
