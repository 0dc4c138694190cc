//! The one thread that gives leaves their places: takes what is queued, hashes, signs, writes, syncs once, and only then
//! answers all.

use std::fs::File;
use std::sync::{Arc, mpsc};

use comity_transparency::proof::{inclusion, root};
use comity_transparency::tile::{Tiles, WIDTH};
use comity_transparency::tree::leaf_hash;
use comity_transparency::{Checkpoint, LogKey};
use tokio::sync::oneshot;

use super::placed::{Pending, Placed};
use super::publisher::{self, Batch};
use super::turn::Works;
use super::wal::{self, Segments};
use super::{Entry, Failure, LogError, Reader};
use crate::ledger::journal::frame;

/// Most entries that become durable at once, so that the first of them does not wait for ever.
const MAX_BATCH: usize = 1_024;

/// Leaves whose hashes stay at hand after they are published: an outcome is proven with its decision, which is some seconds
/// or minutes older; what is older than that is read from the disk. A thousand tiles of 16 KiB, in a busy broker.
const AT_HAND: u64 = 1 << 18;

/// What the thread does.
#[derive(Debug)]
pub(super) enum Work {
    /// Gives an entry its place.
    Append { entry: Entry, also: Option<u64>, done: oneshot::Sender<Result<Placed, LogError>> },
    /// Goes on in a new segment, so that those before it can go, and has the publisher take these records away.
    Erase { indexes: Vec<u64>, done: oneshot::Sender<Result<(), LogError>> },
}

/// The thread's state.
pub(super) struct Sequencer {
    tiles: Tiles,
    key: Arc<LogKey>,
    segments: Segments,
    /// Where tiles are read again that are no longer at hand.
    reader: Reader,
    publish: mpsc::SyncSender<publisher::Command>,
    failure: Failure,
    /// Held for as long as the thread may write.
    _lock: File,
}

/// An entry, what is to be proven with it, and whom to tell.
type Append = (Entry, Option<u64>, oneshot::Sender<Result<Placed, LogError>>);

/// The leaves whose records are to go, and whom to tell.
type Erasure = (Vec<u64>, oneshot::Sender<Result<(), LogError>>);

impl Sequencer {
    pub(super) fn new(
        tiles: Tiles,
        key: Arc<LogKey>,
        segments: Segments,
        reader: Reader,
        publish: mpsc::SyncSender<publisher::Command>,
        failure: Failure,
        lock: File,
    ) -> Self {
        Self { tiles, key, segments, reader, publish, failure, _lock: lock }
    }

    /// Takes up a batch that was durable before the start.
    pub(super) fn replayed(&mut self, batch: &Batch) {
        batch.entries.iter().for_each(|entry| self.tiles.push(leaf_hash(&entry.leaf)));
    }

    /// Runs until every handle is gone, or something fails.
    pub(super) fn run(mut self, mut works: Works<Work>) {
        let mut taken = Vec::with_capacity(MAX_BATCH);
        while works.take(&mut taken, MAX_BATCH) {
            let (mut appends, mut erasures) = (Vec::new(), Vec::new());
            for work in taken.drain(..) {
                match work {
                    Work::Append { entry, also, done } => appends.push((entry, also, done)),
                    Work::Erase { indexes, done } => erasures.push((indexes, done)),
                }
            }
            let done = if self.failure.is_set() { Err(self.failure.error()) } else { self.commit(appends) };
            if let Err(error) = done {
                return refuse(&error, erasures, works);
            }
            for (indexes, done) in erasures {
                let next = self.tiles.size();
                self.segments.rotate(next);
                // Where the publisher has ended, whoever asked is told so by the dropped sender.
                let _told = self.publish.send(publisher::Command::Erase { next, indexes, done }).is_ok();
            }
        }
    }

    /// Makes entries durable, and answers; where that fails, whoever waits is refused by the dropped sender.
    fn commit(&mut self, appends: Vec<Append>) -> Result<(), LogError> {
        if appends.is_empty() {
            return Ok(());
        }
        let first = self.tiles.size();
        let (mut frames, mut waiting, mut pending, mut batches) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut appends = appends.into_iter().peekable();
        while appends.peek().is_some() {
            let (mut entries, mut asked, mut bytes) = (Vec::new(), Vec::new(), 0);
            while bytes < wal::BATCH_BYTES
                && let Some((entry, also, done)) = appends.next()
            {
                bytes += entry.leaf.len() + entry.record.as_ref().map_or(0, Vec::len);
                entries.push(entry);
                asked.push(also);
                waiting.push(done);
            }
            let batch = self.place(entries, &asked, &mut pending)?;
            frame::encode(&batch.to_bytes(), &mut frames);
            batches.push(batch);
        }
        let synced = self.segments.append(first, &frames).map_err(|error| self.failure.set(&error.to_string()))?;
        // Before anybody is answered: who asks for a publication then finds in it what was answered.
        for wal::Batch { first, entries, .. } in batches {
            let batch = Batch { first, entries, segment: self.segments.first() };
            self.publish.send(publisher::Command::Batch(batch)).map_err(|_| self.failure.error())?;
        }
        // From here on the signatures may leave.
        for (done, placed) in waiting.into_iter().zip(Pending::durable(pending, synced)) {
            // Whoever asked may have left; the entry is durable all the same.
            let _left = done.send(Ok(placed));
        }
        // What is published can be read again. Looked at once a tile: there are many, and there is no hurry.
        if first / WIDTH != self.tiles.size() / WIDTH {
            let published = self.reader.published().checkpoint.size;
            self.tiles.forget(first.min(published).saturating_sub(AT_HAND));
        }
        Ok(())
    }

    /// Hashes and signs a batch, and adds where its entries will be to `pending`.
    fn place(
        &mut self,
        entries: Vec<Entry>,
        asked: &[Option<u64>],
        pending: &mut Vec<Pending>,
    ) -> Result<wal::Batch, LogError> {
        let first = self.tiles.size();
        entries.iter().for_each(|entry| self.tiles.push(leaf_hash(&entry.leaf)));
        let size = self.tiles.size();
        let nodes = self.reader.with(&self.tiles);
        let failed = |cause: String| self.failure.set(&cause);
        let root = root(&self.tiles, size).map_err(|error| failed(error.to_string()))?;
        let checkpoint = Checkpoint { origin: self.key.origin().to_owned(), size, root };
        let note = self.key.sign(&checkpoint, None).map_err(|error| failed(error.to_string()))?;
        let shared: Arc<str> = note.as_str().into();
        let prove = |index| match inclusion(&nodes, index, size) {
            Ok(path) => Ok(path.unwrap_or_default()),
            Err(error) => Err(failed(comity_runtime::chain::text(&error))),
        };
        for (index, also) in (first..size).zip(asked) {
            let also = also.map_or(Ok(Vec::new()), prove)?;
            pending.push(Pending::new(index, prove(index)?, also, Arc::clone(&shared)));
        }
        drop(nodes);
        Ok(wal::Batch { first, entries, checkpoint: note })
    }
}

/// After a failure: everyone who waits, and everyone who comes, is refused.
fn refuse(error: &LogError, erasures: Vec<Erasure>, works: Works<Work>) {
    for (_, done) in erasures {
        let _left = done.send(Err(error.clone()));
    }
    works.close(|work| match work {
        Work::Append { done, .. } => {
            let _left = done.send(Err(error.clone()));
        }
        Work::Erase { done, .. } => {
            let _left = done.send(Err(error.clone()));
        }
    });
}
