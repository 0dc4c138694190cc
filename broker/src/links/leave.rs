//! Asks a node to leave a tunnel: only the server's side of HTTP/2 can say GOAWAY and go on, and here that is the node.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use comity_proto::tunnel::LeaveRequest;
use comity_proto::tunnel::tunnel_client::TunnelClient;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;
use tonic::body::Body;
use tower::Service;

use super::Outgoing;
use super::connect::Sender;
use super::tunnels::Tunnel;

/// How long a node may take to say that it will.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// Longest time that the message can name.
const LONGEST: Duration = Duration::from_secs(600);

/// Asks `tunnel`'s node to leave it within this time. A node that does not answer is left to the end of its tunnel.
pub(super) async fn ask(tunnel: &Tunnel, within: Duration) {
    let within_millis = u32::try_from(within.min(LONGEST).as_millis()).unwrap_or(u32::MAX).max(1);
    let mut client = TunnelClient::with_origin(Stub(tunnel.sender.clone()), Uri::from_static("https://tunnel"));
    let answer = timeout(ANSWER_DEADLINE, client.leave(LeaveRequest { within_millis })).await;
    if !matches!(answer, Ok(Ok(_))) {
        tracing::debug!(node.id = %tunnel.peer.id(), "a node did not say that it leaves its tunnel");
    }
}

/// A tunnel as generated stubs take it, for requests of one small message.
#[derive(Debug, Clone)]
pub(super) struct Stub(pub(super) Sender);

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Service<Request<Body>> for Stub {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut sender = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = Outgoing::whole(body.collect().await?.to_bytes());
            Ok(sender.send_request(Request::from_parts(head, body)).await?)
        })
    }
}
