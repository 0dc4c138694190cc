//! What stands behind an offer: a model server or a model inside this process.
//!
//! A backend gets a checked payload and answers, or says in a [`Fault`] what went
//! wrong. It knows nothing of permits, terms or callers: [`crate::serve`] does.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use comity_policy::Capability;
use comity_proto::inference::{
    ChatPayload, ChatResponse, ChatStreamResponse, EmbedPayload, EmbedResponse, ForwardPayload, ForwardResponse,
};
use comity_types::Digest;
use futures::stream::BoxStream;

pub mod embedded_embeddings;
pub mod embedded_text;
pub mod fault;
pub mod openai;
pub mod payload;

pub use fault::Fault;

/// Pieces of an answer as they are made. Dropping it stops the backend.
pub type Pieces<T> = BoxStream<'static, Result<T, Fault>>;

/// A model that a backend has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The backend's own name for it.
    pub name: String,
    /// SHA-256 of its weights, where this process has the file.
    pub sha256: Option<Digest>,
}

/// A model server, or a model inside this process.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// One answer to a conversation.
    async fn chat(&self, model: &str, payload: ChatPayload) -> Result<ChatResponse, Fault>;

    /// The answer as it is made; the last piece, and only it, carries the finish reason.
    async fn chat_stream(&self, model: &str, payload: ChatPayload) -> Result<Pieces<ChatStreamResponse>, Fault>;

    /// A vector for each text.
    async fn embed(&self, model: &str, payload: EmbedPayload) -> Result<EmbedResponse, Fault>;

    /// A body in the backend's own wire format.
    async fn forward(&self, model: &str, payload: ForwardPayload) -> Result<Pieces<ForwardResponse>, Fault>;

    /// The models that it has now.
    async fn models(&self) -> Result<Vec<Model>, Fault>;

    /// What this kind of backend can do at most; its models may do less.
    fn capabilities(&self) -> BTreeSet<Capability>;
}
