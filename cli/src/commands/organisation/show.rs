//! `comity organisation show`.

use comity_types::TrustDomain;

use super::list;
use crate::args::Global;
use crate::error::CliError;
use crate::view;

/// Shows one organisation.
pub(super) async fn run(id: &TrustDomain, global: &Global) -> Result<(), CliError> {
    let found = list::all(global).await?.into_iter().find(|row| row.facts.trust_domain == *id);
    let missing =
        || CliError::NotFound { kind: "organisation", name: id.to_string(), list: "comity organisation list" };
    let row = found.ok_or_else(missing)?;
    let mut fields = view::organisation_fields(&row.facts);
    fields.push(("standing", view::standing_and_reason(row.standing, &row.suspension_reason)));
    fields.push(("nodes", row.nodes.to_string()));
    fields.push(("apps", row.apps.to_string()));
    global.output.record(fields, &row)
}
