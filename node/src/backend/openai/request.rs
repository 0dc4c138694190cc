//! The contract's payloads as OpenAI request bodies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_proto::inference::content_part::Part;
use comity_proto::inference::response_format::Format;
use comity_proto::inference::tool_choice::Choice;
use comity_proto::inference::{ChatPayload, EmbedPayload, Message, ResponseFormat, Role, Tool, ToolChoice};
use serde_json::{Map, Value, json};

use crate::backend::Fault;

/// Whether the answer is wanted as it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One body.
    Whole,
    /// Server-sent events.
    Stream,
}

/// The body of `/v1/chat/completions`.
pub(super) fn chat(model: &str, payload: &ChatPayload, mode: Mode) -> Result<Value, Fault> {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    body.insert("messages".into(), payload.messages.iter().map(message).collect());
    if mode == Mode::Stream {
        body.insert("stream".into(), true.into());
        body.insert("stream_options".into(), json!({ "include_usage": true }));
    }
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    if let Some(sampling) = &payload.sampling {
        put("temperature", sampling.temperature.map(Value::from));
        put("top_p", sampling.top_p.map(Value::from));
        put("seed", sampling.seed.map(Value::from));
        put("frequency_penalty", sampling.frequency_penalty.map(Value::from));
        put("presence_penalty", sampling.presence_penalty.map(Value::from));
    }
    put("max_tokens", payload.max_output_tokens.map(Value::from));
    put("stop", (!payload.stop.is_empty()).then(|| payload.stop.clone().into()));
    put("tools", tools(&payload.tools)?);
    put("tool_choice", tool_choice(payload.tool_choice.as_ref())?);
    put("response_format", response_format(payload.response_format.as_ref())?);
    if let Some(top) = payload.top_log_probabilities {
        put("logprobs", Some(true.into()));
        put("top_logprobs", Some(top.into()));
    }
    Ok(Value::Object(body))
}

/// The body of `/v1/embeddings`.
pub(super) fn embed(model: &str, payload: &EmbedPayload) -> Value {
    json!({ "model": model, "input": payload.texts, "encoding_format": "float" })
}

fn message(message: &Message) -> Value {
    let role = match message.role() {
        // Refused by the payload check before it gets here.
        Role::Unspecified | Role::User => "user",
        Role::System => "system",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut value = Map::from_iter([("role".to_owned(), role.into()), ("content".to_owned(), content(message))]);
    if !message.tool_calls.is_empty() {
        let call = |call: &comity_proto::inference::ToolCall| json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": call.arguments_json } });
        value.insert("tool_calls".into(), message.tool_calls.iter().map(call).collect());
    }
    if !message.tool_call_id.is_empty() {
        value.insert("tool_call_id".into(), message.tool_call_id.clone().into());
    }
    Value::Object(value)
}

/// Plain text stays a string, which every server reads; parts are sent where there is an image.
fn content(message: &Message) -> Value {
    let images = message.content.iter().any(|part| matches!(part.part, Some(Part::Image(_))));
    if !images {
        let text: String = message
            .content
            .iter()
            .filter_map(|part| match &part.part {
                Some(Part::Text(text)) => Some(text.as_str()),
                Some(Part::Image(_)) | None => None,
            })
            .collect();
        return if text.is_empty() && !message.tool_calls.is_empty() { Value::Null } else { text.into() };
    }
    let part = |part: &Part| match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Image(image) => {
            let url = format!("data:{};base64,{}", image.media_type, STANDARD.encode(&image.data));
            json!({ "type": "image_url", "image_url": { "url": url } })
        }
    };
    message.content.iter().filter_map(|p| p.part.as_ref()).map(part).collect()
}

fn tools(tools: &[Tool]) -> Result<Option<Value>, Fault> {
    if tools.is_empty() {
        return Ok(None);
    }
    let tool = |(index, tool): (usize, &Tool)| {
        let parameters = if tool.parameters_json_schema.is_empty() {
            json!({ "type": "object", "properties": {} })
        } else {
            document(&format!("payload.tools[{index}].parameters_json_schema"), &tool.parameters_json_schema)?
        };
        let function = json!({ "name": tool.name, "description": tool.description, "parameters": parameters });
        Ok(json!({ "type": "function", "function": function }))
    };
    tools.iter().enumerate().map(tool).collect::<Result<Value, Fault>>().map(Some)
}

fn tool_choice(choice: Option<&ToolChoice>) -> Result<Option<Value>, Fault> {
    let Some(choice) = choice.and_then(|choice| choice.choice.as_ref()) else { return Ok(None) };
    Ok(Some(match choice {
        Choice::Auto(true) => "auto".into(),
        Choice::None(true) => "none".into(),
        Choice::Required(true) => "required".into(),
        Choice::Tool(name) => json!({ "type": "function", "function": { "name": name } }),
        Choice::Auto(false) | Choice::None(false) | Choice::Required(false) => {
            return Err(Fault::invalid("payload.tool_choice", "only true is accepted"));
        }
    }))
}

fn response_format(format: Option<&ResponseFormat>) -> Result<Option<Value>, Fault> {
    let Some(format) = format.and_then(|format| format.format.as_ref()) else { return Ok(None) };
    Ok(Some(match format {
        Format::JsonObject(true) => json!({ "type": "json_object" }),
        Format::JsonObject(false) => {
            return Err(Fault::invalid("payload.response_format.json_object", "only true is accepted"));
        }
        Format::JsonSchema(schema) => {
            let schema = document("payload.response_format.json_schema", schema)?;
            json!({ "type": "json_schema", "json_schema": { "name": "answer", "strict": true, "schema": schema } })
        }
    }))
}

fn document(field: &str, text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| {
        Fault::invalid(field, format!("is not JSON: line {}, column {}", error.line(), error.column()))
    })
}
