//! Files of the data directory: written so that after a crash each is whole or absent.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// How bytes get onto a disk. [`System`] does it, but where it is tried what a disk that fails does to a log
/// (`crates/faults`): no configuration leads to another one.
pub trait Disk: Debug + Send + Sync {
    /// Writes all of these to the file at `path`.
    ///
    /// # Errors
    /// Some of it may not have been written.
    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let _which = path;
        file.write_all(bytes)
    }

    /// Makes what a file holds durable.
    ///
    /// # Errors
    /// Nobody knows what is durable.
    fn sync_data(&self, path: &Path, file: &File) -> io::Result<()> {
        let _which = path;
        file.sync_data()
    }

    /// Makes a file durable with all that is known of it, or the names in a directory.
    ///
    /// # Errors
    /// Nobody knows what is durable.
    fn sync_all(&self, path: &Path, file: &File) -> io::Result<()> {
        let _which = path;
        file.sync_all()
    }
}

/// The system's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Disk for System {}

/// Written beside, synced, and moved over, readable by the broker's user alone.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_durably_on(&System, path, bytes)
}

/// The same on any disk.
pub(crate) fn write_durably_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    disk.write(&beside, &mut file, bytes)?;
    disk.sync_all(&beside, &file)?;
    std::fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |dir| sync_dir(disk, dir))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.sync_all(dir, &File::open(dir)?)
}
