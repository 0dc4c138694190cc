//! A node's places are shared: whoever holds as many as it can get leaves the others theirs.

use comity_proto::error::{Detail, retry_after};

use super::node::{Handler, Node, spawn};
use super::world::Organisation;
use super::*;

const STREAM: Method = Method::ChatStream;
/// How many streams begin at once.
const AT_ONCE: usize = 32;

/// Streams that begin and never end, and whole answers to all else.
fn endless_streams() -> Handler {
    Arc::new(|seen, answering| {
        answering.try_send(Ok(data("begun"))).unwrap();
        if seen.path == STREAM.path() {
            spawn(async move { answering.closed().await });
        } else {
            answering.try_send(Ok(ok())).unwrap();
        }
    })
}

/// An app of an organisation that means harm.
async fn hostile(world: &World) -> SpiffeId {
    let organisation = Organisation::new("hostile.example");
    let app = organisation.id("app", "a1");
    world.admit(&organisation, "DE", &app).await;
    app
}

async fn node(world: &World, domain: &str) -> Node {
    world.node_handing(domain, |_key| endless_streams()).await
}

/// Begins streams, many at once, until some are refused; gives those that began, and what another one was told.
async fn all_that_it_gets(world: &World, app: &SpiffeId) -> (Vec<Response<Body>>, Status) {
    let (request, mut held) = (framed(&message(in_germany())), Vec::new());
    loop {
        let at_once = (0..AT_ONCE).map(|_| world.call_as(app, STREAM, request.clone(), &[]));
        for response in futures::future::join_all(at_once).await {
            match Status::from_header_map(response.headers()) {
                None => held.push(response),
                Some(refused) if held.len() >= AT_ONCE => return (held, refused),
                Some(refused) => panic!("nothing has begun: {refused:?}"),
            }
        }
    }
}

async fn answered(world: &World) -> (Vec<u8>, Code) {
    let (bytes, trailers) = read(world.call(Method::Chat, framed(&message(in_germany())), &[]).await).await;
    (bytes, ended(&trailers).0)
}

#[tokio::test]
async fn an_organisation_that_holds_every_place_it_can_get_open_leaves_a_newcomer_one_at_once() {
    for commit in [Commit::Strict, Commit::Overlapped] {
        let log =
            |path: &std::path::Path, key, clock| DecisionLog::open(&path.join("decisions"), key, clock).unwrap().0;
        let world = World::with(log, commit).await;
        let (node, hostile) = (node(&world, "a.example").await, hostile(&world).await);
        let (held, refused) = all_that_it_gets(&world, &hostile).await;
        assert!(held.len() > 800, "alone, it has most of the node: {}", held.len());
        let detail = Detail::of(&refused).unwrap();
        assert_eq!((refused.code(), detail.reason.as_str()), (Code::ResourceExhausted, "NODE_SHARE_TAKEN"));
        assert_eq!((&*detail.metadata["node"], &*detail.metadata["offer"]), (node.id.as_str(), "a.example/n1/o1"));
        assert!(retry_after(&refused).is_some() && world.access.parts().metrics.count_no_place("share") > 0);
        for _ in 0..3 {
            assert_eq!(answered(&world).await, (b"begun".to_vec(), Code::Ok));
        }
        assert_eq!(node.connections(), 1);
        drop(held);
    }
}

#[tokio::test]
async fn who_has_its_share_of_one_node_goes_to_the_next_and_back_when_its_own_have_ended() {
    let world = World::new().await;
    let (cheap, hostile) = (node(&world, "a.example").await, hostile(&world).await);
    let (mut held, _refused) = all_that_it_gets(&world, &hostile).await;
    let other = node(&world, "b.example").await;
    world.publish(&other, &other.address, "DE", 2).await;
    let ask = || world.call_as(&hostile, Method::Chat, framed(&message(in_germany())), &[]);
    assert_eq!(ask().await.headers()["comity-offer"], "b.example/n1/o1");
    held.truncate(held.len() / 2);
    let its_own = || (world.links.in_flight(&cheap.id) == held.len()).then_some(());
    world::soon("they have ended", its_own).await;
    assert_eq!(ask().await.headers()["comity-offer"], "a.example/n1/o1");
}
