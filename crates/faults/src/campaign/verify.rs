//! Reads a log's folder as anybody can, and compares it leaf by leaf with what was said.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use comity_broker::ledger::log::Reader;
use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::proof::{consistency, inclusion, root, verify_consistency, verify_inclusion};
use comity_transparency::record::Record;
use comity_transparency::tile::{Resource, Tiles, WIDTH, unbundle};
use comity_transparency::tree::leaf_hash;
use comity_transparency::{Checkpoint, CheckpointNote};

use super::known::Known;
use super::wal::Batch;

/// The length that stands for an erased record.
const ERASED: u32 = u32::MAX;
/// Of what was proven before, one of so many is proven again.
const SAMPLE: u64 = 32;

/// A log as its files have it, every tile of which is the one that follows from the leaves.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) checkpoint: Checkpoint,
    pub(super) leaves: Vec<Vec<u8>>,
    /// Computed again.
    pub(super) tiles: Tiles,
}

/// Reads every tile and every bundle in `dir`.
///
/// # Errors
/// One of them is not what the checkpoint's root follows from.
pub(super) fn read(dir: &Path) -> Result<Read> {
    let note = std::fs::read_to_string(dir.join("checkpoint")).context("there is no checkpoint")?;
    let checkpoint = CheckpointNote::parse(&note)?.checkpoint().clone();
    let bundles = Resource::all(checkpoint.size).filter(|resource| matches!(resource, Resource::Entries { .. }));
    let (mut leaves, mut tiles) = (Vec::new(), Tiles::default());
    for bundle in bundles {
        let bytes = file(dir, bundle)?;
        let entries = unbundle(&bytes).with_context(|| format!("{bundle} breaks off"))?;
        leaves.extend(entries.into_iter().map(<[u8]>::to_vec));
    }
    leaves.iter().for_each(|leaf: &Vec<u8>| tiles.push(leaf_hash(leaf)));
    ensure!(tiles.size() == checkpoint.size, "there are {} leaves of {}", tiles.size(), checkpoint.size);
    ensure!(root(&tiles, checkpoint.size)? == checkpoint.root, "the root does not follow from the leaves");
    for resource in Resource::all(checkpoint.size) {
        if let Resource::Tile { level, index, width } = resource {
            let computed = tiles.tile(level, index).and_then(|tile| tile.to_bytes(width));
            ensure!(computed == Some(file(dir, resource)?), "{resource} does not follow from the leaves");
        }
    }
    Ok(Read { checkpoint, leaves, tiles })
}

fn file(dir: &Path, resource: Resource) -> Result<Vec<u8>> {
    std::fs::read(dir.join(resource.to_string())).with_context(|| format!("cannot read {resource}"))
}

impl Read {
    /// Compares it with what was said. Returns how many acknowledgements were looked for.
    ///
    /// # Errors
    /// One is not there, or a signature that got out cannot be reproduced.
    pub(super) fn holds(&self, known: &Known) -> Result<u64> {
        let Checkpoint { size, root: newest, .. } = self.checkpoint;
        ensure!(size >= known.out, "{size} leaves are left, and signatures over {} got out", known.out);
        for (index, leaf) in &known.leaves {
            let found = usize::try_from(*index).ok().and_then(|index| self.leaves.get(index));
            ensure!(found == Some(leaf), "the acknowledged leaf {index} is not there");
            // Those before were proven when this was looked at last, and the root of that time is looked at again.
            if *index >= known.looked || index % SAMPLE == 0 {
                let path = inclusion(&self.tiles, *index, size)?.unwrap_or_default();
                verify_inclusion(*index, size, leaf_hash(leaf), &path, newest)
                    .with_context(|| format!("the leaf {index} is not proven"))?;
            }
        }
        let mut before: Option<(u64, comity_types::Digest)> = None;
        for (at, signed) in known.roots.iter().filter(|(at, _)| **at >= known.looked || **at % SAMPLE == 0) {
            ensure!(root(&self.tiles, *at)? == *signed, "the signature over {at} leaves cannot be reproduced");
            if let Some((old, old_root)) = before {
                let path = consistency(&self.tiles, old, *at)?.unwrap_or_default();
                verify_consistency(old, *at, old_root, *signed, &path)
                    .with_context(|| format!("{old} and {at} leaves are not of one log"))?;
            }
            before = Some((*at, *signed));
        }
        self.waited(known)?;
        Ok(known.leaves.len() as u64)
    }

    /// What the log serves of its last two bundles is what it holds.
    ///
    /// # Errors
    /// It serves another leaf, or a path that proves none.
    pub(super) fn served(&self, reader: &Reader) -> Result<()> {
        let Checkpoint { size, root, .. } = self.checkpoint;
        let last = (size.max(1) - 1) / WIDTH;
        for bundle in last.saturating_sub(1)..=last {
            for (index, leaf) in (bundle * WIDTH..).zip(reader.bundle(bundle)?) {
                let held = usize::try_from(index).ok().and_then(|index| self.leaves.get(index));
                ensure!(held == Some(&leaf), "another leaf is served at {index}");
                if index % SAMPLE == 0 || index + 1 == size {
                    verify_inclusion(index, size, leaf_hash(&leaf), &reader.proof(index, size)?, root)
                        .with_context(|| format!("what is served does not prove the leaf {index}"))?;
                }
            }
        }
        Ok(())
    }

    /// Whoever was said to wait at a start has to be whoever had no outcome then.
    fn waited(&self, known: &Known) -> Result<()> {
        for (size, told) in &known.waiting {
            let mut waits = BTreeSet::new();
            for (index, leaf) in (0..*size).zip(&self.leaves) {
                match Leaf::from_bytes(leaf)?.kind {
                    Kind::Decision => drop(waits.insert(index)),
                    Kind::Outcome { decision } | Kind::Abort { decision } => drop(waits.remove(&decision)),
                }
            }
            let untold: Vec<_> = waits.iter().filter(|index| !told.contains(index)).collect();
            ensure!(untold.is_empty(), "at {size} leaves {untold:?} waited and were not told");
            ensure!(told.len() == waits.len(), "at {size} leaves {} waited, and {} were told", waits.len(), told.len());
        }
        Ok(())
    }

    /// What was whole in the write-ahead files has to be in the log.
    ///
    /// # Errors
    /// It is not, or an erased record is in them.
    pub(super) fn adopted(&self, batches: &[Batch], known: &Known) -> Result<()> {
        for batch in batches {
            let signed = known.verified(&batch.note)?.checkpoint().clone();
            ensure!(signed.size == batch.end(), "a batch that ends at {} is signed at {}", batch.end(), signed.size);
            ensure!(root(&self.tiles, batch.end()).ok() == Some(signed.root), "the batch at {} is gone", batch.first);
            let there = usize::try_from(batch.first).ok().and_then(|first| self.leaves.get(first..));
            let there = there.and_then(|leaves| leaves.get(..batch.leaves.len()));
            ensure!(there == Some(&batch.leaves[..]), "the batch at {} is another one", batch.first);
            for (index, recorded) in (batch.first..).zip(&batch.recorded) {
                ensure!(!recorded || !known.erased.contains(&index), "the erased record {index} is written ahead");
            }
        }
        Ok(())
    }

    /// Each record is the one that its leaf commits to, or has been erased.
    ///
    /// # Errors
    /// It is another, or has gone or come back.
    pub(super) fn records(&self, dir: &Path, known: &Known, from: u64) -> Result<()> {
        for bundle in from / WIDTH..self.checkpoint.size.div_ceil(WIDTH) {
            let entries = Resource::Entries { index: bundle, width: 256 }.to_string();
            let path = dir.join(entries.replace("tile/entries", "records"));
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let records = parse(&bytes).with_context(|| format!("{} breaks off", path.display()))?;
            let leaves = self.leaves.iter().skip(usize::try_from(bundle * WIDTH)?).take(usize::try_from(WIDTH)?);
            for (place, leaf) in leaves.enumerate() {
                let index = bundle * WIDTH + place as u64;
                match records.get(place).with_context(|| format!("the record {index} is missing"))? {
                    None => ensure!(known.erasing.contains(&index), "the record {index} is gone, and nobody erased it"),
                    Some(record) => {
                        ensure!(!known.erased.contains(&index), "the erased record {index} is back");
                        let committed = Leaf::from_bytes(leaf)?.record;
                        ensure!(Record::from_bytes(record)?.commitment() == committed, "the record {index} is another");
                    }
                }
            }
        }
        Ok(())
    }
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = u32::from_be_bytes(*length);
        let (record, rest) =
            rest.split_at_checked(if length == ERASED { 0 } else { usize::try_from(length).ok()? })?;
        records.push((length != ERASED).then_some(record));
        bytes = rest;
    }
    Some(records)
}
