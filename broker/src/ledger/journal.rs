//! An append-only file of frames, each durable before its append resolves.
//!
//! A frame is `{ length u32 le, crc32c of the bytes u32 le, bytes }`. One OS thread writes
//! and calls `fdatasync`; whatever was queued while it synced is the next batch, so there
//! is no linger timer. What the frames mean is left to whoever opens the journal.

pub(in crate::ledger) mod frame;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};

pub use frame::MAX_FRAME_BYTES;
use writer::Append;
pub(crate) use writer::Storage;

/// Appends that may wait at once; beyond, `append` waits for room, which is the backpressure.
const QUEUE_FRAMES: usize = 4_096;

/// A journal that cannot be opened, or that can take no more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened, read or cut.
    #[error("cannot use the journal {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Another process holds the file.
    #[error("the journal {} is in use by another process (hint: stop the other broker, or give this one its own data_dir)", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that were once durable are not what was written.
    #[error("the journal {0} is damaged at byte {offset} (hint: keep the file and restore it from a copy; without one, `truncate --size={offset} {0}` gives up all that follows this byte, suspensions as well, and it has to be governed again)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first frame begins that cannot be read.
        offset: u64,
    },
    /// The frame is empty, or longer than [`MAX_FRAME_BYTES`].
    #[error("a frame of {bytes} bytes: expected 1 to {MAX_FRAME_BYTES}")]
    FrameSize {
        /// Its length.
        bytes: usize,
    },
    /// A write or a sync failed before; what is durable is unknown, so nothing more is accepted.
    #[error("the journal has failed and takes no more: {cause}")]
    Poisoned {
        /// The first failure.
        cause: Arc<str>,
    },
}

/// A handle on an open journal; the file is released when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Option<mpsc::Sender<Append>>,
    failure: watch::Receiver<Option<Arc<str>>>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens or makes the file, and returns every frame in it. A torn tail, which a crash leaves, is cut off.
    ///
    /// # Errors
    /// Another process holds the file, a frame that was whole is damaged, or the file cannot be used.
    pub fn open(path: &Path) -> Result<(Self, Vec<Vec<u8>>), JournalError> {
        let mut frames = Vec::new();
        let journal = Self::open_with(path, |frame| frames.push(frame))?;
        Ok((journal, frames))
    }

    /// As [`Journal::open`], but hands each frame to `visit`, for a file that may not fit in memory.
    ///
    /// # Errors
    /// Those of [`Journal::open`].
    pub fn open_with(path: &Path, mut visit: impl FnMut(Vec<u8>)) -> Result<Self, JournalError> {
        let failed = |source: io::Error| JournalError::Io { path: path.to_owned(), source: Arc::new(source) };
        let file = open_file(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let scan = scan(&file, path, &mut visit)?;
        cut(&file, scan.end).map_err(failed)?;
        Self::start(file, scan.frames).map_err(failed)
    }

    /// An empty one on another storage.
    ///
    /// # Errors
    /// No thread can be started.
    #[cfg(test)]
    pub(crate) fn on(storage: impl Storage) -> io::Result<Self> {
        Self::start(storage, 0)
    }

    /// Hands each frame of the file to `visit`, and leaves the file as it is: nobody has to stop who writes it.
    /// A file that is not there has no frames.
    ///
    /// # Errors
    /// A frame is damaged, or the file cannot be read.
    pub fn read(path: &Path, mut visit: impl FnMut(Vec<u8>)) -> Result<(), JournalError> {
        let failed = |source: io::Error| JournalError::Io { path: path.to_owned(), source: Arc::new(source) };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        scan(&file, path, &mut visit).map(drop)
    }

    /// Starts the writer on a file whose position is at its end and that holds `frames` frames.
    fn start(storage: impl Storage, frames: u64) -> io::Result<Self> {
        let (queue, appends) = mpsc::channel(QUEUE_FRAMES);
        let (broken, failure) = watch::channel(None);
        let work = move || writer::run(storage, frames, appends, &broken);
        let thread = std::thread::Builder::new().name("journal".into()).spawn(work)?;
        Ok(Self(Arc::new(Inner { queue: Some(queue), failure, thread: Some(thread) })))
    }

    /// Appends a frame and resolves when it is durable, to its position: the first frame of the file is 0.
    /// Frames stand in the order in which their appends were first polled.
    ///
    /// # Errors
    /// The frame is empty or too long, or the journal has failed: then every later append fails as well.
    pub async fn append(&self, frame: Vec<u8>) -> Result<u64, JournalError> {
        if frame.is_empty() || frame.len() > MAX_FRAME_BYTES {
            return Err(JournalError::FrameSize { bytes: frame.len() });
        }
        let (done, position) = oneshot::channel();
        let queue = self.0.queue.as_ref().ok_or_else(|| self.poisoned())?;
        queue.send(Append { frame, done }).await.map_err(|_| self.poisoned())?;
        position.await.map_err(|_| self.poisoned())?
    }

    /// Resolves, to the cause, when the journal has failed: the program must end, since what is durable is unknown.
    pub async fn failed(&self) -> Arc<str> {
        let mut failure = self.0.failure.clone();
        let cause = failure.wait_for(Option::is_some).await.ok().and_then(|cause| cause.clone());
        cause.unwrap_or_else(|| WRITER_ENDED.into())
    }

    fn poisoned(&self) -> JournalError {
        let cause = self.0.failure.borrow().clone();
        JournalError::Poisoned { cause: cause.unwrap_or_else(|| WRITER_ENDED.into()) }
    }
}

/// The cause where the writer is gone and has left none.
const WRITER_ENDED: &str = "its writer has ended";

impl Drop for Inner {
    /// Waits for the last batch, so that the file is free when the last handle is gone.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer panicked");
        }
    }
}

fn scan(file: &File, path: &Path, visit: &mut impl FnMut(Vec<u8>)) -> Result<frame::Scan, JournalError> {
    let failed = |source: io::Error| JournalError::Io { path: path.to_owned(), source: Arc::new(source) };
    let scan = frame::scan(file, visit, &|_| true).map_err(failed)?;
    match scan.damaged_at {
        Some(offset) => Err(JournalError::Damaged { path: path.to_owned(), offset }),
        None => Ok(scan),
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // The directory entry of a new file has to be durable as well.
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    Ok(file)
}

fn cut(file: &File, end: u64) -> io::Result<()> {
    let length = file.metadata()?.len();
    if length > end {
        tracing::warn!(bytes = length - end, "cut a torn tail off a journal");
        file.set_len(end)?;
    }
    // What a kill has left may be in the system's memory alone, and is read back all the same.
    file.sync_all()
}

#[cfg(test)]
mod tests;
