//! Reads what is published: files as others read them, leaves, records, and proofs of any of them. A tile that is not what
//! the root follows from ends the log: it would make false proofs, of which witnesses keep a doubt.

use std::path::Path;

use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::proof::{Nodes as _, consistency, inclusion, prefix};
use comity_transparency::tile::{Resource, Tiles, WIDTH, unbundle};
use comity_transparency::tree::leaf_hash;
use comity_types::{DecisionId, Digest};
use tokio::sync::watch;

use super::from_tiles::FromTiles;
use super::store::{Store, width};
use super::{Failure, LogError, Published};

/// Reads a log's files. Calls block on the disk.
#[derive(Debug, Clone)]
pub struct Reader {
    store: Store,
    published: watch::Receiver<Published>,
    cosigned: watch::Receiver<Option<Published>>,
    failure: Failure,
}

impl Reader {
    pub(super) fn new(
        dir: &Path,
        published: watch::Receiver<Published>,
        cosigned: watch::Receiver<Option<Published>>,
        failure: Failure,
    ) -> Self {
        Self { store: Store::new(dir), published, cosigned, failure }
    }

    /// The log as it is published.
    #[must_use]
    pub fn published(&self) -> Published {
        self.published.borrow().clone()
    }

    /// The newest checkpoint that enough witnesses have cosigned, if there is one.
    #[must_use]
    pub fn cosigned(&self) -> Option<Published> {
        self.cosigned.borrow().clone()
    }

    /// What proves these leaves best: a cosigned checkpoint, where it covers them, or what is published.
    #[must_use]
    pub fn covering(&self, leaves: impl IntoIterator<Item = u64>) -> Published {
        let last = leaves.into_iter().max();
        let covers = |cosigned: &Published| last.is_none_or(|last| last < cosigned.checkpoint.size);
        self.cosigned().filter(covers).unwrap_or_else(|| self.published())
    }

    /// The way from the tree of `old` leaves to that of `new`, which is published; none if there is none.
    ///
    /// # Errors
    /// A tile cannot be read.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Option<Vec<Digest>>, LogError> {
        if new > self.published().checkpoint.size {
            return Ok(None);
        }
        self.proven(|hashes| consistency(hashes, old, new))
    }

    /// What the tree of `new` leaves, which is published, begins with ([`prefix`]); none if there is none.
    ///
    /// # Errors
    /// A tile cannot be read.
    pub fn prefix(&self, old: u64, new: u64) -> Result<Option<Vec<Digest>>, LogError> {
        if new > self.published().checkpoint.size {
            return Ok(None);
        }
        self.proven(|hashes| prefix(hashes, old, new))
    }

    /// A file of the log, as the specification names it; none where the published log has no such file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn resource(&self, resource: Resource) -> Result<Option<Vec<u8>>, LogError> {
        let published = self.published();
        let size = published.checkpoint.size;
        let (asked, has) = match resource {
            Resource::Checkpoint => {
                let cosigned = self.cosigned().filter(|cosigned| cosigned.checkpoint.size == size);
                return Ok(Some(cosigned.unwrap_or(published).note.as_bytes().to_vec()));
            }
            Resource::Tile { level, index, width: asked } => (asked, width(size, level, index)),
            Resource::Entries { index, width: asked } => (asked, width(size, 0, index)),
        };
        if asked > has {
            return Ok(None);
        }
        let bytes = self.store.resource(resource, size)?;
        Ok(bytes.and_then(|bytes| match resource {
            Resource::Tile { .. } => bytes.get(..usize::from(asked) * 32).map(<[u8]>::to_vec),
            Resource::Entries { .. } => {
                comity_transparency::tile::bundle(unbundle(&bytes)?.into_iter().take(asked.into()))
            }
            Resource::Checkpoint => None,
        }))
    }

    /// The leaves of a bundle that are published.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let size = self.published().checkpoint.size;
        let bytes = self.store.resource(Resource::Entries { index, width: 256 }, size)?.unwrap_or_default();
        let leaves = unbundle(&bytes).unwrap_or_default().into_iter().take(width(size, 0, index).into());
        Ok(leaves.map(<[u8]>::to_vec).collect())
    }

    /// The records of a bundle: each is there, or has been erased.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn records(&self, bundle: u64) -> Result<Vec<Option<Vec<u8>>>, LogError> {
        self.store.records(bundle)
    }

    /// Proves the leaf `index` in the tree of `size` leaves, which is published; of another there is no way.
    ///
    /// # Errors
    /// A tile cannot be read.
    pub fn proof(&self, index: u64, size: u64) -> Result<Vec<Digest>, LogError> {
        if size > self.published().checkpoint.size {
            return Ok(Vec::new());
        }
        Ok(self.proven(|hashes| inclusion(hashes, index, size))?.unwrap_or_default())
    }

    /// Reads a full tile or a full bundle, which has to be what the root follows from.
    ///
    /// # Errors
    /// It cannot be read, or is another, by which the log has ended.
    pub(super) fn examine(&self, resource: Resource) -> Result<(), LogError> {
        self.proven(|hashes| match resource {
            Resource::Tile { level, index, .. } => hashes.load(level, index),
            Resource::Entries { index, .. } => self.examine_bundle(hashes, index),
            Resource::Checkpoint => Ok(()),
        })
    }

    fn examine_bundle(&self, hashes: &FromTiles<'_>, index: u64) -> Result<(), LogError> {
        let resource = Resource::Entries { index, width: 256 };
        let damaged = |problem: &str| LogError::Damaged { path: self.store.path(resource), problem: problem.into() };
        let bytes = Store::read(&self.store.path(resource))?.ok_or_else(|| damaged("it is missing"))?;
        let leaves = unbundle(&bytes).ok_or_else(|| damaged("it breaks off"))?;
        if leaves.len() as u64 != WIDTH {
            return Err(damaged("it has another number of entries"));
        }
        for (leaf, bytes) in (index * WIDTH..).zip(leaves) {
            if hashes.node(0, leaf)? != leaf_hash(bytes) {
                return Err(damaged(&format!("its entry {} is not that of the tile", leaf % WIDTH)));
            }
        }
        Ok(())
    }

    /// What follows from the tiles of what is published, as it stands on the disk. Read again where the log was published
    /// again meanwhile, with which parts of tiles go; damage that stays ends the log.
    fn proven<T>(&self, of: impl Fn(&FromTiles<'_>) -> Result<T, LogError>) -> Result<T, LogError> {
        loop {
            let (seen, none) = (self.published().checkpoint, Tiles::default());
            match of(&FromTiles::new(&none, &self.store, seen.size, seen.root)) {
                Err(LogError::Damaged { .. }) if self.published().checkpoint.size != seen.size => {}
                Err(error @ LogError::Damaged { .. }) => {
                    self.failure.set(&comity_runtime::chain::text(&error));
                    return Err(error);
                }
                done => return done,
            }
        }
    }

    /// Hashes from `tiles`, and from the disk where they are not at hand there.
    pub(super) fn with<'a>(&'a self, tiles: &'a Tiles) -> FromTiles<'a> {
        let published = self.published.borrow();
        FromTiles::new(tiles, &self.store, published.checkpoint.size, published.checkpoint.root)
    }

    /// The newest leaves of a decision: its own, and its outcome's where there is one. Reads bundles from the newest on.
    ///
    /// # Errors
    /// A bundle cannot be read.
    pub fn find(&self, decision: DecisionId) -> Result<Option<FoundDecision>, LogError> {
        let size = self.published().checkpoint.size;
        let mut outcome = None;
        for bundle in (0..size.div_ceil(WIDTH)).rev() {
            for (place, bytes) in self.bundle(bundle)?.iter().enumerate().rev() {
                let index = bundle * WIDTH + place as u64;
                let Some(leaf) = Leaf::from_bytes(bytes).ok().filter(|leaf| leaf.decision == decision) else {
                    continue;
                };
                match leaf.kind {
                    Kind::Decision => {
                        return Ok(Some(FoundDecision { decision: index, outcome }));
                    }
                    Kind::Outcome { .. } | Kind::Abort { .. } => outcome = Some(index),
                }
            }
        }
        Ok(None)
    }
}

/// Where a decision is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundDecision {
    /// The index of its leaf.
    pub decision: u64,
    /// The index of its outcome's.
    pub outcome: Option<u64>,
}
