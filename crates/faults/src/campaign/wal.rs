//! Reads write-ahead files by their documentation, and not by the code that writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The length and the checksum before a frame, in bytes.
const HEADER_BYTES: usize = 8;
/// The length that stands for no record.
const NONE: u32 = u32::MAX;

/// A batch that is whole.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// The first leaf's index.
    pub(super) first: u64,
    /// The leaves.
    pub(super) leaves: Vec<Vec<u8>>,
    /// Which of them have a record.
    pub(super) recorded: Vec<bool>,
    /// The log after them, signed.
    pub(super) note: String,
    /// Where its frame ends in the file.
    pub(super) offset: u64,
}

impl Batch {
    /// The size of the log after it.
    pub(super) fn end(&self) -> u64 {
        self.first + self.leaves.len() as u64
    }
}

/// The files in `dir/wal` by their first leaf.
pub(super) fn segments(dir: &Path) -> Result<BTreeMap<u64, PathBuf>> {
    let mut found = BTreeMap::new();
    let wal = dir.join("wal");
    if !wal.exists() {
        return Ok(found);
    }
    for file in std::fs::read_dir(&wal).context("cannot read wal/")? {
        let path = file?.path();
        if let Some(first) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()) {
            found.insert(first, path);
        }
    }
    Ok(found)
}

/// The whole batches at the beginning of a file.
pub(super) fn batches(path: &Path) -> Result<Vec<Batch>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut found, mut offset) = (Vec::new(), 0);
    while let Some(mut batch) = bytes.get(offset..).and_then(frame).and_then(batch) {
        let length = bytes.get(offset..offset + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
        offset += HEADER_BYTES + usize::try_from(length.map_or(0, u32::from_le_bytes))?;
        batch.offset = offset as u64;
        found.push(batch);
    }
    Ok(found)
}

/// Every whole batch below `dir`, in order.
pub(super) fn all(dir: &Path) -> Result<Vec<Batch>> {
    let files: Vec<_> = segments(dir)?.into_values().map(|path| batches(&path)).collect::<Result<_>>()?;
    Ok(files.into_iter().flatten().collect())
}

/// The frame that these bytes begin with, if it is whole.
fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let frame = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    (!frame.is_empty() && crc32c::crc32c(frame) == u32::from_le_bytes(*checksum)).then_some(frame)
}

fn batch(frame: &[u8]) -> Option<Batch> {
    let (first, rest) = frame.split_first_chunk()?;
    let (count, mut rest) = rest.split_first_chunk()?;
    let (mut leaves, mut recorded) = (Vec::new(), Vec::new());
    for _ in 0..u32::from_be_bytes(*count) {
        let (_opens, after) = rest.split_first()?;
        let (length, after) = after.split_first_chunk()?;
        let (leaf, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        let (length, after) = after.split_first_chunk()?;
        let length = u32::from_be_bytes(*length);
        let (_record, after) =
            after.split_at_checked(if length == NONE { 0 } else { usize::try_from(length).ok()? })?;
        leaves.push(leaf.to_vec());
        recorded.push(length != NONE);
        rest = after;
    }
    let note = String::from_utf8(rest.to_vec()).ok()?;
    Some(Batch { first: u64::from_be_bytes(*first), leaves, recorded, note, offset: 0 })
}
