//! Folders as a whole: copied, compared, listed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use comity_types::Digest;

/// Every file below `dir`, in order.
pub(super) fn below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = file?.path();
        if path.is_dir() { found.extend(below(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// Copies a folder to where nothing is.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for file in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = file?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).with_context(|| format!("cannot copy to {}", target.display()))?;
        }
    }
    Ok(())
}

/// Puts a copy of `from` in the place of `to`.
pub(super) fn replace(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        // Its content and not itself: it may be where something is mounted.
        for file in std::fs::read_dir(to)? {
            let path = file?.path();
            if path.is_dir() { std::fs::remove_dir_all(&path)? } else { std::fs::remove_file(&path)? }
        }
    }
    copy(from, to)
}

/// What every file below `dir` holds.
pub(super) fn digests(dir: &Path) -> Result<BTreeMap<PathBuf, Digest>> {
    below(dir)?.into_iter().map(|path| Ok((path.clone(), Digest::of(&std::fs::read(path)?)))).collect()
}
