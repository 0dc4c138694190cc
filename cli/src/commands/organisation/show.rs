//! `comity organisation show`.

use comity_proto::json::Canonical;
use comity_proto::policy::Organisation;
use comity_types::TrustDomain;

use super::list;
use crate::args::Global;
use crate::error::CliError;
use crate::view;

/// Shows one organisation.
pub(super) async fn run(id: &TrustDomain, global: &Global) -> Result<(), CliError> {
    let is_meant = |facts: &Organisation| facts.trust_domain == id.as_str();
    let mut listed = list::all(global).await?.organisations.into_iter();
    let found = listed.find(|entry| entry.organisation.as_ref().is_some_and(is_meant));
    let missing =
        || CliError::NotFound { kind: "organisation", name: id.to_string(), list: "comity organisation list" };
    let entry = found.ok_or_else(missing)?;
    let row = list::row(&entry)?;
    let mut fields = view::organisation_fields(&row.facts);
    fields.push(("standing", view::standing_and_reason(row.standing, &row.suspension_reason)));
    fields.push(("nodes", row.nodes.to_string()));
    fields.push(("apps", row.apps.to_string()));
    global.output.record(fields, &Canonical(&entry))
}
