//! Embeddings inside this process: the `pocket-encoder` crate, with its weights in
//! the program. 384 dimensions, 128 tokens a text.

use std::collections::BTreeSet;

use async_trait::async_trait;
use comity_policy::Capability;
use comity_proto::inference::{
    ChatPayload, ChatResponse, ChatStreamResponse, EmbedPayload, EmbedResponse, Embedding, ForwardPayload,
    ForwardResponse,
};
use comity_types::Digest;
use pocket_encoder::Encoder;

use super::{Backend, Fault, Model, Pieces};

/// The name by which an offer refers to the model.
pub const MODEL: &str = "paraphrase-minilm-l3-v2";
/// Its licence.
pub const LICENCE: &str = "Apache-2.0";

/// The encoder.
pub struct EmbeddedEmbeddings {
    encoder: Encoder,
}

impl std::fmt::Debug for EmbeddedEmbeddings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmbeddedEmbeddings")
    }
}

impl EmbeddedEmbeddings {
    /// Loads the weights out of the program.
    ///
    /// # Errors
    /// If they cannot be loaded, which is a fault of the program.
    pub fn load() -> Result<Self, Fault> {
        let encoder = Encoder::new().map_err(|_| Fault::Model { step: "load the encoder" })?;
        Ok(Self { encoder })
    }
}

/// SHA-256 of the weights.
#[must_use]
pub fn weights_sha256() -> Option<Digest> {
    pocket_encoder::model_info().revision.strip_prefix("sha256:")?.parse().ok()
}

#[async_trait]
impl Backend for EmbeddedEmbeddings {
    async fn chat(&self, _: &str, _: ChatPayload) -> Result<ChatResponse, Fault> {
        Err(Fault::Unsupported { feature: "chat" })
    }

    async fn chat_stream(&self, _: &str, _: ChatPayload) -> Result<Pieces<ChatStreamResponse>, Fault> {
        Err(Fault::Unsupported { feature: "chat" })
    }

    async fn embed(&self, _: &str, payload: EmbedPayload) -> Result<EmbedResponse, Fault> {
        let encoder = self.encoder.clone();
        let vectors = tokio::task::spawn_blocking(move || encoder.embed(&payload.texts))
            .await
            .map_err(|_| Fault::Model { step: "embed" })?
            .map_err(|error| match error {
                pocket_encoder::Error::Input(problem) => Fault::invalid("payload.texts", problem),
                pocket_encoder::Error::Inference(_) => Fault::Model { step: "embed" },
            })?;
        let embeddings = vectors.into_iter().map(|values| Embedding { values }).collect();
        // The encoder does not say how many tokens it read, so no usage is claimed.
        Ok(EmbedResponse { embeddings, usage: None })
    }

    async fn forward(&self, _: &str, _: ForwardPayload) -> Result<Pieces<ForwardResponse>, Fault> {
        Err(Fault::Unsupported { feature: "forward" })
    }

    async fn models(&self) -> Result<Vec<Model>, Fault> {
        Ok(vec![Model { name: MODEL.to_owned(), sha256: weights_sha256() }])
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        BTreeSet::from([Capability::Embed])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn texts_that_mean_the_same_are_closer_than_texts_that_do_not() {
        let texts = ["A man is eating food.", "A man eats something.", "The stock market fell today."];
        let payload = EmbedPayload { texts: texts.map(str::to_owned).to_vec() };
        let answer = EmbeddedEmbeddings::load().unwrap().embed(MODEL, payload).await.unwrap();
        let dot = |a: usize, b: usize| -> f32 {
            answer.embeddings[a].values.iter().zip(&answer.embeddings[b].values).map(|(x, y)| x * y).sum()
        };
        assert_eq!(answer.embeddings[0].values.len(), 384);
        assert!(dot(0, 1) > dot(0, 2) + 0.2, "{} {}", dot(0, 1), dot(0, 2));
    }

    #[test]
    fn the_weights_have_a_digest() {
        assert!(weights_sha256().is_some());
    }
}
