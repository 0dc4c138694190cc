//! Health follows the certificate, the age of what is known and the node's standing, without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use comity_client::Connection;
use comity_membership::{By, Statement, Subject};
use comity_proto::error::Failure;
use comity_runtime::health::FILE;
use comity_transparency::Checkpoint;
use comity_types::Clock as _;
use comity_witness::{Silence, Silent};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Told;
use tonic_health::pb::health_server::Health as _;

use super::*;
use crate::guard::{DecisionLog, PUBLISHED_WITHIN};
use crate::replica::Class;
use crate::testing::{self, Broker, Decided, FAST, History, LIFETIME, MovedClock, Permits, World, eventually};

/// More than a node may go on without hearing of the state.
const TOO_LONG: Duration = Duration::from_secs(16 * 60);

struct Node {
    clock: Arc<MovedClock>,
    world: World,
    history: History,
    identity: Identity,
    replica: Replica,
    permits: Permits,
    shown: LogHistory,
    dir: TempDir,
}

impl Node {
    fn new() -> Self {
        let (world, clock) = (World::at("127.0.0.1:9"), Arc::<MovedClock>::default());
        let history = world.history_with_node();
        let identity = Identity::open_with_clock(world.config.identity_dir(), Arc::clone(&clock) as _).unwrap();
        let replica = world.replica(Arc::clone(&clock) as _);
        let (permits, dir) = (Permits::new(), tempfile::tempdir().unwrap());
        let shown = permits.history(dir.path().join("evidence"), None);
        Self { clock, world, history, identity, replica, permits, shown, dir }
    }

    /// One that has heard of all.
    fn that_has_heard() -> Self {
        let node = Self::new();
        node.hear();
        node
    }

    fn hear(&self) {
        let known = self.replica.federation().epoch();
        for part in self.history.all().iter().filter(|part| part.epoch > known) {
            self.replica.take(part).unwrap();
        }
    }

    fn judge(&self) -> Result<(), Unfit> {
        judge(&self.identity, &self.replica, &self.shown)
    }

    fn suspend(&mut self, subject: Subject) {
        let reason = "under audit".to_owned();
        self.history.say(Statement::Suspended { subject, reason, by: By::Federation }, &["alice"]);
        self.hear();
    }
}

#[test]
fn a_node_serves_when_it_has_heard_and_not_before() {
    let node = Node::new();
    assert_eq!(node.judge(), Err(Unfit::Unheard));
    node.hear();
    assert_eq!(node.judge(), Ok(()));
}

#[test]
fn a_node_that_hears_nothing_for_too_long_does_not_serve_until_it_hears_again() {
    let node = Node::that_has_heard();
    node.clock.move_by(TOO_LONG);
    assert!(matches!(node.judge(), Err(Unfit::NotCurrent(NotCurrent::Stale { .. }))));
    node.replica.take(&node.history.checkpoint(2)).unwrap();
    assert_eq!(node.judge(), Ok(()));
}

#[test]
fn a_node_that_was_shown_two_pasts_does_not_serve() {
    let node = Node::that_has_heard();
    let _refused = node.replica.take(&node.history.fork(2)).unwrap_err();
    assert!(matches!(node.judge(), Err(Unfit::NotCurrent(NotCurrent::Halted { .. }))));
}

#[test]
fn a_node_whose_certificate_has_ended_does_not_serve_however_fresh_its_state_is() {
    let node = Node::that_has_heard();
    node.clock.move_by(LIFETIME + Duration::from_secs(1));
    node.replica.take(&node.history.checkpoint(2)).unwrap();
    let Err(unfit @ Unfit::CertificateEnded { .. }) = node.judge() else { panic!("{:?}", node.judge()) };
    assert!(unfit.to_string().contains("comity doctor"), "{unfit}");
}

#[test]
fn a_node_that_is_suspended_or_never_was_a_member_does_not_serve() {
    let mut node = Node::that_has_heard();
    node.suspend(Subject::Organisation("org-a.example".parse().unwrap()));
    let Err(Unfit::NotAMember { why, .. }) = node.judge() else { panic!("{:?}", node.judge()) };
    assert!(why.contains("org-a.example") && why.contains("under audit"), "{why}");
    let stranger = Node::new();
    for part in stranger.history.parts(&[1]) {
        stranger.replica.take(&part).unwrap();
    }
    assert!(matches!(stranger.judge(), Err(Unfit::NotAMember { why, .. }) if why.contains("never admitted")));
}

#[test]
fn a_node_whose_log_hides_something_or_contradicts_itself_does_not_serve() {
    let node = Node::that_has_heard();
    let show = |id| {
        let permit = node.permits.permit(&Decided { id, ..Decided::at(node.clock.now()) });
        let DecisionLog { origin, key } = node.permits.log();
        let checkpoint = Checkpoint::open(&permit.checkpoint, &origin, &key).unwrap();
        node.shown.take(&permit.checkpoint, &checkpoint, node.clock.now())
    };
    show(1).unwrap();
    assert_eq!(node.judge(), Ok(()));
    node.clock.move_by(PUBLISHED_WITHIN + Duration::from_millis(1));
    assert_eq!(node.judge(), Err(Unfit::Log(Lie::Unpublished)));
    // A broker that is away publishes nothing.
    node.clock.move_by(SILENCE);
    assert_eq!(node.judge(), Ok(()));
    node.replica.take(&node.history.checkpoint(2)).unwrap();
    assert_eq!(node.judge(), Err(Unfit::Log(Lie::Unpublished)));
    node.shown.held(node.shown.waiting());
    assert_eq!(node.judge(), Ok(()));
    node.permits.fork();
    assert_eq!(show(2), Err(Lie::Contradicted));
    assert_eq!(node.judge(), Err(Unfit::Log(Lie::Contradicted)));
    assert!(node.dir.path().join("evidence").exists());
}

#[test]
fn a_node_that_signs_nothing_of_a_log_as_a_witness_says_so_and_serves_unless_the_log_may_have_been_convicted() {
    let node = Node::that_has_heard();
    let silent = |why| vec![Silent { origin: node.permits.log().origin, why }];
    for (why, judged) in [
        (Silence::Memory, Ok(())),
        (Silence::Evidence, Err(Unfit::Log(Lie::EvidenceUnread))),
        (Silence::Contradicted, Err(Unfit::Log(Lie::Contradicted))),
    ] {
        let (_told, silent) = watch::channel(silent(why));
        let history = node.permits.history("/nowhere/evidence".into(), Some(silent));
        assert_eq!(judge(&node.identity, &node.replica, &history), judged);
        let (identity, replica) = (node.identity.clone(), node.replica.clone());
        let watched = Watched { identity, replica, history, work: Work::default(), file: PathBuf::new() };
        let notice = said(&watched, &judged).notice.unwrap();
        assert!(notice.contains(&node.permits.log().origin) && notice.contains("cosigns nothing"), "{notice}");
    }
}

#[test]
fn another_reason_is_news_and_a_greater_age_is_none() {
    let barred = |why: &str| Err(Unfit::Barred { why: why.to_owned() });
    let gone = |why: &str| Err(Unfit::NotAMember { why: why.to_owned(), mend: "ask" });
    assert_ne!(kind(&barred("suspended")), kind(&barred("evicted")));
    assert_ne!(kind(&gone("suspended")), kind(&gone("evicted")));
    assert_eq!(kind(&barred("suspended")), kind(&barred("suspended")));
    let stale = |seconds| {
        let (age, budget) = (Duration::from_secs(seconds), Duration::from_secs(60));
        Err(Unfit::NotCurrent(NotCurrent::Stale { class: Class::All, age, budget }))
    };
    assert_eq!(kind(&stale(61)), kind(&stale(62)));
}

#[tokio::test]
async fn a_node_that_the_broker_bars_does_not_serve_until_it_may_follow_again() {
    let clock = Arc::<MovedClock>::default();
    let (world, broker) = Broker::start(&clock).await;
    let history = world.history_with_node();
    let refused =
        || testing::Said::Refused(Failure::new(Code::PermissionDenied, "MEMBER_SUSPENDED", "n1 is suspended").into());
    broker.script.watching.lock().unwrap().extend(std::iter::repeat_with(refused).take(2_000));
    let identity = Identity::open_with_clock(world.config.identity_dir(), Arc::clone(&clock) as _).unwrap();
    let replica = world.replica(Arc::clone(&clock) as _);
    let channel = Connection::open(&identity).unwrap().channel();
    let shown = Permits::new().history("/nowhere/evidence".into(), None);
    let barred =
        || matches!(judge(&identity, &replica, &shown), Err(Unfit::Barred { why }) if why.contains("is suspended"));
    let following = || replica.clone().follow(channel.clone(), FAST, CancellationToken::new());
    testing::run_until(following(), barred).await;
    *broker.script.watching.lock().unwrap() = [testing::Said::Lasting(history.all())].into();
    testing::run_until(following(), || judge(&identity, &replica, &shown).is_ok()).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the work under test")]
async fn grpc_health_and_the_file_change_without_a_restart_and_end_with_the_node() {
    let node = Node::new();
    let file = node.world.folder.path().join(FILE);
    let (identity, replica, history) = (node.identity.clone(), node.replica.clone(), node.shown.clone());
    let (keeps, fails) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let (kept, failed) = (Arc::clone(&keeps), Arc::clone(&fails));
    let failing = move || failed.load(Ordering::SeqCst).then(|| "chat".parse().unwrap()).into_iter().collect();
    let work = Work::new(move || kept.load(Ordering::SeqCst), failing);
    let watched = Watched { identity, replica, history, work, file: file.clone() };
    let (health, stop) = (Health::new().await, CancellationToken::new());
    let service = HealthService::from_health_reporter(health.reporter.clone());
    let (ended, has_ended) = oneshot::channel();
    let follow = health.follow(watched, FAST, stop.clone());
    tokio::spawn(async move {
        follow.await;
        ended.send(()).unwrap();
    });
    let request = |name: &str| Request::new(HealthCheckRequest { service: name.to_owned() });
    let told = async |name| service.check(request(name)).await.unwrap().into_inner().status();
    let said = || Said::read(&file, node.identity.clock().now());
    eventually(|| file.exists()).await;
    assert!(said().is_err());
    assert_eq!(told("").await, Told::NotServing);
    node.hear();
    eventually(|| said().is_ok()).await;
    for name in NAMES {
        assert_eq!(told(name).await, Told::Serving, "{name:?}");
    }
    let mut watching = service.watch(request(NAMES[1])).await.unwrap().into_inner();
    assert_eq!(watching.next().await.unwrap().unwrap().status(), Told::Serving);
    // A disk that is full, for as long as it is; and backends that fail, which others may stand beside.
    keeps.store(false, Ordering::SeqCst);
    assert_eq!(watching.next().await.unwrap().unwrap().status(), Told::NotServing, "it runs nothing");
    eventually(|| said().is_err_and(|unwell| unwell.to_string().contains("free space"))).await;
    keeps.store(true, Ordering::SeqCst);
    assert_eq!(watching.next().await.unwrap().unwrap().status(), Told::Serving);
    fails.store(true, Ordering::SeqCst);
    node.clock.move_by(BEAT);
    eventually(|| said().is_ok_and(|said| said.notice.is_some_and(|notice| notice.contains("the offer chat")))).await;
    node.clock.move_by(TOO_LONG);
    assert_eq!(watching.next().await.unwrap().unwrap().status(), Told::NotServing, "whoever watches is told");
    eventually(|| said().is_err_and(|unwell| unwell.to_string().contains("last heard"))).await;
    stop.cancel();
    has_ended.await.unwrap();
    assert!(!file.exists());
}
