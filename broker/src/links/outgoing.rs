//! A request on its way to a node: its one message, and behind it, where the permit follows later, the permit as a trailer.
//! A node runs nothing before it has the whole of it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use comity_proto::metadata;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

/// The body of a request.
#[derive(Debug)]
pub struct Outgoing {
    message: Option<Bytes>,
    permit: Option<oneshot::Receiver<HeaderValue>>,
}

/// The permit does not come: the stream is reset, and the node forgets the request.
#[derive(Debug, thiserror::Error)]
#[error("the request was withdrawn before its permit was made")]
pub struct Withdrawn;

impl Outgoing {
    /// A message whose permit went before it.
    #[must_use]
    pub const fn whole(message: Bytes) -> Self {
        Self { message: Some(message), permit: None }
    }

    /// A message whose permit follows, or does not.
    #[must_use]
    pub const fn followed(message: Bytes, permit: oneshot::Receiver<HeaderValue>) -> Self {
        Self { message: Some(message), permit: Some(permit) }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        let Some(permit) = &mut self.permit else { return Poll::Ready(None) };
        let permit = ready!(Pin::new(permit).poll(cx));
        self.permit = None;
        let trailers = |permit| Frame::trailers(HeaderMap::from_iter([(PERMIT, permit)]));
        Poll::Ready(Some(permit.map(trailers).map_err(|_| Withdrawn)))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.permit.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.message.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// As a name of HTTP.
const PERMIT: http::HeaderName = http::HeaderName::from_static(metadata::PERMIT);
