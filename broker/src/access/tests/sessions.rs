//! A session stays with the offer that served it, inside the eligible set.

use super::node::Node;
use super::*;

async fn ask(world: &World, session: u8) -> Vec<u8> {
    let session = vec![session; 32].into();
    let message = message_preferring(in_germany(), Some(policy::Preferences { session, ..Default::default() }));
    read(world.call(Method::Chat, framed(&message), &[]).await).await.0
}

fn seen(nodes: &[Node]) -> Vec<usize> {
    nodes.iter().map(|node| node.seen().len()).collect()
}

#[tokio::test]
async fn requests_of_a_session_go_to_one_offer_and_sessions_to_several() {
    let world = World::new().await;
    let mut nodes = Vec::new();
    for domain in ["a.example", "b.example", "c.example"] {
        nodes.push(world.node(domain, "DE", 1, answers("hello")).await);
    }
    let abroad = world.node("d.example", "US", 1, answers("from abroad")).await;
    let mut firsts = BTreeSet::new();
    for session in 0..12 {
        let before = seen(&nodes);
        for _ in 0..4 {
            assert_eq!(ask(&world, session).await, b"hello");
        }
        let got: Vec<_> = seen(&nodes).iter().zip(before).map(|(now, before)| now - before).collect();
        assert!(got.contains(&4), "one node has all of them: {got:?}");
        firsts.insert(got);
    }
    assert_eq!((firsts.len(), abroad.connections()), (3, 0), "of twelve sessions each node has some");
}

#[tokio::test]
async fn a_session_goes_on_at_the_next_offer_where_its_own_may_not_be_asked_any_more() {
    let world = World::new().await;
    let one = world.node("a.example", "DE", 1, answers("a")).await;
    let other = world.node("b.example", "DE", 1, answers("b")).await;
    let first = ask(&world, 7).await;
    let (its, next) = if first == b"a" { ("a.example", b"b") } else { ("b.example", b"a") };
    world.suspend(its).await;
    for _ in 0..3 {
        assert_eq!(ask(&world, 7).await, next);
    }
    assert_eq!(one.seen().len() + other.seen().len(), 4);
}

#[tokio::test]
async fn what_is_no_session_is_refused_and_going_on_with_an_answer_is() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("never")).await;
    let short = policy::Preferences { session: vec![1; 31].into(), ..Default::default() };
    let resume = policy::Preferences { resume: true, ..Default::default() };
    for (preferences, field) in [(short, "envelope.preferences.session"), (resume, "envelope.preferences.resume")] {
        let message = message_preferring(in_germany(), Some(preferences));
        let (_, trailers) = read(world.call(Method::Chat, framed(&message), &[]).await).await;
        assert_eq!(ended(&trailers), (Code::InvalidArgument, "INVALID_FIELD".into()));
        assert!(Status::from_header_map(&trailers).unwrap().message().contains(field), "{field}");
    }
    assert_eq!(node.connections(), 0);
}
