//! The main flow: one request of the broker, from its permit to its usage.
//!
//! ```text
//! broker only ─▶ admit: permit, own terms ─▶ offers: what the payload needs ─▶ run: the backend ─▶ meter: what it used, signed
//! ```
//!
//! `admit` gives the one [`Admitted`], and only it leads to a backend. `meter` hands nothing over before it is on file that the
//! decision is answered.
//! Whoever drops the call drops the backend's work with it.

use std::sync::Arc;

use comity_policy::Capability;
use comity_proto::inference as wire;
use comity_proto::inference::inference_server::Inference;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use crate::backend::openai::UsageReader;
use crate::backend::payload::{self, needs};
use crate::guard::Guard;
use crate::health::Work;
use crate::metrics::Metrics;

mod admit;
mod caller;
mod deadline;
mod failure;
mod meter;
pub mod outcome;
mod routes;
#[cfg(test)]
mod tests;

pub use admit::Admitted;
pub use caller::broker_only;
pub use outcome::OutcomeSigner;
pub use routes::{Places, Route, Routes};

use admit::Call;

/// Largest request in bytes: a long conversation with a few images. The broker's limit is not above it.
pub const MAX_REQUEST_BYTES: usize = 32 * 1024 * 1024;
/// Largest message of an answer in bytes: a whole answer of a model server, as the backends bound it.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Serves the broker's requests with this node's offers.
#[derive(Debug, Clone)]
pub struct Server {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    guard: Guard,
    routes: Routes,
    rules: admit::Rules,
    signer: OutcomeSigner,
    metrics: Metrics,
}

impl Server {
    /// What health asks of it.
    pub(crate) fn work(&self) -> Work {
        let (kept, counted) = (self.clone(), self.clone());
        Work::new(move || kept.parts.guard.can_keep(), move || counted.parts.metrics.failing())
    }

    /// What it counts.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }
}

/// A method of the service, as permits name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Chat,
    ChatStream,
    Embed,
    Forward,
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::ChatStream => "ChatStream",
            Self::Embed => "Embed",
            Self::Forward => "Forward",
        }
    }

    const fn capability(self) -> Capability {
        match self {
            Self::Chat | Self::ChatStream => Capability::Chat,
            Self::Embed => Capability::Embed,
            Self::Forward => Capability::Forward,
        }
    }
}

#[tonic::async_trait]
impl Inference for Server {
    async fn chat(&self, request: Request<wire::ChatRequest>) -> Result<Response<wire::ChatResponse>, Status> {
        let call = Call::of(Method::Chat, &request);
        let wire::ChatRequest { envelope, payload } = request.into_inner();
        let admitted = self.admit(call, envelope).await?;
        let payload = payload.unwrap_or_default();
        let checked = payload::check_chat(&payload).and_then(|()| payload::check_most(&payload, admitted.most()));
        checked.map_err(|fault| admitted.failed(&fault))?;
        admitted.offers(&needs::of_chat(&payload))?;
        let answer = admitted.run(admitted.backend().chat(admitted.model(), payload)).await?;
        meter::whole(&admitted, answer.usage, answer)
    }

    type ChatStreamStream = BoxStream<'static, Result<wire::ChatStreamResponse, Status>>;

    async fn chat_stream(
        &self,
        request: Request<wire::ChatStreamRequest>,
    ) -> Result<Response<Self::ChatStreamStream>, Status> {
        let call = Call::of(Method::ChatStream, &request);
        let wire::ChatStreamRequest { envelope, payload } = request.into_inner();
        let admitted = self.admit(call, envelope).await?;
        let payload = payload.unwrap_or_default();
        let checked = payload::check_chat(&payload).and_then(|()| payload::check_most(&payload, admitted.most()));
        checked.map_err(|fault| admitted.failed(&fault))?;
        admitted.offers(&needs::of_chat(&payload))?;
        let pieces = admitted.run(admitted.backend().chat_stream(admitted.model(), payload)).await?;
        Ok(meter::pieces(admitted, pieces, |piece| piece.usage))
    }

    async fn embed(&self, request: Request<wire::EmbedRequest>) -> Result<Response<wire::EmbedResponse>, Status> {
        let call = Call::of(Method::Embed, &request);
        let wire::EmbedRequest { envelope, payload } = request.into_inner();
        let admitted = self.admit(call, envelope).await?;
        let payload = payload.unwrap_or_default();
        payload::check_embed(&payload).map_err(|fault| admitted.failed(&fault))?;
        let answer = admitted.run(admitted.backend().embed(admitted.model(), payload)).await?;
        meter::whole(&admitted, answer.usage, answer)
    }

    type ForwardStream = BoxStream<'static, Result<wire::ForwardResponse, Status>>;

    async fn forward(&self, request: Request<wire::ForwardRequest>) -> Result<Response<Self::ForwardStream>, Status> {
        let call = Call::of(Method::Forward, &request);
        let wire::ForwardRequest { envelope, payload } = request.into_inner();
        let admitted = self.admit(call, envelope).await?;
        let payload = payload.unwrap_or_default();
        payload::check_forward(&payload).map_err(|fault| admitted.failed(&fault))?;
        admitted.offers(&needs::of_forward(&payload))?;
        let pieces = admitted.run(admitted.backend().forward(admitted.model(), payload)).await?;
        let mut reader = UsageReader::default();
        Ok(meter::pieces(admitted, pieces, move |piece: &wire::ForwardResponse| {
            reader.read(&piece.body);
            reader.found()
        }))
    }
}
