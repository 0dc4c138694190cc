//! How long the messages of a call may take to arrive, so that callers who send half of one hold no place.
//!
//! A call has one message, and the deadline is for all that is sent. The calls that ask more than once (reflection) have
//! it as well: whoever has more to ask asks anew. Inference has its own, which leaves time for the answer
//! ([`crate::access::request::MAX_ARRIVAL`]).

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use comity_proto::error::Failure;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::access::request;

/// For a member's message: 4 MiB, the largest of membership, at half a megabit a second.
pub const MAX_ARRIVAL: Duration = request::MAX_ARRIVAL;
/// For a stranger's, as long as the handshake before it: 128 KiB, the largest of enrolment, at a tenth of a megabit.
pub const MAX_STRANGERS_ARRIVAL: Duration = Duration::from_secs(10);

/// How long the messages of a call to `path` may take; `None` where the service has a bound of its own.
pub(super) fn bound(path: &str, is_stranger: bool) -> Option<Duration> {
    match (request::Method::of_path(path), is_stranger) {
        (Some(_), _) => None,
        (None, true) => Some(MAX_STRANGERS_ARRIVAL),
        (None, false) => Some(MAX_ARRIVAL),
    }
}

/// A request's body that ends with an error when it has not ended in time.
pub(super) struct Arriving {
    body: Body,
    late: Pin<Box<Sleep>>,
    within: Duration,
}

impl Arriving {
    /// From now on.
    pub(super) fn new(body: Body, within: Duration) -> Self {
        Self { body, late: Box::pin(tokio::time::sleep(within)), within }
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // Before the next piece: one after another must not go on for ever.
        if self.late.as_mut().poll(cx).is_ready() {
            // Also polled again, it has ended.
            self.body = Body::empty();
            return Poll::Ready(Some(Err(too_slow(self.within).into())));
        }
        Poll::Ready(ready!(Pin::new(&mut self.body).poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn too_slow(within: Duration) -> Failure {
    let message = format!(
        "the request's message did not arrive within {} s (hint: send it at once, whole, and end the stream)",
        within.as_secs()
    );
    Failure::new(Code::DeadlineExceeded, "REQUEST_TOO_SLOW", message).with("limit_seconds", within.as_secs())
}
