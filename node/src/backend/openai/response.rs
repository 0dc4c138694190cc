//! OpenAI response bodies as the contract's messages.
//!
//! Servers differ in what they leave out, so every field that is not needed is
//! optional; what is needed and missing makes the answer malformed.

use comity_proto::inference::content_part::Part;
use comity_proto::inference::{
    ChatResponse, ContentPart, EmbedResponse, Embedding, FinishReason, Message, Role, TokenLogProbability, ToolCall,
    ToolCallDelta, TopToken, Usage,
};
use serde::Deserialize;

use crate::backend::{Fault, Model};

#[derive(Deserialize)]
pub(super) struct Completion {
    #[serde(default)]
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<WireUsage>,
    pub(super) error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(alias = "delta")]
    pub(super) message: Option<WireMessage>,
    pub(super) finish_reason: Option<String>,
    pub(super) logprobs: Option<LogProbs>,
}

#[derive(Deserialize, Default)]
pub(super) struct WireMessage {
    pub(super) content: Option<String>,
    pub(super) tool_calls: Option<Vec<WireToolCall>>,
}

#[derive(Deserialize)]
pub(super) struct WireToolCall {
    index: Option<u32>,
    id: Option<String>,
    function: Option<WireFunction>,
}

#[derive(Deserialize, Default)]
struct WireFunction {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct LogProbs {
    content: Option<Vec<WireToken>>,
}

#[derive(Deserialize)]
struct WireToken {
    token: String,
    logprob: f32,
    #[serde(default)]
    top_logprobs: Vec<WireTop>,
}

#[derive(Deserialize)]
struct WireTop {
    token: String,
    logprob: f32,
}

#[derive(Deserialize, Clone, Copy)]
pub(super) struct WireUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct WireEmbeddings {
    data: Vec<WireEmbedding>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct WireEmbedding {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct WireModels {
    data: Vec<WireModel>,
}

#[derive(Deserialize)]
struct WireModel {
    id: String,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        Self { input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens }
    }
}

/// The answer of `/v1/chat/completions`.
pub(super) fn chat(body: &[u8]) -> Result<ChatResponse, Fault> {
    const EXPECTED: Fault = Fault::Malformed { expected: "a chat completion with one finished choice" };
    let completion: Completion = serde_json::from_slice(body).map_err(|_| EXPECTED)?;
    let choice = completion.choices.into_iter().next().ok_or(EXPECTED)?;
    let message = choice.message.ok_or(EXPECTED)?;
    let finish = finish_reason(choice.finish_reason.as_deref().ok_or(Fault::Truncated)?)?;
    let text = message.content.filter(|text| !text.is_empty());
    Ok(ChatResponse {
        message: Some(Message {
            role: Role::Assistant.into(),
            content: text.map(|text| ContentPart { part: Some(Part::Text(text)) }).into_iter().collect(),
            tool_calls: message.tool_calls.unwrap_or_default().into_iter().map(tool_call).collect(),
            tool_call_id: String::new(),
        }),
        finish_reason: finish.into(),
        usage: completion.usage.map(Usage::from),
        log_probabilities: log_probabilities(choice.logprobs),
    })
}

/// The answer of `/v1/embeddings`, in the order of the texts.
pub(super) fn embed(body: &[u8], texts: usize) -> Result<EmbedResponse, Fault> {
    const EXPECTED: Fault = Fault::Malformed { expected: "one embedding for each text, all of one length" };
    let mut answer: WireEmbeddings = serde_json::from_slice(body).map_err(|_| EXPECTED)?;
    answer.data.sort_by_key(|embedding| embedding.index);
    let complete = answer.data.iter().enumerate().all(|(at, embedding)| embedding.index == at);
    let dimension = answer.data.first().map_or(0, |first| first.embedding.len());
    let even = answer.data.iter().all(|embedding| embedding.embedding.len() == dimension);
    if answer.data.len() != texts || !complete || !even || dimension == 0 {
        return Err(EXPECTED);
    }
    let embeddings = answer.data.into_iter().map(|embedding| Embedding { values: embedding.embedding }).collect();
    Ok(EmbedResponse { embeddings, usage: answer.usage.map(Usage::from) })
}

/// The answer of `/v1/models`.
pub(super) fn models(body: &[u8]) -> Result<Vec<Model>, Fault> {
    let list: WireModels =
        serde_json::from_slice(body).map_err(|_| Fault::Malformed { expected: "a list of models" })?;
    Ok(list.data.into_iter().map(|model| Model { name: model.id, sha256: None }).collect())
}

pub(super) fn finish_reason(text: &str) -> Result<FinishReason, Fault> {
    match text {
        "stop" | "eos" | "eos_token" | "stop_sequence" => Ok(FinishReason::Stop),
        "length" => Ok(FinishReason::Length),
        "tool_calls" | "function_call" => Ok(FinishReason::ToolCalls),
        "content_filter" => Ok(FinishReason::ContentFilter),
        _ => Err(Fault::Malformed { expected: "a known finish reason" }),
    }
}

pub(super) fn log_probabilities(logprobs: Option<LogProbs>) -> Vec<TokenLogProbability> {
    let top = |top: WireTop| TopToken { token: top.token, log_probability: top.logprob };
    let token = |token: WireToken| TokenLogProbability {
        token: token.token,
        log_probability: token.logprob,
        top: token.top_logprobs.into_iter().map(top).collect(),
    };
    logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default().into_iter().map(token).collect()
}

fn tool_call(call: WireToolCall) -> ToolCall {
    let function = call.function.unwrap_or_default();
    ToolCall {
        id: call.id.unwrap_or_default(),
        name: function.name.unwrap_or_default(),
        arguments_json: function.arguments.unwrap_or_default(),
    }
}

pub(super) fn tool_call_delta(call: WireToolCall) -> ToolCallDelta {
    let index = call.index.unwrap_or(0);
    let ToolCall { id, name, arguments_json } = tool_call(call);
    ToolCallDelta { index, id, name, arguments_json }
}
