//! Where a leaf is, and that it is durable: [`Placed`] is made of a [`Pending`] and of the disk's word ([`Durable`]) alone, so
//! that no signature can leave before its sync.

use std::sync::Arc;

use comity_types::Digest;

use super::wal::Durable;

/// Where a leaf will be, and the proof of it: not durable yet, and nobody can read it before it is.
#[derive(Debug)]
pub(super) struct Pending(Placed);

impl Pending {
    /// What is proven of a leaf by a checkpoint that is not written yet.
    pub(super) const fn new(index: u64, path: Vec<Digest>, also: Vec<Digest>, checkpoint: Arc<str>) -> Self {
        Self(Placed { index, path, also, checkpoint })
    }

    /// All that became durable by one sync, whose word is spent with it.
    pub(super) fn durable(all: Vec<Self>, _synced: Durable) -> impl Iterator<Item = Placed> {
        all.into_iter().map(|Self(placed)| placed)
    }
}

/// Where a leaf is, and the proof of it: durable.
#[derive(Debug, Clone)]
pub struct Placed {
    index: u64,
    path: Vec<Digest>,
    also: Vec<Digest>,
    checkpoint: Arc<str>,
}

impl Placed {
    /// Of a leaf that is nowhere: with a checkpoint that nobody takes for one.
    #[cfg(any(test, feature = "bench-unlogged"))]
    pub(in crate::ledger) fn nowhere() -> Self {
        Self { index: 0, path: Vec::new(), also: Vec::new(), checkpoint: Arc::from("") }
    }

    /// Its index.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// From its sibling up to the checkpoint's root.
    #[must_use]
    pub fn path(&self) -> &[Digest] {
        &self.path
    }

    /// The same of another leaf that was asked for, in the same tree; empty where none was.
    #[must_use]
    pub fn also(&self) -> &[Digest] {
        &self.also
    }

    /// The checkpoint that the batch ended with, signed.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }
}
