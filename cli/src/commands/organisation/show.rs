//! `comity organisation show`.

use comity_policy::Layers;
use comity_proto::json::Canonical;
use comity_types::TrustDomain;

use super::list;
use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::view;

/// Shows one organisation, with what it demands of its own requests where that is for the caller to see.
pub(super) async fn run(id: &TrustDomain, global: &Global) -> Result<(), CliError> {
    let entry = list::one(&Session::open(global).await?, id).await?;
    let row = list::row(&entry)?;
    let hidden = Layers::default();
    let stated = view::stated(&row.facts, row.layers.as_ref().unwrap_or(&hidden));
    let mut fields: Vec<_> = stated.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    fields.push(("standing", view::standing_and_reason(row.standing, &row.suspension_reason)));
    fields.push(("nodes", row.nodes.to_string()));
    fields.push(("apps", row.apps.to_string()));
    global.output.record(fields, &Canonical(&entry))
}
