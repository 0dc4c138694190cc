//! The journal, as a start reads it: from the founding on, every entry believed only as far as it is proven.

use std::path::{Path, PathBuf};

use comity_membership::{Body, Entry, Genesis, Log, NotTaken};
use comity_runtime::chain;

use super::{RegistryError, equivocations};

/// The log of a journal with these frames, each entry held against what stands before it. Where two statements stand at one
/// position, what proves it goes into `keep`; without that, nothing is written. `trace` is what tells that there was a journal
/// once.
///
/// # Errors
/// It is damaged, of another federation, or gone.
pub(super) fn replay(
    path: &Path,
    frames: &[Vec<u8>],
    genesis: &Genesis,
    trace: Option<PathBuf>,
    keep: Option<&Path>,
) -> Result<Log, RegistryError> {
    if let Some(trace) = trace.filter(|_| frames.is_empty()) {
        return Err(RegistryError::Lost { path: path.to_owned(), trace });
    }
    check_root(path, frames, genesis)?;
    let mut log = Log::new(genesis.clone());
    for (index, frame) in frames.iter().enumerate() {
        let damaged = |error: NotTaken| {
            let twice = equivocations::in_journal(path, frames, index, (genesis, &error), keep);
            let problem = chain::text(&error);
            let position = index + 1;
            twice.unwrap_or_else(|| RegistryError::Damaged { path: path.to_owned(), position, problem })
        };
        log.take(frame).map_err(damaged)?;
    }
    Ok(log)
}

/// Whether the journal is of the federation that the root document founds.
fn check_root(path: &Path, frames: &[Vec<u8>], expected: &Genesis) -> Result<(), RegistryError> {
    let Some(first) = frames.first() else { return Ok(()) };
    match Entry::from_json(first).map(|entry| entry.body) {
        Ok(Body::Founded(found)) if found == *expected => Ok(()),
        Ok(Body::Founded(found)) => Err(RegistryError::OtherRoot {
            path: path.to_owned(),
            expected: expected.root_sha256,
            found: found.root_sha256,
        }),
        Ok(_) | Err(_) => Err(RegistryError::NotFounded { path: path.to_owned() }),
    }
}
