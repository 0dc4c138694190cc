//! Whom requests go to, of those that may have them: as nodes have done before.

use std::time::Duration;

use comity_proto::error::RETRY_AFTER_SECONDS;
use comity_proto::metadata::LOAD;

use super::node::{Node, Script, spawn};
use super::world::{offer, soon};
use super::*;
use crate::links::{Event, Readiness};

/// Failures in a row after which an offer comes behind the others.
const ENOUGH: usize = 5;

async fn asked(world: &World, times: usize) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    for _ in 0..times {
        answers.push(read(world.ask(in_germany()).await).await.0);
    }
    answers
}

/// How many requests each node got.
fn seen<const N: usize>(nodes: [&Node; N]) -> [usize; N] {
    nodes.map(|node| node.seen().len())
}

#[tokio::test]
async fn an_offer_that_fails_again_and_again_is_asked_after_the_others_and_counted() {
    let world = World::new().await;
    let failing = world.node("a.example", "DE", 1, declines(down())).await;
    let dearer = world.node("b.example", "DE", 2, answers("hello")).await;
    assert!(asked(&world, ENOUGH + 3).await.iter().all(|answer| answer == b"hello"));
    assert_eq!(seen([&failing, &dearer]), [ENOUGH, ENOUGH + 3]);
    assert_eq!(world.links.ejected(), [("node", 0), ("offer", 1), ("offer_for_one", 0)]);
    // It is behind, and not gone: the record has both.
    let last = world.journal(ENOUGH + 3).await.0.pop().unwrap();
    let eligible: Vec<_> = last.eligible.iter().map(ToString::to_string).collect();
    assert_eq!(eligible, ["b.example/n1/o1", "a.example/n1/o1"]);
}

#[tokio::test]
async fn who_is_alone_is_asked_whatever_happened_before() {
    let world = World::new().await;
    let failing = world.node("a.example", "DE", 1, declines(down())).await;
    assert!(asked(&world, ENOUGH + 3).await.iter().all(Vec::is_empty));
    assert_eq!(seen([&failing]), [ENOUGH + 3]);
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_behind_at_once() {
    let world = World::new().await;
    let gone = world.node("a.example", "DE", 1, answers("never")).await;
    world.publish(&gone, "127.0.0.1:9", "DE", 1).await;
    let _there = world.node("b.example", "DE", 2, answers("hello")).await;
    assert_eq!(asked(&world, 1).await, [b"hello"]);
    assert_eq!(world.links.ejected(), [("node", 1), ("offer", 0), ("offer_for_one", 0)]);
    // What was said of one address is not held against another.
    world.publish(&gone, &gone.address, "DE", 1).await;
    soon("it may be asked", || {
        (world.links.ejected() == [("node", 0), ("offer", 0), ("offer_for_one", 0)]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn answers_that_break_off_after_they_began_count_as_failures() {
    let world = World::new().await;
    let cutting: Script = Arc::new(|answering| answering.try_send(Ok(data("half"))).unwrap());
    let cutting = world.node("a.example", "DE", 1, cutting).await;
    let whole = world.node("b.example", "DE", 2, answers("hello")).await;
    let answers = asked(&world, ENOUGH + 2).await;
    assert_eq!(answers.iter().filter(|answer| *answer == b"hello").count(), 2, "{answers:?}");
    assert_eq!(seen([&cutting, &whole]), [ENOUGH, 2]);
}

#[tokio::test]
async fn a_node_whose_own_fault_its_answers_are_is_left_though_nobody_else_is_asked_in_its_stead() {
    let world = World::new().await;
    let wrong = Failure::new(Code::Internal, "BACKEND_KEY_REFUSED", "the key of this node is wrong");
    let wrong = world.node("a.example", "DE", 1, declines(wrong)).await;
    let dearer = world.node("b.example", "DE", 2, answers("hello")).await;
    let answers = asked(&world, ENOUGH + 2).await;
    assert_eq!(answers.iter().filter(|answer| *answer == b"hello").count(), 2);
    assert_eq!(seen([&wrong, &dearer]), [ENOUGH, 2]);
}

#[tokio::test]
async fn callers_whose_requests_are_wrong_eject_nobody() {
    let world = World::new().await;
    let wrong = Failure::new(Code::InvalidArgument, "INVALID_FIELD", "no such tool");
    let node = world.node("a.example", "DE", 1, declines(wrong)).await;
    let _dearer = world.node("b.example", "DE", 2, answers("never")).await;
    assert!(asked(&world, ENOUGH + 2).await.iter().all(Vec::is_empty));
    assert_eq!(
        (seen([&node]), world.links.ejected()),
        ([ENOUGH + 2], [("node", 0), ("offer", 0), ("offer_for_one", 0)])
    );
}

/// Takes every request, and says nothing.
fn silent() -> Script {
    Arc::new(|answering| spawn(async move { answering.closed().await }))
}

/// Longer than what is no silence, and what it takes to keep a decision.
const IN_VAIN: &str = "3S";

#[tokio::test]
async fn the_cheapest_offer_that_never_answers_does_not_take_all_requests() {
    let world = World::new().await;
    let mute = world.node("a.example", "DE", 1, silent()).await;
    let dearer = world.node("b.example", "DE", 100_000, answers("hello")).await;
    let body = || framed(&message(in_germany()));
    let in_vain =
        (0..3).map(|_| async { read(world.call(Method::Chat, body(), &[("grpc-timeout", IN_VAIN)]).await).await.1 });
    for trailers in futures::future::join_all(in_vain).await {
        assert_eq!(ended(&trailers).0, Code::DeadlineExceeded);
    }
    assert_eq!(world.links.ejected(), [("node", 0), ("offer", 0), ("offer_for_one", 1)]);
    assert!(asked(&world, 5).await.iter().all(|answer| answer == b"hello"));
    assert_eq!(seen([&mute, &dearer]), [3, 5]);
    // For others it is as it was, whatever these found out.
    let offer: OfferName = "a.example/n1/o1".parse().unwrap();
    let readiness = |who: &str| world.links.load(&offer, &who.parse().unwrap(), Instant::now()).readiness;
    assert_eq!([readiness("app.example"), readiness("other.example")], [Readiness::Ejected, Readiness::Ready]);
}

#[tokio::test]
async fn callers_who_give_up_in_a_moment_eject_nobody() {
    let world = World::new().await;
    let mute = world.node("a.example", "DE", 1, silent()).await;
    let _dearer = world.node("b.example", "DE", 2, answers("never")).await;
    let body = || framed(&message(in_germany()));
    for _ in 0..2 * ENOUGH {
        let (_, trailers) = read(world.call(Method::Chat, body(), &[("grpc-timeout", "50m")]).await).await;
        assert_eq!(ended(&trailers).0, Code::DeadlineExceeded);
    }
    assert_eq!(world.links.ejected(), [("node", 0), ("offer", 0), ("offer_for_one", 0)]);
    assert!(mute.seen().len() > ENOUGH);
}

#[tokio::test]
async fn who_is_alone_is_asked_though_it_gave_nothing() {
    let world = World::new().await;
    let _alone = world.node("a.example", "DE", 1, answers("hello")).await;
    let (offer, caller) = ("a.example/n1/o1".parse().unwrap(), World::app().trust_domain().clone());
    assert_eq!(asked(&world, 1).await, [b"hello"]);
    for _ in 0..ENOUGH {
        world.links.tell(&offer, &caller, Event::Waited { in_vain: Duration::from_secs(4) });
    }
    assert_eq!(world.links.load(&offer, &caller, Instant::now()).readiness, Readiness::Ejected);
    assert_eq!(asked(&world, 1).await, [b"hello"]);
    // Its answer has brought it back.
    let back = world.links.load(&offer, &caller, Instant::now()).readiness;
    assert!(matches!(back, Readiness::Returning { .. }), "{back:?}");
}

#[tokio::test]
async fn a_node_that_says_when_it_has_room_again_is_left_alone_until_then() {
    let world = World::new().await;
    let full = world.node("a.example", "DE", 1, declines(overloaded().with(RETRY_AFTER_SECONDS, 60))).await;
    let dearer = world.node("b.example", "DE", 2, answers("hello")).await;
    assert!(asked(&world, 3).await.iter().all(|answer| answer == b"hello"));
    assert_eq!(seen([&full, &dearer]), [1, 3]);
}

#[tokio::test]
async fn what_a_node_says_of_its_load_counts_and_is_not_the_callers_to_know() {
    let world = World::new().await;
    let report = prost::Message::encode_to_vec(&comity_proto::permit::Load { in_flight: 8, limit: 8 });
    let report = base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, report);
    let script: Script = Arc::new(move |answering| {
        let mut end = ok().into_trailers().unwrap();
        end.insert(LOAD, report.parse().unwrap());
        answering.try_send(Ok(data("hello"))).unwrap();
        answering.try_send(Ok(http_body::Frame::trailers(end))).unwrap();
    });
    let _busy = world.node("a.example", "DE", 1, script).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert!(ended(&trailers).0 == Code::Ok && !trailers.contains_key(LOAD));
    let offer: OfferName = "a.example/n1/o1".parse().unwrap();
    let cost = || world.links.load(&offer, World::app().trust_domain(), Instant::now()).cost;
    let busy = cost();
    world.links.tell(&offer, World::app().trust_domain(), Event::Reported { busy: 0 });
    assert!(busy / cost() >= 3, "wholly busy costs four times as much, less what was forgotten in between");
}

#[tokio::test]
async fn a_veto_is_about_one_caller_and_held_against_nobody() {
    let world = World::new().await;
    let veto = Failure::new(Code::FailedPrecondition, "NODE_VETO", "not you").with(RETRY_AFTER_SECONDS, 60);
    let vetoing = world.node("a.example", "DE", 1, declines(veto)).await;
    let _dearer = world.node("b.example", "DE", 2, answers("hello")).await;
    assert!(asked(&world, ENOUGH + 2).await.iter().all(|answer| answer == b"hello"));
    assert_eq!(seen([&vetoing]), [ENOUGH + 2]);
}

#[tokio::test]
async fn offers_of_one_organisation_that_decline_use_up_no_more_than_the_first_try() {
    let world = World::new().await;
    let veto = Failure::new(Code::FailedPrecondition, "NODE_VETO", "not you");
    let cheap = world.node("a.example", "DE", 1, declines(veto)).await;
    let offers = ["o1", "o2", "o3", "o4"]
        .map(|id| comity_policy::Offer { id: id.parse().unwrap(), ..offer(&cheap.id, "DE", 1) });
    world.publish_offers(&cheap, &cheap.address, offers.into()).await;
    let _dearer = world.node("b.example", "DE", 9, answers("hello")).await;
    assert!(asked(&world, 3).await.iter().all(|answer| answer == b"hello"));
    assert_eq!(seen([&cheap]), [3]);
}

#[tokio::test]
async fn who_prefers_short_waits_gets_the_node_that_was_seen_to_answer_sooner_though_it_is_dearer() {
    let world = World::new().await;
    let slowly: Script = Arc::new(|answering| {
        spawn(async move {
            // So much slower that no busy machine turns it round.
            tokio::time::sleep(Duration::from_millis(700)).await;
            answers("slow")(answering);
        });
    });
    let slow = world.node("a.example", "DE", 1, slowly).await;
    let fast = world.node("b.example", "DE", 2, answers("fast")).await;
    let prefer = policy::Preferences { latency: 1, ..Default::default() };
    let request = framed(&message_preferring(in_germany(), Some(prefer)));
    let asked = async || read(world.call(Method::Chat, request.clone(), &[]).await).await.0;
    // Nobody knows yet: the cheaper one, and then the other one, which somebody has to find out about.
    let first = [asked().await, asked().await];
    assert_eq!(first, [b"slow", b"fast"]);
    for _ in 0..3 {
        assert_eq!(asked().await, b"fast");
    }
    assert_eq!(seen([&slow, &fast]), [1, 4]);
    // Whoever does not mind gets the cheaper one.
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"slow");
}
