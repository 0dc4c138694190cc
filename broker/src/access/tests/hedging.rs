//! Two nodes at once, where the caller wants that: the first byte wins, the other call ends, and nobody else gets a byte.

use std::time::Duration;

use super::node::{Answering, Node, Script};
use super::retries::use_up;
use super::world::soon;
use super::*;
use crate::access::retries::Further;

/// As soon as can be asked for.
pub(super) const SOON_MS: u32 = 10;

pub(super) fn hedged_after(ms: u32) -> Vec<u8> {
    let hedge = Some(policy::Hedge { after_ms: Some(ms) });
    framed(&message_preferring(in_germany(), Some(policy::Preferences { hedge, ..Default::default() })))
}

/// Two eligible nodes, of which the first is asked first, and one that is cheaper abroad.
async fn three(world: &World, first: Script, second: Script) -> [Node; 3] {
    let first = world.node("a.example", "DE", 2, first).await;
    let second = world.node("b.example", "DE", 3, second).await;
    [first, second, world.node("c.example", "US", 1, answers("from abroad")).await]
}

async fn next(answers: &mut tokio::sync::mpsc::Receiver<Answering>) -> Answering {
    tokio::time::timeout(SOON, answers.recv()).await.expect("no request came").unwrap()
}

async fn closed(answering: &Answering) {
    tokio::time::timeout(SOON, answering.closed()).await.expect("the node's call goes on");
}

/// The tries of a record: offer, number, and what became of it.
fn tries(record: &str) -> Vec<(String, u64, String)> {
    let tries: Vec<serde_json::Value> = serde_json::from_str(record).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    tries.iter().map(|one| (text(&one["offer"]), one["attempt"].as_u64().unwrap(), text(&one["failed"]))).collect()
}

fn tried(offer: &str, attempt: u64, failed: &str) -> (String, u64, String) {
    (offer.to_owned(), attempt, failed.to_owned())
}

#[tokio::test]
async fn where_the_first_is_slow_another_eligible_node_answers_and_the_first_ones_call_ends() {
    for world in [World::new().await, World::overlapped().await] {
        let (script, mut slow) = waits();
        let [first, second, abroad] = three(&world, script, answers("hello")).await;
        let asked = Box::pin(world.call(Method::ChatStream, hedged_after(SOON_MS), &[]));
        let (response, answering) = tokio::join!(asked, next(&mut slow));
        assert_eq!(response.headers()["comity-offer"], "b.example/n1/o1");
        let (bytes, trailers) = read(response).await;
        assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
        closed(&answering).await;
        assert_eq!((first.seen().len(), second.seen().len(), abroad.connections()), (1, 1, 0));
        let outcome = world.journal(1).await.1.remove(0);
        let [one, other] = [tried("a.example/n1/o1", 1, "outpaced"), tried("b.example/n1/o1", 2, "")];
        assert_eq!((tries(&outcome.tries), outcome.attempt), (vec![one, other], 2));
        assert_eq!((outcome.input_tokens, outcome.output_tokens), (Some(3), Some(4)), "what the winner used, once");
        assert_eq!(world.access.parts().metrics.count_further("hedge"), 1);
        // Both under one decision, and the second with a permit for a try of its own.
        let [one, other] = [&first, &second].map(|node| node.seen().remove(0));
        assert_eq!((one.permit().attempt, other.permit().attempt), (1, 2));
        let decisions = [one, other].map(|seen| seen.decision(&world.log_key).leaf().decision);
        assert_eq!(decisions[0], decisions[1]);
    }
}

#[tokio::test]
async fn the_first_wins_where_its_first_byte_comes_before_that_of_the_other() {
    let world = World::new().await;
    let ((first, mut of_first), (second, mut of_second)) = (waits(), waits());
    let [_first, _second, _abroad] = three(&world, first, second).await;
    let asked = Box::pin(world.call(Method::Chat, hedged_after(SOON_MS), &[]));
    let (response, other) = tokio::join!(asked, async {
        let answering = next(&mut of_first).await;
        let other = next(&mut of_second).await;
        answering.send(Ok(data("first"))).await.unwrap();
        answering.send(Ok(ok())).await.unwrap();
        other
    });
    assert_eq!(response.headers()["comity-offer"], "a.example/n1/o1");
    assert_eq!(read(response).await.0, b"first");
    closed(&other).await;
    let outcome = world.journal(1).await.1.remove(0);
    let [one, other] = [tried("b.example/n1/o1", 2, "outpaced"), tried("a.example/n1/o1", 1, "")];
    assert_eq!((tries(&outcome.tries), outcome.attempt), (vec![one, other], 1));
}

#[tokio::test]
async fn a_failure_of_one_of_two_leaves_the_other() {
    let world = World::new().await;
    let (script, mut slow) = waits();
    let [_first, second, _abroad] = three(&world, script, declines(overloaded())).await;
    let asked = Box::pin(world.call(Method::Chat, hedged_after(SOON_MS), &[]));
    let (response, ()) = tokio::join!(asked, async {
        let answering = next(&mut slow).await;
        soon("the other is asked", || (second.seen().len() == 1).then_some(())).await;
        soon("it has failed", || (world.links.in_flight(&second.id) == 0).then_some(())).await;
        answering.send(Ok(data("late"))).await.unwrap();
        answering.send(Ok(ok())).await.unwrap();
    });
    assert_eq!(read(response).await.0, b"late");
    let outcome = world.journal(1).await.1.remove(0);
    let [one, other] = [tried("b.example/n1/o1", 2, "declined with status 8"), tried("a.example/n1/o1", 1, "")];
    assert_eq!(tries(&outcome.tries), [one, other]);
}

#[tokio::test]
async fn where_all_fail_the_record_is_of_the_one_that_the_caller_is_told_of() {
    let world = World::new().await;
    let (slowly, mut asked) = waits();
    let [_first, second, _abroad] = three(&world, slowly, declines(overloaded())).await;
    let answer = Box::pin(world.call(Method::Chat, hedged_after(SOON_MS), &[]));
    let (response, ()) = tokio::join!(answer, async {
        let answering = next(&mut asked).await;
        soon("the other is asked", || (second.seen().len() == 1).then_some(())).await;
        soon("it has failed", || (world.links.in_flight(&second.id) == 0).then_some(())).await;
        declines(overloaded())(answering);
    });
    assert_eq!(response.headers()["comity-offer"], "a.example/n1/o1");
    assert_eq!(ended(&read(response).await.1).0, Code::ResourceExhausted);
    let outcome = world.journal(1).await.1.remove(0);
    let failed = "declined with status 8";
    let [one, other] = [tried("b.example/n1/o1", 2, failed), tried("a.example/n1/o1", 1, failed)];
    assert_eq!((tries(&outcome.tries), outcome.attempt), (vec![one, other], 1));
}

#[tokio::test]
async fn where_both_fail_the_third_is_asked_and_no_more() {
    let world = World::new().await;
    let slowly: Script = Arc::new(|answering| {
        node::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            declines(overloaded())(answering);
        });
    });
    let [first, second, abroad] = three(&world, slowly, declines(overloaded())).await;
    let third = world.node("d.example", "DE", 4, declines(overloaded())).await;
    let fourth = world.node("e.example", "DE", 5, answers("never")).await;
    let (_, trailers) = read(world.call(Method::Chat, hedged_after(SOON_MS), &[]).await).await;
    assert_eq!(ended(&trailers).0, Code::ResourceExhausted);
    let seen = [&first, &second, &third, &fourth, &abroad].map(|node| node.seen().len());
    assert_eq!(seen, [1, 1, 1, 0, 0]);
    let of = |kind| world.access.parts().metrics.count_further(kind);
    assert_eq!((of("hedge"), of("retry"), of("withheld")), (1, 1, 0));
}

#[tokio::test]
async fn nobody_is_asked_beside_where_there_is_no_other_or_the_budget_is_used_up() {
    let world = World::new().await;
    let (script, mut slow) = waits();
    let alone = world.node("a.example", "DE", 1, script).await;
    for has_other in [false, true] {
        let other = if has_other { Some(world.node("b.example", "DE", 2, answers("never")).await) } else { None };
        use_up(&world);
        let withheld = || world.access.parts().metrics.count_further("withheld");
        let before = withheld();
        let asked = Box::pin(world.call(Method::Chat, hedged_after(SOON_MS), &[]));
        let (response, ()) = tokio::join!(asked, async {
            let answering = next(&mut slow).await;
            if has_other {
                soon("the budget is asked", || (withheld() > before).then_some(())).await;
            }
            answering.send(Ok(data("alone"))).await.unwrap();
            answering.send(Ok(ok())).await.unwrap();
        });
        assert_eq!(read(response).await.0, b"alone");
        assert_eq!(other.map_or(0, |other| other.connections()), 0);
    }
    assert_eq!((alone.seen().len(), world.access.parts().metrics.count_further("hedge")), (2, 0));
}

#[tokio::test]
async fn a_try_that_has_met_silence_has_what_is_left_for_failures_where_no_hedge_is() {
    let world = World::new().await;
    let (script, mut slow) = waits();
    let _silent = world.node("a.example", "DE", 1, script).await;
    let _other = world.node("b.example", "DE", 2, answers("hello")).await;
    let (caller, retries) = (World::app().trust_domain().clone(), &world.access.parts().retries);
    while retries.take(&caller, Further::Hedge, Instant::now()) {}
    let asked = Box::pin(world.call(Method::Chat, hedged_after(SOON_MS), &[]));
    let (response, answering) = tokio::join!(asked, next(&mut slow));
    assert_eq!(read(response).await.0, b"hello");
    closed(&answering).await;
    let of = |kind| world.access.parts().metrics.count_further(kind);
    assert_eq!((of("hedge"), of("withheld"), of("retry")), (0, 1, 1));
    let outcome = world.journal(1).await.1.remove(0);
    let [one, other] = [tried("a.example/n1/o1", 1, "outpaced"), tried("b.example/n1/o1", 2, "")];
    assert_eq!(tries(&outcome.tries), [one, other]);
}

#[tokio::test]
async fn a_body_in_a_backends_own_format_is_never_asked_of_two_nodes() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    let (_, trailers) = read(world.call(Method::Forward, hedged_after(SOON_MS), &[]).await).await;
    assert_eq!(ended(&trailers), (Code::InvalidArgument, "INVALID_FIELD".into()));
    let status = Status::from_header_map(&trailers).unwrap();
    assert!(status.message().contains("envelope.preferences.hedge"), "{}", status.message());
    assert_eq!(node.connections(), 0);
}
