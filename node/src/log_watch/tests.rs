//! What permits came with has to be what is published, of whichever size, and in time.

use std::sync::{Arc, Mutex};

use comity_client::Identity;
use comity_transparency::cosignature::CosignatureKind;
use comity_transparency::proof::root;
use comity_transparency::tile::{Resource, Tiles};
use comity_transparency::witness::{AddCheckpoint, Evidence, Finding, Verdict, Witness, merge};
use comity_transparency::{Checkpoint, CosigningKey, LogKey};
use comity_types::Digest;
use tempfile::TempDir;

use super::*;
use crate::guard::{Lie, PUBLISHED_WITHIN};
use crate::testing::{FAST, MovedClock, World};

const ORIGIN: &str = "fed.example/decisions/b1";
const TIME: u64 = 1_795_000_000;

/// A log with two histories: what it publishes, and what it signs for this node alone.
struct Log {
    key: LogKey,
    published: u64,
    time: u64,
    shared: u64,
}

impl Log {
    fn tiles(&self, is_private: bool, size: u64) -> Tiles {
        let mut tiles = Tiles::default();
        for leaf in 0..size {
            let word: &[u8] = if is_private && leaf >= self.shared { b"private" } else { b"public" };
            tiles.push(Digest::of(&[word, &leaf.to_be_bytes()].concat()));
        }
        tiles
    }

    fn note(&self, is_private: bool, size: u64, time: Option<u64>) -> String {
        let root = root(&self.tiles(is_private, size), size).unwrap();
        self.key.sign(&Checkpoint { origin: ORIGIN.into(), size, root }, time).unwrap()
    }
}

/// The log's files as the broker shows them. Clones are the same.
#[derive(Clone)]
struct Shown {
    log: Arc<Mutex<Log>>,
    cosigned: Arc<Mutex<Option<String>>>,
    fails: Arc<Mutex<bool>>,
    /// The tile of leaves that cannot be read.
    unreadable: Arc<Mutex<Option<u64>>>,
}

impl Files for Shown {
    async fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, FilesError> {
        let is_unreadable = |tile| *self.unreadable.lock().unwrap() == Some(tile);
        if *self.fails.lock().unwrap()
            || matches!(resource, Resource::Tile { level: 0, index, .. } if is_unreadable(index))
        {
            return Err(FilesError::Call(Box::new(Status::unavailable("away"))));
        }
        let log = self.log.lock().unwrap();
        Ok(match resource {
            Resource::Checkpoint => Some(log.note(false, log.published, Some(log.time)).into_bytes()),
            Resource::Tile { level, index, width } => {
                log.tiles(false, log.published).tile(level, index).and_then(|tile| tile.to_bytes(width))
            }
            Resource::Entries { .. } => panic!("nobody needs a leaf for that"),
        })
    }

    async fn cosigned(&mut self) -> Result<Option<Vec<u8>>, FilesError> {
        Ok(self.cosigned.lock().unwrap().clone().map(String::into_bytes))
    }
}

struct Node {
    dir: TempDir,
    clock: Arc<MovedClock>,
    shown: Shown,
    history: LogHistory,
    watch: LogWatch,
}

impl Node {
    fn new(published: u64) -> Self {
        Self::with(published, None)
    }

    fn with(published: u64, policy: Option<Policy>) -> Self {
        let key = LogKey::generate(ORIGIN).unwrap();
        let log = Arc::new(Mutex::new(Log { key, published, time: TIME, shared: 3 }));
        let shown = Shown { log, cosigned: Arc::default(), fails: Arc::default(), unreadable: Arc::default() };
        let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::<MovedClock>::default());
        let (history, watch) = open(&dir, &shown, &clock, policy);
        Self { dir, clock, shown, history, watch }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.shown.log.lock().unwrap()
    }

    /// A permit comes with a checkpoint of this size.
    fn permit(&self, is_private: bool, size: u64) -> Result<(), Lie> {
        let note = self.log().note(is_private, size, None);
        let checkpoint = CheckpointNote::parse(&note).unwrap().checkpoint().clone();
        self.history.take(&note, &checkpoint, self.clock.now())
    }

    async fn look(&mut self) -> Result<(), DecisionsError> {
        let mut files = self.shown.clone();
        let looked = self.watch.look(&mut files).await;
        if let Err(error) = &looked {
            let _trouble = self.watch.judge(error);
        }
        looked
    }

    fn evidence(&self) -> Evidence {
        std::fs::read_to_string(self.dir.path().join("evidence")).unwrap().parse().unwrap()
    }

    fn kept(&self) -> Kept {
        read(&self.dir.path().join(FILE)).unwrap()
    }

    fn restart(&mut self) {
        (self.history, self.watch) = open(&self.dir, &self.shown, &self.clock, None);
    }
}

fn open(dir: &TempDir, shown: &Shown, clock: &Arc<MovedClock>, policy: Option<Policy>) -> (LogHistory, LogWatch) {
    let keys = shown.log.lock().unwrap().key.verifiers().clone();
    let history = LogHistory::new(ORIGIN, &keys, dir.path().join("evidence"), None).unwrap();
    let log = DecisionLog::new(ORIGIN, keys);
    let watch = LogWatch::open_log(dir.path(), log, policy, history.clone(), &**clock).unwrap();
    (history, watch)
}

#[tokio::test]
async fn what_permits_came_with_is_held_against_what_is_published() {
    let mut node = Node::new(600);
    for size in [5, 9, 300, 599, 600] {
        node.permit(false, size).unwrap();
    }
    // One that is not published yet waits.
    node.permit(false, 610).unwrap();
    node.look().await.unwrap();
    assert_eq!(node.history.waiting().iter().map(|note| note.checkpoint().size).collect::<Vec<_>>(), [610]);
    assert!(node.kept().published.unwrap().contains("\n600\n"));
    node.log().published = 611;
    node.look().await.unwrap();
    assert_eq!((node.history.count_waiting(), node.kept().waiting.len()), (0, 0));
    // What is known waits no more.
    node.permit(false, 300).unwrap();
    assert_eq!(node.history.count_waiting(), 0);
}

#[tokio::test]
async fn what_was_held_before_a_look_was_cut_short_stays_held() {
    let mut node = Node::new(600);
    for size in [5, 9, 300] {
        node.permit(false, size).unwrap();
    }
    *node.shown.unreadable.lock().unwrap() = Some(1);
    node.look().await.unwrap_err();
    assert_eq!(node.history.waiting().iter().map(|note| note.checkpoint().size).collect::<Vec<_>>(), [300]);
    *node.shown.unreadable.lock().unwrap() = None;
    node.look().await.unwrap();
    assert_eq!(node.history.count_waiting(), 0);
}

#[tokio::test]
async fn a_tree_of_another_size_that_was_signed_for_this_node_alone_convicts_the_log() {
    for size in [4, 8, 255, 256, 257, 599, 600] {
        let mut node = Node::new(600);
        for other in [7, 254, 598] {
            node.permit(false, other).unwrap();
        }
        node.permit(true, size).unwrap();
        node.look().await.unwrap_err();
        assert_eq!(node.history.check(node.clock.now()), Err(Lie::Contradicted), "{size}");
        let (evidence, keys) = (node.evidence(), node.log().key.verifiers().clone());
        assert_eq!(evidence.check(&keys), Ok(Finding::Fork), "{size}");
        node.restart();
        assert_eq!(node.permit(false, 7), Err(Lie::Contradicted), "nor after a restart");
    }
}

#[tokio::test]
async fn a_tree_larger_than_any_that_is_published_stops_the_node_in_time_and_until_it_is() {
    let mut node = Node::new(600);
    node.permit(false, 1_000).unwrap();
    node.look().await.unwrap();
    node.clock.move_by(PUBLISHED_WITHIN + Duration::from_millis(1));
    node.look().await.unwrap();
    assert_eq!(node.permit(false, 600), Err(Lie::Unpublished));
    node.log().published = 1_000;
    node.look().await.unwrap();
    node.permit(false, 600).unwrap();
}

#[tokio::test]
async fn what_waits_is_remembered_over_a_restart_and_convicts_then() {
    let mut node = Node::new(10);
    node.permit(true, 50).unwrap();
    node.look().await.unwrap();
    assert_eq!(node.kept().waiting.len(), 1);
    node.restart();
    assert_eq!(node.history.count_waiting(), 1);
    node.log().published = 60;
    node.look().await.unwrap_err();
    assert_eq!(node.history.check(node.clock.now()), Err(Lie::Contradicted));
}

#[tokio::test]
async fn a_restart_gives_the_log_no_more_time() {
    let mut node = Node::new(10);
    node.permit(true, 50).unwrap();
    node.look().await.unwrap();
    node.clock.move_by(PUBLISHED_WITHIN / 2);
    node.restart();
    node.history.check(node.clock.now()).unwrap();
    node.clock.move_by(PUBLISHED_WITHIN / 2 + Duration::from_millis(1));
    assert_eq!(node.history.check(node.clock.now()), Err(Lie::Unpublished));
}

#[tokio::test]
async fn what_waits_is_on_disk_before_the_log_is_asked() {
    let mut node = Node::new(10);
    *node.shown.fails.lock().unwrap() = true;
    node.permit(true, 5).unwrap();
    node.look().await.unwrap_err();
    assert_eq!(node.kept().waiting.len(), 1);
}

#[tokio::test]
async fn a_published_log_that_lost_leaves_is_convicted_and_one_that_is_old_again_is_waited_for() {
    let mut node = Node::new(600);
    node.permit(false, 5).unwrap();
    node.look().await.unwrap();
    // The same as before by the log's own time: true once, and proves nothing.
    (node.log().published, node.log().time) = (500, TIME - 1);
    node.permit(false, 6).unwrap();
    node.look().await.unwrap_err();
    node.history.check(node.clock.now()).unwrap();
    node.log().time = TIME + 1;
    node.look().await.unwrap_err();
    assert_eq!(node.history.check(node.clock.now()), Err(Lie::Contradicted));
    let keys = node.log().key.verifiers().clone();
    assert_eq!(node.evidence().check(&keys), Ok(Finding::Rollback));
}

#[tokio::test]
async fn with_a_policy_only_what_witnesses_have_cosigned_is_published() {
    let witness = CosigningKey::generate("org-w.example/w1", CosignatureKind::Ed25519).unwrap();
    let policy = format!("witness w {}\nquorum w\n", witness.verifier());
    let mut node = Node::with(600, Some(Policy::parse(policy.as_bytes()).unwrap()));
    node.permit(false, 5).unwrap();
    assert!(matches!(node.look().await, Err(DecisionsError::NotCosigned)));
    let note = node.log().note(false, 600, Some(TIME));
    *node.shown.cosigned.lock().unwrap() = Some(note.clone());
    assert!(matches!(node.look().await, Err(DecisionsError::Policy(_))));
    let mut cosigned = CheckpointNote::parse(&note).unwrap();
    // As a witness does, which has seen nothing of the log before.
    let keys = node.log().key.verifiers().to_vec();
    let verifier = witness.verifier().clone();
    let mut witness = Witness::new(vec![witness]).unwrap();
    witness.add_log(ORIGIN, keys, None).unwrap();
    let request = AddCheckpoint::new(0, Vec::new(), cosigned.clone()).unwrap();
    let Verdict::Advance(advance) = witness.judge(&request) else { panic!("the log is as it should be") };
    let line = advance.persist(|_, _| Ok::<_, io::Error>(())).unwrap().sign(TIME).unwrap();
    merge(&mut cosigned, &line, &[verifier]).unwrap();
    *node.shown.cosigned.lock().unwrap() = Some(cosigned.to_string());
    node.look().await.unwrap();
    assert_eq!(node.history.count_waiting(), 0);
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the work under test")]
async fn a_request_that_comes_while_a_look_is_overdue_waits_for_one() {
    let node = Node::new(600);
    node.permit(false, 5).unwrap();
    *node.shown.fails.lock().unwrap() = true;
    let Node { watch, history, shown, clock, dir } = node;
    let pace = Pace { look: EVERY, ..FAST };
    let task = tokio::spawn(watch.follow_for_ever(shown.clone(), pace));
    clock.move_by(PUBLISHED_WITHIN + Duration::from_millis(1));
    history.catch_up(clock.now()).await;
    assert_eq!(history.check(clock.now()), Err(Lie::Unpublished));
    *shown.fails.lock().unwrap() = false;
    let before = tokio::time::Instant::now();
    history.catch_up(clock.now()).await;
    history.check(clock.now()).unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO, "it was looked at once, not when the next look was due");
    assert!(read(&dir.path().join(FILE)).unwrap().waiting.is_empty());
    task.abort();
}

#[test]
fn a_policy_that_can_show_nothing_is_refused() {
    let node = Node::new(1);
    let world = World::at("127.0.0.1:1");
    let identity = Identity::open(world.config.identity_dir()).unwrap();
    let root = identity.root();
    let key = |name| CosigningKey::generate(name, CosignatureKind::Ed25519).unwrap().verifier().clone();
    let of_another_log = LogKey::generate("other.example/decisions/b1").unwrap().verifiers()[0].clone();
    let witness = key("org-w.example/w1");
    for (policy, why) in [
        (format!("witness w {witness}\nquorum none\n"), "shows nothing"),
        (format!("witness w {}\nquorum w\n", key("fed.example/w1")), "federation's own"),
        (format!("log {of_another_log}\nwitness w {witness}\nquorum w\n"), "not this one"),
    ] {
        let policy = Some(Policy::parse(policy.as_bytes()).unwrap());
        let opened = LogWatch::open(node.dir.path(), root, policy, node.history.clone(), &*node.clock);
        let said = opened.unwrap_err().to_string();
        assert!(said.contains("decision_log.policy") && said.contains(why), "{said}");
    }
}

#[test]
fn a_memory_that_is_none_is_refused() {
    let node = Node::new(1);
    let path = node.dir.path().join(FILE);
    let opened = |kept: &str| {
        std::fs::write(&path, kept).unwrap();
        let (log, keys) = (node.watch.log.clone(), node.log().key.verifiers().clone());
        let history = LogHistory::new(ORIGIN, &keys, node.dir.path().join("evidence"), None).unwrap();
        LogWatch::open_log(node.dir.path(), log, None, history, &*node.clock).map(|_| ())
    };
    for damaged in ["", "{}", r#"{"published": null, "waiting": ["a"]}"#, r#"{"published": "x", "waiting": []}"#] {
        let refused = opened(damaged).unwrap_err();
        assert!(matches!(refused, LogWatchError::Damaged { .. }), "{damaged}: {refused}");
    }
    // Another log's word is none.
    let foreign = LogKey::generate(ORIGIN).unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 1, root: Digest::of(b"x") };
    let foreign = Kept {
        published: None,
        waiting: vec![Waiting { checkpoint: foreign.sign(&checkpoint, None).unwrap(), since: node.clock.now() }],
    };
    assert!(opened(&serde_json::to_string(&foreign).unwrap()).is_err());
}
