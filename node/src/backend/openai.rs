//! Any HTTP server that speaks OpenAI's API: vLLM, llama.cpp, Ollama, TGI, LiteLLM.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use comity_policy::Capability;
use comity_proto::inference::{
    ChatPayload, ChatResponse, ChatStreamResponse, EmbedPayload, EmbedResponse, ForwardPayload, ForwardResponse,
};
use comity_types::Secret;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use url::Url;

use self::http::Http;
pub use self::http::SetupError;
pub(crate) use self::http::shown;
use self::request::Mode;
pub use self::usage::UsageReader;
use super::{Backend, Fault, Model, Pieces};

pub(crate) mod http;
mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;
mod usage;

/// A model server that speaks OpenAI's API.
pub struct OpenAi {
    http: Http,
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenAi")
    }
}

/// How long to wait for a model server.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For an answer to begin.
    pub first: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
}

impl OpenAi {
    /// A backend at `url`; connects when it is first asked.
    ///
    /// # Errors
    /// If the URL, the key or the file of certificates is no good.
    pub fn new(
        url: Url,
        key: Option<&Secret<String>>,
        ca_file: Option<&Path>,
        patience: Patience,
    ) -> Result<Self, SetupError> {
        Ok(Self { http: Http::new(url, key, ca_file, patience)? })
    }

    async fn post(&self, path: &str, body: &Value) -> Result<reqwest::Response, Fault> {
        self.http.send(Method::POST, path, Some(Bytes::from(body.to_string()))).await
    }
}

#[async_trait]
impl Backend for OpenAi {
    async fn chat(&self, model: &str, payload: ChatPayload) -> Result<ChatResponse, Fault> {
        let answer = self.post("chat/completions", &request::chat(model, &payload, Mode::Whole)?).await?;
        response::chat(&self.http.read(answer).await?)
    }

    async fn chat_stream(&self, model: &str, payload: ChatPayload) -> Result<Pieces<ChatStreamResponse>, Fault> {
        let answer = self.post("chat/completions", &request::chat(model, &payload, Mode::Stream)?).await?;
        Ok(stream::pieces(http::chunks(answer), self.http.patience))
    }

    async fn embed(&self, model: &str, payload: EmbedPayload) -> Result<EmbedResponse, Fault> {
        let answer = self.post("embeddings", &request::embed(model, &payload)).await?;
        response::embed(&self.http.read(answer).await?, payload.texts.len())
    }

    /// Bytes pass through; a status of failure passes too, because the caller speaks this format. What is wrong
    /// between this node and its server does not: the server's words on the node's key are not the caller's.
    async fn forward(&self, model: &str, payload: ForwardPayload) -> Result<Pieces<ForwardResponse>, Fault> {
        let path = match payload.format.as_str() {
            "openai/chat.completions" => "chat/completions",
            "openai/completions" => "completions",
            "openai/embeddings" => "embeddings",
            _ => {
                let problem = "must be openai/chat.completions, openai/completions or openai/embeddings";
                return Err(Fault::invalid("payload.format", problem));
            }
        };
        let body = with_model(model, &payload.body)?;
        let answer = self.http.send_raw(Method::POST, path, Some(body)).await?;
        if let Some(fault) = http::own_fault(&answer) {
            return Err(fault);
        }
        Ok(forwarded(answer, self.http.patience))
    }

    async fn models(&self) -> Result<Vec<Model>, Fault> {
        let answer = self.http.send(Method::GET, "models", None).await?;
        response::models(&self.http.read(answer).await?)
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        use Capability::{Chat, Embed, Forward, ImageInput, JsonSchema, LogProbabilities, Tools};
        BTreeSet::from([Chat, Embed, Forward, ImageInput, JsonSchema, LogProbabilities, Tools])
    }
}

/// The body with the offer's model in it: the permit is for that model and no other.
fn with_model(model: &str, body: &[u8]) -> Result<Bytes, Fault> {
    let object = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
    let mut body = object.ok_or_else(|| Fault::invalid("payload.body", "must be a JSON object"))?;
    if let Some(fields) = body.as_object_mut() {
        fields.insert("model".to_owned(), model.into());
    }
    Ok(Bytes::from(body.to_string()))
}

fn forwarded(answer: reqwest::Response, patience: Patience) -> Pieces<ForwardResponse> {
    let status = u32::from(answer.status().as_u16());
    let media = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    Box::pin(async_stream::try_stream! {
        yield ForwardResponse { status, content_type: media, body: Vec::new().into() };
        let mut body = std::pin::pin!(http::chunks(answer));
        let mut limit = patience.first;
        while let Some(chunk) = http::next(&mut body, limit).await? {
            limit = patience.idle;
            yield ForwardResponse { body: chunk, ..ForwardResponse::default() };
        }
    })
}
