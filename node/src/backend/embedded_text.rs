//! Text inside this process: candle's quantized Llama on a GGUF file.
//!
//! One generation at a time, on a thread of the blocking pool; a bounded number
//! waits. Dropping an answer stops its generation at the next token.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use comity_policy::Capability;
use comity_proto::inference::content_part::Part;
use comity_proto::inference::{
    ChatPayload, ChatResponse, ChatStreamResponse, ContentPart, EmbedPayload, EmbedResponse, ForwardPayload,
    ForwardResponse, Message, Role,
};
use futures::StreamExt;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

pub use self::engine::LoadError;
pub(crate) use self::engine::digest;
use self::engine::{Engine, Settings};
use super::{Backend, Fault, Model, Pieces};

mod engine;
mod stops;
mod template;

/// Requests that wait for the model, beside the one that runs. More would wait
/// longer than a caller does: a small model writes an answer in seconds.
const MAX_WAITING: usize = 16;
/// Pieces that a slow reader may be behind before generation waits for it.
const PIECES_AHEAD: usize = 32;

/// A model out of a GGUF file.
pub struct EmbeddedText {
    engine: Arc<Engine>,
    turn: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl fmt::Debug for EmbeddedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedText").field("model", &self.engine.model()).finish_non_exhaustive()
    }
}

impl EmbeddedText {
    /// Loads the file: seconds, on the calling thread.
    ///
    /// # Errors
    /// If it cannot be read, or is not a Llama model with a byte-pair tokenizer.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            engine: Arc::new(Engine::load(path)?),
            turn: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(MAX_WAITING + 1)),
        })
    }

    /// The model's context, in tokens.
    #[must_use]
    pub fn context_tokens(&self) -> usize {
        self.engine.context_tokens()
    }
}

#[async_trait]
impl Backend for EmbeddedText {
    async fn chat(&self, model: &str, payload: ChatPayload) -> Result<ChatResponse, Fault> {
        let mut pieces = self.chat_stream(model, payload).await?;
        let mut text = String::new();
        let mut last = ChatStreamResponse::default();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            text.push_str(&piece.text);
            last = piece;
        }
        let content = vec![ContentPart { part: Some(Part::Text(text)) }];
        Ok(ChatResponse {
            message: Some(Message { role: Role::Assistant.into(), content, ..Message::default() }),
            finish_reason: last.finish_reason,
            usage: last.usage,
            log_probabilities: Vec::new(),
        })
    }

    async fn chat_stream(&self, _: &str, payload: ChatPayload) -> Result<Pieces<ChatStreamResponse>, Fault> {
        let settings = settings(&payload)?;
        let prompt = self.engine.prompt(&template::render(&payload.messages)?)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Fault::Busy { waiting: MAX_WAITING })?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Fault::Model { step: "wait" })?;
        let engine = Arc::clone(&self.engine);
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        // Ends by itself: at the latest with the context, or when the receiver is gone.
        tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            let end = engine.generate(&prompt, &settings, |piece| sender.blocking_send(Ok(piece)).is_ok());
            if let Err(fault) = end {
                // A receiver that is gone needs no fault.
                sender.blocking_send(Err(fault)).ok();
            }
        });
        Ok(ended_well(ReceiverStream::new(receiver)))
    }

    async fn embed(&self, _: &str, _: EmbedPayload) -> Result<EmbedResponse, Fault> {
        Err(Fault::Unsupported { feature: "embed" })
    }

    async fn forward(&self, _: &str, _: ForwardPayload) -> Result<Pieces<ForwardResponse>, Fault> {
        Err(Fault::Unsupported { feature: "forward" })
    }

    async fn models(&self) -> Result<Vec<Model>, Fault> {
        Ok(vec![self.engine.model().clone()])
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        BTreeSet::from([Capability::Chat])
    }
}

/// A thread that died leaves a stream without its last piece: that is a fault, not an end.
fn ended_well(pieces: ReceiverStream<Result<ChatStreamResponse, Fault>>) -> Pieces<ChatStreamResponse> {
    Box::pin(async_stream::stream! {
        let mut pieces = pieces;
        let mut ended = false;
        while let Some(piece) = pieces.next().await {
            ended = piece.as_ref().map_or(true, |piece| piece.finish_reason != 0);
            yield piece;
        }
        if !ended {
            yield Err(Fault::Truncated);
        }
    })
}

/// What the engine can hold to; what it cannot is refused, never dropped.
fn settings(payload: &ChatPayload) -> Result<Settings, Fault> {
    let sampling = payload.sampling.unwrap_or_default();
    let unsupported = [
        (!payload.tools.is_empty() || payload.tool_choice.is_some(), "tools"),
        (payload.response_format.is_some(), "response_format"),
        (payload.top_log_probabilities.is_some(), "log_probabilities"),
        (sampling.frequency_penalty.is_some_and(|penalty| penalty != 0.0), "frequency_penalty"),
        (sampling.presence_penalty.is_some_and(|penalty| penalty != 0.0), "presence_penalty"),
    ];
    if let Some((_, feature)) = unsupported.into_iter().find(|(asked, _)| *asked) {
        return Err(Fault::Unsupported { feature });
    }
    Ok(Settings {
        temperature: sampling.temperature.map(f64::from),
        top_p: sampling.top_p.map(f64::from),
        seed: sampling.seed,
        max_tokens: payload.max_output_tokens.and_then(|max| usize::try_from(max).ok()),
        stop: payload.stop.clone(),
    })
}

#[cfg(test)]
mod tests;
