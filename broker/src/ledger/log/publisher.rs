//! The one thread that writes what others read: records, bundles, tiles, and then the checkpoint; only then may the batches
//! that were written ahead go.

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use comity_transparency::proof::root;
use comity_transparency::tile::{Resource, Tiles, WIDTH, bundle};
use comity_transparency::tree::leaf_hash;
use comity_transparency::{Checkpoint, CheckpointNote, LogKey};
use comity_types::Clock;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::store::{Store, width};
use super::{Entry, Failure, LogError, Published, waiting, wal};

/// How often what is new is published: often enough for witnesses to have cosigned it when an answer ends, and a few file
/// writes a second.
const EVERY: Duration = Duration::from_millis(250);

/// A durable batch.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) first: u64,
    pub(super) entries: Vec<Entry>,
    /// The segment that it is in.
    pub(super) segment: u64,
}

/// What the thread does.
#[derive(Debug)]
pub(super) enum Command {
    /// Publishes these in time.
    Batch(Batch),
    /// Publishes what there is, now.
    Flush { done: oneshot::Sender<Result<(), LogError>> },
    /// Takes these records away. What comes is in another segment, from the leaf `next` on.
    Erase { next: u64, indexes: Vec<u64>, done: oneshot::Sender<Result<(), LogError>> },
}

/// The thread's state.
pub(super) struct Publisher {
    store: Store,
    /// With the leaves of all batches that came.
    tiles: Tiles,
    /// The entries from the last full bundle on.
    tail: Vec<Entry>,
    /// Decisions that wait for their outcome.
    open: BTreeSet<u64>,
    /// The newest segment that something came from.
    segment: u64,
    key: Arc<LogKey>,
    clock: Arc<dyn Clock>,
    published: watch::Sender<Published>,
    failure: Failure,
}

impl Publisher {
    #[expect(clippy::too_many_arguments, reason = "called once, by the log that owns them all")]
    pub(super) fn new(
        store: Store,
        tiles: Tiles,
        tail: Vec<Entry>,
        open: BTreeSet<u64>,
        segment: u64,
        key: Arc<LogKey>,
        clock: Arc<dyn Clock>,
        published: watch::Sender<Published>,
        failure: Failure,
    ) -> Self {
        Self { store, tiles, tail, open, segment, key, clock, published, failure }
    }

    /// Runs until every handle is gone, or something fails. What came is published before it ends.
    pub(super) fn run(mut self, commands: &mpsc::Receiver<Command>) {
        let mut due = None;
        loop {
            let wait = due.map_or(EVERY, |due: Instant| due.saturating_duration_since(Instant::now()));
            let command = match commands.recv_timeout(wait) {
                Ok(command) => Some(command),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            match command {
                Some(Command::Batch(batch)) => {
                    self.take(batch);
                    due.get_or_insert_with(|| Instant::now() + EVERY);
                    if due.is_some_and(|due| Instant::now() < due) {
                        continue;
                    }
                }
                Some(Command::Flush { done }) => {
                    let _left = done.send(self.guarded(Self::publish));
                }
                Some(Command::Erase { next, indexes, done }) => {
                    let _left = done.send(self.guarded(|publisher| publisher.erase(next, &indexes)));
                }
                None => {}
            }
            if due.take().is_some() && self.guarded(Self::publish).is_err() {
                return;
            }
        }
        // The failure is said where it is set.
        let _last = self.guarded(Self::publish).is_ok();
    }

    /// Whether the decision at this index waits for its outcome.
    pub(super) fn waits(&self, index: u64) -> bool {
        self.open.contains(&index)
    }

    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<(), LogError>) -> Result<(), LogError> {
        if self.failure.is_set() {
            return Err(self.failure.error());
        }
        work(self).map_err(|error| self.failure.set(&comity_runtime::chain::text(&error)))
    }

    /// Takes a batch in, to be published.
    pub(super) fn take(&mut self, batch: Batch) {
        for (index, entry) in (batch.first..).zip(batch.entries) {
            waiting::follow(&mut self.open, index, &entry);
            self.tiles.push(leaf_hash(&entry.leaf));
            self.tail.push(entry);
        }
        self.segment = self.segment.max(batch.segment);
    }

    /// Records, bundles and tiles; then the checkpoint; then what is no longer needed goes.
    pub(super) fn publish(&mut self) -> Result<(), LogError> {
        let (from, size) = (self.published.borrow().checkpoint.size, self.tiles.size());
        if from < size {
            let written = [self.write_bundles(from, size)?, self.write_tiles(from, size)?].concat();
            waiting::write(&self.store, size, &self.open)?;
            let (checkpoint, note) = self.sign(size)?;
            self.store.write(&self.store.path(Resource::Checkpoint), note.as_bytes())?;
            self.published.send_replace(Published { checkpoint, note: note.into() });
            self.store.tidy(written)?;
            waiting::tidy(&self.store, size)?;
            let full = usize::try_from(size / WIDTH - from / WIDTH).unwrap_or_default();
            self.tail.drain(..full * usize::try_from(WIDTH).unwrap_or_default());
            self.tiles.forget(size / WIDTH * WIDTH);
        }
        self.drop_segments(size)
    }

    fn write_bundles(&self, from: u64, size: u64) -> Result<Vec<Resource>, LogError> {
        let mut written = Vec::new();
        let first = from / WIDTH;
        for (index, entries) in (first..).zip(self.tail.chunks(usize::try_from(WIDTH).unwrap_or(usize::MAX))) {
            self.store.write_records(index, entries.iter().map(|entry| entry.record.as_deref()))?;
            let resource = Resource::Entries { index, width: width(size, 0, index) };
            let bytes = bundle(entries.iter().map(|entry| entry.leaf.as_slice()));
            self.store.drop_unpublished(resource, width(from, 0, index))?;
            // A leaf is a hundred bytes.
            self.store.write(&self.store.path(resource), &bytes.unwrap_or_default())?;
            written.push(resource);
        }
        Ok(written)
    }

    fn write_tiles(&self, from: u64, size: u64) -> Result<Vec<Resource>, LogError> {
        let mut written = Vec::new();
        for level in 0..8_u8 {
            let (had, has) = (from >> (8 * u32::from(level)), size >> (8 * u32::from(level)));
            if had == has {
                break;
            }
            for index in had / WIDTH..=(has - 1) / WIDTH {
                let width = width(size, level, index);
                let resource = Resource::Tile { level, index, width };
                let bytes = self.tiles.tile(level, index).and_then(|tile| tile.to_bytes(width));
                let path = self.store.path(resource);
                let lost = || LogError::Damaged { path: path.clone(), problem: "its hashes are not at hand".into() };
                self.store.drop_unpublished(resource, self::width(from, level, index))?;
                self.store.write(&path, &bytes.ok_or_else(lost)?)?;
                written.push(resource);
            }
        }
        Ok(written)
    }

    fn sign(&self, size: u64) -> Result<(Checkpoint, String), LogError> {
        let failed = |cause: String| self.failure.set(&cause);
        let root = root(&self.tiles, size).map_err(|error| failed(error.to_string()))?;
        let checkpoint = Checkpoint { origin: self.key.origin().to_owned(), size, root };
        let time = u64::try_from(self.clock.now().as_millis() / 1000).unwrap_or_default();
        // A clock that was put back must not look like a log that lost leaves.
        let time = time.max(self.signed_at().unwrap_or_default());
        let note = self.key.sign(&checkpoint, Some(time)).map_err(|error| failed(error.to_string()))?;
        Ok((checkpoint, note))
    }

    /// When what is published was signed, in seconds since 1970.
    fn signed_at(&self) -> Option<u64> {
        let note = CheckpointNote::parse(&self.published.borrow().note).ok()?;
        let [_, post_quantum] = self.key.verifiers();
        note.signed_by(post_quantum).ok()??.time
    }

    /// A segment may go when the one after it begins with something that is published, or before it.
    fn drop_segments(&self, size: u64) -> Result<(), LogError> {
        let segments = wal::list(&self.store.wal())?;
        let followed = segments.iter().zip(segments.iter().skip(1).copied().chain([u64::MAX]));
        // The last one goes too once the sequencer has left it.
        let may_go = |(first, next): &(&u64, u64)| {
            *next <= size || (*next == u64::MAX && **first < self.segment && self.segment <= size)
        };
        let gone: Vec<u64> = followed.filter(may_go).map(|(first, _)| *first).collect();
        self.store.drop_segments(&gone)
    }

    /// Takes records away: those of the last bundle here and on disk, those of others on disk alone.
    ///
    /// What is kept goes last: whatever ends this before, the record is there still, and says who may have it erased. So the
    /// segments before `next` go first, which are published then, and bundles in descending order: an outcome has a later leaf
    /// than its decision, whose record says whose both are.
    fn erase(&mut self, next: u64, indexes: &[u64]) -> Result<(), LogError> {
        self.segment = self.segment.max(next);
        self.publish()?;
        let last = self.tiles.size() / WIDTH;
        let bundles: BTreeSet<u64> = indexes.iter().map(|index| index / WIDTH).collect();
        for bundle in bundles.into_iter().rev() {
            let mut records = self.store.records(bundle)?;
            for index in indexes.iter().filter(|index| **index / WIDTH == bundle) {
                let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
                if let Some(record) = records.get_mut(place) {
                    *record = None;
                }
                if let Some(entry) = self.tail.get_mut(place).filter(|_| bundle == last) {
                    entry.record = None;
                }
            }
            self.store.write_records(bundle, records.iter().map(Option::as_deref))?;
        }
        // Here, since whoever asked may have left.
        tracing::info!(log.leaves = ?indexes, "the records of leaves were erased");
        Ok(())
    }
}
