//! What an organisation demands of its own requests, as it is printed: a line for each requirement, by the key that it
//! has in an `organisation.toml`.

use comity_policy::requirements::key;
use comity_policy::{Layers, Requirements};
use comity_proto::policy::{Layer, LayerDemands};
use comity_types::display::harmless;
use serde_json::Value;

use crate::verdict::wrapped;

/// Every requirement of every layer, such as `require.no_training`, and what it says.
pub(crate) fn fields(layers: &Layers) -> Vec<(String, Value)> {
    let apps = layers.apps.iter().map(|(app, layer)| (format!("apps.{app}.require"), layer));
    let all = std::iter::once(("require".to_owned(), &layers.organisation)).chain(apps);
    all.flat_map(|(table, layer)| of_layer(&table, layer)).collect()
}

fn of_layer(table: &str, layer: &Requirements) -> Vec<(String, Value)> {
    match serde_json::to_value(layer) {
        Ok(Value::Object(fields)) => {
            fields.into_iter().map(|(field, value)| (format!("{table}.{}", key(&field)), value)).collect()
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// A value for people: lists without brackets; of several lists, every one has to hold.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().any(Value::is_array) => {
            items.iter().map(text_in_brackets).collect::<Vec<_>>().join(" and ")
        }
        Value::Array(items) if items.is_empty() => "nothing".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn text_in_brackets(list: &Value) -> String {
    format!("[{}]", text(list))
}

/// What the caller's organisation demanded beyond what was sent, for each layer, in lines of at most `width` characters
/// where it is given.
pub(crate) fn demand_lines(demands: &[LayerDemands], width: Option<u16>) -> Vec<String> {
    let line = |one| harmless(&format!("set {}: {}", who(one), one.constraints.join(", ")));
    let in_width = |text: String| match width {
        Some(width) => wrapped(&text, width.into()),
        None => text,
    };
    demands.iter().map(|one| in_width(line(one))).collect()
}

/// Who makes a requirement, as `set by org-a.example`; nothing where the request alone does, which can drop it.
pub(crate) fn set_by(layers: &[i32], demands: &[LayerDemands]) -> Option<String> {
    let beyond = demands.iter().filter(|one| layers.contains(&one.layer)).map(who);
    let mut all: Vec<_> = beyond.collect();
    if all.is_empty() {
        return None;
    }
    if layers.contains(&Layer::Request.into()) {
        all.push("by the request".to_owned());
    }
    Some(format!("set {}", all.join(" and ")))
}

fn who(one: &LayerDemands) -> String {
    let word = if one.layer == i32::from(Layer::App) { "for" } else { "by" };
    format!("{word} {}", one.subject)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_requirement_has_the_key_of_its_file_and_a_value_without_brackets() {
        let text_of = |json: &str| -> Vec<(String, String)> {
            let layers: Layers = serde_json::from_str(json).unwrap();
            fields(&layers).into_iter().map(|(key, value)| (key, text(&value))).collect()
        };
        let json = r#"{"organisation":{"allowed_processing_locations":[["EU","NO"],["DE"]],"no_exposure":[]},
            "apps":{"a1":{"max_prices":{"EUR":{"input_micros":1,"output_micros":2}},"no_training":true}}}"#;
        let expected = [
            ("require.allowed_processing_locations", "[DE] and [EU NO]"),
            ("apps.a1.require.max_price", r#"{"EUR":{"input_micros":1,"output_micros":2}}"#),
            ("apps.a1.require.no_training", "true"),
        ];
        let mut found = text_of(json);
        found[1..].sort();
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(text(&json!([[]])), "[nothing]");
    }

    #[test]
    fn who_set_a_requirement_is_said_and_what_the_request_alone_asks_for_is_its_own() {
        let demand = |layer: Layer, subject: &str| LayerDemands {
            layer: layer.into(),
            subject: subject.into(),
            constraints: vec!["no_training".into()],
        };
        let (of_all, of_app) =
            (demand(Layer::Organisation, "a.example"), demand(Layer::App, "spiffe://a.example/app/a1"));
        let demands = [of_all, of_app];
        let numbers = |layers: &[Layer]| layers.iter().map(|layer| i32::from(*layer)).collect::<Vec<_>>();
        assert_eq!(set_by(&numbers(&[Layer::Request]), &demands), None);
        assert_eq!(set_by(&numbers(&[Layer::Organisation]), &demands).unwrap(), "set by a.example");
        let both = set_by(&numbers(&[Layer::App, Layer::Request]), &demands).unwrap();
        assert_eq!(both, "set for spiffe://a.example/app/a1 and by the request");
        assert_eq!(demand_lines(&demands, None)[0], "set by a.example: no_training");
    }
}
