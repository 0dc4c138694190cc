//! Who may call a node at all: a broker of its federation, and nobody else.

use comity_proto::error::Failure;
use comity_runtime::accept::PeerInfo;
use comity_types::ids::Kind;
use comity_types::{SpiffeId, TrustDomain};
use tonic::{Code, Request, Status};

/// Lets requests through that come over a connection of a broker of `federation`.
pub fn broker_only(
    federation: TrustDomain,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    move |request| {
        let peer = request.extensions().get::<PeerInfo>().and_then(|info| info.peer.as_ref());
        if peer.is_some_and(|peer| is_broker(peer.id(), &federation)) { Ok(request) } else { Err(not_a_broker()) }
    }
}

fn is_broker(peer: &SpiffeId, federation: &TrustDomain) -> bool {
    peer.kind() == Kind::Broker && peer.trust_domain() == federation
}

fn not_a_broker() -> Status {
    let message = "a node serves only its federation's brokers (hint: send the request to the broker)";
    Failure::new(Code::PermissionDenied, "NOT_A_BROKER", message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broker_and_only_of_this_federation_is_one() {
        let federation = "fed.example".parse().unwrap();
        let is = |id: &str| is_broker(&id.parse().unwrap(), &federation);
        assert!(is("spiffe://fed.example/broker/b1"));
        for other in ["spiffe://other.example/broker/b1", "spiffe://fed.example/operator/alice"] {
            assert!(!is(other), "{other}");
        }
    }
}
