//! Decisions end: what was decided holds for the life of a permit, and no longer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comity_types::Timestamp;

use super::commit::PERMIT_LIFE;
use super::node::{Node, Script, status};
use super::world::{AheadClock, offer};
use super::*;

/// Takes `time` to decline, every time or the first time alone; then it answers.
pub(super) fn slow(clock: &Arc<AheadClock>, time: Duration, every_time: bool) -> Script {
    let (clock, slow) = (Arc::clone(clock), AtomicBool::new(true));
    Arc::new(move |answering| {
        if slow.swap(every_time, Ordering::SeqCst) {
            clock.advance(time);
            answering.try_send(Ok(status(down()))).unwrap();
        } else {
            answers("hello")(answering);
        }
    })
}

#[tokio::test]
async fn a_decision_that_ends_before_a_node_answers_is_made_anew() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, slow(&world.clock, PERMIT_LIFE, false)).await;
    let next = world.node("b.example", "DE", 2, answers("by a permit that has ended")).await;
    let (bytes, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
    assert_eq!(next.connections(), 0);
    let (decisions, outcomes) = world.journal(2).await;
    assert_eq!(outcomes.iter().map(|outcome| outcome.grpc_code).collect::<Vec<_>>(), [Code::Unavailable.into(), 0]);
    let granted: Vec<_> = node.seen().iter().map(|seen| seen.decision(&world.log_key).leaf().decision).collect();
    assert_eq!(granted, decisions.iter().map(|decision| decision.id).collect::<Vec<_>>());
    assert_eq!(granted.len(), 2);
}

#[tokio::test]
async fn a_request_is_not_decided_on_for_ever() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, slow(&world.clock, PERMIT_LIFE, true)).await;
    let next = world.node("b.example", "DE", 2, answers("by a permit that has ended")).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::Unavailable, "DECISION_EXPIRED".into()));
    let (decisions, outcomes) = world.journal(MAX_DECISIONS).await;
    assert_eq!((decisions.len(), outcomes.len(), node.seen().len()), (MAX_DECISIONS, MAX_DECISIONS, MAX_DECISIONS));
    assert_eq!(next.connections(), 0);
}

/// The offer of `node`, for `price`, until `until`.
async fn publish_until(world: &World, node: &Node, price: u64, until: Timestamp) {
    let mut offer = offer(&node.id, "DE", price);
    offer.in_force.until = Some(until);
    world.publish_offer(node, &node.address, offer).await;
}

#[tokio::test]
async fn a_permit_ends_with_the_offer_that_it_is_for() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    let until = world.clock.now().plus(PERMIT_LIFE / 3);
    publish_until(&world, &node, 1, until).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    assert_eq!(node.seen()[0].candidate(&world.log_key)["expires_at"], until.as_millis());
}

#[tokio::test]
async fn an_offer_that_ended_while_another_was_tried_gets_nothing() {
    let world = World::new().await;
    let _slow = world.node("a.example", "DE", 1, slow(&world.clock, PERMIT_LIFE / 3, false)).await;
    let ended_meanwhile = world.node("b.example", "DE", 2, answers("by an offer that has ended")).await;
    publish_until(&world, &ended_meanwhile, 2, world.clock.now().plus(PERMIT_LIFE / 3)).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    assert_eq!(ended_meanwhile.connections(), 0);
    assert_eq!(world.journal(2).await.0.len(), 2, "what holds now was decided anew");
}

#[tokio::test]
async fn what_is_tried_again_after_the_state_has_changed_is_decided_by_the_new_state() {
    let world = World::new().await;
    let (script, mut asked) = waits();
    let _slow = world.node("a.example", "DE", 1, script).await;
    let forbidden = world.node("b.example", "DE", 2, answers("by a state that is over")).await;
    let _next = world.node("c.example", "DE", 3, answers("hello")).await;
    let asking = world.ask(in_germany());
    let meanwhile = async {
        let answering = asked.recv().await.unwrap();
        // It serves from elsewhere now.
        world.publish(&forbidden, &forbidden.address, "US", 2).await;
        world.clock.advance(Duration::from_secs(11));
        answering.try_send(Ok(status(down()))).unwrap();
        // The second decision may ask this one again.
        drop(answering);
        while let Some(again) = asked.recv().await {
            again.try_send(Ok(status(down()))).unwrap();
        }
    };
    let response = tokio::select! {
        response = asking => response,
        () = meanwhile => panic!("the node has ended"),
    };
    assert_eq!(read(response).await.0, b"hello");
    assert_eq!(forbidden.connections(), 0);
    assert_eq!(world.journal(2).await.0.len(), 2);
}

#[tokio::test]
async fn a_failover_just_after_the_state_has_changed_goes_on() {
    let world = World::new().await;
    let (script, mut asked) = waits();
    let slow = world.node("a.example", "DE", 1, script).await;
    let _next = world.node("b.example", "DE", 2, answers("hello")).await;
    let meanwhile = async {
        let answering = asked.recv().await.unwrap();
        world.publish(&slow, &slow.address, "DE", 1).await;
        answering.try_send(Ok(status(down()))).unwrap();
    };
    let (response, ()) = tokio::join!(world.ask(in_germany()), meanwhile);
    assert_eq!(read(response).await.0, b"hello");
    assert_eq!(world.journal(1).await.0.len(), 1);
}
