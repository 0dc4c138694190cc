//! Disks that fail at the n-th write or sync of one of the log's two writers, and one that loses with a kill what was not
//! synced.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use comity_broker::ledger::log::Disk;

/// The error number of a disk that does not answer (POSIX, EIO).
const EIO: i32 = 5;
/// The error number of a full disk (POSIX, ENOSPC).
const ENOSPC: i32 = 28;

/// When and how it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fails {
    /// Whose.
    pub(crate) of: Writer,
    /// At what.
    pub(crate) at: Operation,
    /// How many go well before.
    pub(crate) after: u64,
    /// Whether it fails from then on, or once: a kernel reports a sync that failed to one caller.
    pub(crate) always: bool,
}

/// Which of the log's writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The sequencer: the write-ahead log.
    Sequencer,
    /// The publisher: everything else.
    Publisher,
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A sync, with an input/output error: the sequencer's of what it wrote, the publisher's of anything.
    Sync,
    /// The same of the names in the folder of the write-ahead log.
    Names,
    /// A write of which nothing arrives.
    Write,
    /// A write of which part arrives, for want of space.
    ShortWrite,
}

impl std::fmt::Display for Fails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = match self.of {
            Writer::Sequencer => "wal",
            Writer::Publisher => "public",
        };
        let at = match self.at {
            Operation::Sync => "sync",
            Operation::Names => "names",
            Operation::Write => "write",
            Operation::ShortWrite => "short",
        };
        write!(f, "{of}:{at}:{}{}", self.after, if self.always { ":always" } else { "" })
    }
}

impl FromStr for Fails {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("`{text}` is not wal|public:sync|names|write|short:<number>[:always]");
        let parts: Vec<&str> = text.split(':').collect();
        let (of, at, after, always) = match parts.as_slice() {
            [of, at, after] => (*of, *at, *after, false),
            [of, at, after, "always"] => (*of, *at, *after, true),
            _ => return Err(unknown()),
        };
        let of = match of {
            "wal" => Writer::Sequencer,
            "public" => Writer::Publisher,
            _ => return Err(unknown()),
        };
        let at = match at {
            "sync" => Operation::Sync,
            "names" => Operation::Names,
            "write" => Operation::Write,
            "short" => Operation::ShortWrite,
            _ => return Err(unknown()),
        };
        Ok(Self { of, at, after: after.parse().map_err(|_| unknown())?, always })
    }
}

/// What a disk is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Write,
    SyncData,
    SyncAll,
}

/// The system's disk, but what is written to the write-ahead log gets there with its sync alone: a kill is a power cut, and
/// whatever was acknowledged without a sync is lost with it.
#[derive(Debug, Default)]
pub(super) struct Volatile(Mutex<HashMap<PathBuf, Vec<u8>>>);

impl Volatile {
    /// What is in memory alone.
    fn unsynced<T>(&self, with: impl FnOnce(&mut HashMap<PathBuf, Vec<u8>>) -> T) -> io::Result<T> {
        self.0.lock().map(|mut unsynced| with(&mut unsynced)).map_err(|_| io::Error::other("a writer has panicked"))
    }
}

impl Disk for Volatile {
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if path.extension().is_none_or(|ends| ends != "wal") {
            return file.write_all(bytes);
        }
        self.unsynced(|unsynced| unsynced.entry(path.to_owned()).or_default().extend_from_slice(bytes))
    }

    fn sync_data(&self, path: &Path, mut file: &File) -> io::Result<()> {
        let bytes = self.unsynced(|unsynced| unsynced.remove(path))?.unwrap_or_default();
        file.write_all(&bytes)?;
        file.sync_data()
    }
}

/// The system's disk until it fails.
#[derive(Debug)]
pub(super) struct Failing {
    fails: Fails,
    done: AtomicU64,
}

impl Failing {
    pub(super) const fn new(fails: Fails) -> Self {
        Self { fails, done: AtomicU64::new(0) }
    }

    /// Whether this one fails.
    fn strikes(&self, path: &Path, does: Does) -> bool {
        let is_of_the_wal = path.components().any(|part| part.as_os_str() == "wal");
        let concerned = (self.fails.of == Writer::Sequencer) == is_of_the_wal;
        // Of the write-ahead log only the data is synced, and its folder's names: a file's sync must not be taken for theirs.
        let counts = match (self.fails.at, does) {
            (Operation::Sync, Does::SyncData) | (Operation::Names, Does::SyncAll) => true,
            (Operation::Sync, Does::SyncAll) => !is_of_the_wal,
            (Operation::Write | Operation::ShortWrite, Does::Write) => true,
            (Operation::Sync | Operation::Names, _) | (Operation::Write | Operation::ShortWrite, _) => false,
        };
        if !concerned || !counts {
            return false;
        }
        let before = self.done.fetch_add(1, Ordering::Relaxed);
        before == self.fails.after || (self.fails.always && before > self.fails.after)
    }

    fn sync(&self, path: &Path, does: Does, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.strikes(path, does) { Err(io::Error::from_raw_os_error(EIO)) } else { sync() }
    }
}

impl Disk for Failing {
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if !self.strikes(path, Does::Write) {
            return file.write_all(bytes);
        }
        if self.fails.at == Operation::Write {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let (arrives, _) = bytes.split_at(bytes.len() / 2);
        file.write_all(arrives)?;
        Err(io::Error::from_raw_os_error(ENOSPC))
    }

    fn sync_data(&self, path: &Path, file: &File) -> io::Result<()> {
        self.sync(path, Does::SyncData, || file.sync_data())
    }

    fn sync_all(&self, path: &Path, file: &File) -> io::Result<()> {
        self.sync(path, Does::SyncAll, || file.sync_all())
    }
}
