//! Files that are new, whole and on disk.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::FoundingError;

/// A directory that its owner alone may enter.
const PRIVATE_DIRECTORY: u32 = 0o700;
/// A file that its owner alone may read.
const PRIVATE_FILE: u32 = 0o600;
/// A file that everybody may read.
const PUBLIC_FILE: u32 = 0o644;

pub(super) fn make_directories(path: &Path) -> Result<(), FoundingError> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path).map_err(|error| refused(path, error))
}

pub(super) fn make_new_directory(path: &Path) -> Result<(), FoundingError> {
    DirBuilder::new().mode(PRIVATE_DIRECTORY).create(path).map_err(|error| refused(path, error))
}

pub(super) fn write_secret(path: &Path, content: &[u8]) -> Result<(), FoundingError> {
    write(path, content, PRIVATE_FILE).map_err(|error| refused(path, error))
}

pub(super) fn write_public(path: &Path, content: &[u8]) -> Result<(), FoundingError> {
    write(path, content, PUBLIC_FILE).map_err(|error| refused(path, error))
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn refused(path: &Path, source: io::Error) -> FoundingError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::AlreadyExists {
        FoundingError::Exists { path }
    } else {
        FoundingError::Io { path, source }
    }
}
