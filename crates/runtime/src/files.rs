//! Files of a data directory: written so that after a crash each is whole or absent.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The permission bits of group and others.
const OTHERS: u32 = 0o077;

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

/// Written beside, synced, and moved over, readable by the program's user alone. When this returns, the file survives the
/// end of the machine.
///
/// # Errors
/// It cannot be written; then the one that was there still is.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_durably_on(&System, path, bytes)
}

/// The same on any disk.
///
/// # Errors
/// As for [`write_durably`].
pub fn write_durably_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    disk.write(&beside, &mut file, bytes)?;
    disk.sync_all(&beside, &file)?;
    std::fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |dir| sync_dir(disk, dir))
}

/// Makes the names in a directory durable.
///
/// # Errors
/// Nobody knows what is durable.
pub fn sync_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.sync_all(dir, &File::open(dir)?)
}

/// A private key that others than the program's user may read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} can be read by others, its mode is {mode:03o} (hint: chmod 600 {})", path.display(), path.display())]
pub struct Exposed {
    /// The file.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
}

/// All of a file that nobody but the program's user may read.
///
/// # Errors
/// It cannot be read, or others may read it: the error's source is then [`Exposed`].
pub fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    check_private(path, &file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether nobody but the program's user may read a file.
///
/// # Errors
/// As for [`read_secret`].
pub fn check_secret(path: &Path) -> io::Result<()> {
    check_private(path, &File::open(path)?)
}

/// Of the file that is open, which is the one that is read.
fn check_private(path: &Path, file: &File) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, Exposed { path: path.to_owned(), mode }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_long_as_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.key");
        write_durably(&path, b"secret").unwrap();
        assert_eq!(read_secret(&path).unwrap(), b"secret");
        for mode in [0o640, 0o604, 0o644, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_secret(&path).unwrap_err();
            assert_eq!(refused.to_string(), check_secret(&path).unwrap_err().to_string());
            assert!(refused.to_string().ends_with(&format!("(hint: chmod 600 {})", path.display())), "{refused}");
        }
    }
}
