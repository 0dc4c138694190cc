//! The one thread that writes a journal: takes what is queued, writes it, syncs once, answers all.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::{JournalError, frame};

/// Frames in one batch at most, so that the first of them does not wait for ever.
const MAX_BATCH_FRAMES: usize = 1_024;

/// A frame on its way, and whom to tell.
pub(super) struct Append {
    pub(super) frame: Vec<u8>,
    pub(super) done: oneshot::Sender<Result<u64, JournalError>>,
}

/// Where batches go; a file, except in tests of failing disks.
pub(crate) trait Storage: Send + 'static {
    /// Writes all of `batch` at the end.
    fn write(&mut self, batch: &[u8]) -> io::Result<()>;
    /// Returns when everything that was written is durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl Storage for File {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        self.write_all(batch)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Runs until every handle is gone, or the storage fails.
pub(super) fn run(
    mut storage: impl Storage,
    mut position: u64,
    mut appends: mpsc::Receiver<Append>,
    broken: &watch::Sender<Option<Arc<str>>>,
) {
    let mut batch = Vec::with_capacity(MAX_BATCH_FRAMES);
    while appends.blocking_recv_many(&mut batch, MAX_BATCH_FRAMES) > 0 {
        match commit(&mut storage, &batch) {
            Ok(()) => position = acknowledge(&mut batch, position),
            Err(error) => return poison(&error, batch, appends, broken),
        }
    }
}

fn commit(storage: &mut impl Storage, batch: &[Append]) -> io::Result<()> {
    let bytes = batch.iter().map(|append| frame::HEADER_BYTES + append.frame.len()).sum();
    let mut encoded = Vec::with_capacity(bytes);
    for append in batch {
        frame::encode(&append.frame, &mut encoded);
    }
    storage.write(&encoded)?;
    storage.sync()
}

/// Tells each its position, and returns the next one.
fn acknowledge(batch: &mut Vec<Append>, mut position: u64) -> u64 {
    for append in batch.drain(..) {
        // Whoever asked may have left; the frame is durable all the same.
        let _left = append.done.send(Ok(position));
        position += 1;
    }
    position
}

/// After a failed write or sync the kernel may have dropped the bytes, so trying again could report
/// durable what is not: everyone who waits, and everyone who comes, is refused.
fn poison(
    error: &io::Error,
    batch: Vec<Append>,
    mut appends: mpsc::Receiver<Append>,
    broken: &watch::Sender<Option<Arc<str>>>,
) {
    let cause: Arc<str> = error.to_string().into();
    tracing::error!(cause = &*cause, "a journal has failed");
    broken.send_replace(Some(Arc::clone(&cause)));
    appends.close();
    let waiting = std::iter::from_fn(|| appends.blocking_recv());
    for append in batch.into_iter().chain(waiting) {
        let _left = append.done.send(Err(JournalError::Poisoned { cause: Arc::clone(&cause) }));
    }
}
