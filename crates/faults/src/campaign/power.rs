//! A power cut: what no sync has made durable may be there, in part, or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use comity_transparency::CheckpointNote;
use comity_transparency::tile::{Resource, WIDTH};

use super::{files, wal};
use crate::chance::Chance;

/// Longest garbage, in bytes: some pages.
const GARBAGE_BYTES: u64 = 16 * 1024;

/// Up to where each write-ahead file is durable, by its first leaf: what was synced when somebody was told of it.
#[derive(Debug, Default)]
pub(super) struct Durable(BTreeMap<u64, u64>);

impl Durable {
    /// After a life: what it wrote is durable up to the last batch that somebody was told of, `out`, or that is published.
    /// What earlier lives left without a sync is no more durable than it was.
    pub(super) fn after(&mut self, dir: &Path, out: u64) -> Result<()> {
        let told = out.max(published(dir)?);
        let segments = wal::segments(dir)?;
        self.0.retain(|first, _| segments.contains_key(first));
        for (first, path) in &segments {
            let batches = wal::batches(path)?;
            // One without a whole batch is made anew by the next life.
            if self.0.contains_key(first) || batches.is_empty() {
                continue;
            }
            // The sequencer goes on to another file when all of this one is durable.
            let is_left = segments.range(first + 1..).next().is_some();
            let durable = batches.iter().filter(|batch| is_left || batch.end() <= told).map(|batch| batch.offset).max();
            self.0.insert(*first, durable.unwrap_or(0));
        }
        Ok(())
    }

    /// Cuts every write-ahead file somewhere behind what is durable, and takes files away, or part of them, that the
    /// checkpoint does not cover.
    pub(super) fn cut(&mut self, dir: &Path, chance: &mut Chance) -> Result<()> {
        for (first, path) in wal::segments(dir)? {
            if chance.percent(80) {
                let bytes = std::fs::read(&path)?;
                let at = chance.within(self.floor(first)..bytes.len() as u64 + 1);
                std::fs::write(&path, bytes.get(..usize::try_from(at)?).unwrap_or(&bytes))?;
            }
            if wal::batches(&path)?.is_empty() {
                self.0.remove(&first);
            }
        }
        let size = published(dir)?;
        let mut covered: Vec<_> = Resource::all(size).map(|resource| dir.join(resource.to_string())).collect();
        covered.push(dir.join("open").join(size.to_string()));
        for path in files::below(dir)? {
            let name = path.strip_prefix(dir)?;
            let is_public = name.starts_with("tile")
                || name.starts_with("open")
                || path.extension().is_some_and(|ends| ends == "new");
            let is_kept = covered.contains(&path) || is_older_part(name, size);
            if is_public && !is_kept && chance.percent(70) {
                harm(&path, chance)?;
            }
        }
        Ok(())
    }

    /// The same, but with zeros or other bytes where something was to be written. Returns whether any file was harmed.
    pub(super) fn spoil(&self, dir: &Path, chance: &mut Chance) -> Result<bool> {
        let mut spoiled = false;
        for (first, path) in wal::segments(dir)? {
            let mut bytes = std::fs::read(&path)?;
            let at = chance.within(self.floor(first)..bytes.len() as u64 + 1);
            let count = chance.within(1..GARBAGE_BYTES);
            bytes.truncate(usize::try_from(at)?);
            let zeros = chance.percent(50);
            bytes.extend(if zeros { vec![0; usize::try_from(count)?] } else { chance.bytes(count) });
            std::fs::write(&path, bytes)?;
            spoiled = true;
        }
        Ok(spoiled)
    }

    fn floor(&self, first: u64) -> u64 {
        self.0.get(&first).copied().unwrap_or(0)
    }
}

/// Whether this file is a part of a tile or a bundle that has more in a log of `size` leaves: of a smaller size that was
/// published, on which no start rests.
pub(super) fn is_older_part(name: &Path, size: u64) -> bool {
    let (level, index, width) = match name.to_str().and_then(Resource::parse) {
        Some(Resource::Tile { level, index, width }) => (level, index, width),
        Some(Resource::Entries { index, width }) => (0, index, width),
        Some(Resource::Checkpoint) | None => return false,
    };
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or_default();
    u64::from(width) < hashes.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH)
}

/// Leaves files beside the log's, as a write leaves them that did not end.
pub(super) fn tear(dir: &Path, chance: &mut Chance) -> Result<()> {
    let all = files::below(dir)?;
    for _ in 0..3 {
        if let Some(path) = chance.one(&all) {
            let count = chance.within(0..2_000);
            std::fs::write(path.with_extension("new"), chance.bytes(count))?;
        }
    }
    Ok(())
}

/// How many leaves the checkpoint in `dir` covers.
pub(super) fn published(dir: &Path) -> Result<u64> {
    match std::fs::read_to_string(dir.join("checkpoint")) {
        Ok(note) => Ok(CheckpointNote::parse(&note)?.checkpoint().size),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).context("cannot read the checkpoint"),
    }
}

fn harm(path: &Path, chance: &mut Chance) -> Result<()> {
    let bytes = std::fs::read(path)?;
    let kept = chance.within(0..bytes.len() as u64 + 1);
    match chance.within(0..4) {
        0 => std::fs::remove_file(path)?,
        1 => std::fs::write(path, b"")?,
        2 => std::fs::write(path, bytes.get(..usize::try_from(kept)?).unwrap_or_default())?,
        _ => std::fs::write(path, chance.bytes(kept))?,
    }
    Ok(())
}
