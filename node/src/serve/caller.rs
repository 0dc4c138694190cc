//! Who may call a node at all: the broker of its federation, and nobody else.

use comity_proto::error::Failure;
use comity_runtime::accept::PeerInfo;
use comity_types::SpiffeId;
use tonic::{Code, Request, Status};

/// Lets requests through that come over a connection of `broker`, which the root document names: over one that it dialled,
/// and over a tunnel that the node dialled, alike.
pub fn broker_only(
    broker: SpiffeId,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    move |request| {
        let peer = request.extensions().get::<PeerInfo>().and_then(|info| info.peer.as_ref());
        if peer.is_some_and(|peer| *peer.id() == broker) { Ok(request) } else { Err(not_the_broker()) }
    }
}

fn not_the_broker() -> Status {
    let message = "a node serves only the broker that its federation's root document names (hint: send the request to that broker)";
    Failure::new(Code::PermissionDenied, "NOT_A_BROKER", message).into()
}
