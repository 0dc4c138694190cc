//! Renewal in a node that runs: new handshakes see the fresh certificate, and what runs goes on.

use comity_identity::CertificateDer;
use comity_types::Digest;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::testing::{Broker, FAST, Log, MovedClock, eventually};

/// Past the latest time of a renewal, and before the end of the certificate.
const LATE: Duration = Duration::from_secs(16 * 3600);

struct Renewing {
    node: Running,
    clock: Arc<MovedClock>,
    broker: Broker,
}

async fn start() -> Renewing {
    let clock = Arc::<MovedClock>::default();
    let (world, broker) = Broker::start(&clock).await;
    let mut node = Node::build_with_clock(&world.config, Arc::clone(&clock) as _).await.unwrap();
    node.pace = FAST;
    Renewing { node: run_in(world, node), clock, broker }
}

impl Renewing {
    /// The SHA-256 of the certificate that the node shows in a fresh handshake.
    async fn shown(&self) -> Digest {
        let tls = self.node.client(&self.node.world.federation, BROKER, Arc::clone(&self.clock) as _);
        let connection = dial::connect(&self.node.address.to_string(), tls).await.unwrap();
        let shown: &[CertificateDer<'_>] = connection.get_ref().1.peer_certificates().unwrap();
        Digest::of(&shown[0])
    }

    fn stored(&self) -> Digest {
        Identity::open(self.node.world.config.identity_dir()).unwrap().leaf().certificate
    }
}

fn list() -> ServerReflectionRequest {
    let message_request = Some(MessageRequest::ListServices(String::new()));
    ServerReflectionRequest { host: String::new(), message_request }
}

#[tokio::test]
async fn a_node_serves_under_its_fresh_certificate_and_a_call_that_runs_goes_on() {
    let renewing = start().await;
    let before = renewing.stored();
    assert_eq!(renewing.shown().await, before);
    let (asks, questions) = tokio::sync::mpsc::channel(2);
    let mut reflection = ServerReflectionClient::new(renewing.node.broker().await);
    asks.send(list()).await.unwrap();
    let mut answers = reflection.server_reflection_info(ReceiverStream::new(questions)).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    renewing.clock.move_by(LATE);
    eventually(|| renewing.stored() != before).await;
    assert_eq!(renewing.shown().await, renewing.stored());
    asks.send(list()).await.unwrap();
    assert!(answers.message().await.unwrap().is_some(), "the call was dropped");
}

#[tokio::test]
async fn a_node_whose_renewal_fails_serves_on_under_its_old_certificate() {
    let log = Log::default();
    let _guard = log.collect();
    let renewing = start().await;
    let before = renewing.stored();
    renewing.broker.script.renewals.lock().unwrap().extend(vec![Some(Status::unavailable("later")); 1000]);
    renewing.clock.move_by(LATE);
    eventually(|| log.lines_with("could not be renewed").len() == 1).await;
    assert_eq!((renewing.shown().await, renewing.stored()), (before, before));
    assert_eq!(log.lines_with("could not be renewed").len(), 1);
}
