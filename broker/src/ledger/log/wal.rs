//! Batches in files, each durable before anybody is told of it, until they are published.
//!
//! A segment is named by the first leaf that it may hold, `<20 digits>.wal`. Its frames are those of the journal; a
//! frame's bytes are
//! ```text
//! first u64 | count u32 | count × { opens u8, leaf u16+bytes, record u32+bytes } | the signed checkpoint after them
//! ```
//! numbers big-endian; a record of length 0xffffffff is none.

use comity_runtime::files::{Disk, sync_dir};

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Entry, LogError};
use crate::ledger::journal::frame;

/// Most bytes of a leaf and its record: with the rest of a batch, below the longest frame.
pub(super) const MAX_ENTRY_BYTES: usize = 800 * 1024;
/// A batch is closed when it has so many bytes: the longest entry still fits a frame with it.
pub(super) const BATCH_BYTES: usize = 128 * 1024;
/// A segment is followed by the next one when it has so many bytes: some seconds of a busy broker, so that little is
/// read again at a start.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// How segments end.
const SUFFIX: &str = ".wal";
/// The length that means that there is no record.
const NONE: u32 = u32::MAX;

/// Bytes of a batch before its entries.
const HEAD_BYTES: usize = 8 + 4;
/// Bytes of an entry beside its leaf and its record.
const ENTRY_BYTES: usize = 1 + 2 + 4;

/// Entries that became durable at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// The first one's index.
    pub(super) first: u64,
    /// Them.
    pub(super) entries: Vec<Entry>,
    /// The log after them, signed.
    pub(super) checkpoint: String,
}

impl Batch {
    /// The size of the log after it.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(self.entries.len() as u64)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let length = |entry: &Entry| ENTRY_BYTES + entry.leaf.len() + entry.record.as_ref().map_or(0, Vec::len);
        let entries: usize = self.entries.iter().map(length).sum();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + entries + self.checkpoint.len());
        bytes.extend_from_slice(&self.first.to_be_bytes());
        // `Sequencer` bounds how many there are, and `append` how long each is.
        bytes.extend_from_slice(&u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_be_bytes());
        for Entry { leaf, record, opens } in &self.entries {
            bytes.push((*opens).into());
            bytes.extend_from_slice(&u16::try_from(leaf.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(leaf);
            let length = record.as_ref().map_or(NONE, |record| u32::try_from(record.len()).unwrap_or(NONE));
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(record.as_deref().unwrap_or_default());
        }
        bytes.extend_from_slice(self.checkpoint.as_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first_chunk()?;
        let (count, mut rest) = rest.split_first_chunk()?;
        let mut entries = Vec::new();
        for _ in 0..u32::from_be_bytes(*count) {
            let ([opens], after) = rest.split_first_chunk()?;
            let (length, after) = after.split_first_chunk()?;
            let (leaf, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
            let (length, after) = after.split_first_chunk()?;
            let (record, after) = match u32::from_be_bytes(*length) {
                NONE => (None, after),
                length => {
                    let (record, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
                    (Some(record.to_vec()), after)
                }
            };
            let opens = match opens {
                0 => false,
                1 => true,
                _ => return None,
            };
            entries.push(Entry { leaf: leaf.to_vec(), record, opens });
            rest = after;
        }
        let checkpoint = std::str::from_utf8(rest).ok()?.to_owned();
        Some(Self { first: u64::from_be_bytes(*first), entries, checkpoint })
    }
}

/// The disk's word that what was appended last is durable: made by [`Segments::append`], and nowhere else.
#[derive(Debug)]
#[must_use = "only what is made of it may leave"]
pub(super) struct Durable(());

/// The segments of a log, of which the last is written to.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    /// The last one, once something was written, and where it is.
    last: Option<(File, PathBuf)>,
    first: u64,
    bytes: u64,
}

impl Segments {
    /// Goes on in a new segment, so that nothing is ever appended behind what a crash has left.
    pub(super) fn new(dir: &Path, disk: Arc<dyn Disk>, next: u64) -> Self {
        Self { dir: dir.to_owned(), disk, last: None, first: next, bytes: 0 }
    }

    /// The segment that is written to: its first leaf.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// Writes frames that begin at the leaf `first`, and returns when they are durable.
    pub(super) fn append(&mut self, first: u64, frames: &[u8]) -> io::Result<Durable> {
        if self.bytes >= SEGMENT_BYTES {
            self.rotate(first);
        }
        let (file, path) = match &mut self.last {
            Some(last) => last,
            none => {
                self.first = first;
                none.insert(create(&*self.disk, &self.dir, first)?)
            }
        };
        self.disk.write(path, file, frames)?;
        self.disk.sync_data(path, file)?;
        self.bytes += frames.len() as u64;
        Ok(Durable(()))
    }

    /// What follows goes to a new segment.
    pub(super) fn rotate(&mut self, next: u64) {
        self.last = None;
        self.first = next;
        self.bytes = 0;
    }
}

fn create(disk: &dyn Disk, dir: &Path, first: u64) -> io::Result<(File, PathBuf)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let path = path(dir, first);
    let file = options.open(&path)?;
    // The directory entry of a new file has to be durable as well.
    sync_dir(disk, dir)?;
    Ok((file, path))
}

/// The file of the segment that begins at the leaf `first`.
pub(super) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}{SUFFIX}"))
}

/// The segments in `dir`, in order.
pub(super) fn list(dir: &Path) -> Result<Vec<u64>, LogError> {
    let failed = |error| LogError::io(dir, error);
    let mut segments = Vec::new();
    for file in std::fs::read_dir(dir).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        segments.extend(first.and_then(|first| first.parse::<u64>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Reads the batches of a segment. What a crash has torn at its end is left out; anything else that cannot be read is
/// damage. `signed` says at which size the log has signed a checkpoint, if it has: bytes that look like a batch count as one
/// that came later if the log has signed a larger size in them, since callers write part of what is torn.
pub(super) fn read(dir: &Path, first: u64, signed: &dyn Fn(&str) -> Option<u64>) -> Result<Vec<Batch>, LogError> {
    let path = path(dir, first);
    let damaged = |problem: String| LogError::Damaged { path: path.clone(), problem };
    let file = File::open(&path).map_err(|error| LogError::io(&path, error))?;
    let (mut batches, end) = (Vec::new(), Cell::new(first));
    let mut visit = |frame: Vec<u8>| {
        let batch = Batch::from_bytes(&frame);
        end.set(batch.as_ref().map_or(u64::MAX, Batch::end));
        batches.push(batch);
    };
    let is_ours = |frame: &[u8]| {
        let batch = Batch::from_bytes(frame).filter(|batch| batch.first >= end.get());
        batch.is_some_and(|batch| signed(&batch.checkpoint) == Some(batch.end()))
    };
    let scan = frame::scan(file, &mut visit, &is_ours).map_err(|error| LogError::io(&path, error))?;
    if let Some(offset) = scan.damaged_at {
        return Err(damaged(format!("the frame at byte {offset} is not what was written")));
    }
    batches.into_iter().map(|batch| batch.ok_or_else(|| damaged("a frame is no batch".into()))).collect()
}
