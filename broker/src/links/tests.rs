//! What a link promises: exactly the node that is expected, for as long as it takes part, at its address.

use comity_identity::StaticAnchors;

mod tunnels;

use super::*;
use crate::access::request::Method;
use crate::access::tests::node::{Node, answers};
use crate::access::tests::world::{Organisation, World, ended, framed, in_germany, message, read, soon};

#[tokio::test]
async fn somebody_else_at_a_nodes_address_gets_nothing() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    // An organisation that says it is a.example, and signs for itself.
    let impostor = Organisation::new("a.example");
    let federation: StaticAnchors = std::iter::empty().collect();
    let other = Node::start(node.id.clone(), impostor.credentials(&node.id), federation, answers("stolen")).await;
    world.publish(&node, &other.address, "DE", 1).await;
    let (_, trailers) = read(world.call(Method::Chat, framed(&message(in_germany())), &[]).await).await;
    assert_eq!(ended(&trailers), (tonic::Code::Unavailable, "NODES_UNAVAILABLE".into()));
    assert!(other.seen().is_empty());
    assert_eq!(world.links.state(&node.id), LinkState::Unreachable);
}

#[tokio::test]
async fn a_link_is_kept_between_requests_and_dropped_with_the_suspension() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    assert_eq!(world.links.state(&node.id), LinkState::Idle);
    for _ in 0..3 {
        assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    }
    assert_eq!((node.connections(), world.links.state(&node.id)), (1, LinkState::Connected));
    soon("the requests have ended", || (world.links.load(&node.id).in_flight == 0).then_some(())).await;
    world.suspend("a.example").await;
    soon("the link is dropped", || (world.links.state(&node.id) == LinkState::Idle).then_some(())).await;
}

#[tokio::test]
async fn many_first_requests_make_one_connection() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    let asked = (0..20).map(|_| async { read(world.ask(in_germany()).await).await.0 });
    assert!(futures::future::join_all(asked).await.iter().all(|answer| answer == b"hello"));
    assert_eq!(node.connections(), 1);
}
