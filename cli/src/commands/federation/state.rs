//! All that the log says of a federation at one epoch, a field each: to be shown, and to be compared.

use std::collections::BTreeMap;

use comity_membership::{Federation, OrganisationState};
use serde_json::{Value, json};

use super::show::standing;
use crate::commands::offer::diff;
use crate::view;

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
    for (id, member) in federation.members() {
        fields.insert(id.to_string(), json!(standing(federation.standing(id))));
        fields.insert(format!("{id}.key"), json!(member.key.id().fingerprint()));
        fields.insert(format!("{id}.tls_key"), json!(member.tls_key));
    }
    let published = federation.nodes().filter_map(|(id, node)| Some((id, node.address.as_ref()?)));
    fields.extend(published.map(|(id, address)| (format!("{id}.address"), json!(address))));
    for (subject, by, why) in federation.suspended() {
        let what = json!({ "reason": why.reason, "epoch": why.epoch, "lapsesAt": why.lapses_at });
        fields.insert(format!("suspended.{subject}.{by:?}").to_lowercase(), what);
    }
    for offer in federation.offers() {
        let name = format!("{}/{}", offer.node, offer.id);
        fields.extend(diff::fields(offer).into_iter().map(|(field, value)| (format!("{name}.{field}"), value)));
    }
    fields.extend(federation.departures().map(|(subject, how)| {
        let what = if how.evicted { "evicted" } else { "withdrawn" };
        let held: Vec<_> = how.held.iter().map(|(of, why)| json!({ "subject": of, "reason": why.reason })).collect();
        (format!("left.{subject}"), json!({ "how": what, "epoch": how.epoch, "reason": how.reason, "held": held }))
    }));
    let invites = federation.invites();
    fields.extend(invites.map(|(id, invite)| {
        (format!("invites.{id}"), json!({ "member": invite.member, "expiresAt": invite.expires_at }))
    }));
    for (domain, auditor) in federation.auditors() {
        fields.insert(
            format!("auditors.{domain}"),
            json!({ "paths": auditor.paths, "upTo": auditor.up_to, "until": auditor.until }),
        );
    }
    fields.extend(federation.adopted().map(|adopted| ("tables".to_owned(), json!(adopted.tables.digest()))));
    fields
}

/// What an organisation states of itself, by what it signs.
fn stated(state: &OrganisationState) -> BTreeMap<String, Value> {
    let mut fields = view::by_key(&state.as_stated(), &state.layers);
    let keys: Vec<_> = state.keys.iter().map(|key| key.id().fingerprint()).collect();
    fields.insert("keys".to_owned(), json!(keys));
    fields.insert("anchors".to_owned(), json!(state.anchors));
    fields
}
