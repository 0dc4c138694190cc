//! Small files of the data directory, written whole or not at all.

use std::fs;
use std::io;
use std::path::Path;

use crate::node::NodeError;

/// Makes a directory and those above it.
pub(crate) fn make_directory(path: &Path) -> Result<(), NodeError> {
    fs::create_dir_all(path).map_err(|source| failed(path, source))
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
