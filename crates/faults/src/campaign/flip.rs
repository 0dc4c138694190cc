//! One bit is another: a start has to notice what its root follows from, and whoever verifies notices the rest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use comity_broker::ledger::log::{DecisionLog, LogError};
use comity_runtime::clock::SystemClock;
use comity_transparency::proof::root;
use comity_transparency::tile::{Resource, WIDTH};

use super::known::Known;
use super::table::Row;
use super::verify::{self, Read};
use super::{files, power, wal};
use crate::chance::Chance;
use crate::victim;

/// Bits that are flipped in one copy, one after another.
const FLIPS: u64 = 12;
/// How many of those that a start does not notice are started from, which costs more.
const STARTS: u64 = 3;

/// What a start has to say of a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    /// That it is damaged.
    Refuse,
    /// Anything: nothing rests on it, or on bits that may not have been acknowledged.
    Either,
    /// Anything; a reader who verifies sees it.
    BeSeen,
}

/// A folder that may be harmed, and what is right.
pub(super) struct Flips<'a> {
    /// A copy of the log as it was left.
    pub(super) harmed: &'a Path,
    /// Where another copy may be made.
    pub(super) spare: &'a Path,
    pub(super) keys: &'a Path,
    /// The log as it should be.
    pub(super) right: &'a Read,
    pub(super) known: &'a Known,
}

impl Flips<'_> {
    /// Flips bits, and counts what came of each.
    ///
    /// # Errors
    /// A start took up what it must not, or changed what it refused.
    pub(super) fn run(&self, chance: &mut Chance, row: &mut Row) -> Result<()> {
        let size = power::published(self.harmed)?;
        let mut starts = 0;
        for _ in 0..FLIPS {
            let Some((path, bit)) = self.pick(chance, size)? else { return Ok(()) };
            let must = self.must(&path, bit, size)?;
            let name = path.strip_prefix(self.harmed)?.display().to_string();
            let whole = std::fs::read(&path)?;
            let mut bytes = whole.clone();
            if let Some(byte) = bytes.get_mut(usize::try_from(bit / 8)?) {
                *byte ^= 1 << (bit % 8);
            }
            std::fs::write(&path, &bytes)?;
            row.rounds += 1;
            let flipped = || format!("bit {bit} of {name}, of a log of {size} published leaves");
            match DecisionLog::check(self.harmed, &victim::key(self.keys)?) {
                Err(LogError::Damaged { .. }) => {
                    row.refusals += 1;
                    self.refuses(chance).with_context(flipped)?;
                }
                Err(error) => anyhow::bail!("{}: {error}", flipped()),
                Ok(()) => {
                    ensure!(must != Must::Refuse, "a start does not notice {}", flipped());
                    starts += 1;
                    if starts > STARTS {
                        row.rounds -= 1;
                    } else if self.starts().with_context(flipped)? {
                        row.recoveries += 1;
                    } else {
                        ensure!(must == Must::BeSeen, "a start makes another log of {}", flipped());
                        row.seen_by_readers += 1;
                    }
                }
            }
            std::fs::write(&path, whole)?;
        }
        Ok(())
    }

    /// A bit of a file of any kind. Parts of smaller sizes are left alone: they are most of the files, and no start rests on
    /// them.
    fn pick(&self, chance: &mut Chance, size: u64) -> Result<Option<(PathBuf, u64)>> {
        let all: Vec<(PathBuf, u64)> = files::below(self.harmed)?
            .into_iter()
            .filter(|path| !path.strip_prefix(self.harmed).is_ok_and(|name| power::is_older_part(name, size)))
            .map(|path| Ok((path.clone(), path.metadata()?.len() * 8)))
            .collect::<Result<_>>()?;
        let kinds = ["checkpoint", "open", "wal", "tile", "tile/entries", "records"];
        let kind = chance.one(&kinds).copied().unwrap_or_default();
        let of_kind: Vec<_> = all.iter().filter(|(path, bits)| *bits > 0 && is_of(self.harmed, path, kind)).collect();
        Ok(chance.one(&of_kind).map(|(path, bits)| (path.clone(), chance.within(0..*bits))))
    }

    /// What a start has to say, by what the documentation says that it reads.
    fn must(&self, path: &Path, bit: u64, size: u64) -> Result<Must> {
        let name = path.strip_prefix(self.harmed)?.to_string_lossy().into_owned();
        if name == "checkpoint" || name == format!("open/{size}") {
            return Ok(Must::Refuse);
        }
        if is_of(self.harmed, path, "wal") {
            let batches = wal::batches(path)?;
            let in_one = batches.iter().find(|batch| bit / 8 < batch.offset);
            // The last one may be what no sync has ended with, but it is whole, so that it may have been acknowledged.
            return Ok(if in_one.is_some_and(|batch| batch.end() > size) { Must::Refuse } else { Must::Either });
        }
        if is_of(self.harmed, path, "records") {
            return Ok(Must::BeSeen);
        }
        let all: Vec<Resource> = Resource::all(size).collect();
        Ok(match Resource::parse(&name).filter(|resource| all.contains(resource)) {
            None => Must::Either,
            Some(Resource::Entries { width: 256, .. }) => Must::BeSeen,
            Some(Resource::Tile { level, index, .. }) => {
                let hashes = size >> (8 * u32::from(level));
                if index + 1 >= (hashes - 1) / WIDTH { Must::Refuse } else { Must::BeSeen }
            }
            Some(Resource::Entries { .. } | Resource::Checkpoint) => Must::Refuse,
        })
    }

    /// A start that refuses changes nothing and signs nothing.
    fn refuses(&self, chance: &mut Chance) -> Result<()> {
        if !chance.percent(20) {
            return Ok(());
        }
        let before = files::digests(self.harmed)?;
        let opened = DecisionLog::open(self.harmed, victim::key(self.keys)?, Arc::new(SystemClock));
        ensure!(matches!(opened, Err(LogError::Damaged { .. })), "what a check refuses, a start does not");
        drop(opened);
        ensure!(files::digests(self.harmed)? == before, "a start changed what it refused");
        Ok(())
    }

    /// Whether a start from it leaves a log that holds in all of its parts. Its root holds in any case.
    fn starts(&self) -> Result<bool> {
        files::replace(self.harmed, self.spare)?;
        let opened = DecisionLog::open(self.spare, victim::key(self.keys)?, Arc::new(SystemClock));
        let (log, _) = opened.context("what a check does not refuse, a start does")?;
        let checkpoint = log.reader().published().checkpoint;
        drop(log);
        ensure!(root(&self.right.tiles, checkpoint.size)? == checkpoint.root, "a fork at {} leaves", checkpoint.size);
        ensure!(checkpoint.size >= self.known.out, "{} leaves are left of {}", checkpoint.size, self.known.out);
        let read = verify::read(self.spare);
        Ok(read.is_ok_and(|read| read.holds(self.known).is_ok() && read.records(self.spare, self.known, 0).is_ok()))
    }
}

fn is_of(dir: &Path, path: &Path, kind: &str) -> bool {
    let Ok(name) = path.strip_prefix(dir) else { return false };
    match kind {
        "tile" => name.starts_with("tile") && !name.starts_with("tile/entries"),
        _ => name.starts_with(kind),
    }
}
