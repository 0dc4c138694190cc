//! What of something is not as in something else, field by field.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::args::Global;
use crate::error::CliError;
use crate::layers;

/// A field that changes; absent is unknown, or not demanded.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    pub(crate) field: String,
    pub(crate) now: Option<Value>,
    pub(crate) then: Option<Value>,
}

/// What of one is not as in the other.
pub(crate) fn between(now: &BTreeMap<String, Value>, then: &BTreeMap<String, Value>) -> Vec<Change> {
    let all: BTreeMap<&String, ()> = now.keys().chain(then.keys()).map(|field| (field, ())).collect();
    let changed = all.into_keys().filter(|field| now.get(*field) != then.get(*field));
    let change =
        |field: &String| Change { field: field.clone(), now: now.get(field).cloned(), then: then.get(field).cloned() };
    changed.map(change).collect()
}

/// Changes, for people: the field, and what it is on each side.
pub(crate) fn table(changes: &[Change], header: &[&str; 3], global: &Global) -> Result<(), CliError> {
    let rows = changes.iter().map(|one| vec![one.field.clone(), text(one.now.as_ref()), text(one.then.as_ref())]);
    global.output.list(header, rows.collect(), &())
}

fn text(value: Option<&Value>) -> String {
    value.map_or_else(|| "-".to_owned(), layers::text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_new_other_or_gone_is_a_change_and_what_stays_is_none() {
        let of = |json: Value| json.as_object().unwrap().clone().into_iter().collect::<BTreeMap<_, _>>();
        let now = of(json!({ "name": "A", "seat": "DE", "require.no_training": true }));
        let then = of(json!({ "name": "A", "seat": "FR", "apps.a1.require.no_training": true }));
        let found = between(&now, &then);
        let fields: Vec<_> = found.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["apps.a1.require.no_training", "require.no_training", "seat"]);
        assert_eq!((text(found[0].now.as_ref()), text(found[0].then.as_ref())), ("-".to_owned(), "true".to_owned()));
        assert_eq!(found[2].then, Some(json!("FR")));
        assert_eq!(between(&now, &now), []);
    }
}
