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
