//! `comity offer diff`: two offers, or one now and as it was, as their nodes have signed them.

use std::collections::BTreeMap;

use comity_membership::Federation;
use comity_policy::Offer;
use comity_types::OfferName;
use serde_json::{Value, json};

use crate::args::Global;
use crate::changes::{self, Change};
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;

/// What says which offer it is, and not what it offers.
const NAMES: [&str; 2] = ["id", "node"];
/// The table within an offer, whose fields are compared one by one.
const TERMS: &str = "terms";

/// Compares them.
pub(super) async fn run(
    name: &OfferName,
    other: Option<&OfferName>,
    since: Option<u64>,
    global: &Global,
) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let now = session.log_at(None).await?;
    let now = now.federation();
    let (sides, from, to) = match since {
        Some(epoch) => {
            let then = session.log_at(Some(epoch)).await?;
            let was = then.federation().offer(name).ok_or_else(|| CliError::Failed {
                problem: format!("{name} was not offered at epoch {epoch}"),
                hint: "`comity log show` lists what was published when".to_owned(),
            })?;
            (
                [format!("{name} at epoch {epoch}"), format!("{name} at epoch {}", now.epoch())],
                was.clone(),
                find(now, name)?,
            )
        }
        None => {
            let other = other.unwrap_or(name);
            ([name.to_string(), other.to_string()], find(now, name)?.clone(), find(now, other)?)
        }
    };
    print(&sides, &changes::between(&fields(&from), &fields(to)), global)
}

fn find<'a>(federation: &'a Federation, name: &OfferName) -> Result<&'a Offer, CliError> {
    let unknown = || CliError::NotFound { kind: "offer", name: name.to_string(), list: "comity offer list" };
    federation.offer(name).ok_or_else(unknown)
}

fn print([from, to]: &[String; 2], changes: &[Change], global: &Global) -> Result<(), CliError> {
    if global.output == Format::Json {
        let field = |one: &Change| json!({ "field": one.field, "from": one.now, "to": one.then });
        let fields: Vec<_> = changes.iter().map(field).collect();
        return print_json(&json!({ "from": from, "to": to, "fields": fields }));
    }
    if changes.is_empty() {
        say("they are the same");
        return Ok(());
    }
    changes::table(changes, &["field", from, to], global)
}

/// All that an offer states, its terms one by one.
pub(crate) fn fields(offer: &Offer) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for (field, value) in object(serde_json::to_value(offer).unwrap_or_default()) {
        // Terms that say nothing are another offer than none.
        let has_terms = field == TERMS && value != json!({});
        if has_terms {
            fields.extend(object(value).into_iter().map(|(term, value)| (format!("{TERMS}.{term}"), value)));
        } else if !NAMES.contains(&field.as_str()) {
            fields.insert(field, value);
        }
    }
    fields
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { serde_json::Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(id: &str, purposes: &[&str]) -> Offer {
        let json = json!({
            "id": id,
            "node": format!("spiffe://org-a.example/node/{id}"),
            "model": "m",
            "capabilities": ["chat"],
            "terms": { "allowed_purposes": purposes, "training_use": "never" },
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn terms_are_compared_one_by_one_and_names_not_at_all() {
        let (one, other) = (offer("a", &["dpv:Purpose"]), offer("b", &["dpv:CustomerCare"]));
        let changed = changes::between(&fields(&one), &fields(&other));
        let changed: Vec<_> = changed.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(changed, ["terms.allowed_purposes"]);
        assert_eq!(changes::between(&fields(&one), &fields(&offer("b", &["dpv:Purpose"]))), []);
        let (mut none, mut empty) = (one.clone(), one);
        (none.terms, empty.terms) = (None, Some(Default::default()));
        let changed = changes::between(&fields(&none), &fields(&empty));
        assert_eq!(changed.iter().map(|change| change.field.as_str()).collect::<Vec<_>>(), ["terms"]);
    }
}
