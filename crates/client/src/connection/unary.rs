//! Calls that end in time: a broker that takes a call and never answers it is an error, not a wait for ever.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;
use tower::Service;

use super::Channel;

/// A channel whose calls fail when their answer does not begin in time.
#[derive(Debug, Clone)]
pub struct Unary {
    channel: Channel,
    deadline: Duration,
}

/// No answer came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker gave no answer within {} s", deadline.as_secs())]
pub struct NoAnswer {
    /// How long was waited.
    pub deadline: Duration,
}

impl Unary {
    pub(super) const fn new(channel: Channel, deadline: Duration) -> Self {
        Self { channel, deadline }
    }
}

impl Service<Request<Body>> for Unary {
    type Response = Response<Body>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (answer, deadline) = (self.channel.call(request), self.deadline);
        Box::pin(async move {
            let answered = tokio::time::timeout(deadline, answer).await;
            answered.map_err(|_| NoAnswer { deadline })?
        })
    }
}
