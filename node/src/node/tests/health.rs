//! Health of a node that listens, asked over its socket.

use tonic_health::pb::HealthCheckResponse;

use super::*;
use crate::testing::{Broker, FAST, LIFETIME, MovedClock, Said, eventually};

type Watching = tonic::Streaming<HealthCheckResponse>;

/// A node that has heard of the state, and somebody who watches its health.
async fn serving() -> (Running, Arc<MovedClock>, Broker, Watching) {
    let clock = Arc::<MovedClock>::default();
    let (world, broker) = Broker::start(&clock).await;
    broker.script.watching.lock().unwrap().push_back(Said::Lasting(world.history_with_node().all()));
    let mut node = Node::build_with_clock(&world.config, Arc::clone(&clock) as _).await.unwrap();
    node.pace = FAST;
    let node = run_in(world, node);
    let watching = HealthClient::new(node.broker().await).watch(HealthCheckRequest::default()).await.unwrap();
    let mut watching = watching.into_inner();
    while told(&mut watching).await != ServingStatus::Serving {}
    (node, clock, broker, watching)
}

async fn told(watching: &mut Watching) -> ServingStatus {
    watching.message().await.unwrap().unwrap().status()
}

#[tokio::test]
async fn a_node_that_hears_nothing_for_too_long_says_so_and_recovers_by_itself() {
    let (_node, clock, _broker, mut watching) = serving().await;
    clock.move_by(Duration::from_secs(16 * 60));
    assert_eq!(told(&mut watching).await, ServingStatus::NotServing);
    clock.move_back(Duration::from_secs(16 * 60));
    assert_eq!(told(&mut watching).await, ServingStatus::Serving);
}

#[tokio::test]
async fn a_node_whose_certificate_has_ended_says_so() {
    let (node, clock, broker, mut watching) = serving().await;
    broker.script.renewals.lock().unwrap().extend(vec![Some(Status::unavailable("later")); 10_000]);
    clock.move_by(LIFETIME + Duration::from_secs(60));
    assert_eq!(told(&mut watching).await, ServingStatus::NotServing);
    let file = || node.data(comity_runtime::health::FILE).unwrap_or_default();
    eventually(|| file().contains("certificate ended")).await;
}
