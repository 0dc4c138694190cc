//! One that is alone waits for nobody: the thread that gives leaves their places waits for its queue and for its disk, and arms no
//! timer. A linger, which many logs have so that batches become larger, would be paid by every request of a quiet broker.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::sequencer::{Sequencer, Work};
use super::*;

/// Appends, one after the other: each comes when the one before is durable, so that there is always one, and never two.
const APPENDS: u64 = 256;
/// How often the thread may have waited all the same: for a file that is made, or a lock of the system. One that waits a while for
/// others to come does so for each append.
const WAITED: u64 = APPENDS / 4;
/// How often the appending task gives the others their turn: one begins to ring, and ends it.
const TURNS: usize = 2;

/// A disk that is done at once, and hands the next append in while it syncs, on the log's own thread.
#[derive(Debug)]
struct OneByOne {
    next: Mutex<Option<turn::Queue<Work>>>,
    synced: AtomicU64,
    /// Of whoever appends; it has its turns on the log's thread.
    tasks: tokio::runtime::Runtime,
}

impl OneByOne {
    /// The next one; after the last nobody is left who could append.
    fn hand_in(&self, number: u64) {
        let mut next = self.next.lock().unwrap();
        if number == APPENDS {
            *next = None;
        } else if let Some(works) = &*next {
            let (done, _nobody_asks) = oneshot::channel();
            self.tasks.block_on(async {
                works.send(Work::Append { entry: decision(number), also: None, done }).await.unwrap();
                // To the end of its turn, and of whoever rings at the end of it.
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
            });
        }
    }
}

impl Disk for OneByOne {
    fn write(&self, _path: &Path, _file: &mut File, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync_data(&self, _path: &Path, _file: &File) -> io::Result<()> {
        let synced = self.synced.fetch_add(1, Ordering::SeqCst) + 1;
        self.hand_in(synced);
        Ok(())
    }
}

/// How often this thread has given its processor away to wait for something; being sent off it does not count.
fn waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn one_that_waits_alone_is_written_without_a_wait_for_others() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let store = store::Store::new(dir.path());
    store.make().unwrap();
    let (works, queued) = turn::queue(QUEUE);
    let tasks = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let disk = Arc::new(OneByOne { next: Mutex::new(Some(works)), synced: 0.into(), tasks });
    let lock = File::create(dir.path().join("lock")).unwrap();
    let empty = Checkpoint { origin: ORIGIN.to_owned(), size: 0, root: Digest::of(b"") };
    let (_published, seen) = watch::channel(Published { checkpoint: empty, note: "".into() });
    let (_cosigned, cosigned) = watch::channel(None);
    let failure = Failure(watch::channel(None).0);
    // Room for all that is to be published: nobody takes it.
    let (publish, batches) = mpsc::sync_channel(usize::try_from(APPENDS).unwrap());
    let sequencer = Sequencer::new(
        comity_transparency::tile::Tiles::default(),
        Arc::new(key.get()),
        wal::Segments::new(&store.wal(), disk.clone(), 0),
        Reader::new(dir.path(), seen, cosigned, failure.clone()),
        publish,
        failure.clone(),
        lock,
    );
    disk.hand_in(0);
    let before = waits();
    sequencer.run(queued);
    let waited = waits() - before;
    assert!(!failure.is_set(), "{}", failure.error());
    assert_eq!((disk.synced.load(Ordering::SeqCst), batches.iter().count() as u64), (APPENDS, APPENDS));
    assert!(
        waited < WAITED,
        "its thread waited {waited} times in {APPENDS} appends, none of which had to wait for anybody"
    );
}
