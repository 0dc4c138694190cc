//! Hashes from tiles on the disk. What is read there is held against what stands above it, up to the root that was signed: a
//! bit that a disk has lost makes no false proof.

use std::cell::RefCell;

use comity_transparency::proof::{Nodes, root};
use comity_transparency::tile::{Resource, Tile, Tiles, WIDTH};
use comity_types::Digest;

use super::LogError;
use super::store::{Store, width};

/// Levels of tiles that 2^64 leaves need.
const LEVELS: u8 = 8;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// The hashes of a published log: from tiles that are at hand, or else from the disk, where each tile is read once at most.
pub(super) struct FromTiles<'a> {
    at_hand: &'a Tiles,
    store: &'a Store,
    size: u64,
    root: Digest,
    /// What was read, and holds.
    read: RefCell<Tiles>,
}

impl<'a> FromTiles<'a> {
    /// From `at_hand`, which nobody doubts, and from the files of a log of `size` leaves with this root.
    pub(super) fn new(at_hand: &'a Tiles, store: &'a Store, size: u64, root: Digest) -> Self {
        Self { at_hand, store, size, root, read: RefCell::new(Tiles::at(size)) }
    }

    /// Reads a tile, which has to hold: the root of a full one stands in the tile above.
    ///
    /// # Errors
    /// It cannot be read, or is another.
    pub(super) fn load(&self, level: u8, index: u64) -> Result<(), LogError> {
        if u64::from(width(self.size, level, index)) < WIDTH {
            return self.load_edge();
        }
        let tile = self.tile(level, index)?;
        let above = self.node(8 * (u32::from(level) + 1), index)?;
        if tile.root() != Some(above) {
            return Err(self.damaged(self.resource(level, index), "its hash is not what stands above"));
        }
        self.read.borrow_mut().put(level, index, tile);
        Ok(())
    }

    /// The tiles that are not full: nothing stands above them, and the root follows from them alone.
    fn load_edge(&self) -> Result<(), LogError> {
        let mut edge = Tiles::at(self.size);
        for level in 0..LEVELS {
            let index = self.size.checked_shr(8 * u32::from(level)).unwrap_or_default() / WIDTH;
            if width(self.size, level, index) > 0 {
                edge.put(level, index, self.tile(level, index)?);
            }
        }
        if root(&edge, self.size).ok() != Some(self.root) {
            return Err(self.damaged(Resource::Checkpoint, "its root does not follow from the tiles"));
        }
        let mut read = self.read.borrow_mut();
        for level in 0..LEVELS {
            let index = self.size.checked_shr(8 * u32::from(level)).unwrap_or_default() / WIDTH;
            if let Some(tile) = edge.tile(level, index) {
                read.put(level, index, tile.clone());
            }
        }
        Ok(())
    }

    fn tile(&self, level: u8, index: u64) -> Result<Tile, LogError> {
        let resource = self.resource(level, index);
        let bytes = self.store.resource(resource, self.size)?.ok_or_else(|| self.damaged(resource, "it is missing"))?;
        let hashes = usize::from(width(self.size, level, index));
        // Where a part has gone, the whole one has more of them.
        let bytes =
            bytes.get(..hashes * HASH_BYTES).ok_or_else(|| self.damaged(resource, "it is shorter than the log"))?;
        Tile::from_bytes(bytes).ok_or_else(|| self.damaged(resource, "it is no tile"))
    }

    fn resource(&self, level: u8, index: u64) -> Resource {
        Resource::Tile { level, index, width: width(self.size, level, index) }
    }

    fn damaged(&self, resource: Resource, problem: &str) -> LogError {
        LogError::Damaged { path: self.store.path(resource), problem: problem.into() }
    }

    fn known(&self, height: u32, index: u64) -> Option<Digest> {
        self.at_hand.node(height, index).or_else(|_| self.read.borrow().node(height, index)).ok()
    }
}

impl Nodes for FromTiles<'_> {
    type Error = LogError;

    fn node(&self, height: u32, index: u64) -> Result<Digest, LogError> {
        if let Some(node) = self.known(height, index) {
            return Ok(node);
        }
        let (level, tile) = (u8::try_from(height / 8).unwrap_or(u8::MAX), index >> (8 - height % 8));
        self.load(level, tile)?;
        self.known(height, index).ok_or_else(|| self.damaged(self.resource(level, tile), "it is shorter than the log"))
    }
}
