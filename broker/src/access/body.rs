//! The answer as it passes: frames as they come, ended by a status whatever the node does.
//!
//! A node that breaks off, ends without a status, or says that it ended well inside a message, is an error to the caller,
//! never a success. A caller that
//! leaves takes the node's call with it, since dropping the body resets the stream. A caller that stays and does not read is
//! never told that its deadline has passed, since HTTP/2 asks for nothing more of an answer that nobody reads: its stream
//! is reset, and what its answer held is free.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use comity_proto::error::Failure;
use comity_proto::transparency::Receipt;
use comity_proto::{inference, metadata};
use comity_runtime::accept::drop_call_at;
use comity_types::{Digest, SpiffeId};
use futures::FutureExt as _;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Frame;
use prost::Message as _;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

use super::Parts;
use super::commit::{Permit, ledger_failed};
use super::framing::{Framing, Malformed};
use super::relay::Answer;
use super::request::Admitted;
use super::settle::{Settlement, Settling};
use crate::edge::cut;
use crate::edge::stop::Stop;
use crate::ledger::decisions::UsageRecord;
use crate::registry::Registry;
use crate::rpc::trailers;

/// What of a node's failure goes on to the caller, and how long it may be: longer trailers than clients read would tell them
/// nothing, not even that it was the node that failed. A node's own failures have some 3 KiB of details, which are coded in
/// base64. Of a success nothing does, so that no node makes a call fail at the caller whose answer has come.
const ABOUT_STATUS: [(HeaderName, usize); 2] =
    [(Status::GRPC_MESSAGE, 2 * 1024), (Status::GRPC_STATUS_DETAILS, 6 * 1024)];
/// Longest name of an encoding that is passed on.
const MAX_ENCODING_BYTES: usize = 32;
/// How long whoever has not read up to the deadline has to read that it has passed: as long as whoever loses its part has, and
/// no time in which anything else is waited for.
pub(crate) const TO_READ: Duration = Duration::from_millis(700);
/// How long an outcome may take to be durable before its caller is told nothing more: far longer than a disk that works
/// needs, and an end for whoever shrinks its window just then.
const TO_SETTLE: Duration = Duration::from_secs(30);
/// What a caller is told of an answer that has no end.
const UNFINISHED: &str = "the node ended its answer without a status";
/// The encoding of messages, if the node names one.
const ENCODING: &str = "grpc-encoding";
/// The encoding that is none.
const IDENTITY: &str = "identity";

/// The response that carries `answer` to the caller.
pub(super) fn respond(
    parts: &Parts,
    admitted: &Admitted,
    permit: &Permit,
    answer: Answer,
    settlement: Settlement,
) -> Response<Body> {
    let caller = (admitted.caller.clone(), Some(admitted.certificate));
    let node = (answer.candidate.offer.name.node().clone(), answer.rest.as_ref().map(|rest| rest.certificate));
    let cut = cut(parts.registry.clone(), caller, node, admitted.deadline, parts.stop.clone());
    drop_call_at(admitted.deadline + TO_READ);
    let passing = Passing {
        first: Some(answer.first),
        rest: answer.rest,
        framing: answer.framing,
        cut: Box::pin(cut),
        settlement,
        ending: None,
        ended: false,
    };
    let mut response = Response::new(Body::new(passing));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(encoding) = encoding(&answer.head) {
        headers.insert(ENCODING, encoding.clone());
    }
    // Both are made of characters that headers hold.
    let own =
        [(metadata::DECISION_ID, permit.id().to_string()), (metadata::OFFER, answer.candidate.offer.name.to_string())];
    headers.extend(
        own.into_iter().filter_map(|(name, value)| Some((HeaderName::from_static(name), value.try_into().ok()?))),
    );
    response
}

/// The encoding that a node's head names for its messages, as far as that is passed on.
fn encoding(head: &HeaderMap) -> Option<&HeaderValue> {
    head.get(ENCODING).filter(|name| name.len() <= MAX_ENCODING_BYTES)
}

/// Whether messages may be compressed: where the caller is told how.
pub(super) fn may_be_compressed(head: &HeaderMap) -> bool {
    encoding(head).is_some_and(|name| name != IDENTITY)
}

/// What a caller gets whose deadline has passed.
pub(super) fn deadline_passed() -> Failure {
    Failure::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the request's deadline has passed")
}

/// A member of a call, with the certificate that it showed.
type Party = (SpiffeId, Option<Digest>);

/// Resolves when the call has to end before its answer does.
async fn cut(registry: Registry, caller: Party, node: Party, deadline: Instant, stop: Stop) -> Failure {
    tokio::select! {
        failure = cut::of_member(&registry, &caller.0, caller.1) => failure,
        failure = cut::of_member(&registry, &node.0, node.1) => failure,
        () = tokio::time::sleep_until(deadline) => deadline_passed(),
        failure = stop.reached() => failure,
    }
}

/// A node's answer on its way to the caller.
struct Passing {
    /// The frame that was read to know that the node answers.
    first: Option<Frame<Bytes>>,
    /// Dropped at the end, which resets a stream that has not ended.
    rest: Option<super::relay::Upstream>,
    /// Where it is in its messages; what `first` has is counted.
    framing: Framing,
    cut: Pin<Box<dyn Future<Output = Failure> + Send>>,
    settlement: Settlement,
    /// What ends the answer, once the outcome is durable.
    ending: Option<(HeaderMap, Settling)>,
    ended: bool,
}

impl Passing {
    /// The end: the node's own status, and what it used.
    fn end(&mut self, trailers: &HeaderMap) {
        let Some(code) = trailers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes())) else {
            return self.break_off(UNFINISHED);
        };
        self.rest.iter().for_each(|rest| rest.in_flight.reported(trailers));
        if code == Code::Ok
            && let Err(problem) = self.framing.end()
        {
            return self.refuse(problem);
        }
        self.tell(Some(code));
        let said = self.settlement.hear(trailers);
        let passed_on = passed_on(code, trailers, said.usage);
        let settling = self.settlement.end(code, Some(said));
        self.close(passed_on, settling);
    }

    /// The end, which is none: the node, or what is between, is at fault.
    fn break_off(&mut self, problem: &str) {
        self.tell(None);
        self.end_with(truncated(problem));
    }

    /// The end of an answer whose messages are none, whatever the node says of it.
    fn refuse(&mut self, problem: Malformed) {
        self.tell(None);
        self.settlement.malformed();
        self.end_with(malformed(problem));
    }

    /// Tells how the answer ended, to whom the next nodes are chosen by.
    fn tell(&self, code: Option<Code>) {
        if let Some(rest) = &self.rest {
            rest.in_flight.ended(code);
        }
    }

    /// The end: our own status.
    fn end_with(&mut self, failure: Failure) {
        let settling = self.settlement.end(failure.code, None);
        self.close(trailers(failure), settling);
    }

    fn close(&mut self, trailers: HeaderMap, settling: Settling) {
        self.rest = None;
        drop_call_at(Instant::now() + TO_SETTLE);
        self.ending = Some((trailers, settling));
    }

    /// The next frame of the answer; none where it ends.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        // Before the node's next frame: not one more goes to or from a member that is suspended.
        if let Poll::Ready(failure) = self.cut.as_mut().poll(cx) {
            self.end_with(failure);
            return Poll::Ready(None);
        }
        let (frame, is_first) = match (self.first.take(), &mut self.rest) {
            (Some(first), _) => (Some(Ok(first)), true),
            (None, Some(rest)) => (ready!(http_body::Body::poll_frame(Pin::new(&mut rest.body), cx)), false),
            (None, None) => (None, false),
        };
        match frame {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => self.end(&trailers),
                Err(frame) => {
                    let data = frame.data_ref().map_or(&[][..], Bytes::as_ref);
                    let taken = if is_first { Ok(()) } else { self.framing.take(data) };
                    if let Err(problem) = taken {
                        self.refuse(problem);
                        return Poll::Ready(None);
                    }
                    self.settlement.passed(data.len());
                    return Poll::Ready(Some(frame));
                }
            },
            Some(Err(error)) => {
                tracing::warn!(error = %error, "an answer broke off");
                self.break_off("the connection to the node broke");
            }
            None => self.break_off(UNFINISHED),
        }
        Poll::Ready(None)
    }

    /// The last frame, with the receipt: the caller is told that the request has ended when that is on record.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        let Some((trailers, settling)) = &mut self.ending else { return Poll::Pending };
        let trailers = match ready!(settling.poll(cx)) {
            Some(receipt) => with_receipt(std::mem::take(trailers), &receipt),
            None => self::trailers(ledger_failed()),
        };
        self.ended = true;
        Poll::Ready(Frame::trailers(trailers))
    }
}

impl Drop for Passing {
    /// Nobody read what had to end: the record says why it had to, and not that the caller left.
    fn drop(&mut self) {
        // Where the runtime has ended, there is no time to ask about, and nowhere to write to.
        if self.ending.is_none()
            && tokio::runtime::Handle::try_current().is_ok()
            && let Some(failure) = self.cut.as_mut().now_or_never()
        {
            drop(self.settlement.end(failure.code, None));
        }
    }
}

/// What of a node's trailers goes on to the caller: its status, each part once and as long as it may be, and what it says that
/// the request used, and no more than that.
fn passed_on(code: Code, trailers: &HeaderMap, usage: Option<UsageRecord>) -> HeaderMap {
    let mut passed = HeaderMap::new();
    // As it is on record, whatever spelling the node has for it.
    passed.insert(Status::GRPC_STATUS, HeaderValue::from(i32::from(code)));
    for (name, most) in ABOUT_STATUS.into_iter().filter(|_| code != Code::Ok) {
        if let Some(value) = trailers.get(&name).filter(|value| value.len() <= most) {
            passed.insert(name, value.clone());
        }
    }
    if let Some(UsageRecord { input_tokens, output_tokens }) = usage {
        insert(&mut passed, metadata::USAGE, &inference::Usage { input_tokens, output_tokens }.encode_to_vec());
    }
    passed
}

/// The trailers with the proof of what was decided and became of it.
fn with_receipt(mut trailers: HeaderMap, receipt: &Receipt) -> HeaderMap {
    insert(&mut trailers, metadata::RECEIPT, &receipt.encode_to_vec());
    trailers
}

fn insert(trailers: &mut HeaderMap, name: &'static str, bytes: &[u8]) {
    if let Ok(value) = HeaderValue::try_from(STANDARD_NO_PAD.encode(bytes)) {
        trailers.insert(name, value);
    }
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.ending.is_none()
            && let Some(frame) = ready!(self.poll_answer(cx))
        {
            return Poll::Ready(Some(Ok(frame)));
        }
        self.poll_end(cx).map(|frame| Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// What a caller gets of an answer whose messages are not what gRPC makes of one.
pub(super) fn malformed(problem: Malformed) -> Failure {
    let message = format!(
        "the node's answer is not what gRPC makes of one: {problem} (hint: what arrived is not to be relied on; ask again, and tell the node's operator)"
    );
    Failure::new(Code::Internal, "ANSWER_MALFORMED", message)
}

fn truncated(how: &str) -> Failure {
    let message = format!("the answer is not whole: {how} (hint: what arrived is not all; ask again)");
    Failure::new(Code::Unavailable, "STREAM_TRUNCATED", message)
}
