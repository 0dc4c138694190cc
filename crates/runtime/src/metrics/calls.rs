//! Counts the calls of a server, by method and by the code that each ended with, and has an observer told of each.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::Labels;
use crate::observe::{Account, Observer};

/// What is counted of a path that is none of the contract's: callers choose paths, and labels have an end.
const UNKNOWN: &str = "unknown";

/// Counts by `method` and `code`.
pub type Calls = Family<Labels<2>, Counter>;

/// Counts what goes through a server.
#[derive(Clone)]
pub struct CallsLayer {
    calls: Calls,
    known: fn(&str) -> Option<&'static str>,
    observer: Observer,
}

impl CallsLayer {
    /// Counts in `calls`; `known` gives the paths that have a name.
    #[must_use]
    pub fn new(calls: Calls, known: fn(&str) -> Option<&'static str>) -> Self {
        Self { calls, known, observer: Observer::default() }
    }

    /// Has the observer told of each call, too.
    #[must_use]
    pub fn told_to(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }
}

impl fmt::Debug for CallsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallsLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for CallsLayer {
    type Service = CallsService<S>;

    fn layer(&self, inner: S) -> CallsService<S> {
        CallsService { layer: self.clone(), inner }
    }
}

/// A service whose calls are counted.
#[derive(Debug, Clone)]
pub struct CallsService<S> {
    layer: CallsLayer,
    inner: S,
}

impl<S, Q, B> Service<Request<Q>> for CallsService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: http_body::Body<Data: Buf>,
{
    type Response = Response<Counted<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Counted<B>>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let method = (self.layer.known)(request.uri().path()).unwrap_or(UNKNOWN);
        let account = self.layer.observer.begin(method, &mut request);
        let mut count = Count { calls: self.layer.calls.clone(), method, account, is_over: false };
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            count.account.head(response.headers());
            count.see(response.headers());
            Ok(response.map(|body| Counted { body: Box::pin(body), count }))
        })
    }
}

/// One call, counted once: when its code is known, or when whoever called has left.
struct Count {
    calls: Calls,
    method: &'static str,
    account: Account,
    is_over: bool,
}

impl Count {
    fn see(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.end(Code::from_bytes(code.as_bytes()), Some(headers));
        }
    }

    fn end(&mut self, code: Code, headers: Option<&HeaderMap>) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.calls.get_or_create(&[("method", self.method), ("code", code_name(code))]).inc();
            self.account.end(code, headers);
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.end(Code::Cancelled, None);
    }
}

/// An answer whose code is looked for.
pub struct Counted<B> {
    body: Pin<Box<B>>,
    count: Count,
}

impl<B> fmt::Debug for Counted<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

impl<B: http_body::Body<Data: Buf>> http_body::Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = self.body.as_mut().poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.count.see(trailers);
                } else if let Some(data) = frame.data_ref() {
                    self.count.account.passed(data.remaining());
                }
            }
            Poll::Ready(Some(Err(_))) => self.count.end(Code::Internal, None),
            Poll::Ready(None) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The code's name, as gRPC spells it.
#[must_use]
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
