//! What a start finds: what was published is checked against its own checkpoint, and what was written ahead against what was
//! signed. Where one byte of that cannot be reproduced, there is no start: a log that signs again what it has signed
//! otherwise before is worse than none.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;

use comity_runtime::files::Disk;
use comity_transparency::proof::root;
use comity_transparency::tile::{Resource, Tile, Tiles, WIDTH, unbundle};
use comity_transparency::tree::leaf_hash;
use comity_transparency::{Checkpoint, CheckpointNote, LogKey};
use comity_types::Digest;

use super::publisher::Batch;
use super::store::{Store, width};
use super::wal::{self, Segments};
use super::{Entry, LogError, Open, Published, waiting};

/// How often a log is looked at that somebody else goes on with: each look is shorter than the time between publications.
const LOOKS: usize = 8;

/// What the log goes on with.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) store: Store,
    pub(super) lock: File,
    pub(super) published: Published,
    /// What witnesses have cosigned of it.
    pub(super) cosigned: Option<Published>,
    /// Of what is published.
    pub(super) tiles: Tiles,
    /// The entries of the last bundle that is not full.
    pub(super) tail: Vec<Entry>,
    /// What is durable and not published.
    pub(super) unpublished: Vec<Batch>,
    /// The decisions that waited when the log was published.
    pub(super) open: BTreeSet<u64>,
    /// The same with their leaves.
    pub(super) waiting: Vec<Open>,
    pub(super) segments: Segments,
}

/// Takes up the log in `dir`, or makes it.
pub(super) fn recover(dir: &Path, key: &LogKey, disk: Arc<dyn Disk>) -> Result<Recovered, LogError> {
    let store = Store::on(dir, Arc::clone(&disk));
    store.make()?;
    let lock = lock(&store, dir)?;
    let Found { published, cosigned, tiles, tail, unpublished, open, waiting, next } = find(&store, key)?;
    // A kill may have come between the checkpoint's move and its sync; what was written ahead goes because it is there.
    store.sync()?;
    tidy(&store, published.checkpoint.size)?;
    let mut segments = Segments::new(&store.wal(), disk, next);
    segments.rotate(next);
    remove_empty(&store, next)?;
    Ok(Recovered { store, lock, published, cosigned, tiles, tail, unpublished, open, waiting, segments })
}

/// Reads the log in `dir`, and changes nothing. One that is not there is in order.
pub(super) fn check(dir: &Path, key: &LogKey) -> Result<(), LogError> {
    let store = Store::new(dir);
    if !store.wal().exists() {
        return Ok(());
    }
    let checkpoint = || Store::read(&store.path(Resource::Checkpoint));
    let (mut seen, mut looks) = (checkpoint()?, 1);
    while let Err(error) = find(&store, key) {
        // A broker that runs has replaced what was looked for, or there is something wrong.
        let now = checkpoint()?;
        if now == seen || looks == LOOKS {
            return Err(error);
        }
        (seen, looks) = (now, looks + 1);
    }
    Ok(())
}

struct Found {
    published: Published,
    cosigned: Option<Published>,
    tiles: Tiles,
    tail: Vec<Entry>,
    unpublished: Vec<Batch>,
    open: BTreeSet<u64>,
    waiting: Vec<Open>,
    /// How many leaves there are in all.
    next: u64,
}

fn find(store: &Store, key: &LogKey) -> Result<Found, LogError> {
    let published = published(store, key)?;
    let cosigned = cosigned(store, key, &published.checkpoint)?;
    let (tiles, tail) = edge(store, &published.checkpoint)?;
    let mut all = tiles.clone();
    let unpublished = unpublished(store, key, &mut all)?;
    // A first publication that was cut leaves tiles without a checkpoint, and everything still in what was written ahead.
    if published.checkpoint.size == 0 && unpublished.is_empty() && store.has_tiles() {
        return Err(damaged(store, Resource::Checkpoint, "it is missing, and there are tiles"));
    }
    let open = waiting::read(store, published.checkpoint.size)?;
    let waiting = waiting::leaves(store, &tiles, published.checkpoint.root, &open)?;
    Ok(Found { published, cosigned, tiles, tail, unpublished, open, waiting, next: all.size() })
}

fn lock(store: &Store, dir: &Path) -> Result<File, LogError> {
    let path = store.beside("lock");
    let failed = |error| LogError::io(&path, error);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The public checkpoint; that of the empty log where there is none.
fn published(store: &Store, key: &LogKey) -> Result<Published, LogError> {
    let path = store.path(Resource::Checkpoint);
    let damaged = |problem: String| LogError::Damaged { path: path.clone(), problem };
    let Some(bytes) = Store::read(&path)? else {
        let checkpoint = Checkpoint { origin: key.origin().to_owned(), size: 0, root: Digest::of(b"") };
        let note = key.sign(&checkpoint, None).map_err(|error| damaged(error.to_string()))?;
        return Ok(Published { checkpoint, note: note.into() });
    };
    let note = String::from_utf8(bytes).map_err(|_| damaged("it is not text".into()))?;
    let checkpoint = opened(&note, key).map_err(&damaged)?;
    let [_, post_quantum] = key.verifiers();
    let both = CheckpointNote::parse(&note).is_ok_and(|note| matches!(note.signed_by(post_quantum), Ok(Some(_))));
    if !both {
        return Err(damaged("it is not signed by ML-DSA-44".into()));
    }
    Ok(Published { checkpoint, note: note.into() })
}

/// What witnesses have cosigned: never more than is published, or they have seen what is lost here.
fn cosigned(store: &Store, key: &LogKey, published: &Checkpoint) -> Result<Option<Published>, LogError> {
    let path = store.cosigned_path();
    let damaged = |problem: String| LogError::Damaged { path: path.clone(), problem };
    let Some(bytes) = Store::read(&path)? else { return Ok(None) };
    let note = String::from_utf8(bytes).map_err(|_| damaged("it is not text".into()))?;
    let checkpoint = opened(&note, key).map_err(damaged)?;
    let (cosigned, size) = (checkpoint.size, published.size);
    if cosigned > size || (cosigned == size && checkpoint.root != published.root) {
        return Err(damaged(format!("witnesses have cosigned {cosigned} leaves, and {size} are published")));
    }
    Ok(Some(Published { checkpoint, note: note.into() }))
}

/// A checkpoint that this log has signed.
fn opened(note: &str, key: &LogKey) -> Result<Checkpoint, String> {
    let parsed = CheckpointNote::parse(note).map_err(|error| error.to_string())?;
    let [plain, post_quantum] = key.verifiers();
    if parsed.checkpoint().origin != key.origin() {
        return Err(format!("it is of the log {}", parsed.checkpoint().origin));
    }
    let signed = parsed.signed_by(plain).map_err(|error| format!("it is not signed by this log's key: {error}"))?;
    signed.ok_or("it is not signed by this log's key")?;
    parsed.signed_by(post_quantum).map_err(|error| format!("its ML-DSA-44 signature does not hold: {error}"))?;
    Ok(parsed.checkpoint().clone())
}

/// The tiles and entries at the right edge, from which the root has to follow.
fn edge(store: &Store, checkpoint: &Checkpoint) -> Result<(Tiles, Vec<Entry>), LogError> {
    let size = checkpoint.size;
    let mut tiles = Tiles::at(size);
    for level in 0..8_u8 {
        let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or_default();
        if hashes == 0 {
            break;
        }
        let last = (hashes - 1) / WIDTH;
        for index in last.saturating_sub(1)..=last {
            let resource = Resource::Tile { level, index, width: width(size, level, index) };
            let tile = Store::read(&store.path(resource))?.and_then(|bytes| Tile::from_bytes(&bytes));
            let whole = tile.filter(|tile| tile.width() == u64::from(width(size, level, index)));
            let missing = || damaged(store, resource, "it is missing, or has another length");
            tiles.put(level, index, whole.ok_or_else(missing)?);
        }
    }
    let found = root(&tiles, size).ok();
    if found != Some(checkpoint.root) {
        return Err(damaged(store, Resource::Checkpoint, "its root does not follow from the tiles"));
    }
    full(store, &tiles, size)?;
    let tail = if size.is_multiple_of(WIDTH) { Vec::new() } else { tail(store, &tiles, size)? };
    Ok((tiles, tail))
}

/// The full tiles at the edge: the root does not follow from their hashes, but from the one that stands above for each.
fn full(store: &Store, tiles: &Tiles, size: u64) -> Result<(), LogError> {
    for level in 0..7_u8 {
        let above = size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or_default();
        for index in above.saturating_sub(2)..above {
            let Some(tile) = tiles.tile(level, index) else { continue };
            let kept = tiles.tile(level + 1, index / WIDTH).and_then(|tile| tile.hash(index % WIDTH));
            if kept.is_none() || kept != tile.root() {
                let resource = Resource::Tile { level, index, width: 256 };
                return Err(damaged(store, resource, "its hash is not what stands above"));
            }
        }
    }
    Ok(())
}

/// The entries of the last bundle, if it is not full; each has to be what its hash says.
fn tail(store: &Store, tiles: &Tiles, size: u64) -> Result<Vec<Entry>, LogError> {
    let index = size / WIDTH;
    let resource = Resource::Entries { index, width: width(size, 0, index) };
    let bytes = Store::read(&store.path(resource))?.unwrap_or_default();
    let leaves = unbundle(&bytes).ok_or_else(|| damaged(store, resource, "it breaks off"))?;
    let hashes: Vec<u8> = leaves.iter().flat_map(|leaf| *leaf_hash(leaf).as_bytes()).collect();
    let kept = tiles.tile(0, index).and_then(|tile| tile.to_bytes(width(size, 0, index)));
    if kept != Some(hashes) {
        return Err(damaged(store, resource, "its entries are not those of the tile"));
    }
    let records = store.records(index)?;
    if records.len() < leaves.len() {
        return Err(store.records_damaged(index, "it has fewer records than there are leaves"));
    }
    let record = |place: usize| records.get(place).cloned().flatten();
    let entry = |(place, leaf): (usize, &&[u8])| Entry { leaf: leaf.to_vec(), record: record(place), opens: false };
    Ok(leaves.iter().enumerate().map(entry).collect())
}

/// The batches behind what is published: each begins where the one before ended, and its checkpoint follows from it.
fn unpublished(store: &Store, key: &LogKey, tiles: &mut Tiles) -> Result<Vec<Batch>, LogError> {
    let dir = store.wal();
    let mut batches = Vec::new();
    for segment in wal::list(&dir)? {
        let damaged = |problem: String| LogError::Damaged { path: wal::path(&dir, segment), problem };
        for batch in wal::read(&dir, segment, &|note| opened(note, key).ok().map(|signed| signed.size))? {
            let end = batch.end();
            let wal::Batch { first, entries, checkpoint } = batch;
            if end <= tiles.size() {
                continue;
            }
            if first != tiles.size() {
                return Err(damaged(format!("a batch begins at leaf {first} where {} is next", tiles.size())));
            }
            entries.iter().for_each(|entry| tiles.push(leaf_hash(&entry.leaf)));
            let signed = opened(&checkpoint, key).map_err(&damaged)?;
            if signed.size != end || root(tiles, end).ok() != Some(signed.root) {
                return Err(damaged(format!("the checkpoint at {end} does not follow from the leaves")));
            }
            batches.push(Batch { first, entries, segment });
        }
    }
    Ok(batches)
}

/// Takes away the parts that a publication would have taken away had it not been cut behind its checkpoint. What it
/// published is still written ahead then: a segment goes after they do.
fn tidy(store: &Store, size: u64) -> Result<(), LogError> {
    let Some(&first) = wal::list(&store.wal())?.first() else { return Ok(()) };
    let tiles = (0..8_u8).flat_map(|level| {
        let full = |leaves: u64| (leaves >> (8 * u32::from(level))) / WIDTH;
        (full(first)..full(size)).map(move |index| Resource::Tile { level, index, width: 256 })
    });
    let bundles = (first / WIDTH..size / WIDTH).map(|index| Resource::Entries { index, width: 256 });
    store.tidy(tiles.chain(bundles))
}

/// A segment in which no batch became whole would stand in the way of the next one of its name.
fn remove_empty(store: &Store, next: u64) -> Result<(), LogError> {
    let path = wal::path(&store.wal(), next);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LogError::io(&path, error)),
        _ => Ok(()),
    }
}

fn damaged(store: &Store, resource: Resource, problem: &str) -> LogError {
    LogError::Damaged { path: store.path(resource), problem: problem.into() }
}
