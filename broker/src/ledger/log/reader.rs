//! Reads what is published: files as others read them, leaves, records, and proofs of any of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::proof::{Nodes, consistency, inclusion, prefix};
use comity_transparency::tile::{NotAtHand, Resource, Tile, Tiles, WIDTH, unbundle};
use comity_types::{DecisionId, Digest};
use tokio::sync::watch;

use super::store::{Store, width};
use super::{LogError, Published};

/// Reads a log's files. Calls block on the disk.
#[derive(Debug, Clone)]
pub struct Reader {
    store: Store,
    published: watch::Receiver<Published>,
    cosigned: watch::Receiver<Option<Published>>,
}

impl Reader {
    pub(super) fn new(
        dir: &Path,
        published: watch::Receiver<Published>,
        cosigned: watch::Receiver<Option<Published>>,
    ) -> Self {
        Self { store: Store::new(dir), published, cosigned }
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
        consistency(&self.with(&Tiles::default()), old, new)
    }

    /// What the tree of `new` leaves, which is published, begins with ([`prefix`]); none if there is none.
    ///
    /// # Errors
    /// A tile cannot be read.
    pub fn prefix(&self, old: u64, new: u64) -> Result<Option<Vec<Digest>>, LogError> {
        if new > self.published().checkpoint.size {
            return Ok(None);
        }
        prefix(&self.with(&Tiles::default()), old, new)
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

    /// Proves the leaf `index` in the tree of `size` leaves, which is published.
    ///
    /// # Errors
    /// A tile cannot be read.
    pub fn proof(&self, index: u64, size: u64) -> Result<Vec<Digest>, LogError> {
        Ok(inclusion(&self.with(&Tiles::default()), index, size)?.unwrap_or_default())
    }

    /// Hashes from `tiles`, and from the disk where they are not at hand there.
    pub(super) fn with<'a>(&'a self, tiles: &'a Tiles) -> FromTiles<'a> {
        let size = self.published.borrow().checkpoint.size;
        FromTiles::new(tiles, &self.store, size)
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

/// Hashes from tiles, each of which is read once from the disk at most.
pub(super) struct FromTiles<'a> {
    tiles: &'a Tiles,
    store: &'a Store,
    size: u64,
    cache: RefCell<HashMap<(u8, u64), Arc<Tiles>>>,
}

impl<'a> FromTiles<'a> {
    /// From `tiles`, and from the files of a log of `size` leaves.
    pub(super) fn new(tiles: &'a Tiles, store: &'a Store, size: u64) -> Self {
        Self { tiles, store, size, cache: RefCell::default() }
    }
}

impl Nodes for FromTiles<'_> {
    type Error = LogError;

    fn node(&self, height: u32, index: u64) -> Result<Digest, LogError> {
        if let Ok(node) = self.tiles.node(height, index) {
            return Ok(node);
        }
        let level = u8::try_from(height / 8).unwrap_or(u8::MAX);
        let tile = index >> (8 - height % 8);
        let resource = Resource::Tile { level, index: tile, width: 256 };
        let damaged = |problem: &str| LogError::Damaged { path: self.store.path(resource), problem: problem.into() };
        let cached = self.cache.borrow().get(&(level, tile)).cloned();
        let tiles = match cached {
            Some(tiles) => tiles,
            None => {
                let bytes = self.store.resource(resource, self.size)?;
                let read = bytes.and_then(|bytes| Tile::from_bytes(&bytes)).ok_or_else(|| damaged("it is no tile"))?;
                let mut tiles = Tiles::at(self.size);
                tiles.put(level, tile, read);
                let tiles = Arc::new(tiles);
                self.cache.borrow_mut().insert((level, tile), Arc::clone(&tiles));
                tiles
            }
        };
        tiles.node(height, index).map_err(|NotAtHand { .. }| damaged("it is shorter than the log"))
    }
}
