//! Where requests travel while their decisions become durable, nothing is run before, and nothing else changes.

use super::*;

#[tokio::test]
async fn a_request_that_travels_ahead_is_run_when_its_decision_is_durable_and_not_before() {
    let (begun, mut writes) = tokio::sync::mpsc::unbounded_channel();
    let (on, gate) = std::sync::mpsc::channel();
    let log =
        |path: &std::path::Path, key, clock| DecisionLog::held(&path.join("decisions"), key, clock, (begun, gate));
    let world = World::with(log, Commit::Overlapped).await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    let asked = Box::pin(world.ask(in_germany()));
    let (response, ()) = tokio::join!(asked, async {
        tokio::time::timeout(SOON, writes.recv()).await.expect("the decision is written");
        // It is on its way: the node has been dialled, though nothing is durable.
        let dialled = async {
            while node.connections() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, dialled).await.expect("the request travels");
        assert_eq!(node.seen().len(), 0, "without a permit it is not whole");
        drop(on);
    });
    let (bytes, trailers) = read(response).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
    let seen = node.seen();
    assert_eq!((seen.len(), seen[0].permit().attempt), (1, 1));
    assert_eq!(seen[0].decision(&world.log_key).get(Field::METHOD), Some(&b"ChatStream"[..]));
    let (decisions, outcomes) = world.journal(1).await;
    assert_eq!((decisions[0].id, outcomes[0].attempt, outcomes[0].grpc_code), (outcomes[0].id, 1, 0));
}

#[tokio::test]
async fn a_request_whose_decision_cannot_be_kept_is_withdrawn_from_the_node_that_has_it() {
    let log = |path: &std::path::Path, key, clock| DecisionLog::broken(&path.join("decisions"), key, clock);
    let world = World::with(log, Commit::Overlapped).await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers), (Code::Unavailable, "LEDGER_FAILED".into()));
    let withdrawn = async {
        while world.links.in_flight(&node.id) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, withdrawn).await.expect("the request is withdrawn");
    assert_eq!(node.seen().len(), 0);
}

#[tokio::test]
async fn a_refusal_sends_nothing_ahead() {
    let world = World::overlapped().await;
    let abroad = world.node("a.example", "US", 1, answers("from abroad")).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers).0, Code::FailedPrecondition);
    assert_eq!((abroad.connections(), abroad.seen().len()), (0, 0));
}

#[tokio::test]
async fn further_tries_have_their_permit_before_them() {
    let world = World::overlapped().await;
    let first = world.node("a.example", "DE", 1, declines(overloaded())).await;
    let second = world.node("b.example", "DE", 2, answers("hello")).await;
    let (bytes, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
    for (attempt, node) in [(1, &first), (2, &second)] {
        let seen = &node.seen()[0];
        assert_eq!(seen.permit().attempt, attempt);
        assert!(seen.body.ends_with(PAYLOAD));
    }
}

#[tokio::test]
async fn a_node_that_is_down_is_a_failed_try_as_ever() {
    let world = World::overlapped().await;
    let down = world.node("a.example", "DE", 1, answers("never")).await;
    drop(down);
    let second = world.node("b.example", "DE", 2, answers("hello")).await;
    let (bytes, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
    let outcome = world.journal(1).await.1.remove(0);
    assert_eq!((second.seen().len(), outcome.attempt), (1, 1));
    assert!(outcome.tries.contains(r#""used_nothing":"not sent""#), "{}", outcome.tries);
}

#[tokio::test]
async fn a_request_that_got_no_permit_after_all_is_on_record_with_the_node_that_has_it() {
    let (begun, mut writes) = tokio::sync::mpsc::unbounded_channel();
    let (on, gate) = std::sync::mpsc::channel();
    let log =
        |path: &std::path::Path, key, clock| DecisionLog::held(&path.join("decisions"), key, clock, (begun, gate));
    let world = World::with(log, Commit::Overlapped).await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    world.limit(&node, 1, 1).await;
    // Both are decided while the quota is whole, and one of them takes it.
    let both = futures::future::join_all((0..2).map(|_| async { read(Box::pin(world.ask(in_germany())).await).await }));
    let (answers, ()) = tokio::join!(both, async {
        let on_their_way = async {
            while world.links.in_flight(&node.id) < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, on_their_way).await.expect("both travel");
        tokio::time::timeout(SOON, writes.recv()).await.expect("a decision is written");
        drop(on);
    });
    let answered: Vec<_> = answers.iter().filter(|(bytes, _)| bytes == b"hello").collect();
    assert_eq!((answered.len(), node.seen().len()), (1, 1), "the other one was not run");
    let (_, outcomes) = world.journal(2).await;
    let withdrawn: Vec<_> = outcomes.iter().filter(|outcome| outcome.tries.contains("withdrawn")).collect();
    assert!(withdrawn.len() == 1 && withdrawn[0].tries.contains("a.example/n1/o1"), "{outcomes:?}");
}
