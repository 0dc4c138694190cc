//! Files that are whole or not there: written beside, synced, and put in place in one step.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Largest file of an identity, in bytes: the root document is the largest, with at most 64 KiB.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// A directory that its owner alone may enter.
const PRIVATE_DIRECTORY: u32 = 0o700;
/// A file that its owner alone may read.
const PRIVATE_FILE: u32 = 0o600;
/// A file that everybody may read.
const PUBLIC_FILE: u32 = 0o644;
/// The permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Makes a directory and what is above it; one that is there stays as it is.
pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path).map_err(at(path))
}

/// All of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    read_open(&open(path)?, path)
}

/// All of a file that nobody but its owner may read.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, StoreError> {
    let file = open(path)?;
    let mode = file.metadata().map_err(at(path))?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(StoreError::Exposed { path: path.to_owned(), mode });
    }
    read_open(&file, path)
}

/// Puts a file in place, instead of the one that was there.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let beside = write_beside(path, content, PUBLIC_FILE)?;
    fs::rename(&beside, path).and_then(|()| sync_directory(path)).map_err(at(path))
}

/// Puts a file in place that its owner alone may read, unless there is one already, which then stays.
pub(super) fn write_new_secret(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    link_new(path, content, PRIVATE_FILE)
}

/// Puts a file in place, unless there is one already, which then stays.
pub(super) fn write_new(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    link_new(path, content, PUBLIC_FILE)
}

/// Moves a file to another's place in the same directory, in one step.
pub(super) fn replace(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).and_then(|()| sync_directory(to)).map_err(at(from))
}

/// Takes a file away for good.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).and_then(|()| sync_directory(path)).map_err(at(path))
}

fn link_new(path: &Path, content: &[u8], mode: u32) -> Result<(), StoreError> {
    let beside = write_beside(path, content, mode)?;
    // A hard link fails where a rename would replace: no key is ever overwritten.
    let linked = fs::hard_link(&beside, path);
    let linked = linked.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) });
    fs::remove_file(&beside).map_err(at(&beside))?;
    linked.and_then(|()| sync_directory(path)).map_err(at(path))
}

/// Writes and syncs a file of a new name in the same directory.
fn write_beside(path: &Path, content: &[u8], mode: u32) -> Result<PathBuf, StoreError> {
    let beside = beside(path)?;
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(beside),
        Err(source) => {
            // What could not be written whole is of no use; that it may stay is said by the error already.
            drop(fs::remove_file(&beside));
            Err(StoreError::Io { path: path.to_owned(), source })
        }
    }
}

fn beside(path: &Path) -> Result<PathBuf, StoreError> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| at(path)(io::Error::other("no random bytes can be had")))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{:016x}", u64::from_ne_bytes(random))))
}

/// Makes the new name survive a power cut.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    File::open(path).map_err(at(path))
}

fn read_open(file: &File, path: &Path) -> Result<Vec<u8>, StoreError> {
    // Reserved at once: growing would leave copies of a key behind in memory.
    let mut content = Vec::with_capacity(usize::try_from(MAX_FILE_BYTES).unwrap_or_default());
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(at(path))?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(StoreError::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES });
    }
    Ok(content)
}

/// Adds the path; what is not there has a message of its own.
fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| {
        let missing = source.kind() == io::ErrorKind::NotFound;
        if missing { StoreError::Missing { path } } else { StoreError::Io { path, source } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write_new_secret(&path, b"first").unwrap();
        write_new_secret(&path, b"second").unwrap();
        assert_eq!(read_secret(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn other_files_are_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cert.pem");
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
    }
}
