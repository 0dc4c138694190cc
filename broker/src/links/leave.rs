//! Asks a node to leave a tunnel: only the server's side of HTTP/2 can say GOAWAY and go on, and here that is the node.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use comity_proto::tunnel::LeaveRequest;
use comity_proto::tunnel::tunnel_client::TunnelClient;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::timeout;
use tonic::body::Body;
use tower::Service;

use super::Outgoing;
use super::connect::{self, Sender};
use super::tunnels::Tunnel;

/// How long a node may take to say that it will.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// Longest time that the message can name.
const LONGEST: Duration = Duration::from_secs(600);

/// Asks `tunnel`'s node to leave it within this time. A node that does not answer is left to the end of its tunnel.
///
/// Whoever waits for the answer has neither the tunnel nor a sender of it ([`connect::send`]): the tunnel may end meanwhile, and
/// a request that stands in its queue would wait for as long as this does.
pub(super) fn ask(tunnel: &Tunnel, within: Duration) -> impl Future<Output = ()> + Send + use<> {
    let within_millis = u32::try_from(within.min(LONGEST).as_millis()).unwrap_or(u32::MAX).max(1);
    let (sender, node) = (tunnel.sender.clone(), tunnel.peer.id().clone());
    async move {
        let mut client = TunnelClient::with_origin(Stub(Some(sender)), Uri::from_static("https://tunnel"));
        let answer = timeout(ANSWER_DEADLINE, client.leave(LeaveRequest { within_millis })).await;
        if !matches!(answer, Ok(Ok(_))) {
            tracing::debug!(node.id = %node, "a node did not say that it leaves its tunnel");
        }
    }
}

/// A tunnel as generated stubs take it, for one request of one small message, with which its sender goes.
#[derive(Debug)]
struct Stub(Option<Sender>);

/// The one request was made.
#[derive(Debug, thiserror::Error)]
#[error("a stub is for one request, which was made")]
struct Used;

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Service<Request<Body>> for Stub {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sender = self.0.take();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = Outgoing::whole(body.collect().await?.to_bytes());
            let answer = connect::send(sender.ok_or(Used)?, Request::from_parts(head, body)).await;
            Ok(answer.map_err(TrySendError::into_error)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};

    use super::*;

    #[tokio::test]
    async fn a_stub_has_no_sender_while_it_waits() {
        let (near, _far) = tokio::io::duplex(1024);
        let (sender, _connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(near)).await.unwrap();
        let mut stub = Stub(Some(sender));
        let _waiting = stub.call(Request::new(Body::empty()));
        assert!(stub.0.is_none());
        let refused = stub.call(Request::new(Body::empty())).await.unwrap_err();
        assert!(refused.is::<Used>(), "{refused}");
    }
}
