//! What generated stubs call through: every answer of a model is held against its receipt before it counts.
//!
//! ```text
//!  stub ──▶ Channel ──▶ Line ──▶ broker
//!             ▲  messages pass as they come     │
//!             └──── the end: is it proven? ◀────┘   no: the call fails, and says why
//! ```
//! Calls that ask no model have no receipt, and pass as they are.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use comity_proto::inference::inference_server::SERVICE_NAME;
use comity_runtime::chain;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::line::Line;
use crate::receipt::{Expected, Pinned, Unproven, unlike_any_other};

/// The way to the broker, on which no answer of a model counts that its receipt does not prove. Clones are the same.
#[derive(Debug, Clone)]
pub struct Channel {
    line: Line,
    /// None without a certificate: nobody answers such a caller for a model.
    pinned: Option<Pinned>,
}

impl Channel {
    pub(super) const fn new(line: Line, pinned: Option<Pinned>) -> Self {
        Self { line, pinned }
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.line.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut line = self.line.clone();
        match self.pinned.clone().filter(|_| asks_a_model(&request)) {
            Some(pinned) => Box::pin(asked(line, request, pinned)),
            None => Box::pin(async move { Ok(line.call(request).await?) }),
        }
    }
}

fn asks_a_model(request: &Request<Body>) -> bool {
    let path = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
    path.is_some_and(|(service, _)| service == SERVICE_NAME)
}

/// Calls, and has the answer checked when it ends.
async fn asked(
    mut line: Line,
    request: Request<Body>,
    pinned: Pinned,
) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    // Every method takes one message, which the stub has in memory.
    let framed = body.collect().await?.to_bytes();
    let (framed, envelope) = unlike_any_other(parts.uri.path(), framed)?;
    let expected = pinned.expect(envelope);
    let answer = line.call(Request::from_parts(parts, Body::new(Full::new(framed)))).await?;
    let (head, body) = answer.into_parts();
    // A status in the head is all there is: stubs look for none at the end then.
    if let Some(status) = Status::from_header_map(&head.headers) {
        expected.check(&head.headers, status.code(), &head.headers).await.map_err(refused)?;
        return Ok(Response::from_parts(head, body));
    }
    let checked = Checked::new(body, expected, head.headers.clone());
    Ok(Response::from_parts(head, Body::new(checked)))
}

/// An answer whose messages pass as they come, and whose end is an error unless it is proven.
struct Checked {
    body: Body,
    expected: Arc<Expected>,
    head: HeaderMap,
    has_ended: bool,
    /// Its end while it is looked at: the federation's log may have to be read first.
    end: Option<Ending>,
}

/// The trailers, once they are proven.
type Ending = Pin<Box<dyn Future<Output = Result<HeaderMap, Status>> + Send>>;

impl http_body::Body for Checked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(end) = &mut self.end {
            let trailers = ready!(end.as_mut().poll(cx));
            self.end = None;
            return Poll::Ready(Some(trailers.map(Frame::trailers)));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame.into_trailers(),
            // An answer that just stops is none, whatever stubs make of it.
            None if !std::mem::replace(&mut self.has_ended, true) => {
                return Poll::Ready(Some(Err(refused(Unproven::NoStatus))));
            }
            ended @ (Some(Err(_)) | None) => return Poll::Ready(ended),
        };
        match frame {
            Err(data) => Poll::Ready(Some(Ok(data))),
            Ok(trailers) => {
                self.has_ended = true;
                self.end = Some(Box::pin(proven(Arc::clone(&self.expected), self.head.clone(), trailers)));
                self.poll_frame(cx)
            }
        }
    }
}

impl Checked {
    fn new(body: Body, expected: Expected, head: HeaderMap) -> Self {
        Self { body, expected: Arc::new(expected), head, has_ended: false, end: None }
    }
}

async fn proven(expected: Arc<Expected>, head: HeaderMap, trailers: HeaderMap) -> Result<HeaderMap, Status> {
    let status = Status::from_header_map(&trailers).ok_or_else(|| refused(Unproven::NoStatus))?;
    expected.check(&head, status.code(), &trailers).await.map_err(refused)?;
    Ok(trailers)
}

/// What a call fails with: what arrived is not what is on record, and asking again mends nothing.
fn refused(unproven: Unproven) -> Status {
    let mut status = Status::data_loss(format!("the answer is not proven: {}", chain::text(&unproven)));
    status.set_source(Arc::new(unproven));
    status
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

    use super::*;
    use crate::testing::World;

    /// What a stub gets of an answer with these frames.
    async fn ends(frames: Vec<Frame<Bytes>>) -> Result<(), Status> {
        let root = Arc::new(World::new().await.founded.root);
        let caller = "spiffe://org-a.example/app/a1".parse().unwrap();
        let frames = frames.into_iter().map(Ok::<_, Status>);
        let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
        let expected = Pinned::new(root, caller).expect(None);
        Checked::new(body, expected, HeaderMap::new()).collect().await.map(drop)
    }

    #[tokio::test]
    async fn an_answer_that_stops_without_a_status_is_none() {
        let data = || Frame::data(Bytes::from_static(b"words"));
        let other = HeaderMap::from_iter([(http::HeaderName::from_static("x-other"), "1".parse().unwrap())]);
        for frames in
            [vec![], vec![data()], vec![data(), Frame::trailers(HeaderMap::new())], vec![Frame::trailers(other)]]
        {
            let said = ends(frames).await.unwrap_err();
            assert!(said.message().contains("without a status"), "{said:?}");
        }
        // One that failed needs no receipt.
        let failed = HeaderMap::from_iter([(Status::GRPC_STATUS, "14".parse().unwrap())]);
        ends(vec![data(), Frame::trailers(failed)]).await.unwrap();
    }
}
