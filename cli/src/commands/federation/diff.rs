//! `comity federation diff`: what two epochs differ in, both folded here from the log.

use std::collections::BTreeMap;

use comity_membership::{Federation, OrganisationState};
use serde_json::{Value, json};

use super::show::standing;
use crate::args::Global;
use crate::changes::{self, Change};
use crate::commands::offer::diff;
use crate::commands::organisation::update;
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;

/// Shows what is not the same.
pub(super) async fn run(from: u64, to: Option<u64>, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let (before, after) = (session.log_at(Some(from)).await?, session.log_at(to).await?);
    let to = after.federation().epoch();
    let changes = changes::between(&fields(before.federation()), &fields(after.federation()));
    if global.output == Format::Json {
        let field = |one: &Change| json!({ "field": one.field, "from": one.now, "to": one.then });
        return print_json(&json!({ "from": from, "to": to, "fields": changes.iter().map(field).collect::<Vec<_>>() }));
    }
    if changes.is_empty() {
        say("they are the same");
        return Ok(());
    }
    changes::table(&changes, &["field", &format!("at epoch {from}"), &format!("at epoch {to}")], global)
}

/// All that the log says, a field each.
fn fields(federation: &Federation) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    if let Some(all) = federation.governance() {
        fields.insert("root threshold".to_owned(), json!(all.root_threshold));
        fields.insert("membership threshold".to_owned(), json!(all.membership_threshold));
        let keys = all.operators.iter().map(|(id, key)| (format!("operators.{id}"), json!(key.id().fingerprint())));
        fields.extend(keys);
    }
    for state in federation.organisations() {
        let domain = &state.organisation.trust_domain;
        fields.extend(stated(state).into_iter().map(|(field, value)| (format!("{domain}.{field}"), value)));
    }
    let members = federation.members().map(|(id, _)| (id.to_string(), json!(standing(federation.standing(id)))));
    fields.extend(members);
    for offer in federation.offers() {
        let name = format!("{}/{}", offer.node, offer.id);
        fields.extend(diff::fields(offer).into_iter().map(|(field, value)| (format!("{name}.{field}"), value)));
    }
    fields.extend(federation.departures().map(|(subject, how)| {
        let what = if how.evicted { "evicted" } else { "withdrawn" };
        (format!("left.{subject}"), json!(format!("{what} at epoch {}: {}", how.epoch, how.reason)))
    }));
    fields.extend(federation.adopted().map(|adopted| ("tables".to_owned(), json!(adopted.tables.digest()))));
    fields
}

/// What an organisation states of itself, by what it signs, and whether it may take part.
fn stated(state: &OrganisationState) -> BTreeMap<String, Value> {
    let mut fields = update::fields(&state.as_stated(), &state.layers);
    let keys: Vec<_> = state.keys.iter().map(|key| key.id().fingerprint()).collect();
    let suspended = state.suspensions.first().map(|why| why.reason.clone());
    fields.insert("keys".to_owned(), json!(keys));
    fields.insert("anchors".to_owned(), json!(state.anchors));
    fields.extend(suspended.map(|reason| ("suspended".to_owned(), json!(reason))));
    fields
}
