//! Small files of the data directory, written whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use crate::node::NodeError;

/// Locked while a node runs; in the data directory. It stays there, empty.
const LOCK_FILE: &str = "lock";

/// What convicts the broker's decision log, if this node has it; in the data directory.
pub(crate) const LOG_EVIDENCE: &str = "decision-log.evidence";

/// Makes a directory and those above it.
pub(crate) fn make_directory(path: &Path) -> Result<(), NodeError> {
    fs::create_dir_all(path).map_err(|source| failed(path, source))
}

/// Makes the data directory this process's own, until the file is dropped.
///
/// # Errors
/// Another process has it, or the file cannot be made.
pub(crate) fn lock(data_dir: &Path) -> Result<File, NodeError> {
    let path = data_dir.join(LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| failed(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(NodeError::InUse { data_dir: data_dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(&path, source)),
    }
}

/// Writes a text beside `path` and moves it there, so that whoever reads sees all of it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), NodeError> {
    let aside = path.with_extension("new");
    fs::write(&aside, text).and_then(|()| fs::rename(&aside, path)).map_err(|source| failed(path, source))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), NodeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(path: &Path, source: io::Error) -> NodeError {
    NodeError::File { path: path.to_owned(), source }
}
