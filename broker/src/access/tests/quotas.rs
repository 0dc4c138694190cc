//! A quota is never overdrawn, and whoever finds it used up goes on to the next offer.

use futures::future::join_all;

use super::*;

/// How many requests come at once.
const AT_ONCE: usize = 20;

#[tokio::test]
async fn requests_at_once_do_not_overdraw_a_quota_and_go_on_to_the_next_offer() {
    let world = World::new().await;
    let limited = world.node("a.example", "DE", 1, answers("hello")).await;
    world.limit(&limited, 1, 5).await;
    let dearer = world.node("b.example", "DE", 2, answers("hello")).await;
    let all = join_all((0..AT_ONCE).map(|_| async { read(world.ask(in_germany()).await).await.0 })).await;
    assert!(all.iter().all(|answer| answer == b"hello"), "{all:?}");
    assert_eq!((limited.seen().len(), dearer.seen().len()), (5, AT_ONCE - 5));
}

#[tokio::test]
async fn without_another_offer_a_used_up_quota_is_a_refusal_like_any_other_even_if_it_was_used_up_meanwhile() {
    let world = World::new().await;
    let limited = world.node("a.example", "DE", 1, answers("hello")).await;
    world.limit(&limited, 1, 5).await;
    let all = join_all((0..AT_ONCE).map(|_| async { read(world.ask(in_germany()).await).await })).await;
    let refused: Vec<_> = all.iter().filter(|(answer, _)| answer.is_empty()).collect();
    assert_eq!((limited.seen().len(), refused.len()), (5, AT_ONCE - 5));
    for (_, trailers) in refused {
        assert_eq!(ended(trailers), (Code::FailedPrecondition, "NO_ELIGIBLE_OFFER".into()));
        let refusal = comity_proto::error::Detail::of(&Status::from_header_map(trailers).unwrap()).unwrap().refusal;
        let reasons: Vec<_> = refusal.unwrap().verdicts.remove(0).reasons.into_iter().map(|one| one.code).collect();
        assert_eq!(reasons, ["QUOTA_EXCEEDED"]);
    }
}

#[tokio::test]
async fn every_try_counts_and_what_was_used_is_of_one_offer_alone() {
    let world = World::new().await;
    let declining = world.node("a.example", "DE", 1, declines(down())).await;
    world.limit(&declining, 1, 2).await;
    let answering = world.node("b.example", "DE", 2, answers("hello")).await;
    world.limit(&answering, 2, 3).await;
    for _ in 0..3 {
        assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello");
    }
    assert_eq!((declining.seen().len(), answering.seen().len()), (2, 3));
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers).1, "NO_ELIGIBLE_OFFER");
}
