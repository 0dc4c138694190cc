//! Decisions end: what was decided holds for the life of a permit, and no longer.

use std::sync::atomic::{AtomicBool, Ordering};

use super::commit::PERMIT_LIFE;
use super::node::{Script, status};
use super::world::AheadClock;
use super::*;

/// Takes as long as a permit counts to decline, every time or the first time alone; then it answers.
fn slow(clock: &Arc<AheadClock>, every_time: bool) -> Script {
    let (clock, slow) = (Arc::clone(clock), AtomicBool::new(true));
    Arc::new(move |answering| {
        if slow.swap(every_time, Ordering::SeqCst) {
            clock.advance(PERMIT_LIFE);
            answering.try_send(Ok(status(overloaded()))).unwrap();
        } else {
            answers("hello")(answering);
        }
    })
}

#[tokio::test]
async fn a_decision_that_ends_before_a_node_answers_is_made_anew() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, slow(&world.clock, false)).await;
    let next = world.node("b.example", "DE", 2, answers("by a permit that has ended")).await;
    let (bytes, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
    assert_eq!(next.connections(), 0);
    let (decisions, outcomes) = world.journal(2).await;
    assert_eq!(outcomes.iter().map(|outcome| outcome.grpc_code).collect::<Vec<_>>(), [Code::Unavailable.into(), 0]);
    let granted: Vec<_> = node.seen().iter().map(|seen| seen.grant().decision_id).collect();
    let decided: Vec<_> = decisions.iter().map(|decision| decision.id.as_bytes().to_vec()).collect();
    assert_eq!((granted.len(), granted), (2, decided.into_iter().map(Into::into).collect()));
}

#[tokio::test]
async fn a_request_is_not_decided_on_for_ever() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, slow(&world.clock, true)).await;
    let next = world.node("b.example", "DE", 2, answers("by a permit that has ended")).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::Unavailable, "DECISION_EXPIRED".into()));
    let (decisions, outcomes) = world.journal(MAX_DECISIONS).await;
    assert_eq!((decisions.len(), outcomes.len(), node.seen().len()), (MAX_DECISIONS, MAX_DECISIONS, MAX_DECISIONS));
    assert_eq!(next.connections(), 0);
}
