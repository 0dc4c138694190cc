//! Many tasks that append, publish and erase, until the log fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use comity_broker::ledger::log::{DecisionLog, Entry, LogError, Placed};
use comity_runtime::clock::SystemClock;
use comity_transparency::leaf::{Epoch, Kind, Leaf};
use comity_transparency::record::{Field, Record, RecordKind};
use comity_types::{Clock as _, DecisionId, Digest};
use tokio::task::JoinSet;

use super::Args;
use crate::chance::Chance;
use crate::said::{self, Said, hex, say};

/// Longest value of an ordinary record, in bytes.
const ORDINARY_BYTES: u64 = 600;
/// Longest value of a large one: some of them fill a batch, so that several frames are written at once.
const LARGE_BYTES: u64 = 48 * 1024;

/// What the tasks share.
struct Load {
    log: DecisionLog,
    life: u64,
    /// How many entries were made.
    made: AtomicU64,
    /// Whether somebody was told that the log has failed.
    failed: AtomicBool,
}

/// Appends until the log fails; then nothing may be acknowledged any more.
pub(super) async fn run(log: DecisionLog, args: &Args) {
    let load = Load { log, life: args.life, made: AtomicU64::new(0), failed: AtomicBool::new(false) };
    let load = Arc::new(load);
    let mut tasks = JoinSet::new();
    for task in 0..args.tasks {
        let (load, chance) = (Arc::clone(&load), Chance::new(args.seed, task));
        tasks.spawn(async move { load.append_for_ever(chance).await });
    }
    let why = load.log.failed().await.to_string();
    load.failed.store(true, Ordering::SeqCst);
    while let Some(ended) = tasks.join_next().await {
        if ended.is_err() {
            say(&Said::Broken { why: "a task of the load has panicked".into() });
        }
    }
    let mut chance = Chance::new(args.seed, args.tasks);
    let late = [
        ("an append", load.append(Kind::Decision, &mut chance).await.is_ok()),
        ("a publication", load.log.flush().await.is_ok()),
        ("an erasure", load.log.erase(vec![0]).await.is_ok()),
    ];
    match late.iter().find(|(_, done)| *done) {
        Some((what, _)) => say(&Said::Broken { why: format!("{what} succeeded after the log had failed: {why}") }),
        None => say(&Said::Failed { why }),
    }
}

impl Load {
    async fn append_for_ever(&self, mut chance: Chance) {
        while self.turn(&mut chance).await.is_ok() {}
    }

    /// A decision, most times what became of it, and sometimes a publication or an erasure.
    async fn turn(&self, chance: &mut Chance) -> Result<(), LogError> {
        let decision = self.append(Kind::Decision, chance).await?;
        let mut newest = decision.index();
        if chance.percent(80) {
            newest = self.append(Kind::Outcome { decision: decision.index() }, chance).await?.index();
        }
        if chance.percent(6) {
            self.log.flush().await?;
            say(&Said::Published { note: self.log.reader().published().note.to_string() });
        }
        if chance.percent(3) {
            let index = chance.within(0..newest + 1);
            self.erase(vec![index]).await?;
        }
        // As the broker does it, at times across two bundles.
        if newest != decision.index() && chance.percent(3) {
            self.erase(vec![decision.index(), newest]).await?;
        }
        Ok(())
    }

    async fn erase(&self, indexes: Vec<u64>) -> Result<(), LogError> {
        indexes.iter().for_each(|index| say(&Said::Erasing { index: *index }));
        self.log.erase(indexes.clone()).await?;
        indexes.iter().for_each(|index| say(&Said::Erased { index: *index }));
        Ok(())
    }

    async fn append(&self, kind: Kind, chance: &mut Chance) -> Result<Placed, LogError> {
        let entry = self.entry(kind, chance);
        let also = match kind {
            Kind::Decision => None,
            Kind::Outcome { decision } | Kind::Abort { decision } => Some(decision),
        };
        let too_late = self.failed.load(Ordering::SeqCst);
        let leaf = hex(&entry.leaf);
        let placed = self.log.append(entry, also).await?;
        if too_late {
            say(&Said::Broken { why: "an append succeeded after the log had failed".into() });
        }
        say(&Said::Placed(Box::new(said::Placed {
            leaf,
            index: placed.index(),
            path: placed.path().to_vec(),
            also: also.map(|index| (index, placed.also().to_vec())),
            note: placed.checkpoint().to_owned(),
        })));
        Ok(placed)
    }

    fn entry(&self, kind: Kind, chance: &mut Chance) -> Entry {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 16];
        let (life, in_it) = id.split_at_mut(8);
        life.copy_from_slice(&self.life.to_be_bytes());
        in_it.copy_from_slice(&number.to_be_bytes());
        let longest = if chance.percent(3) { LARGE_BYTES } else { ORDINARY_BYTES };
        let value = |chance: &mut Chance| {
            let count = chance.within(0..longest);
            chance.bytes(count)
        };
        let salt = Digest::of(&chance.next().to_be_bytes());
        let (record_kind, fields) = match kind {
            Kind::Decision => (RecordKind::Decision, [Field::ENVELOPE, Field::ELIGIBLE, Field::REFUSED]),
            Kind::Outcome { .. } | Kind::Abort { .. } => {
                (RecordKind::Outcome, [Field::TRIES, Field::NODE_OUTCOME, Field::USAGE])
            }
        };
        let record = Record::new(record_kind, *salt.as_bytes());
        // None of them is too long.
        let record = fields
            .into_iter()
            .fold(record, |record, field| record.clone().with(field, value(chance)).unwrap_or(record));
        let leaf = Leaf {
            kind,
            at: SystemClock.now(),
            decision: DecisionId::from_bytes(id),
            epoch: Epoch { size: 1, root: Digest::of(b"a fault campaign") },
            engine: 1,
            record: record.commitment(),
        };
        Entry { leaf: leaf.to_bytes(), record: Some(record.to_bytes()), opens: kind == Kind::Decision }
    }
}
