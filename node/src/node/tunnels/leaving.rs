//! The `Tunnel` service of one tunnel: the broker asks the node to leave it.

use std::time::Duration;

use comity_proto::error::Failure;
use comity_proto::tunnel::tunnel_server::Tunnel;
use comity_proto::tunnel::{LeaveRequest, LeaveResponse};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

/// The longest time that a broker may name, in milliseconds.
const MAX_WITHIN_MILLIS: u32 = 600_000;

/// Tells whoever keeps the tunnel by when it is to be left.
#[derive(Debug, Clone)]
pub(in crate::node) struct Leaving(pub(super) watch::Sender<Option<Instant>>);

#[tonic::async_trait]
impl Tunnel for Leaving {
    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveResponse>, Status> {
        let within = request.get_ref().within_millis;
        if !(1..=MAX_WITHIN_MILLIS).contains(&within) {
            let message = format!("within_millis is {within}, not 1 to {MAX_WITHIN_MILLIS}");
            return Err(Failure::new(Code::InvalidArgument, "INVALID_FIELD", message)
                .with("field", "within_millis")
                .into());
        }
        self.0.send_replace(Some(Instant::now() + Duration::from_millis(within.into())));
        Ok(Response::new(LeaveResponse {}))
    }
}
