//! The edge as a tower layer: admits a request or answers it, gives its messages a time to arrive in, and holds its place
//! until the response's body has ended, or has to end.

use std::fmt;
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use comity_proto::error::Failure;
use comity_proto::metadata::REQUEST_ID;
use comity_runtime::accept::PeerInfo;
use http::{HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::Edge;
use super::arrival::{self, Arriving};
use super::capacity::Place;
use super::cut::Ends;
use super::weight::Weight;
use crate::routes::most_bytes;
use crate::rpc::trailers;

/// Puts the edge before a service.
#[derive(Debug, Clone)]
pub struct EdgeLayer(Edge);

impl EdgeLayer {
    /// With this edge.
    #[must_use]
    pub const fn new(edge: Edge) -> Self {
        Self(edge)
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = EdgeService<S>;

    fn layer(&self, inner: S) -> EdgeService<S> {
        EdgeService { edge: self.0.clone(), inner }
    }
}

/// A service behind the edge.
#[derive(Debug, Clone)]
pub struct EdgeService<S> {
    edge: Edge,
    inner: S,
}

impl<S> Service<Request<Body>> for EdgeService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Send> + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // A connection that did not come through our listener has no peer, and no business here.
        let Some(info) = request.extensions().get::<PeerInfo>().cloned() else {
            return answer(Status::internal("the connection carries no peer"));
        };
        let admitted = match self.edge.admit(&info, request.uri().path()) {
            Ok(admitted) => admitted,
            Err(status) => return answer(status),
        };
        if let Some(within) = arrival::bound(request.uri().path(), admitted.caller.is_none()) {
            request = request.map(|body| Body::new(Arriving::new(body, within)));
        }
        let organisation = admitted.caller.as_ref().map_or("-", |caller| caller.organisation().as_str());
        let id = RequestId::new();
        let span =
            tracing::info_span!("edge", request.id = %id, peer.org = organisation, grpc.method = request.uri().path());
        if let Some(caller) = admitted.caller {
            request.extensions_mut().insert(caller);
        }
        let (edge, weight) = (self.edge.clone(), admitted.weight);
        request = request.map(|body| weight.of(body));
        let most_bytes = most_bytes(request.uri().path());
        let response = self.inner.call(request);
        let (place, ends, answers) = (admitted.place, admitted.ends, admitted.answers);
        let answer = async move {
            let response = tokio::select! {
                // A service that knows why its calls end has the first word.
                biased;
                response = response => with_reason(response?, most_bytes),
                failure = ends.clone().before_the_answer() => Status::from(failure).into_http(),
            };
            // What was made of a message that broke off for this does not say so.
            let response = edge.too_large(&weight).map_or(response, |failure| Status::from(failure).into_http());
            let counted = answers.map(|answers| answers.token());
            let mut response = response.map(|body| Body::new(Held::new(body, ends, (place, weight, counted))));
            response.headers_mut().insert(REQUEST_ID, id.header());
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

/// The response; a message over the limit, which tonic refuses before a service sees it, gets a reason as all else has.
fn with_reason(response: Response<Body>, most_bytes: usize) -> Response<Body> {
    let is_bare = |status: &Status| status.code() == Code::OutOfRange && status.details().is_empty();
    if !Status::from_header_map(response.headers()).is_some_and(|status| is_bare(&status)) {
        return response;
    }
    let message = format!("the message is larger than this method takes: {most_bytes} bytes (hint: send less at once)");
    Status::from(Failure::new(Code::OutOfRange, "MESSAGE_TOO_LARGE", message).with("limit_bytes", most_bytes))
        .into_http()
}

/// Names one request in the log and to its caller. Says nothing about either.
#[derive(Debug, Clone, Copy)]
struct RequestId(u64);

impl RequestId {
    /// Counted from a random start: unlike the ids of the run before, and no lock.
    fn new() -> Self {
        static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
            let mut start = [0; 8];
            // Without randomness the ids start at 0: still distinct within this run.
            let _random = aws_lc_rs::rand::fill(&mut start).is_ok();
            AtomicU64::new(u64::from_be_bytes(start))
        });
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn header(self) -> HeaderValue {
        // Hexadecimal digits are always a header's value.
        HeaderValue::from_str(&self.to_string()).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

fn answer<E: Send + 'static>(status: Status) -> Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>> {
    Box::pin(std::future::ready(Ok(status.into_http())))
}

/// A call's place, what it holds of the memory, and its answer's place among those on their way to the caller.
type Places = (Place, Weight, Option<TaskTrackerToken>);

/// A body that keeps its call's places, and ends when it has to.
struct Held {
    /// `None` when it was ended.
    body: Option<Body>,
    ends: Pin<Box<dyn Future<Output = Failure> + Send>>,
    /// Nothing more goes out once it has to end, whatever there still is.
    ends_first: bool,
    _places: Places,
}

impl Held {
    fn new(body: Body, ends: Ends, places: Places) -> Self {
        let ends_first = ends.comes_first();
        Self { body: Some(body), ends: Box::pin(ends.within_the_answer()), ends_first, _places: places }
    }

    fn end_with(&mut self, failure: Failure) -> Frame<bytes::Bytes> {
        self.body = None;
        Frame::trailers(trailers(failure))
    }
}

impl http_body::Body for Held {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
        if self.body.is_none() {
            return Poll::Ready(None);
        }
        if self.ends_first
            && let Poll::Ready(failure) = self.ends.as_mut().poll(cx)
        {
            return Poll::Ready(Some(Ok(self.end_with(failure))));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let failure = ready!(self.ends.as_mut().poll(cx));
        Poll::Ready(Some(Ok(self.end_with(failure))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
