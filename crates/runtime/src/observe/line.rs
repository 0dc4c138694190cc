//! A call as a line of the access log: always the same fields in the same order, `-` (in JSON null) for what is not known.

use std::time::Duration;

use serde_json::Value;

use super::Open;
use super::facts::{Ending, Facts};
use crate::access_log::Format;
use crate::metrics::code_name;
use crate::traces::context;

pub(super) fn written(open: &Open, facts: &Facts, ending: &Ending, format: Format) -> String {
    let fields = fields(open, facts, ending);
    match format {
        Format::Json => {
            let fields: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        }
        // No value has a space, or ends a line.
        Format::Text => {
            fields.iter().map(|(key, value)| format!("{key}={}", bare(value))).collect::<Vec<_>>().join(" ")
        }
    }
}

/// Every field. `docs/operations.md` describes them, and a test holds them against that.
pub(super) fn fields(open: &Open, facts: &Facts, ending: &Ending) -> [(&'static str, Value); 17] {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let answered = facts.answered.map(|at| at.saturating_duration_since(open.begun));
    [
        ("time", open.at.plus(ending.after).to_string().into()),
        ("caller", facts.caller.as_ref().map(ToString::to_string).into()),
        ("method", open.method.into()),
        ("model", facts.model.as_ref().map(|model| model.as_str()).into()),
        ("decision", facts.decided.map(|(decision, _)| decision.to_string()).into()),
        ("offer", facts.offer.as_ref().map(ToString::to_string).into()),
        ("code", code_name(ending.code).into()),
        ("reason", ending.reason.as_deref().into()),
        ("tries", facts.tried.into()),
        ("bytes_in", facts.bytes_in.into()),
        ("bytes_out", facts.bytes_out.into()),
        ("input_tokens", facts.tokens.map(|(input, _)| input).into()),
        ("output_tokens", facts.tokens.map(|(_, output)| output).into()),
        ("first_byte_ms", answered.map(millis).into()),
        ("duration_ms", millis(ending.after).into()),
        ("request", facts.request.as_deref().into()),
        ("trace", open.trace.map(|trace| context::text(&trace.own.trace)).into()),
    ]
}

fn bare(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    }
}
