//! `comity node list`.

use comity_proto::json::Canonical;
use comity_proto::membership::{ListNodesRequest, ListNodesResponse, NodeEntry};

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

/// Lists the nodes.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let listing = all(&Session::open(global).await?).await?;
    let rows = listing.nodes.iter().map(cells).collect();
    global.output.list(&["id", "address", "standing", "offers", "link"], rows, &Canonical(&listing))
}

/// All of them.
pub(super) async fn all(session: &Session) -> Result<ListNodesResponse, CliError> {
    let answer = session.membership().list_nodes(ListNodesRequest {}).await;
    Ok(answer.map_err(|status| CliError::call("list the nodes", status))?.into_inner())
}

fn cells(node: &NodeEntry) -> Vec<String> {
    vec![
        node.spiffe_id.clone(),
        view::address(&node.address),
        view::standing_and_reason(view::standing(node.standing), &node.suspension_reason),
        node.offers.to_string(),
        node.link.clone(),
    ]
}
