//! `comity organisation show`.

use comity_policy::Layers;
use comity_proto::json::Canonical;
use comity_types::TrustDomain;

use super::approved::{Admissions, Admitted};
use super::list;
use crate::args::Global;
use crate::error::CliError;
use crate::output::joined;
use crate::session::Session;
use crate::view;

/// Shows one organisation, with what it demands of its own requests where that is for the caller to see, and whether its first
/// node publishes what it applied with.
pub(super) async fn run(id: &TrustDomain, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let entry = list::one(&session, id).await?;
    let row = list::row(&entry)?;
    let hidden = Layers::default();
    let stated = view::stated(&row.facts, row.layers.as_ref().unwrap_or(&hidden));
    let mut fields: Vec<_> = stated.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    fields.push(("standing", view::standing_and_reason(row.standing, &row.suspension_reason)));
    fields.push(("nodes", row.nodes.to_string()));
    fields.push(("apps", row.apps.to_string()));
    let mut admissions = Admissions::default();
    let followed = session.log_with(|epoch, entry| admissions.take(epoch, entry)).await?;
    let admitted = admissions.last_of(id);
    fields.push(("enrolment", joined(admitted.map(Admitted::enrolment))));
    fields
        .push(("offers that it applied with", joined(admitted.map(|one| one.in_a_line(followed.log().federation())))));
    global.output.record(fields, &Canonical(&entry))
}
