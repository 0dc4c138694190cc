//! One tiny request to the backend behind an offer, as a caller's would come: a list of models proves no answer.

use std::time::Duration;

use comity_policy::Capability;
use comity_proto::inference::content_part::Part;
use comity_proto::inference::{ChatPayload, ContentPart, EmbedPayload, ForwardPayload, Message, Role};
use futures::StreamExt as _;
use tokio::time::timeout;

use crate::backend::{Backend, Fault};
use crate::config::{BackendConfig, Planned};

/// How long a backend may take for one token or one vector: servers that load a model when it is first asked for
/// need most of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// What is asked.
const WORD: &str = "Hello";
/// The same for a backend that is only forwarded to, in its own format.
const FORWARDED: &str = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":1}"#;
const FORWARDED_FORMAT: &str = "openai/chat.completions";

/// Asks for each kind of answer that the offer says its model gives; of those that do not come, says which and why.
pub(super) async fn probe(planned: &Planned, backend: &dyn Backend, config: &BackendConfig) -> Vec<String> {
    let mut problems = Vec::new();
    for capability in asked(planned) {
        let answer = timeout(PATIENCE, ask(backend, &planned.backend_model, capability)).await;
        if let Err(fault) = answer.unwrap_or(Err(Fault::Stalled { after: PATIENCE })) {
            let (what, hint) = (name(capability), hint(&fault, capability));
            problems.push(format!("a tiny {what} request failed: {fault}{}\nhint: {hint}", super::place(config)));
        }
    }
    problems
}

/// The others are ways to chat, which a model may not show in one token.
fn asked(planned: &Planned) -> Vec<Capability> {
    let offered = |capability: &Capability| planned.offer.capabilities.contains(capability);
    let asked: Vec<_> = [Capability::Chat, Capability::Embed].into_iter().filter(offered).collect();
    if asked.is_empty() { [Capability::Forward].into_iter().filter(offered).collect() } else { asked }
}

async fn ask(backend: &dyn Backend, model: &str, capability: Capability) -> Result<(), Fault> {
    match capability {
        Capability::Embed => backend.embed(model, EmbedPayload { texts: vec![WORD.to_owned()] }).await.map(drop),
        Capability::Forward => forward(backend, model).await,
        Capability::Chat
        | Capability::Tools
        | Capability::ImageInput
        | Capability::JsonSchema
        | Capability::LogProbabilities => backend.chat(model, greeting()).await.map(drop),
    }
}

fn greeting() -> ChatPayload {
    let content = vec![ContentPart { part: Some(Part::Text(WORD.to_owned())) }];
    let message = Message { role: Role::User.into(), content, ..Message::default() };
    ChatPayload { messages: vec![message], max_output_tokens: Some(1), ..ChatPayload::default() }
}

/// A status of failure passes through a backend as an answer; here it is none.
async fn forward(backend: &dyn Backend, model: &str) -> Result<(), Fault> {
    let payload = ForwardPayload { format: FORWARDED_FORMAT.to_owned(), body: FORWARDED.into() };
    let mut pieces = backend.forward(model, payload).await?;
    let first = pieces.next().await.transpose()?.ok_or(Fault::Truncated)?;
    match u16::try_from(first.status) {
        Ok(200..=299) => Ok(()),
        Ok(status @ 400..=499) => Err(Fault::Refused { status }),
        Ok(status) => Err(Fault::Failed { status }),
        Err(_) => Err(Fault::Malformed { expected: "an HTTP status" }),
    }
}

const fn name(capability: Capability) -> &'static str {
    match capability {
        Capability::Embed => "embed",
        Capability::Forward => "forward",
        Capability::Chat
        | Capability::Tools
        | Capability::ImageInput
        | Capability::JsonSchema
        | Capability::LogProbabilities => "chat",
    }
}

fn hint(fault: &Fault, capability: Capability) -> String {
    let unfit = matches!(fault, Fault::Refused { .. } | Fault::Malformed { .. } | Fault::Unsupported { .. });
    if unfit {
        return format!(
            "the server may have no such model or path, or the model may not {}: correct `url`, `backend_model` or `capabilities`",
            name(capability)
        );
    }
    super::hint(fault).to_owned()
}
