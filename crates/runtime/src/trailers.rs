//! Trailing metadata that a handler adds to its answer.
//!
//! gRPC has one more block of headers after the last message. tonic fills it from the status alone, which an OK
//! does not carry; so a handler puts [`Trailers`] or [`LateTrailers`] into its response's extensions, and
//! [`TrailerLayer`] appends them, whether the call ends well or not.

mod body;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower::{Layer, Service};

pub use body::TrailerBody;

/// Trailing metadata that is known when the response begins. Goes into the response's extensions.
#[derive(Debug, Clone, Default)]
pub struct Trailers(pub HeaderMap);

/// Trailing metadata that is known only when the response ends, such as what a stream has used.
///
/// A handler puts one clone into the response's extensions and fills the other before its stream ends.
#[derive(Debug, Clone, Default)]
pub struct LateTrailers(Arc<Mutex<HeaderMap>>);

impl LateTrailers {
    /// Adds one entry, in place of an earlier one of the same name.
    pub fn insert(&self, name: HeaderName, value: HeaderValue) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value);
    }

    fn take(&self) -> HeaderMap {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What one response has to append.
#[derive(Debug, Default)]
struct Pending {
    known: HeaderMap,
    late: Option<LateTrailers>,
}

impl Pending {
    fn of<B>(response: &mut Response<B>) -> Self {
        let extensions = response.extensions_mut();
        let known = extensions.remove::<Trailers>().unwrap_or_default().0;
        Self { known, late: extensions.remove() }
    }

    fn append_to(&mut self, headers: &mut HeaderMap) {
        headers.extend(std::mem::take(&mut self.known));
        headers.extend(self.late.take().map(|late| late.take()).unwrap_or_default());
    }
}

/// Appends [`Trailers`] and [`LateTrailers`] to the trailing metadata of responses.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrailerLayer;

impl<S> Layer<S> for TrailerLayer {
    type Service = TrailerService<S>;

    fn layer(&self, inner: S) -> TrailerService<S> {
        TrailerService { inner }
    }
}

/// See [`TrailerLayer`].
#[derive(Debug, Clone)]
pub struct TrailerService<S> {
    inner: S,
}

impl<S, Q, B> Service<Request<Q>> for TrailerService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Response = Response<TrailerBody<B>>;
    type Error = S::Error;
    type Future = TrailerFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        TrailerFuture { inner: Box::pin(self.inner.call(request)) }
    }
}

/// The response to come.
#[derive(Debug)]
pub struct TrailerFuture<F> {
    inner: Pin<Box<F>>,
}

impl<F, B, E> Future for TrailerFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<TrailerBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.inner.as_mut().poll(context)).map(with_trailers))
    }
}

/// A status among the headers is the whole answer ("Trailers-Only"): what would trail stands beside it.
fn with_trailers<B>(mut response: Response<B>) -> Response<TrailerBody<B>> {
    let mut pending = Pending::of(&mut response);
    if response.headers().contains_key("grpc-status") {
        pending.append_to(response.headers_mut());
    }
    response.map(|body| TrailerBody::new(body, pending))
}
