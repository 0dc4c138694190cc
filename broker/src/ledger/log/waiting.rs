//! The decisions that wait for their outcome: kept in `open/<size>` with every publication, and told at a start.
//!
//! The file is a checksum of what follows (CRC-32C, four bytes), and the indexes of their leaves, eight bytes each, numbers
//! big-endian. It is written before the checkpoint that it belongs to, and has its size for a name: a publication that does
//! not come to its end may rest on batches that a power cut takes away again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::proof::Nodes as _;
use comity_transparency::tile::{Resource, Tiles, WIDTH, unbundle};
use comity_transparency::tree::leaf_hash;
use comity_types::Digest;

use super::from_tiles::FromTiles;
use super::store::{Store, width};
use super::{Entry, LogError, Open};

/// Which decision a leaf closes.
fn closes(leaf: &[u8]) -> Option<u64> {
    match Leaf::from_bytes(leaf).ok()?.kind {
        Kind::Outcome { decision } | Kind::Abort { decision } => Some(decision),
        Kind::Decision => None,
    }
}

/// What the entry at `index` changes of who waits.
pub(super) fn follow(open: &mut BTreeSet<u64>, index: u64, entry: &Entry) {
    match closes(&entry.leaf) {
        Some(closed) => drop(open.remove(&closed)),
        None if entry.opens => drop(open.insert(index)),
        None => {}
    }
}

/// Keeps who waits in a log of `size` leaves.
pub(super) fn write(store: &Store, size: u64, open: &BTreeSet<u64>) -> Result<(), LogError> {
    let indexes: Vec<u8> = open.iter().flat_map(|index| index.to_be_bytes()).collect();
    let bytes = [&crc32c::crc32c(&indexes).to_be_bytes()[..], &indexes].concat();
    store.write(&path(store, size), &bytes)
}

/// Takes away what was kept for other sizes than that which is published.
pub(super) fn tidy(store: &Store, size: u64) -> Result<(), LogError> {
    let (kept, dir) = (path(store, size), dir(store));
    let failed = |error| LogError::io(&dir, error);
    for file in std::fs::read_dir(&dir).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if path != kept {
            std::fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

/// Who waited when a log was published that has `size` leaves; nobody in one that never was.
pub(super) fn read(store: &Store, size: u64) -> Result<BTreeSet<u64>, LogError> {
    let path = path(store, size);
    let damaged = |problem: &str| LogError::Damaged { path: path.clone(), problem: problem.into() };
    let Some(bytes) = Store::read(&path)? else {
        return if size == 0 { Ok(BTreeSet::new()) } else { Err(damaged("it is missing, and there is a checkpoint")) };
    };
    let indexes =
        bytes.split_first_chunk().filter(|(checksum, rest)| u32::from_be_bytes(**checksum) == crc32c::crc32c(rest));
    let (_, indexes) = indexes.ok_or_else(|| damaged("it is not what was written"))?;
    let (indexes, []) = indexes.as_chunks() else { return Err(damaged("an index breaks off")) };
    Ok(indexes.iter().map(|index| u64::from_be_bytes(*index)).collect())
}

/// The leaves of those who wait and are published, in a log with this root.
pub(super) fn leaves(store: &Store, tiles: &Tiles, root: Digest, open: &BTreeSet<u64>) -> Result<Vec<Open>, LogError> {
    let size = tiles.size();
    let hashes = FromTiles::new(tiles, store, size, root);
    let (mut found, mut bundle, mut entries) = (Vec::new(), None, Vec::new());
    for index in open {
        let of = index / WIDTH;
        let resource = Resource::Entries { index: of, width: width(size, 0, of) };
        if bundle != Some(of) {
            let bytes = Store::read(&store.path(resource))?.unwrap_or_default();
            entries = unbundle(&bytes).unwrap_or_default().into_iter().map(<[u8]>::to_vec).collect();
            bundle = Some(of);
        }
        let leaf =
            usize::try_from(index % WIDTH).ok().and_then(|place| entries.get(place).cloned()).unwrap_or_default();
        if leaf_hash(&leaf) != hashes.node(0, *index)? {
            let problem = format!("its entry {} is not that of the tile", index % WIDTH);
            return Err(LogError::Damaged { path: store.path(resource), problem });
        }
        found.push((*index, leaf));
    }
    Ok(found)
}

fn dir(store: &Store) -> PathBuf {
    store.beside("open")
}

fn path(store: &Store, size: u64) -> PathBuf {
    dir(store).join(size.to_string())
}
