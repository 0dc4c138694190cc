//! How often nodes are tried beyond the first time: no more than a share of what is asked, and whoever is told so.

use comity_proto::error::{Detail, retry_after};
use comity_types::TrustDomain;
use futures::StreamExt as _;

use super::commit::PERMIT_LIFE;
use super::expiry::slow;
use super::node::{Node, Script};
use super::*;
use crate::access::retries::{FLOOR_OF_ONE, Further, SHARE};

/// Requests of a storm.
const STORM: usize = 400;
/// At once.
const AT_ONCE: usize = 16;
/// Tries that are wanted at once, of which no quiet organisation gets all.
const MORE_THAN_GRANTED: usize = 100;
/// How fast what was granted is forgotten, in seconds.
const WINDOW: f64 = 10.0;

async fn failing(world: &World, script: impl Fn() -> Script) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (price, domain) in (1..).zip(["a.example", "b.example", "c.example"]) {
        nodes.push(world.node(domain, "DE", price, script()).await);
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_nodes_get_no_more_than_a_fifth_beyond_what_is_asked() {
    let cutting: fn() -> Script = || Arc::new(|answering| answering.try_send(reset()).unwrap());
    for script in [cutting, || declines(down()), || declines(overloaded())] {
        let (world, begun) = (World::new().await, Instant::now());
        let nodes = failing(&world, script).await;
        let asked = futures::stream::iter(0..STORM).map(|_| async { read(world.ask(in_germany()).await).await });
        let told: Vec<_> = asked.buffer_unordered(AT_ONCE).map(|(_, trailers)| ended(&trailers).1).collect().await;
        let delivered = nodes.iter().map(|node| node.seen().len()).sum::<usize>() as f64;
        let floors = FLOOR_OF_ONE * (1.0 + begun.elapsed().as_secs_f64() / WINDOW);
        let most = STORM as f64 * (1.0 + SHARE) + floors;
        assert!(delivered <= most, "{delivered} deliveries of {STORM} requests");
        let withheld = told.iter().filter(|reason| *reason == "RETRIES_WITHHELD").count();
        assert_eq!(world.access.parts().metrics.count_further("withheld"), withheld as u64);
        assert!(withheld > STORM / 2, "{withheld}");
    }
}

/// Uses up what the caller is granted.
pub(super) fn use_up(world: &World) {
    let caller: TrustDomain = World::app().trust_domain().clone();
    let retries = &world.access.parts().retries;
    let granted = (0..MORE_THAN_GRANTED).filter(|_| retries.take(&caller, Further::Retry, Instant::now())).count();
    assert!(granted < MORE_THAN_GRANTED);
}

/// A node where nobody listens.
async fn gone(world: &World, domain: &str, price: u64) -> Node {
    let node = world.node(domain, "DE", price, answers("never")).await;
    world.publish(&node, "127.0.0.1:9", "DE", price).await;
    node
}

#[tokio::test]
async fn a_further_try_that_its_permit_did_not_live_to_see_is_there_again() {
    let world = World::new().await;
    let _slow = world.node("a.example", "DE", 1, slow(&world.clock, PERMIT_LIFE, true)).await;
    let next = world.node("b.example", "DE", 2, answers("by a permit that has ended")).await;
    // Each decision of it is granted a further try, which is not made.
    assert_eq!(ended(&read(world.ask(in_germany()).await).await.1).1, "DECISION_EXPIRED");
    assert_eq!(next.connections(), 0);
    let (caller, retries) = (World::app().trust_domain().clone(), &world.access.parts().retries);
    let granted = (0..MORE_THAN_GRANTED).filter(|_| retries.take(&caller, Further::Retry, Instant::now())).count();
    assert_eq!(granted as f64, FLOOR_OF_ONE);
}

#[tokio::test]
async fn nodes_that_nothing_was_sent_to_cost_a_request_none_of_its_tries() {
    let world = World::new().await;
    let mut unreachable = Vec::new();
    for (price, domain) in (1..).zip(["a.example", "b.example", "c.example", "d.example"]) {
        unreachable.push(gone(&world, domain, price).await);
    }
    let failing = world.node("e.example", "DE", 5, declines(down())).await;
    let answering = world.node("f.example", "DE", 6, answers("hello")).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    // The permits say which of three tries it is: of those that were sent.
    assert_eq!([&failing, &answering].map(|node| node.seen()[0].permit().attempt), [1, 2]);
    let outcome = world.journal(1).await.1.remove(0);
    let tries: Vec<serde_json::Value> = serde_json::from_str(&outcome.tries).unwrap();
    assert_eq!((outcome.attempt, tries.len()), (2, 6), "{}", outcome.tries);
    assert!(tries[..4].iter().all(|tried| tried["used_nothing"] == "not sent"), "{}", outcome.tries);
    assert_eq!((&tries[4]["offer"], &tries[5]["offer"]), (&"e.example/n1/o1".into(), &"f.example/n1/o1".into()));
}

#[tokio::test]
async fn a_try_that_was_granted_and_that_nothing_was_sent_for_is_there_for_the_next_request() {
    let world = World::new().await;
    let _failing = world.node("a.example", "DE", 1, declines(down())).await;
    let _gone = gone(&world, "b.example", 2).await;
    let caller: TrustDomain = World::app().trust_domain().clone();
    let left = || {
        let (retries, now) = (&world.access.parts().retries, Instant::now());
        let left = (0..MORE_THAN_GRANTED).take_while(|_| retries.take(&caller, Further::Retry, now)).count();
        (0..left).for_each(|_| retries.give_back(&caller, Further::Retry, now));
        left
    };
    let before = left();
    assert_ne!(ended(&read(world.ask(in_germany()).await).await.1).0, Code::Ok);
    assert_eq!(left(), before);
}

#[tokio::test]
async fn whoever_asks_more_may_have_more_tried_again() {
    let world = World::new().await;
    let _answering = world.node("a.example", "DE", 1, answers("hello")).await;
    // So many that what is forgotten meanwhile leaves more than the floor.
    for _ in 0..50 {
        assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    }
    let (caller, retries) = (World::app().trust_domain().clone(), &world.access.parts().retries);
    let granted = (0..MORE_THAN_GRANTED).filter(|_| retries.take(&caller, Further::Retry, Instant::now())).count();
    assert!(granted as f64 > FLOOR_OF_ONE + 2.0, "{granted}");
}

#[tokio::test]
async fn who_gets_no_further_try_is_told_what_failed_why_no_other_was_asked_and_when_to_come_back() {
    let world = World::new().await;
    let failing = world.node("a.example", "DE", 1, declines(down())).await;
    let other = world.node("b.example", "DE", 2, answers("never")).await;
    use_up(&world);
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::Unavailable, "RETRIES_WITHHELD".into()));
    let status = Status::from_header_map(&trailers).unwrap();
    let detail = Detail::of(&status).unwrap();
    assert_eq!(
        (&*detail.metadata["offer"], &*detail.metadata["failed"]),
        ("a.example/n1/o1", "declined with status 14")
    );
    assert!(retry_after(&status).is_some() && status.message().contains("hint: "), "{status}");
    assert!(trailers.contains_key("comity-receipt-bin"));
    assert_eq!((failing.seen().len(), other.connections()), (1, 0));
    let outcome = world.journal(1).await.1.remove(0);
    assert_eq!((outcome.grpc_code, outcome.attempt), (i32::from(Code::Unavailable), 1));
    assert!(outcome.tries.contains("declined with status 14"), "{}", outcome.tries);
}

#[tokio::test]
async fn what_no_node_has_worked_on_costs_no_try() {
    let world = World::new().await;
    let veto = Failure::new(Code::FailedPrecondition, "NODE_VETO", "not you");
    let _vetoing = world.node("a.example", "DE", 1, declines(veto)).await;
    let gone = world.node("b.example", "DE", 2, answers("never")).await;
    world.publish(&gone, "127.0.0.1:9", "DE", 2).await;
    let _other = world.node("c.example", "DE", 3, answers("hello")).await;
    use_up(&world);
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
}

#[tokio::test]
async fn a_node_that_is_full_and_does_not_say_for_how_long_is_left_alone_for_a_moment() {
    let world = World::new().await;
    let full = world.node("a.example", "DE", 1, declines(overloaded())).await;
    let _dearer = world.node("b.example", "DE", 2, answers("hello")).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    // It is behind at once, so that the budget is not used up by a node that declines everything.
    let behind = world.links.load(&"a.example/n1/o1".parse().unwrap(), World::app().trust_domain(), Instant::now());
    assert_eq!(behind.readiness, crate::links::Readiness::Busy);
    assert_eq!(full.seen().len(), 1);
}
