//! What a link promises: exactly the node that is expected, for as long as it takes part, at its address.

use std::time::Duration;

use comity_identity::{KeyPair, StaticAnchors};
use comity_membership::Subject;
use tokio::sync::mpsc;

mod tunnels;

use super::*;
use crate::access::request::Method;
use crate::access::tests::node::{Answering, Node, answers, data, ok, waits};
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
    soon("the requests have ended", || (world.links.in_flight(&node.id) == 0).then_some(())).await;
    world.suspend("a.example").await;
    soon("the link is dropped", || (world.links.state(&node.id) == LinkState::Idle).then_some(())).await;
}

#[tokio::test]
async fn a_node_that_has_moved_begins_slowly() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    let offer = OfferName::new(&node.id, &"o1".parse().unwrap());
    let readiness = || world.links.load(&offer, World::app().trust_domain(), Instant::now()).readiness;
    assert_eq!(readiness(), Readiness::Ready);
    let moved = Node::start(node.id.clone(), world.credentials(&node.id), world.trusted(), answers("moved")).await;
    world.publish(&node, &moved.address, "DE", 1).await;
    soon("it begins slowly", || matches!(readiness(), Readiness::Returning { .. }).then_some(())).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"moved");
}

#[tokio::test]
async fn many_first_requests_make_one_connection() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    let asked = (0..20).map(|_| async { read(world.ask(in_germany()).await).await.0 });
    assert!(futures::future::join_all(asked).await.iter().all(|answer| answer == b"hello"));
    assert_eq!(node.connections(), 1);
}

#[tokio::test]
async fn a_certificate_for_a_key_that_was_not_admitted_gets_nothing_though_the_organisation_signed_it() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    let key = KeyPair::generate().unwrap();
    let other = world.credentials_for(&node.id, &key);
    let other = Node::start(node.id.clone(), other, world.trusted(), answers("stolen")).await;
    world.publish(&node, &other.address, "DE", 1).await;
    let (_, trailers) = read(world.call(Method::Chat, framed(&message(in_germany())), &[]).await).await;
    assert_eq!(ended(&trailers), (tonic::Code::Unavailable, "NODES_UNAVAILABLE".into()));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_node_whose_certificate_is_suspended_gets_nothing_until_it_shows_another() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    let (member, sha256) = (node.id.clone(), node.certificate);
    world.suspend_subject(Subject::Certificate { member, sha256 }).await;
    soon("the link is dropped", || (world.links.state(&node.id) == LinkState::Idle).then_some(())).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (tonic::Code::Unavailable, "NODES_UNAVAILABLE".into()));
    assert_eq!(node.seen().len(), 1);
    let renewed = world.credentials(&node.id);
    let renewed = Node::start(node.id.clone(), renewed, world.trusted(), answers("renewed")).await;
    world.publish(&node, &renewed.address, "DE", 1).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"renewed");
}

#[tokio::test]
async fn a_link_moves_to_a_new_connection_long_before_its_certificates_end_and_no_call_notices() {
    let (world, (script, mut asked)) = (World::new().await, waits());
    let node = world.node("a.example", "DE", 1, script).await;
    let (running, first) = Box::pin(begun(&world, &mut asked)).await;
    // The certificates of tests last an hour, and the broker's clock says when half of that is over.
    world.clock.advance(Duration::from_secs(31 * 60));
    let (meanwhile, second) = Box::pin(begun(&world, &mut asked)).await;
    soon("the new connection stands", || (node.connections() == 2).then_some(())).await;
    let (after, third) = Box::pin(begun(&world, &mut asked)).await;
    for (answer, answering) in [(running, first), (meanwhile, second), (after, third)] {
        answering.send(Ok(data("b"))).await.unwrap();
        answering.send(Ok(ok())).await.unwrap();
        drop(answering);
        assert_eq!(read(answer).await.0, b"ab", "each call goes on to its end where it began");
    }
    assert_eq!(node.connections(), 2);
}

/// A call whose answer has begun, and what feeds it.
async fn begun(world: &World, asked: &mut mpsc::Receiver<Answering>) -> (Response<tonic::body::Body>, Answering) {
    tokio::join!(world.ask(in_germany()), async {
        let answering = asked.recv().await.unwrap();
        answering.send(Ok(data("a"))).await.unwrap();
        answering
    })
}
