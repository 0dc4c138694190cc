//! Nobody is answered before the sync of what they appended, and a batch is whatever waited while the last one was synced.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;

use super::*;

/// How long anything may take that should happen at once.
const SOON: Duration = Duration::from_secs(30);
/// Appends that come while a sync lasts: fewer than one batch has at most, and than a task polls before tokio has it yield.
const MANY: u64 = 60;

/// A disk that tells of each data sync of the write-ahead log, goes on with it when it is told to, and counts.
#[derive(Debug)]
struct Syncs {
    gate: Mutex<Gate>,
    writes: AtomicU64,
    synced: AtomicU64,
}

impl Disk for Syncs {
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if is_of_the_wal(path) {
            self.writes.fetch_add(1, Ordering::SeqCst);
        }
        file.write_all(bytes)
    }

    fn sync_data(&self, path: &Path, file: &File) -> io::Result<()> {
        if is_of_the_wal(path) {
            let gate = self.gate.lock().unwrap();
            // Whoever held it has gone: there is nothing to wait for any more.
            let _told = gate.0.send(()).is_ok() && gate.1.recv().is_ok();
            self.synced.fetch_add(1, Ordering::SeqCst);
        }
        file.sync_data()
    }
}

#[tokio::test]
async fn nobody_is_answered_before_the_sync_and_there_is_one_for_all_who_wait() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let (begun, mut syncs) = queue::unbounded_channel();
    let (on, gate) = mpsc::channel();
    let disk = Arc::new(Syncs { gate: Mutex::new((begun, gate)), writes: 0.into(), synced: 0.into() });
    let (log, _) = DecisionLog::open_on(dir.path(), key.get(), Arc::new(SystemClock), disk.clone()).unwrap();
    let counted = || (disk.writes.load(Ordering::SeqCst), disk.synced.load(Ordering::SeqCst));
    let append = |number| {
        let log = log.clone();
        Box::pin(async move { log.append(decision(number), None).await.unwrap() })
    };

    // One that is alone is on its way to the disk although nobody else comes.
    let mut first = append(0);
    assert!(first.as_mut().now_or_never().is_none());
    tokio::time::timeout(SOON, syncs.recv()).await.expect("the first batch is synced");
    let mut rest: Vec<_> = (1..=MANY).map(append).collect();
    let answered = |waiting: &mut Vec<_>| waiting.iter_mut().filter_map(FutureExt::now_or_never).count();
    assert_eq!(answered(&mut rest), 0);
    assert!(first.as_mut().now_or_never().is_none(), "it was answered before its sync");
    assert_eq!(counted(), (1, 0));

    on.send(()).unwrap();
    let placed = tokio::time::timeout(SOON, first).await.expect("what is durable is answered");
    assert_eq!(verify(&key, &decision(0).leaf, &placed).size, 1);
    tokio::time::timeout(SOON, syncs.recv()).await.expect("the second batch is synced");
    assert_eq!(answered(&mut rest), 0, "some were answered before their sync");
    assert_eq!(counted(), (2, 1));

    drop(on);
    let placed = tokio::time::timeout(SOON, futures::future::join_all(rest)).await.expect("all are answered");
    for (number, placed) in (1..).zip(&placed) {
        assert_eq!(verify(&key, &decision(number).leaf, placed).size, MANY + 1, "all are of one batch");
    }
    assert_eq!(counted(), (2, 2), "each batch is one write and one sync");
}
