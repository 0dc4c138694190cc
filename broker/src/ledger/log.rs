//! The decision log: a Merkle tree (RFC 6962) of leaves, kept in the form that everybody can verify (c2sp.org/tlog-tiles).
//!
//! ```text
//! append ─▶ sequencer ─▶ wal: leaves, records, signed checkpoint ─fdatasync─▶ proof, to whoever appended
//!                │
//!                └─▶ publisher, every 250 ms ─▶ records, bundles, tiles ─▶ checkpoint ─▶ the wal before it goes
//! ```
//! No signature leaves this module before the bytes that reproduce it are durable: a [`Placed`] is made of what the
//! `fdatasync` returns alone, and the public checkpoint is written after the tiles that it covers. A start publishes what it finds
//! before it takes anything. A write or a sync that fails ends the log, and with it the broker: what is durable is unknown
//! then.
//!
//! | module | holds |
//! |---|---|
//! | `wal` | batches in files, until they are published |
//! | `turn` | what is appended at once |
//! | `sequencer` | the thread that gives leaves their places |
//! | `publisher` | the thread that writes what others read |
//! | `store` | the files that others read |
//! | `placed` | where a leaf is, and the type that says that it is durable |
//! | `waiting` | which decisions have no outcome yet |
//! | `recovery` | what a start finds, and refuses |
//! | `examination` | the pass over what is older, while the broker runs |
//! | `from_tiles` | hashes from the disk, each held against what stands above |
//! | [`reader`] | leaves, records and proofs, from what is published |

mod examination;
mod from_tiles;
mod placed;
mod publisher;
pub mod reader;
mod recovery;
mod sequencer;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod turn;
mod waiting;
mod wal;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use comity_transparency::{Checkpoint, LogKey};
use comity_types::{Clock, Timestamp};
use tokio::sync::{oneshot, watch};

pub use comity_runtime::files::{Disk, System};
pub use placed::Placed;
use publisher::Publisher;
pub use reader::Reader;
use recovery::Recovered;
use sequencer::{Sequencer, Work};

/// Appends that may wait at once; beyond, `append` waits for room, which is the backpressure.
const QUEUE: usize = 4_096;
/// Batches that may wait to be published: far more than a publisher is behind by, and a bound on memory.
const UNPUBLISHED_BATCHES: usize = 1_024;

/// A leaf on its way into the log, with the record that it commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The leaf's bytes.
    pub leaf: Vec<u8>,
    /// The record's bytes; none where it has been erased.
    pub record: Option<Vec<u8>>,
    /// Whether another leaf has to follow that says what became of it.
    pub opens: bool,
}

/// A decision that waits for its outcome: the index of its leaf, and the leaf.
pub type Open = (u64, Vec<u8>);

/// What is published.
#[derive(Debug, Clone)]
pub struct Published {
    /// The log as it stands.
    pub checkpoint: Checkpoint,
    /// The same, signed.
    pub note: Arc<str>,
}

/// A log that cannot be opened, or that takes no more.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A file cannot be used.
    #[error("cannot use {} of the decision log", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Another process holds the log.
    #[error("the decision log in {} is in use by another process (hint: stop the other broker, or give this one its own data_dir)", path.display())]
    Locked {
        /// Its directory.
        path: PathBuf,
    },
    /// What was durable once is not what was written.
    #[error("{} of the decision log is damaged: {problem} (hint: the broker signs nothing that it cannot reproduce; bring back the newest copy of the whole data directory. An older one signs a second history, which witnesses refuse)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A write, a sync or a signature failed before.
    #[error("the decision log has failed and takes no more: {cause}")]
    Failed {
        /// The first failure.
        cause: Arc<str>,
    },
    /// The leaf, or the record, is longer than a frame holds.
    #[error("an entry of {bytes} bytes where at most {} are allowed", wal::MAX_ENTRY_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl LogError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source: Arc::new(source) }
    }
}

/// A handle on an open log; its files are released when the last one is dropped.
#[derive(Debug, Clone)]
pub struct DecisionLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    /// Its files, on the disk that it was opened on.
    store: store::Store,
    origin: String,
    work: Option<turn::Queue<Work>>,
    publish: Option<mpsc::SyncSender<publisher::Command>>,
    published: watch::Receiver<Published>,
    cosigned: watch::Sender<Option<Published>>,
    /// When everything was last read again.
    examined: watch::Sender<Option<Timestamp>>,
    failure: Failure,
    threads: Vec<JoinHandle<()>>,
}

/// What ends the log: set once, seen by all.
#[derive(Debug, Clone)]
struct Failure(watch::Sender<Option<Arc<str>>>);

impl Failure {
    fn set(&self, cause: &str) -> LogError {
        self.0.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                tracing::error!(cause, "the decision log has failed");
                *failure = Some(cause.into());
            }
            first
        });
        self.error()
    }

    fn error(&self) -> LogError {
        LogError::Failed { cause: self.0.borrow().clone().unwrap_or_else(|| "it has ended".into()) }
    }

    fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }
}

impl DecisionLog {
    /// Opens or makes the log in `dir`, whose checkpoints `key` signs. Returns the decisions too of which nobody knows what
    /// became of them: their indexes, each with its leaf.
    ///
    /// # Errors
    /// It is damaged, in use, of another key, or cannot be used.
    pub fn open(dir: &Path, key: LogKey, clock: Arc<dyn Clock>) -> Result<(Self, Vec<Open>), LogError> {
        Self::open_on(dir, key, clock, Arc::new(System))
    }

    /// The same on any disk.
    ///
    /// # Errors
    /// Those of [`DecisionLog::open`].
    pub fn open_on(
        dir: &Path,
        key: LogKey,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, Vec<Open>), LogError> {
        let Recovered { store, lock, published, cosigned, tiles, tail, unpublished, open, mut waiting, segments } =
            recovery::recover(dir, &key, disk)?;
        let cosigned = watch::channel(cosigned).0;
        let (failure, key) = (Failure(watch::channel(None).0), Arc::new(key));
        let origin = key.origin().to_owned();
        let (publish, commands) = mpsc::sync_channel(UNPUBLISHED_BATCHES);
        let (seen, seen_by) = watch::channel(published);
        let mut publisher = Publisher::new(
            store.clone(),
            tiles.clone(),
            tail,
            open,
            segments.first(),
            Arc::clone(&key),
            clock,
            seen,
            failure.clone(),
        );
        let mut sequencer = Sequencer::new(
            tiles,
            key,
            segments,
            Reader::new(dir, seen_by.clone(), cosigned.subscribe(), failure.clone()),
            publish.clone(),
            failure.clone(),
            lock,
        );
        for batch in unpublished {
            sequencer.replayed(&batch);
            waiting.extend((batch.first..).zip(&batch.entries).map(|(index, entry)| (index, entry.leaf.clone())));
            // Not by its queue: a kill may leave more than that holds, and nobody empties it yet.
            publisher.take(batch);
        }
        waiting.retain(|(index, _)| publisher.waits(*index));
        // Before anything is signed on top of it: what a kill has left may be in the system's memory alone.
        publisher.publish()?;
        let (work, works) = turn::queue(QUEUE);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(run).map_err(|error| LogError::io(dir, error))
        };
        let threads = vec![
            spawn("decision-log", Box::new(move || sequencer.run(works)))?,
            spawn("log-publisher", Box::new(move || publisher.run(&commands)))?,
        ];
        let log = Inner {
            dir: dir.to_owned(),
            store,
            origin,
            work: Some(work),
            publish: Some(publish),
            published: seen_by,
            cosigned,
            examined: watch::channel(None).0,
            failure,
            threads,
        };
        Ok((Self(Arc::new(log)), waiting))
    }

    /// Reads the log in `dir` as a start would, and changes nothing.
    ///
    /// # Errors
    /// Those of [`DecisionLog::open`], but for its being in use.
    pub fn check(dir: &Path, key: &LogKey) -> Result<(), LogError> {
        recovery::check(dir, key)
    }

    /// Which log it is.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// Gives an entry its place. When this returns, it is durable; entries stand in the order in which their appends were
    /// first polled. `also` is the index of another leaf that is to be proven in the same tree.
    ///
    /// # Errors
    /// It is too long, or the log has failed: then every later append fails as well.
    pub async fn append(&self, entry: Entry, also: Option<u64>) -> Result<Placed, LogError> {
        let bytes = entry.leaf.len() + entry.record.as_ref().map_or(0, Vec::len);
        if bytes > wal::MAX_ENTRY_BYTES {
            return Err(LogError::TooLong { bytes });
        }
        let (done, placed) = oneshot::channel();
        self.send(Work::Append { entry, also, done }).await?;
        placed.await.map_err(|_| self.0.failure.error())?
    }

    /// Erases the records of these leaves: from what was written ahead, and then from what is kept, those of later leaves
    /// first. The leaves stay.
    ///
    /// The log's own threads do it: once it is queued it is done, in order, though whoever asked has left, and whoever drops
    /// the last handle waits for it.
    ///
    /// # Errors
    /// The log has failed.
    pub async fn erase(&self, indexes: Vec<u64>) -> Result<(), LogError> {
        let (done, erased) = oneshot::channel();
        self.send(Work::Erase { indexes, done }).await?;
        erased.await.map_err(|_| self.0.failure.error())?
    }

    /// What is published, whenever that has changed.
    #[must_use]
    pub fn published(&self) -> watch::Receiver<Published> {
        self.0.published.clone()
    }

    /// Keeps a checkpoint of this log that enough witnesses have cosigned, for receipts from then on. Waits for the disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep_cosigned(&self, cosigned: Published) -> Result<(), LogError> {
        self.0.store.write_cosigned(&cosigned.note)?;
        self.0.cosigned.send_replace(Some(cosigned));
        Ok(())
    }

    /// Ends the log: somebody has proven that it is not what it says. Nothing is appended or signed from then on.
    pub(super) fn end(&self, cause: &str) {
        self.0.failure.set(cause);
    }

    /// Where the log is.
    pub(super) fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Publishes what was appended, without waiting for its time.
    ///
    /// # Errors
    /// The log has failed.
    pub async fn flush(&self) -> Result<(), LogError> {
        let (done, flushed) = oneshot::channel();
        self.tell(publisher::Command::Flush { done }).await?;
        flushed.await.map_err(|_| self.0.failure.error())?
    }

    /// Reads what is published.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(&self.0.dir, self.published(), self.0.cosigned.subscribe(), self.0.failure.clone())
    }

    /// Resolves, to the cause, when the log has failed: the program has to end.
    pub async fn failed(&self) -> Arc<str> {
        let mut failure = self.0.failure.0.subscribe();
        let cause = failure.wait_for(Option::is_some).await.ok().and_then(|cause| cause.clone());
        cause.unwrap_or_else(|| "it has ended".into())
    }

    async fn send(&self, work: Work) -> Result<(), LogError> {
        let queue = self.0.work.as_ref().ok_or_else(|| self.0.failure.error())?;
        queue.send(work).await.map_err(|_| self.0.failure.error())
    }

    /// The publisher's queue blocks where it is full, which no task of the runtime may.
    async fn tell(&self, command: publisher::Command) -> Result<(), LogError> {
        let queue = self.0.publish.clone().ok_or_else(|| self.0.failure.error())?;
        let sent = tokio::task::spawn_blocking(move || queue.send(command).is_ok()).await;
        if matches!(sent, Ok(true)) { Ok(()) } else { Err(self.0.failure.error()) }
    }
}

/// Every leaf that is published in `dir`, with its record.
#[cfg(test)]
pub(crate) fn everything(
    dir: &Path,
) -> Vec<(comity_transparency::leaf::Leaf, Option<comity_transparency::record::Record>)> {
    use comity_transparency::leaf::Leaf;
    use comity_transparency::record::Record;
    use comity_transparency::tile::{Resource, WIDTH};

    let store = store::Store::new(dir);
    let Some(note) = store::Store::read(&store.path(Resource::Checkpoint)).unwrap() else { return Vec::new() };
    let note = comity_transparency::CheckpointNote::parse(std::str::from_utf8(&note).unwrap()).unwrap();
    let size = note.checkpoint().size;
    let mut all = Vec::new();
    for index in 0..size.div_ceil(WIDTH) {
        let bytes = store.resource(Resource::Entries { index, width: 256 }, size).unwrap().unwrap();
        let leaves = comity_transparency::tile::unbundle(&bytes).unwrap();
        for (leaf, record) in leaves.into_iter().zip(store.records(index).unwrap()) {
            all.push((Leaf::from_bytes(leaf).unwrap(), record.map(|record| Record::from_bytes(&record).unwrap())));
        }
    }
    all
}

impl Drop for Inner {
    /// Waits for the last batch and for its publication, so that the files are free when the last handle is gone.
    fn drop(&mut self) {
        drop(self.work.take());
        drop(self.publish.take());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the decision log panicked");
            }
        }
    }
}
