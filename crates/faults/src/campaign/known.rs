//! What victims have said of a log: from then on it has to be so.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use comity_transparency::proof::verify_inclusion;
use comity_transparency::tree::leaf_hash;
use comity_transparency::{Checkpoint, CheckpointNote, LogKey, Verifier};
use comity_types::Digest;

use super::life::Life;
use crate::said::{Placed, Said, unhex};
use crate::victim::ORIGIN;

/// What is known of a log from outside.
#[derive(Debug)]
pub(super) struct Known {
    verifiers: [Verifier; 2],
    /// The roots of all signatures that got out, by their sizes.
    pub(super) roots: BTreeMap<u64, Digest>,
    /// Every leaf that was acknowledged.
    pub(super) leaves: BTreeMap<u64, Vec<u8>>,
    /// Records that may have been erased.
    pub(super) erasing: BTreeSet<u64>,
    /// Records that have been.
    pub(super) erased: BTreeSet<u64>,
    /// The largest size of a signature that got out.
    pub(super) out: u64,
    /// The largest of those that were looked for in what was recovered.
    pub(super) looked: u64,
    /// Who waited at each start, by the size that it was published at: since the last look.
    pub(super) waiting: Vec<(u64, Vec<u64>)>,
    /// The note that was verified last: a batch has one for many acknowledgements.
    newest: (String, Option<Checkpoint>),
}

/// What a life may end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    /// A kill.
    BeKilled,
    /// A disk that has failed.
    Fail,
}

impl Known {
    pub(super) fn new(key: &LogKey) -> Self {
        Self {
            verifiers: key.verifiers().clone(),
            roots: BTreeMap::new(),
            leaves: BTreeMap::new(),
            erasing: BTreeSet::new(),
            erased: BTreeSet::new(),
            out: 0,
            looked: 0,
            waiting: Vec::new(),
            newest: (String::new(), None),
        }
    }

    /// Takes in what a victim said. Returns how many acknowledgements there were.
    ///
    /// # Errors
    /// Something of it contradicts what was said before, or what must be.
    pub(super) fn learn(&mut self, life: &Life, may: May) -> Result<u64> {
        let (mut placed, mut ended) = (0, false);
        for said in &life.said {
            ensure!(!ended, "something was said after the end: {said:?}");
            match said {
                Said::Opened { note, open } => {
                    let known_before = self.out;
                    let size = self.published(note)?.size;
                    ensure!(
                        size >= known_before,
                        "a start publishes {size} leaves where signatures over {known_before} got out"
                    );
                    self.waiting.push((size, open.clone()));
                }
                Said::Placed(acknowledged) => {
                    self.placed(acknowledged)?;
                    placed += 1;
                }
                Said::Erasing { index } => drop(self.erasing.insert(*index)),
                Said::Erased { index } => drop(self.erased.insert(*index)),
                Said::Published { note } => drop(self.published(note)?),
                Said::Refused { damaged, why } => {
                    ensure!(!damaged, "a start refuses what is not damaged: {why}");
                    ensure!(may == May::Fail, "a start refuses: {why}");
                    ended = true;
                }
                Said::Failed { why } => {
                    ensure!(may == May::Fail, "the log failed without a reason: {why}");
                    ended = true;
                }
                Said::Broken { why } => anyhow::bail!("{why}"),
            }
        }
        ensure!(life.killed || ended, "a victim ended and did not say why");
        Ok(placed)
    }

    /// A signature that got out: it has to be the log's, and the only one of its size.
    pub(super) fn signed(&mut self, note: &str) -> Result<Checkpoint> {
        if let (known, Some(checkpoint)) = &self.newest
            && known == note
        {
            return Ok(checkpoint.clone());
        }
        let parsed = self.verified(note)?;
        let checkpoint = parsed.checkpoint().clone();
        let known = *self.roots.entry(checkpoint.size).or_insert(checkpoint.root);
        ensure!(
            known == checkpoint.root,
            "a fork: two roots of {} leaves, {known} and {}",
            checkpoint.size,
            checkpoint.root
        );
        self.out = self.out.max(checkpoint.size);
        self.newest = (note.to_owned(), Some(checkpoint.clone()));
        Ok(checkpoint)
    }

    /// The same of one that is published, which has both signatures; but for that of the empty log, which is of no file.
    fn published(&mut self, note: &str) -> Result<Checkpoint> {
        let parsed = self.verified(note)?;
        let [_, post_quantum] = &self.verifiers;
        let both = parsed.signed_by(post_quantum)?.is_some() || parsed.checkpoint().size == 0;
        ensure!(both, "a published checkpoint is not signed by ML-DSA-44");
        self.signed(note)
    }

    /// A note with the log's signature.
    pub(super) fn verified(&self, note: &str) -> Result<CheckpointNote> {
        let parsed = CheckpointNote::parse(note)?;
        let [plain, _] = &self.verifiers;
        ensure!(parsed.signed_by(plain)?.is_some(), "a checkpoint is not signed by the log");
        ensure!(parsed.checkpoint().origin == ORIGIN, "a checkpoint is of another log");
        Ok(parsed)
    }

    fn placed(&mut self, placed: &Placed) -> Result<()> {
        let Placed { leaf, index, path, also, note } = placed;
        let checkpoint = self.signed(note)?;
        let leaf = unhex(leaf).context("a leaf that is none")?;
        verify_inclusion(*index, checkpoint.size, leaf_hash(&leaf), path, checkpoint.root)
            .with_context(|| format!("the leaf {index} is not proven"))?;
        if let Some((decision, path)) = also {
            let of = self.leaves.get(decision).context("an outcome of a decision that nobody has placed")?;
            verify_inclusion(*decision, checkpoint.size, leaf_hash(of), path, checkpoint.root)
                .with_context(|| format!("the decision {decision} is not proven beside its outcome"))?;
        }
        let known = self.leaves.entry(*index).or_insert_with(|| leaf.clone());
        ensure!(*known == leaf, "a fork: two leaves have the index {index}");
        Ok(())
    }
}
