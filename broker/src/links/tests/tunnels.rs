//! What a tunnel promises: the requests of whoever dialled it and no others, for as long as that one takes part, and
//! none is lost when it ends as it should.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use comity_identity::Credentials;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use super::*;
use crate::access::tests::node::{self, Door, Script, Tunnel, data, ok, spawn, waits};
use crate::access::tests::world::{SOON, framed, unframed};

/// What a node is asked to leave by.
const LEAVE: &str = "/comity.tunnel.v1.Tunnel/Leave";
/// How often a try sends again what its node did not look at.
const SENT_AGAIN: usize = 2;
/// Callers who ask again and again.
const CALLERS: usize = 64;
/// How often a node replaces its tunnel under them.
const ROTATIONS: usize = 150;
/// A piece of a long answer.
const PAGE_BYTES: usize = 32 * 1024;

/// A federation with a broker's door, and a node of `a.example` that dials it.
struct Scene {
    world: World,
    door: Door,
    organisation: Organisation,
    node: Node,
    credentials: Arc<Credentials>,
}

impl Scene {
    async fn new() -> Self {
        let (world, organisation) = (World::new().await, Organisation::new("a.example"));
        let door = world.door().await;
        let (node, credentials) = world.node_that_dials(&organisation).await;
        Self { world, door, organisation, node, credentials }
    }

    async fn open(&self, script: Script) -> Tunnel {
        let remotes = || self.world.links.0.tunnels.all().iter().map(|tunnel| tunnel.info.remote).collect::<Vec<_>>();
        let before = remotes();
        let tunnel = self.node.open_tunnel(&self.door, Arc::clone(&self.credentials), script).await.unwrap();
        soon("the tunnel is used", || remotes().iter().any(|remote| !before.contains(remote)).then_some(())).await;
        tunnel
    }

    /// Sends one request over a tunnel, past everything that would decide on it.
    async fn send(&self) -> Result<Sent, LinkError> {
        self.world
            .links
            .send(
                &self.offer(),
                World::app().trust_domain(),
                Request::new(Outgoing::whole(Bytes::from_static(b"a request"))),
            )
            .await
    }

    fn offer(&self) -> OfferName {
        OfferName::new(&self.node.id, &"o1".parse().unwrap())
    }

    fn state(&self) -> LinkState {
        self.world.links.state(&self.node.id)
    }
}

async fn text(sent: Sent) -> Bytes {
    unframed(&sent.answer.into_body().collect().await.unwrap().to_bytes()).into()
}

#[tokio::test]
async fn requests_go_to_whoever_dialled_and_to_nobody_else() {
    let scene = Scene::new().await;
    let own = scene.open(answers("of a")).await;
    let organisation = Organisation::new("b.example");
    let (other, credentials) = scene.world.node_that_dials(&organisation).await;
    let _others = other.open_tunnel(&scene.door, credentials, answers("of b")).await.unwrap();
    for _ in 0..3 {
        let mut request = Request::new(Outgoing::whole(Bytes::new()));
        // Nothing that a request names is asked, and least of all where it says that it goes.
        *request.uri_mut() = "https://b.example/x".parse().unwrap();
        assert_eq!(
            text(scene.world.links.send(&scene.offer(), World::app().trust_domain(), request).await.unwrap()).await,
            "of a"
        );
    }
    assert_eq!(scene.node.seen()[0].authority.as_deref(), Some("tunnel"));
    own.leaving.cancel();
    soon("it has left", || (scene.state() == LinkState::Unreachable).then_some(())).await;
    assert!(matches!(scene.send().await, Err(LinkError::NoTunnel { .. })));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_node_that_was_gone_and_dials_again_begins_slowly_and_one_more_tunnel_is_no_return() {
    let scene = Scene::new().await;
    let readiness = || scene.world.links.load(&scene.offer(), World::app().trust_domain(), Instant::now()).readiness;
    let first = scene.open(answers("hello")).await;
    assert_eq!(text(scene.send().await.unwrap()).await, "hello");
    let second = scene.open(answers("hello")).await;
    assert_eq!(readiness(), Readiness::Ready);
    [first, second].iter().for_each(|tunnel| tunnel.leaving.cancel());
    soon("it has left", || (scene.state() == LinkState::Unreachable).then_some(())).await;
    assert_eq!(readiness(), Readiness::Unreachable);
    let _third = scene.open(answers("hello")).await;
    assert!(matches!(readiness(), Readiness::Returning { .. }), "{:?}", readiness());
}

#[tokio::test]
async fn only_an_admitted_node_with_its_own_key_opens_a_tunnel() {
    let scene = Scene::new().await;
    let id = |kind, name| scene.organisation.id(kind, name);
    let other_key = KeyPair::generate().unwrap();
    for (who, id) in [("an app", id("app", "a1")), ("nobody", id("node", "n2")), ("another key", id("node", "n1"))] {
        let node = Node::that_dials(id.clone());
        let credentials = scene.organisation.credentials_for(&id, &other_key);
        let refused = node.open_tunnel(&scene.door, credentials, answers("never")).await;
        assert_eq!(refused.err().map(|error| error.kind()), Some(io::ErrorKind::ConnectionAborted), "{who}");
    }
    let app: SpiffeId = World::app();
    let stranger = Organisation::new("app.example").credentials(&app);
    assert!(scene.node.open_tunnel(&scene.door, stranger, answers("never")).await.is_err(), "another authority");
    scene.world.suspend("a.example").await;
    let refused = scene.node.open_tunnel(&scene.door, Arc::clone(&scene.credentials), answers("never")).await;
    assert_eq!(refused.err().map(|error| error.kind()), Some(io::ErrorKind::ConnectionAborted), "who is suspended");
    assert!(scene.world.links.0.tunnels.all().is_empty());
}

#[tokio::test]
async fn a_suspension_cuts_the_tunnels_and_what_runs_on_them() {
    let scene = Scene::new().await;
    let (script, mut taken) = waits();
    let tunnel = scene.open(script).await;
    let (answer, _kept) = tokio::join!(scene.send(), async {
        let answering = taken.recv().await.unwrap();
        answering.send(Ok(data("begun"))).await.unwrap();
        answering
    });
    assert_eq!(scene.state(), LinkState::Connected);
    scene.world.suspend("a.example").await;
    tokio::time::timeout(Duration::from_secs(1), tunnel.gone.cancelled()).await.expect("it is cut within a second");
    assert!(answer.unwrap().answer.into_body().collect().await.is_err());
    assert!(scene.world.links.0.tunnels.all().is_empty());
}

#[tokio::test]
async fn a_node_has_its_number_of_tunnels_and_no_more() {
    let scene = Scene::new().await;
    let mut open = Vec::new();
    for _ in 0..MAX_TUNNELS_PER_NODE {
        open.push(scene.open(answers("hello")).await);
    }
    let surplus = scene.node.open_tunnel(&scene.door, Arc::clone(&scene.credentials), answers("never")).await;
    assert_eq!(surplus.err().map(|error| error.kind()), Some(io::ErrorKind::ConnectionAborted));
    assert_eq!(scene.world.links.0.tunnels.all().len(), MAX_TUNNELS_PER_NODE);
    open[0].leaving.cancel();
    soon("one has left", || (scene.world.links.0.tunnels.all().len() < MAX_TUNNELS_PER_NODE).then_some(())).await;
    let _another = scene.open(answers("hello")).await;
}

#[tokio::test]
async fn requests_are_spread_over_the_tunnels_so_that_a_silent_one_is_not_chosen_again() {
    let scene = Scene::new().await;
    let (silent, mut held) = waits();
    let _first = scene.open(silent).await;
    let (stuck, _answering) = tokio::join!(scene.send(), held.recv());
    let _stuck = stuck.unwrap();
    let _second = scene.open(answers("hello")).await;
    for _ in 0..5 {
        assert_eq!(text(scene.send().await.unwrap()).await, "hello");
    }
}

#[tokio::test]
async fn no_request_is_lost_when_tunnels_are_replaced_one_after_another() {
    let scene = Scene::new().await;
    let mut tunnel = scene.open(answers("hello")).await;
    let callers = (0..8).map(|_| async {
        for _ in 0..100 {
            assert_eq!(text(scene.send().await.unwrap()).await, "hello");
        }
    });
    let rotating = async {
        for _ in 0..20 {
            let fresh = scene.open(answers("hello")).await;
            tunnel.leaving.cancel();
            std::mem::replace(&mut tunnel, fresh).gone.cancelled().await;
        }
    };
    let (_done, ()) = tokio::join!(futures::future::join_all(callers), rotating);
    assert_eq!(scene.node.connections(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_of_many_at_once_is_lost_when_tunnels_are_replaced_one_after_another() {
    let scene = Scene::new().await;
    let mut tunnel = scene.open(answers("hello")).await;
    let (is_over, answered, mut callers) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..CALLERS {
        let (links, offer) = (scene.world.links.clone(), scene.offer());
        let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
        callers.spawn(async move {
            let mut lost = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                lost.extend(sent_and_again(&links, &offer).await.err());
                answered.fetch_add(1, Ordering::SeqCst);
            }
            lost
        });
    }
    for _ in 0..ROTATIONS {
        let fresh = scene.open(answers("hello")).await;
        // A tunnel lasts longer than a request: who meets three that are left one after the other has failed.
        let enough = answered.load(Ordering::SeqCst) + CALLERS;
        soon("everybody goes on", || (answered.load(Ordering::SeqCst) >= enough).then_some(())).await;
        tunnel.leaving.cancel();
        std::mem::replace(&mut tunnel, fresh).gone.cancelled().await;
    }
    is_over.store(true, Ordering::SeqCst);
    let lost = tokio::time::timeout(SOON, callers.join_all()).await.expect("a request is neither answered nor refused");
    assert_eq!(lost.concat(), Vec::<String>::new());
}

/// One request as a try sends it, and its whole answer; or what became of it.
async fn sent_and_again(links: &Links, offer: &OfferName) -> Result<(), String> {
    let app = World::app();
    let send =
        || links.send(offer, app.trust_domain(), Request::new(Outgoing::whole(Bytes::from_static(b"a request"))));
    let mut sent = send().await;
    for _ in 0..SENT_AGAIN {
        if !matches!(sent, Err(LinkError::Left { .. })) {
            break;
        }
        sent = send().await;
    }
    let answer = sent.map_err(|error| format!("not answered: {error:?}"))?.answer;
    let whole = answer.into_body().collect().await.map_err(|error| format!("cut: {error:?}"))?;
    if whole.to_bytes() == framed(b"hello") { Ok(()) } else { Err("cut, and nobody said so".to_owned()) }
}

/// The first `stalled` answers never end; the others are this many pages.
fn endless_then_short(stalled: usize, pages: usize) -> Script {
    let asked = AtomicUsize::new(0);
    Arc::new(move |answering| {
        if asked.fetch_add(1, Ordering::SeqCst) < stalled {
            spawn(async move { while answering.send(Ok(page())).await.is_ok() {} });
            return;
        }
        for _ in 0..pages {
            answering.try_send(Ok(page())).unwrap();
        }
        answering.try_send(Ok(ok())).unwrap();
    })
}

fn page() -> Frame<Bytes> {
    node::bytes(&framed(&[b'x'; PAGE_BYTES]))
}

#[tokio::test]
async fn a_hundred_callers_who_do_not_read_freeze_nobody_else() {
    let scene = Scene::new().await;
    let _tunnel = scene.open(endless_then_short(120, 4)).await;
    let mut stalled = Vec::new();
    for _ in 0..120 {
        stalled.push(scene.send().await.unwrap());
    }
    for _ in 0..20 {
        let answer = async { text(scene.send().await.unwrap()).await };
        let answer = tokio::time::timeout(SOON, answer).await.expect("the tunnel is frozen");
        assert_eq!(answer.len(), 4 * PAGE_BYTES);
    }
    assert_eq!(scene.world.links.in_flight(&scene.node.id), 120);
}

#[tokio::test]
async fn a_tunnel_is_drained_before_its_certificate_ends_and_its_node_is_asked_to_leave() {
    let scene = Scene::new().await;
    let (script, mut taken) = waits();
    scene.world.clock.advance(Duration::from_secs(3600 - 5));
    let tunnel = scene.open(script).await;
    let (answer, answering) = tokio::join!(scene.send(), taken.recv());
    soon("no more requests begin on it", || (scene.state() == LinkState::Unreachable).then_some(())).await;
    soon("the node is asked", || scene.node.seen().iter().any(|seen| seen.path == LEAVE).then_some(())).await;
    assert!(!tunnel.gone.is_cancelled());
    let answering = answering.unwrap();
    answering.send(Ok(data("the end"))).await.unwrap();
    answering.send(Ok(ok())).await.unwrap();
    assert_eq!(text(answer.unwrap()).await, "the end");
    drop((answering, taken));
    soon("it is closed", || tunnel.gone.is_cancelled().then_some(())).await;
}

#[tokio::test]
async fn a_tunnel_that_is_to_be_left_is_used_until_its_node_has_another_and_no_longer() {
    let scene = Scene::new().await;
    let _old = scene.open(answers("over the old one")).await;
    scene.world.links.0.tunnels.all().iter().for_each(|tunnel| tunnel.leave());
    assert_eq!(text(scene.send().await.unwrap()).await, "over the old one");
    let (script, mut held) = waits();
    let _new = scene.open(script).await;
    // However many are on it.
    for _ in 0..3 {
        let (sent, _answering) = tokio::join!(scene.send(), held.recv());
        std::mem::forget(sent.unwrap());
    }
}

#[tokio::test]
async fn a_broker_that_stops_asks_every_node_to_leave_and_calls_them_meanwhile() {
    let scene = Scene::new().await;
    let _tunnels = [scene.open(answers("hello")).await, scene.open(answers("hello")).await];
    scene.world.links.ask_to_leave(Duration::from_secs(30)).await;
    assert_eq!(scene.node.seen().iter().filter(|seen| seen.path == LEAVE).count(), 2);
    assert_eq!(text(scene.send().await.unwrap()).await, "hello");
}

#[tokio::test]
async fn who_waits_for_a_node_to_say_that_it_leaves_keeps_nothing_of_the_tunnel() {
    let scene = Scene::new().await;
    let (script, mut held) = waits();
    let _tunnel = scene.open(script).await;
    let tunnel = Arc::downgrade(&scene.world.links.0.tunnels.all()[0]);
    let asked = async {
        let answering = held.recv().await.unwrap();
        assert_eq!(scene.node.seen()[0].path, LEAVE);
        // What drives it, and the table.
        assert_eq!(tunnel.strong_count(), 2);
        answering.send(Ok(ok())).await.unwrap();
    };
    tokio::join!(scene.world.links.ask_to_leave(Duration::from_secs(30)), asked);
}
