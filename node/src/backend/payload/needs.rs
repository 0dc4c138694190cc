//! What a payload asks of a model beyond its method, and the field that asks for it.

use std::collections::BTreeMap;

use comity_policy::Capability;
use comity_proto::inference::content_part::Part;
use comity_proto::inference::response_format::Format;
use comity_proto::inference::{ChatPayload, ForwardPayload, Message, Role};
use serde_json::Value;

/// Capabilities, each with the first field that needs it.
pub type Needs = BTreeMap<Capability, String>;

/// What a conversation needs beyond chat.
#[must_use]
pub fn of_chat(payload: &ChatPayload) -> Needs {
    let format = payload.response_format.as_ref().and_then(|format| format.format.as_ref());
    let asked = [
        (Capability::Tools, "tools", !payload.tools.is_empty()),
        (Capability::Tools, "tool_choice", payload.tool_choice.is_some()),
        (Capability::JsonSchema, "response_format.json_schema", matches!(format, Some(Format::JsonSchema(_)))),
        (Capability::LogProbabilities, "top_log_probabilities", payload.top_log_probabilities.is_some()),
    ];
    let mut needs = Needs::new();
    for (capability, field, _) in asked.into_iter().filter(|(.., asked)| *asked) {
        needs.entry(capability).or_insert_with(|| format!("payload.{field}"));
    }
    for (index, message) in payload.messages.iter().enumerate() {
        of_message(message, &format!("payload.messages[{index}]"), &mut needs);
    }
    needs
}

fn of_message(message: &Message, path: &str, needs: &mut Needs) {
    if message.role() == Role::Tool || !message.tool_calls.is_empty() {
        needs.entry(Capability::Tools).or_insert_with(|| path.to_owned());
    }
    let image = message.content.iter().position(|part| matches!(part.part, Some(Part::Image(_))));
    if let Some(part) = image {
        needs.entry(Capability::ImageInput).or_insert_with(|| format!("{path}.content[{part}]"));
    }
}

/// What a body in OpenAI's format needs beyond being forwarded. What is not JSON needs nothing: the backend is not
/// asked with it.
#[must_use]
pub fn of_forward(payload: &ForwardPayload) -> Needs {
    let body: Value = serde_json::from_slice(&payload.body).unwrap_or_default();
    let messages = body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let asked = [
        (Capability::Tools, "tools", asks(body.get("tools")) || asks(body.get("functions"))),
        (Capability::Tools, "messages", messages.iter().any(is_about_tools)),
        (Capability::ImageInput, "messages", messages.iter().any(has_image)),
        (Capability::JsonSchema, "response_format", body.pointer("/response_format/json_schema").is_some()),
        (Capability::LogProbabilities, "logprobs", asks(body.get("logprobs"))),
    ];
    let mut needs = Needs::new();
    for (capability, field, _) in asked.into_iter().filter(|(.., asked)| *asked) {
        needs.entry(capability).or_insert_with(|| format!("payload.body: {field}"));
    }
    needs
}

/// True for a field that asks for something: null, false and an empty list do not.
fn asks(field: Option<&Value>) -> bool {
    match field {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Bool(true) | Value::Number(_) | Value::String(_) | Value::Object(_)) => true,
    }
}

fn is_about_tools(message: &Value) -> bool {
    let role = message.get("role").and_then(Value::as_str);
    matches!(role, Some("tool" | "function")) || asks(message.get("tool_calls"))
}

fn has_image(message: &Value) -> bool {
    let parts = message.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    parts.iter().any(|part| part.get("image_url").is_some())
}

#[cfg(test)]
mod tests {
    use comity_proto::inference::{ContentPart, Image, ResponseFormat, Tool, ToolCall, ToolChoice, tool_choice};

    use super::*;

    fn message(role: Role, part: Part) -> Message {
        Message { role: role.into(), content: vec![ContentPart { part: Some(part) }], ..Message::default() }
    }

    fn text() -> Message {
        message(Role::User, Part::Text("hello".into()))
    }

    fn needs(change: impl FnOnce(&mut ChatPayload)) -> Vec<(Capability, String)> {
        let mut payload = ChatPayload { messages: vec![text()], ..ChatPayload::default() };
        change(&mut payload);
        of_chat(&payload).into_iter().collect()
    }

    fn forwarded(body: &str) -> Vec<Capability> {
        let payload = ForwardPayload { format: "openai/chat.completions".into(), body: body.to_owned().into() };
        of_forward(&payload).into_keys().collect()
    }

    #[test]
    fn plain_text_needs_nothing_more() {
        assert_eq!(needs(|_| ()), []);
        assert_eq!(forwarded(r#"{"messages":[{"role":"user","content":"hello"}],"tools":[],"logprobs":false}"#), []);
        assert_eq!(forwarded("not json"), []);
    }

    #[test]
    fn each_feature_of_a_conversation_is_a_need_with_its_field() {
        let need = |capability, field: &str| vec![(capability, field.to_owned())];
        let tools = needs(|payload| payload.tools.push(Tool::default()));
        assert_eq!(tools, need(Capability::Tools, "payload.tools"));
        let choice = ToolChoice { choice: Some(tool_choice::Choice::Required(true)) };
        let choice = needs(|payload| payload.tool_choice = Some(choice));
        assert_eq!(choice, need(Capability::Tools, "payload.tool_choice"));
        let called = needs(|payload| payload.messages[0].tool_calls.push(ToolCall::default()));
        assert_eq!(called, need(Capability::Tools, "payload.messages[0]"));
        let result = needs(|payload| payload.messages.push(message(Role::Tool, Part::Text("42".into()))));
        assert_eq!(result, need(Capability::Tools, "payload.messages[1]"));
        let image = needs(|payload| payload.messages.push(message(Role::User, Part::Image(Image::default()))));
        assert_eq!(image, need(Capability::ImageInput, "payload.messages[1].content[0]"));
        let schema = ResponseFormat { format: Some(Format::JsonSchema("{}".into())) };
        let schema = needs(|payload| payload.response_format = Some(schema));
        assert_eq!(schema, need(Capability::JsonSchema, "payload.response_format.json_schema"));
        let top = needs(|payload| payload.top_log_probabilities = Some(0));
        assert_eq!(top, need(Capability::LogProbabilities, "payload.top_log_probabilities"));
    }

    #[test]
    fn any_json_object_needs_no_schema() {
        let format = ResponseFormat { format: Some(Format::JsonObject(true)) };
        assert_eq!(needs(|payload| payload.response_format = Some(format)), []);
    }

    #[test]
    fn the_same_features_in_a_forwarded_body_are_the_same_needs() {
        let image = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}}]}]}"#;
        let cases = [
            (r#"{"tools":[{"type":"function"}]}"#, Capability::Tools),
            (r#"{"functions":[{"name":"f"}]}"#, Capability::Tools),
            (r#"{"messages":[{"role":"tool","content":"42"}]}"#, Capability::Tools),
            (r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}]}]}"#, Capability::Tools),
            (image, Capability::ImageInput),
            (r#"{"response_format":{"type":"json_schema","json_schema":{}}}"#, Capability::JsonSchema),
            (r#"{"logprobs":true}"#, Capability::LogProbabilities),
            (r#"{"logprobs":5}"#, Capability::LogProbabilities),
        ];
        for (body, capability) in cases {
            assert_eq!(forwarded(body), [capability], "{body}");
        }
    }
}
