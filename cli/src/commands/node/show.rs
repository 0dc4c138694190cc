//! `comity node show`.

use comity_proto::json::Canonical;
use comity_types::SpiffeId;

use super::list;
use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

/// Shows one node.
pub(super) async fn run(id: &SpiffeId, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let found = list::all(&session).await?.nodes.into_iter().find(|node| node.spiffe_id == id.as_str());
    let node =
        found.ok_or_else(|| CliError::NotFound { kind: "node", name: id.to_string(), list: "comity node list" })?;
    let fields = vec![
        ("id", node.spiffe_id.clone()),
        ("address", view::address(&node.address)),
        ("standing", view::standing_and_reason(view::standing(node.standing), &node.suspension_reason)),
        ("offers", node.offers.to_string()),
        ("link", node.link.clone()),
    ];
    global.output.record(fields, &Canonical(&node))
}
