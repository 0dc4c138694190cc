//! `comity organisation show`.

use comity_proto::json::Canonical;
use comity_types::TrustDomain;

use super::list;
use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;
use crate::{layers, view};

/// Shows one organisation, with what it demands of its own requests where that is for the caller to see.
pub(super) async fn run(id: &TrustDomain, global: &Global) -> Result<(), CliError> {
    let entry = list::one(&Session::open(global).await?, id).await?;
    let row = list::row(&entry)?;
    let mut fields = view::organisation_fields(&row.facts);
    fields.push(("standing", view::standing_and_reason(row.standing, &row.suspension_reason)));
    fields.push(("nodes", row.nodes.to_string()));
    fields.push(("apps", row.apps.to_string()));
    let demanded = row.layers.as_ref().map(layers::fields).unwrap_or_default();
    fields.extend(demanded.iter().map(|(key, value)| (key.as_str(), layers::text(value))));
    global.output.record(fields, &Canonical(&entry))
}
