//! Who may call a node at all: a broker of its federation, and nobody else.

use comity_proto::error::Failure;
use comity_runtime::accept::PeerInfo;
use comity_types::TrustDomain;
use comity_types::ids::Kind;
use tonic::{Code, Request, Status};

/// Lets requests through that come over a connection of a broker of `federation`.
pub fn broker_only(
    federation: TrustDomain,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    move |request| {
        let peer = request.extensions().get::<PeerInfo>().and_then(|info| info.peer.as_ref());
        let is_broker =
            peer.is_some_and(|peer| peer.id().kind() == Kind::Broker && *peer.id().trust_domain() == federation);
        if is_broker { Ok(request) } else { Err(not_a_broker()) }
    }
}

fn not_a_broker() -> Status {
    let message = "a node serves only its federation's brokers (hint: send the request to the broker)";
    Failure::new(Code::PermissionDenied, "NOT_A_BROKER", message).into()
}
