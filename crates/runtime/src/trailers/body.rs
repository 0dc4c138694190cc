//! A body that appends to its last frame.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::Pending;

/// A response's body, whose trailers get an addition. A body that ends without trailers stays so: it was cut.
#[derive(Debug)]
pub struct TrailerBody<B> {
    inner: Pin<Box<B>>,
    pending: Pending,
}

impl<B> TrailerBody<B> {
    pub(super) fn new(inner: B, pending: Pending) -> Self {
        Self { inner: Box::pin(inner), pending }
    }
}

impl<B: Default> Default for TrailerBody<B> {
    fn default() -> Self {
        Self::new(B::default(), Pending::default())
    }
}

impl<B: Body<Data = Bytes>> Body for TrailerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut frame = ready!(self.inner.as_mut().poll_frame(context));
        let trailers = frame.as_mut().and_then(|frame| frame.as_mut().ok()).and_then(Frame::trailers_mut);
        if let Some(trailers) = trailers {
            self.pending.append_to(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
