//! `comity.inference.v1.Inference`: hands calls to [`Access`] as they are. Not generated, since the broker reads
//! only the first field of a request and passes the rest through.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

use super::failure;
use crate::access::Access;
use crate::access::request::Method;
use crate::edge::CallerIdentity;

/// The service.
#[derive(Debug, Clone)]
pub struct Inference {
    access: Access,
}

impl Inference {
    /// Over this flow.
    #[must_use]
    pub const fn new(access: Access) -> Self {
        Self { access }
    }
}

impl NamedService for Inference {
    const NAME: &'static str = "comity.inference.v1.Inference";
}

impl Service<Request<Body>> for Inference {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let access = self.access.clone();
        Box::pin(async move {
            let method = Method::of_path(request.uri().path());
            let caller = request.extensions_mut().remove::<CallerIdentity>();
            Ok(match (method, caller) {
                (Some(method), Some(caller)) => access.handle(&caller, method, request).await,
                (None, _) => Status::unimplemented("no such method").into_http(),
                // The edge lets nobody in without one; without the edge, nobody is let in.
                (_, None) => failure(
                    Code::Unauthenticated,
                    "NO_CERTIFICATE",
                    "this method needs a member's certificate".into(),
                    vec![],
                )
                .into_http(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::node::answers;
    use crate::access::tests::world::{World, ended, framed, in_germany, message, read};

    /// A good request, at the service itself: the edge before it is left out.
    async fn call(path: &str) -> ((Code, String), usize) {
        let world = World::new().await;
        let node = world.node("a.example", "DE", 1, answers("never")).await;
        let mut request = Request::new(Body::new(http_body_util::Full::new(framed(&message(in_germany())).into())));
        *request.uri_mut() = path.parse().unwrap();
        let response = Inference::new(world.access.clone()).call(request).await.unwrap();
        (ended(&read(response).await.1), node.connections())
    }

    #[tokio::test]
    async fn a_method_that_does_not_exist_is_not_implemented() {
        let answer = call("/comity.inference.v1.Inference/Guess").await;
        assert_eq!(answer, ((Code::Unimplemented, String::new()), 0));
    }

    #[tokio::test]
    async fn nobody_infers_without_the_identity_that_the_edge_gives() {
        let answer = call("/comity.inference.v1.Inference/Chat").await;
        assert_eq!(answer, ((Code::Unauthenticated, "NO_CERTIFICATE".into()), 0));
    }
}
