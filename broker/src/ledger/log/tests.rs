//! What the decision log promises: every leaf that was acknowledged is there and provable, whatever happened; nothing is
//! signed twice differently; nothing is signed that cannot be reproduced.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Mutex;

use comity_runtime::clock::SystemClock;
use comity_transparency::leaf::{Epoch, Kind, Leaf};
use comity_transparency::proof::verify_inclusion;
use comity_transparency::record::{Field, Record, RecordKind};
use comity_transparency::tile::Resource;
use comity_transparency::tree::{Tree, leaf_hash};
use comity_transparency::{CheckpointNote, NoteVerifier};
use comity_types::{DecisionId, Digest, Secret, Timestamp};
use proptest::prelude::*;
use tokio::sync::mpsc as queue;

use super::*;

mod damage;
mod erased;
#[cfg(target_os = "linux")]
mod linger;
mod old;
mod parts;
mod power;
mod synced;

const ORIGIN: &str = "fed.example/decisions/b1";

/// The key of a test's log, as it is stored: it is needed at every start.
struct Key([Secret<Vec<u8>>; 2]);

impl Key {
    fn new() -> Self {
        Self(LogKey::generate(ORIGIN).unwrap().to_pkcs8().unwrap())
    }

    fn get(&self) -> LogKey {
        LogKey::from_pkcs8(ORIGIN, &self.0[0], &self.0[1]).unwrap()
    }

    fn verifier(&self) -> NoteVerifier {
        NoteVerifier::of(&self.get().verifiers()[0])
    }
}

fn entry(number: u64, kind: Kind) -> Entry {
    let mut salt = [0; 32];
    salt[..8].copy_from_slice(&number.to_be_bytes());
    let record_kind = if kind == Kind::Decision { RecordKind::Decision } else { RecordKind::Outcome };
    let field = if kind == Kind::Decision { Field::MODEL } else { Field::STATUS };
    let record = Record::new(record_kind, salt).with(field, format!("planted-{number}-marker")).unwrap();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let leaf = Leaf {
        kind,
        at: Timestamp::from_millis(1_795_000_000_000).unwrap(),
        decision: DecisionId::from_bytes(id),
        epoch: Epoch { size: 3, root: Digest::of(b"epoch") },
        engine: 1,
        record: record.commitment(),
    };
    Entry { leaf: leaf.to_bytes(), record: Some(record.to_bytes()), opens: kind == Kind::Decision }
}

fn decision(number: u64) -> Entry {
    entry(number, Kind::Decision)
}

fn open(dir: &Path, key: &Key) -> (DecisionLog, Vec<(u64, Vec<u8>)>) {
    DecisionLog::open(dir, key.get(), Arc::new(SystemClock)).unwrap()
}

fn refused(dir: &Path, key: &Key) -> LogError {
    let checked = DecisionLog::check(dir, &key.get()).unwrap_err();
    let refused = DecisionLog::open(dir, key.get(), Arc::new(SystemClock)).unwrap_err();
    assert_eq!(checked.to_string(), refused.to_string());
    refused
}

/// What the log said of a leaf has to verify by what it signed.
fn verify(key: &Key, leaf: &[u8], placed: &Placed) -> Checkpoint {
    let checkpoint = Checkpoint::open(placed.checkpoint(), ORIGIN, &key.verifier()).unwrap();
    verify_inclusion(placed.index(), checkpoint.size, leaf_hash(leaf), placed.path(), checkpoint.root).unwrap();
    checkpoint
}

impl DecisionLog {
    /// A log whose disk fails at the first write of a batch.
    pub(crate) fn broken(dir: &Path, key: LogKey, clock: Arc<dyn Clock>) -> Self {
        Self::broken_after(0, dir, key, clock)
    }

    /// A log whose disk fails after so many writes of batches.
    pub(crate) fn broken_after(writes: u32, dir: &Path, key: LogKey, clock: Arc<dyn Clock>) -> Self {
        Self::open_on(dir, key, clock, Arc::new(Failing(Mutex::new(writes)))).unwrap().0
    }

    /// A log whose disk tells of each write of batches, and goes on with it when it is told to.
    pub(crate) fn held(dir: &Path, key: LogKey, clock: Arc<dyn Clock>, gate: Gate) -> Self {
        Self::open_on(dir, key, clock, Arc::new(Held(Mutex::new(gate)))).unwrap().0
    }
}

/// Tells that a write has begun, and waits to be let on.
pub(crate) type Gate = (queue::UnboundedSender<()>, mpsc::Receiver<()>);

#[derive(Debug)]
struct Held(Mutex<Gate>);

impl Disk for Held {
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if is_of_the_wal(path) {
            let gate = self.0.lock().unwrap();
            // Whoever held it has gone: there is nothing to wait for any more.
            let _told = gate.0.send(()).is_ok() && gate.1.recv().is_ok();
        }
        file.write_all(bytes)
    }
}

fn is_of_the_wal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wal")
}

/// A disk that is full after so many writes of batches.
#[derive(Debug)]
struct Failing(Mutex<u32>);

impl Disk for Failing {
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if is_of_the_wal(path) {
            let mut left = self.0.lock().unwrap();
            *left = left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        }
        file.write_all(bytes)
    }
}

#[tokio::test]
async fn every_leaf_is_proven_at_once_and_again_from_what_is_published() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    let mut tree = Tree::default();
    for number in 0..600 {
        let entry = decision(number);
        tree.push(&entry.leaf);
        let placed = log.append(entry.clone(), (number > 0).then_some(number / 2)).await.unwrap();
        let checkpoint = verify(&key, &entry.leaf, &placed);
        assert_eq!((placed.index(), checkpoint.size, checkpoint.root), (number, number + 1, tree.root()));
        if number > 0 {
            let also = leaf_hash(&decision(number / 2).leaf);
            verify_inclusion(number / 2, checkpoint.size, also, placed.also(), checkpoint.root).unwrap();
        }
    }
    log.flush().await.unwrap();
    let reader = log.reader();
    let published = reader.published();
    assert_eq!((published.checkpoint.size, published.checkpoint.root), (600, tree.root()));
    for index in [0, 255, 256, 599] {
        let path = reader.proof(index, 600).unwrap();
        verify_inclusion(index, 600, leaf_hash(&decision(index).leaf), &path, tree.root()).unwrap();
    }
}

#[tokio::test]
async fn what_is_published_is_the_specifications_and_signed_against_quantum_computers_too() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    for number in 0..300 {
        log.append(decision(number), None).await.unwrap();
    }
    log.flush().await.unwrap();
    for resource in Resource::all(300) {
        let file = std::fs::read(dir.path().join(resource.to_string())).unwrap();
        assert_eq!(log.reader().resource(resource).unwrap(), Some(file), "{resource}");
    }
    let note = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    let note = CheckpointNote::parse(&note).unwrap();
    for verifier in key.get().verifiers() {
        note.signed_by(verifier).unwrap();
    }
    // Every shorter part of what is partial, and nothing beyond the log.
    let part = |width| log.reader().resource(Resource::Tile { level: 0, index: 1, width }).unwrap();
    assert_eq!((part(7).unwrap().len(), part(44).unwrap().len(), part(45)), (7 * 32, 44 * 32, None));
    assert_eq!(log.reader().resource(Resource::Entries { index: 2, width: 1 }).unwrap(), None);
}

#[tokio::test]
async fn a_log_goes_on_where_it_ended_published_or_not() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let mut tree = Tree::default();
    for start in 0..5_u64 {
        let (log, waiting) = open(dir.path(), &key);
        assert_eq!(waiting.len() as u64, start * 130, "decisions that wait are told");
        for number in start * 130..(start + 1) * 130 {
            tree.push(&decision(number).leaf);
            let placed = log.append(decision(number), None).await.unwrap();
            assert_eq!(verify(&key, &decision(number).leaf, &placed).root, tree.root());
        }
    }
}

/// A kill under load leaves more batches than any queue holds; nobody may wait for whoever empties it.
#[tokio::test]
async fn a_start_takes_up_however_many_batches_a_kill_has_left() {
    const MANY: u64 = UNPUBLISHED_BATCHES as u64 + 200;
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let store = store::Store::new(dir.path());
    store.make().unwrap();
    let (mut segments, mut tree, log_key) =
        (wal::Segments::new(&store.wal(), Arc::new(System), 0), Tree::default(), key.get());
    let mut frames = Vec::new();
    for number in 0..MANY {
        tree.push(&decision(number).leaf);
        let checkpoint = log_key.sign(&Checkpoint::of(ORIGIN, &tree), None).unwrap();
        let batch = wal::Batch { first: number, entries: vec![decision(number)], checkpoint };
        crate::ledger::journal::frame::encode(&batch.to_bytes(), &mut frames);
    }
    let _durable = segments.append(0, &frames).unwrap();
    let dir = dir.path().to_owned();
    let opened = tokio::task::spawn_blocking(move || open(&dir, &key).0);
    let log = tokio::time::timeout(std::time::Duration::from_secs(60), opened).await.expect("it starts").unwrap();
    log.flush().await.unwrap();
    let published = log.reader().published().checkpoint;
    assert_eq!((published.size, published.root), (MANY, tree.root()));
}

#[tokio::test]
async fn an_outcome_closes_its_decision_across_starts() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    for number in 0..3 {
        log.append(decision(number), None).await.unwrap();
    }
    log.append(entry(1, Kind::Outcome { decision: 1 }), Some(1)).await.unwrap();
    drop(log);
    let (log, waiting) = open(dir.path(), &key);
    assert_eq!(waiting.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(waiting[1].1, decision(2).leaf);
    log.append(entry(0, Kind::Abort { decision: 0 }), None).await.unwrap();
    drop(log);
    let (_log, waiting) = open(dir.path(), &key);
    assert_eq!(waiting.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn many_at_once_are_each_proven_and_all_there() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    let append = |number| {
        let log = log.clone();
        async move { (number, log.append(decision(number), None).await.unwrap()) }
    };
    let placed = futures::future::join_all((0..2_000).map(append)).await;
    let mut roots = BTreeMap::new();
    for (number, placed) in placed {
        let checkpoint = verify(&key, &decision(number).leaf, &placed);
        let known = roots.insert(checkpoint.size, checkpoint.root);
        assert!(known.is_none_or(|root| root == checkpoint.root), "two roots at {}", checkpoint.size);
    }
    log.flush().await.unwrap();
    assert_eq!(log.reader().published().checkpoint.size, 2_000);
}

#[tokio::test]
async fn a_log_that_somebody_goes_on_with_is_in_order_to_whoever_looks() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Arc::new(Key::new()));
    let (log, _) = open(dir.path(), &key);
    let (path, looking) = (dir.path().to_owned(), Arc::clone(&key));
    let looks = tokio::task::spawn_blocking(move || {
        (0..40).for_each(|_| DecisionLog::check(&path, &looking.get()).unwrap());
    });
    let mut number = 0;
    while !looks.is_finished() {
        log.append(decision(number), None).await.unwrap();
        log.flush().await.unwrap();
        number += 1;
    }
    looks.await.unwrap();
    assert!(number > 0);
}

#[tokio::test]
async fn what_was_acknowledged_is_in_whatever_is_published_from_then_on() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    for number in 0..100 {
        log.append(decision(number), None).await.unwrap();
        log.flush().await.unwrap();
        assert_eq!(log.reader().published().checkpoint.size, number + 1);
    }
}

#[tokio::test]
async fn a_disk_that_is_full_acknowledges_nothing_more_and_loses_nothing_before() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let failing = Arc::new(Failing(Mutex::new(5)));
    let (log, _) = DecisionLog::open_on(dir.path(), key.get(), Arc::new(SystemClock), failing).unwrap();
    let mut acknowledged = Vec::new();
    for number in 0..10 {
        if let Ok(placed) = log.append(decision(number), None).await {
            acknowledged.push((number, placed));
        }
    }
    assert_eq!(acknowledged.len(), 5);
    assert!(log.failed().await.contains("space"), "{}", log.failed().await);
    assert!(matches!(log.flush().await, Err(LogError::Failed { .. })), "nothing is published after a failure");
    drop(log);
    let (log, _) = open(dir.path(), &key);
    log.append(decision(99), None).await.unwrap();
    log.flush().await.unwrap();
    let reader = log.reader();
    assert_eq!(reader.published().checkpoint.size, 6);
    for (number, placed) in acknowledged {
        assert_eq!(reader.bundle(0).unwrap()[usize::try_from(placed.index()).unwrap()], decision(number).leaf);
    }
}

#[tokio::test]
async fn an_erased_record_is_nowhere_and_its_leaf_still_verifies() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    for number in 0..300 {
        log.append(decision(number), None).await.unwrap();
    }
    let before = leaf_hash(&decision(7).leaf);
    assert!(holds(dir.path(), "planted-7-marker") && holds(dir.path(), "planted-290-marker"));
    log.erase(vec![7, 290]).await.unwrap();
    for (marker, kept) in [("planted-7-marker", false), ("planted-290-marker", false), ("planted-8-marker", true)] {
        assert_eq!(holds(dir.path(), marker), kept, "{marker}");
    }
    let reader = log.reader();
    let records = reader.records(0).unwrap();
    assert!(records[7].is_none() && records[8].is_some());
    let published = reader.published().checkpoint;
    verify_inclusion(7, published.size, before, &reader.proof(7, published.size).unwrap(), published.root).unwrap();
    // It does not come back with a start, nor with what is appended to its bundle.
    log.append(decision(300), None).await.unwrap();
    drop(log);
    let (log, _) = open(dir.path(), &key);
    log.append(decision(301), None).await.unwrap();
    log.flush().await.unwrap();
    assert!(!holds(dir.path(), "planted-290-marker") && holds(dir.path(), "planted-301-marker"));
}

/// Whether any file below `dir` has this text in it.
fn holds(dir: &Path, text: &str) -> bool {
    files(dir).iter().any(|file| {
        let bytes = std::fs::read(file).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// A log of 300 published leaves and some that are not published, as a kill leaves it.
async fn killed(key: &Key) -> tempfile::TempDir {
    let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = open(dir.path(), key);
    for number in 0..300 {
        log.append(decision(number), None).await.unwrap();
    }
    log.flush().await.unwrap();
    copy(dir.path(), kept.path());
    std::fs::remove_dir_all(kept.path().join("wal")).unwrap();
    for number in 300..310 {
        log.append(decision(number), None).await.unwrap();
    }
    copy(&dir.path().join("wal"), &kept.path().join("wal"));
    kept
}

proptest! {
    #[test]
    fn a_batch_survives_its_bytes_and_nothing_else_is_one(
        first: u64,
        entries in proptest::collection::vec((any::<Vec<u8>>(), proptest::option::of(any::<Vec<u8>>()), any::<bool>()), 0..4),
        cut in 1_usize..40,
    ) {
        let entries = entries.into_iter().map(|(leaf, record, opens)| Entry { leaf, record, opens }).collect();
        let batch = wal::Batch { first, entries, checkpoint: "note".into() };
        let bytes = batch.to_bytes();
        prop_assert_eq!(wal::Batch::from_bytes(&bytes), Some(batch.clone()));
        let cut = wal::Batch::from_bytes(&bytes[..bytes.len().saturating_sub(cut)]);
        prop_assert!(cut.is_none_or(|cut| cut != batch));
    }
}

#[tokio::test]
async fn what_witnesses_have_cosigned_proves_receipts_is_kept_and_is_never_more_than_is_published() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (log, _) = open(dir.path(), &key);
    log.append(decision(0), None).await.unwrap();
    log.flush().await.unwrap();
    let cosigned = log.reader().published();
    log.keep_cosigned(cosigned.clone()).unwrap();
    log.append(decision(1), None).await.unwrap();
    log.flush().await.unwrap();
    let of = |log: &DecisionLog, leaf| log.reader().covering([leaf]).checkpoint.size;
    assert_eq!((of(&log, 0), of(&log, 1)), (1, 2), "what is not cosigned yet is proven by what is published");
    drop(log);
    let (log, _) = open(dir.path(), &key);
    assert_eq!(log.reader().cosigned().map(|cosigned| cosigned.checkpoint), Some(cosigned.checkpoint));
    let later = log.reader().published();
    drop(log);
    let file = dir.path().join("cosigned");
    let whole = std::fs::read_to_string(&file).unwrap();
    let forged = Checkpoint { size: 3, ..later.checkpoint };
    for damaged in [key.get().sign(&forged, Some(1)).unwrap(), whole.replacen('1', "2", 1), String::new()] {
        std::fs::write(&file, damaged).unwrap();
        assert!(matches!(refused(dir.path(), &key), LogError::Damaged { .. }));
    }
}

#[tokio::test]
async fn a_clock_that_was_put_back_does_not_look_like_a_log_that_lost_leaves() {
    #[derive(Debug)]
    struct Stepped(std::sync::atomic::AtomicI64);
    impl Clock for Stepped {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(std::sync::atomic::Ordering::SeqCst)).unwrap()
        }
    }
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let clock = Arc::new(Stepped(1_795_000_000_000.into()));
    let at = |log: &DecisionLog| {
        let note = CheckpointNote::parse(&log.reader().published().note).unwrap();
        note.signed_by(&key.get().verifiers()[1]).unwrap().unwrap().time
    };
    let (log, _) = DecisionLog::open(dir.path(), key.get(), clock.clone()).unwrap();
    log.append(decision(0), None).await.unwrap();
    log.flush().await.unwrap();
    let before = at(&log);
    clock.0.fetch_sub(120_000, std::sync::atomic::Ordering::SeqCst);
    log.append(decision(1), None).await.unwrap();
    log.flush().await.unwrap();
    assert_eq!((at(&log), log.reader().published().checkpoint.size), (before, 2));
    drop(log);
    let (log, _) = DecisionLog::open(dir.path(), key.get(), clock).unwrap();
    log.append(decision(2), None).await.unwrap();
    log.flush().await.unwrap();
    assert_eq!((at(&log), log.reader().published().checkpoint.size), (before, 3), "nor after a start");
}
