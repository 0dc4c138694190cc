//! All that the log says of a federation at one epoch, a field each: to be shown, and to be compared.

use std::collections::BTreeMap;

use comity_membership::{Federation, OrganisationState};
use serde_json::{Value, json};

use super::show::standing;
use crate::commands::offer::diff;
use crate::commands::organisation::update;

/// All that the log says, a field each.
pub(super) fn fields(federation: &Federation) -> BTreeMap<String, Value> {
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
    let invites = federation.invites();
    fields.extend(invites.map(|(id, invite)| (format!("invites.{id}"), json!(invite.member))));
    for (domain, auditor) in federation.auditors() {
        fields.insert(
            format!("auditors.{domain}"),
            json!({ "paths": auditor.paths, "upTo": auditor.up_to, "until": auditor.until }),
        );
    }
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
