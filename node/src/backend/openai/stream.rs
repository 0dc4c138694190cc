//! Server-sent events of `/v1/chat/completions` as pieces of an answer.
//!
//! The piece that ends the answer is held back until the stream itself has ended
//! well, so that whoever sees a finish reason has seen the whole answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use comity_proto::inference::{ChatStreamResponse, FinishReason, Usage};
use futures::{Stream, StreamExt};
use sse_stream::SseByteStream;

use super::Patience;
use super::http::TransferError;
use super::response::{Completion, finish_reason, log_probabilities, tool_call_delta};
use crate::backend::{Fault, Pieces};

/// Bytes of one event. An event is a few tokens; the bound is there because the
/// parser keeps an unfinished event in memory.
const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// The data of the event that ends a stream.
const DONE: &str = "[DONE]";
/// Reported for an error that the server puts into a stream that began with 200.
const STATUS_OF_AN_ERROR_EVENT: u16 = 500;

/// The pieces of an answer, out of a body of server-sent events.
///
/// Many servers send their headers, and even an event that says nothing, before they read the prompt: the answer
/// begins with the first piece of it.
pub(super) fn pieces(
    body: impl Stream<Item = Result<Bytes, TransferError>> + Send + 'static,
    patience: Patience,
) -> Pieces<ChatStreamResponse> {
    Box::pin(async_stream::try_stream! {
        let unread = Arc::new(AtomicUsize::new(0));
        let mut events = std::pin::pin!(SseByteStream::new(bounded(body, Arc::clone(&unread))));
        let mut end = End::default();
        let mut limit = patience.first;
        loop {
            let next = tokio::time::timeout(limit, events.next()).await.map_err(|_| Fault::Stalled { after: limit })?;
            let Some(event) = next else { break };
            unread.store(0, Ordering::Relaxed);
            let Some(data) = event.map_err(event_fault)?.data else { continue };
            if data.trim() == DONE {
                break;
            }
            if let Some(piece) = end.read(&data)? {
                yield piece;
                limit = patience.idle;
            }
        }
        yield end.finish()?;
    })
}

/// What only the last piece says.
#[derive(Default)]
struct End {
    finish: Option<FinishReason>,
    usage: Option<Usage>,
}

impl End {
    fn read(&mut self, data: &str) -> Result<Option<ChatStreamResponse>, Fault> {
        let malformed = |_| Fault::Malformed { expected: "a chat completion chunk" };
        let chunk: Completion = serde_json::from_str(data).map_err(malformed)?;
        if chunk.error.is_some() {
            return Err(Fault::Failed { status: STATUS_OF_AN_ERROR_EVENT });
        }
        self.usage = chunk.usage.map(Usage::from).or_else(|| self.usage.take());
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(None) };
        if let Some(reason) = choice.finish_reason.as_deref() {
            self.finish = Some(finish_reason(reason)?);
        }
        let message = choice.message.unwrap_or_default();
        let piece = ChatStreamResponse {
            text: message.content.unwrap_or_default(),
            tool_calls: message.tool_calls.unwrap_or_default().into_iter().map(tool_call_delta).collect(),
            log_probabilities: log_probabilities(choice.logprobs),
            ..ChatStreamResponse::default()
        };
        Ok((piece != ChatStreamResponse::default()).then_some(piece))
    }

    fn finish(self) -> Result<ChatStreamResponse, Fault> {
        let finish = self.finish.ok_or(Fault::Truncated)?;
        Ok(ChatStreamResponse { finish_reason: finish.into(), usage: self.usage, ..ChatStreamResponse::default() })
    }
}

/// Fails when more than an event's bytes have been read since the last event.
fn bounded(
    body: impl Stream<Item = Result<Bytes, TransferError>>,
    unread: Arc<AtomicUsize>,
) -> impl Stream<Item = Result<Bytes, TransferError>> {
    body.map(move |chunk| {
        let chunk = chunk?;
        let before = unread.fetch_add(chunk.len(), Ordering::Relaxed);
        if before + chunk.len() > MAX_EVENT_BYTES + chunk.len().min(MAX_EVENT_BYTES) {
            return Err(TransferError::TooLarge { limit_bytes: MAX_EVENT_BYTES });
        }
        Ok(chunk)
    })
}

fn event_fault(error: sse_stream::Error) -> Fault {
    let sse_stream::Error::Body(source) = error else {
        return Fault::Malformed { expected: "server-sent events in UTF-8" };
    };
    match source.downcast_ref::<TransferError>() {
        Some(TransferError::TooLarge { limit_bytes }) => Fault::TooLarge { limit_bytes: *limit_bytes },
        Some(TransferError::Cut) | None => Fault::Truncated,
    }
}
