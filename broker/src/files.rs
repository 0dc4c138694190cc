//! Files of the data directory: written so that after a crash each is whole or absent.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// How many files are written at once: a file system makes durable together what is synced at the same time.
const AT_ONCE: usize = 8;

/// Written beside, synced, and moved over, readable by the broker's user alone.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The same of many files, in any order: all are durable when this returns, and none may be relied on before.
pub(crate) fn write_all_durably(files: &[(PathBuf, Vec<u8>)]) -> Result<(), (PathBuf, io::Error)> {
    let write_each = |part: &[(PathBuf, Vec<u8>)]| {
        part.iter().try_for_each(|(path, bytes)| write(path, bytes).map_err(|error| (path.clone(), error)))
    };
    let share = files.len().div_ceil(AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let writing: Vec<_> = files.chunks(share).map(|part| scope.spawn(move || write_each(part))).collect();
        let panicked = |_| Err((PathBuf::new(), io::Error::other("a thread panicked while it wrote")));
        writing.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
    })?;
    // Names become durable with their directories, each of which is synced once.
    let dirs: BTreeSet<_> = files.iter().filter_map(|(path, _)| path.parent()).collect();
    dirs.into_iter().try_for_each(|dir| sync_dir(dir).map_err(|error| (dir.to_owned(), error)))
}

/// Whole, at its place, and durable once its directory is.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}
