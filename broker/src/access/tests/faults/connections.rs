//! How many connections one request makes to a node that is not there for it: one a try, and none for another offer of a node that
//! could not be connected to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use comity_policy::Offer;
use comity_transparency::record::MAX_TRIES;

use super::*;
use crate::access::tests::node::Node;

/// How long a reset takes to come: longer than a first failure is remembered, so that only the request itself knows of it.
const LATE: Duration = Duration::from_millis(300);
/// Offers of each node.
const OFFERS: u64 = 4;

/// The address of somebody who takes connections and resets each of them, and how many there were.
async fn resetting() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, made) = (listener.local_addr().unwrap().to_string(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&made);
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            spawn(async move {
                tokio::time::sleep(LATE).await;
                stream.set_zero_linger().unwrap();
            });
        }
    });
    (address, made)
}

/// As many offers of a node as there are, of which none costs what one of the other node's does.
fn offers(node: &Node, first_price: u64) -> Vec<Offer> {
    let one = |number: u64| {
        let mut offer = world::offer(&node.id, "DE", first_price + 2 * number);
        offer.id = format!("o{number}").parse().unwrap();
        offer
    };
    (1..=OFFERS).map(one).collect()
}

async fn told(world: &World) -> (Code, String) {
    let (_, trailers) =
        read(world.call(Method::ChatStream, framed(&message(in_germany())), &[("grpc-timeout", PATIENT)]).await).await;
    ended(&trailers)
}

#[tokio::test]
async fn a_request_connects_once_to_each_node_that_resets_it_however_many_offers_that_has() {
    let world = World::new().await;
    let mut all = Vec::new();
    for (domain, first_price) in [("a.example", 1), ("b.example", 2)] {
        let (node, (address, made)) = (world.node(domain, "DE", 1, answers("never")).await, resetting().await);
        world.publish_offers(&node, &address, offers(&node, first_price)).await;
        all.push((node, made));
    }
    assert_eq!(told(&world).await, (Code::Unavailable, "NODES_UNAVAILABLE".into()));
    assert_eq!(all.iter().map(|(_, made)| made.load(Ordering::SeqCst)).collect::<Vec<_>>(), [1, 1]);
    let outcome = world.journal(1).await.1.remove(0);
    assert_eq!(tries(&outcome.tries).matches("no answer").count(), 2, "{}", outcome.tries);
}

#[tokio::test]
async fn a_try_makes_one_connection_to_a_node_that_leaves_each() {
    for commit in [Commit::Strict, Commit::Overlapped] {
        let log =
            |path: &std::path::Path, key, clock| DecisionLog::open(&path.join("decisions"), key, clock).unwrap().0;
        let world = World::with(log, commit).await;
        let node = world.node("a.example", "DE", 1, answers("never")).await;
        let (address, made) = raw::serve(&world, &node.id, raw::goaway_each_time).await;
        world.publish(&node, &address, "DE", 1).await;
        assert_eq!(told(&world).await, (Code::Unavailable, "NODES_UNAVAILABLE".into()));
        assert_eq!(made.load(Ordering::SeqCst), MAX_TRIES as usize, "{commit:?}");
    }
}
