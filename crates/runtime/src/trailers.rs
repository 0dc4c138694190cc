//! Metadata after the last message.
//!
//! A generated service can only set metadata before its first message. A handler
//! that learns something while it answers, such as the tokens used, puts a
//! [`Trailers`] into the response's extensions, fills it in its own time, and the
//! layer adds it to the trailing metadata.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};

/// What is to follow the last message. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct Trailers(Arc<Mutex<HeaderMap>>);

impl Trailers {
    /// Adds one.
    pub fn insert(&self, name: http::HeaderName, value: http::HeaderValue) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value);
    }

    fn take(&self) -> HeaderMap {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Adds [`Trailers`] to the answers of the service inside it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrailerLayer;

impl<S> Layer<S> for TrailerLayer {
    type Service = TrailerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TrailerService { inner }
    }
}

/// The service that [`TrailerLayer`] makes.
#[derive(Debug, Clone)]
pub struct TrailerService<S> {
    inner: S,
}

impl<S, Req, B> Service<Req> for TrailerService<S>
where
    S: Service<Req, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes>,
{
    type Response = Response<TrailerBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let answer = self.inner.call(request);
        Box::pin(async move { answer.await.map(wrap) })
    }
}

fn wrap<B>(mut response: Response<B>) -> Response<TrailerBody<B>> {
    let trailers = response.extensions_mut().remove::<Trailers>();
    // An answer without messages has its trailing metadata in its head.
    if let (Some(trailers), true) = (&trailers, response.headers().contains_key("grpc-status")) {
        response.headers_mut().extend(trailers.take());
    }
    response.map(|inner| TrailerBody { inner: Box::pin(inner), trailers })
}

/// The body that [`TrailerLayer`] makes.
#[derive(Debug)]
pub struct TrailerBody<B> {
    inner: Pin<Box<B>>,
    trailers: Option<Trailers>,
}

impl<B: Body<Data = Bytes>> Body for TrailerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = std::task::ready!(self.inner.as_mut().poll_frame(cx));
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
        let frame = match (frame.into_trailers(), &self.trailers) {
            (Ok(mut own), Some(added)) => {
                own.extend(added.take());
                Frame::trailers(own)
            }
            (Ok(own), None) => Frame::trailers(own),
            (Err(data), _) => data,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty, StreamBody};

    use super::*;

    fn trailers() -> Trailers {
        let trailers = Trailers::default();
        trailers.insert("comity-usage-bin".parse().unwrap(), "AAAA".parse().unwrap());
        trailers
    }

    #[tokio::test]
    async fn what_is_added_while_answering_follows_the_last_message() {
        let later = Trailers::default();
        let mut own = HeaderMap::new();
        own.insert("grpc-status", "0".parse().unwrap());
        let filled = later.clone();
        let frames = futures::stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from("m"))), Ok(Frame::trailers(own))]);
        let mut response = Response::new(StreamBody::new(frames));
        response.extensions_mut().insert(later);
        let mut body = wrap(response).into_body();
        assert!(body.frame().await.unwrap().unwrap().is_data());
        filled.insert("comity-usage-bin".parse().unwrap(), "AAAA".parse().unwrap());
        let last = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!((&last["grpc-status"], &last["comity-usage-bin"]), (&"0".parse().unwrap(), &"AAAA".parse().unwrap()));
    }

    #[test]
    fn an_answer_without_messages_has_them_in_its_head() {
        let mut response = Response::new(Empty::<Bytes>::new());
        response.headers_mut().insert("grpc-status", "14".parse().unwrap());
        response.extensions_mut().insert(trailers());
        assert!(wrap(response).headers().contains_key("comity-usage-bin"));
    }
}
