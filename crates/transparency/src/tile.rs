//! Where the hashes of a log are kept, verbatim C2SP (c2sp.org/tlog-tiles): tiles of up to 256 hashes, each level above
//! holding the roots of the full tiles below; and bundles of up to 256 entries.

use std::collections::BTreeMap;
use std::fmt;

use comity_types::Digest;

use crate::proof::Nodes;
use crate::tree::node_hash;

#[cfg(test)]
mod tests;

/// Levels of a tree within a tile.
const HEIGHT: u32 = 8;
/// Hashes of a full tile, and entries of a full bundle.
pub const WIDTH: u64 = 1 << HEIGHT;
/// The highest level that a path may name.
const MAX_LEVEL: u8 = 63;
/// Levels of tiles that 2^64 leaves need.
const LEVELS: u8 = 8;
/// Longest entry, in bytes: its length stands before it in two bytes.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// What a path below a log's prefix names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `checkpoint`.
    Checkpoint,
    /// `tile/<L>/<N>[.p/<W>]`.
    Tile {
        /// From the leaves up.
        level: u8,
        /// Which of its level.
        index: u64,
        /// How many hashes: 1 to 256.
        width: u16,
    },
    /// `tile/entries/<N>[.p/<W>]`.
    Entries {
        /// Which.
        index: u64,
        /// How many entries: 1 to 256.
        width: u16,
    },
}

impl Resource {
    /// Reads a path; one spelling of each.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path == "checkpoint" {
            return Some(Self::Checkpoint);
        }
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, number::<u16>(width).filter(|width| (1..256).contains(width))?),
            None => (rest, 256),
        };
        let index = parse_index(index)?;
        match kind {
            "entries" => Some(Self::Entries { index, width }),
            _ => number(kind).filter(|level| *level <= MAX_LEVEL).map(|level| Self::Tile { level, index, width }),
        }
    }

    /// Every tile that a log of `size` leaves consists of, and every bundle.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        let of = move |level: u8| {
            let hashes = size.checked_shr(HEIGHT * u32::from(level)).unwrap_or_default();
            let (full, rest) = (hashes / WIDTH, hashes % WIDTH);
            let partial = (rest > 0).then_some((full, u16::try_from(rest).unwrap_or_default()));
            (0..full).map(|index| (index, 256)).chain(partial)
        };
        let tiles =
            (0..LEVELS).flat_map(move |level| of(level).map(move |(index, width)| Self::Tile { level, index, width }));
        tiles.chain(of(0).map(|(index, width)| Self::Entries { index, width }))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Tile { level, index, width } => {
                write!(f, "tile/{level}/")?;
                (*index, *width)
            }
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                (*index, *width)
            }
        };
        f.write_str(&index_path(index))?;
        if width < 256 { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

/// `1234067` as `x001/x234/067`.
fn index_path(index: u64) -> String {
    let (mut path, mut rest) = (format!("{:03}", index % 1000), index / 1000);
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

fn parse_index(path: &str) -> Option<u64> {
    let mut index = 0_u64;
    for part in path.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    (index_path(index) == path).then_some(index)
}

/// Digits without a leading zero.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// A tile with the roots of all complete subtrees within it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tile {
    /// By height: the tile's own hashes first.
    rows: [Vec<Digest>; HEIGHT as usize],
}

impl Tile {
    /// Reads the bytes of a tile; none if they are not whole hashes, none at all, or too many.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.is_empty() || !rest.is_empty() || hashes.len() as u64 > WIDTH {
            return None;
        }
        let mut tile = Self::default();
        for hash in hashes {
            tile.push(Digest::from_bytes(*hash));
        }
        Some(tile)
    }

    /// The first `width` hashes as bytes; none if it has fewer.
    #[must_use]
    pub fn to_bytes(&self, width: u16) -> Option<Vec<u8>> {
        let hashes = self.rows[0].get(..usize::from(width))?;
        Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect())
    }

    /// The hash that stands for it in the tile above; none of one that is not full.
    #[must_use]
    pub fn root(&self) -> Option<Digest> {
        let [.., top] = &self.rows;
        let [left, right] = top.as_slice() else { return None };
        Some(node_hash(left, right))
    }

    /// The hash at a place.
    #[must_use]
    pub fn hash(&self, place: u64) -> Option<Digest> {
        self.node(0, place)
    }

    /// How many hashes it has.
    #[must_use]
    pub fn width(&self) -> u64 {
        self.rows[0].len() as u64
    }

    /// Adds a hash, and returns the tile's root when it is full.
    fn push(&mut self, hash: Digest) -> Option<Digest> {
        let mut above = hash;
        for row in &mut self.rows {
            row.push(above);
            let [.., left, right] = row.as_slice() else { return None };
            if !row.len().is_multiple_of(2) {
                return None;
            }
            above = node_hash(left, right);
        }
        Some(above)
    }

    /// The root of a complete subtree within it.
    fn node(&self, height: u32, index: u64) -> Option<Digest> {
        self.rows.get(height as usize)?.get(usize::try_from(index).ok()?).copied()
    }
}

/// The tiles of a log, of which those may be forgotten that are kept elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Tiles {
    size: u64,
    tiles: BTreeMap<(u8, u64), Tile>,
}

/// A tile that was forgotten, or is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tile {index} of level {level} is not at hand")]
pub struct NotAtHand {
    /// From the leaves up.
    pub level: u8,
    /// Which of its level.
    pub index: u64,
}

impl Tiles {
    /// How many leaves the log has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf's hash.
    pub fn push(&mut self, leaf: Digest) {
        let (mut hash, mut hashes) = (leaf, self.size);
        for level in 0..=MAX_LEVEL {
            match self.tiles.entry((level, hashes / WIDTH)).or_default().push(hash) {
                Some(root) => (hash, hashes) = (root, hashes / WIDTH),
                None => break,
            }
        }
        self.size += 1;
    }

    /// A tile that is at hand.
    #[must_use]
    pub fn tile(&self, level: u8, index: u64) -> Option<&Tile> {
        self.tiles.get(&(level, index))
    }

    /// Puts a tile back that is kept elsewhere, for a log that goes on at `size`.
    pub fn put(&mut self, level: u8, index: u64, tile: Tile) {
        self.tiles.insert((level, index), tile);
    }

    /// A log that goes on at `size` with tiles that are [`put`](Self::put).
    #[must_use]
    pub fn at(size: u64) -> Self {
        Self { size, tiles: BTreeMap::new() }
    }

    /// The tiles of a log of `size` leaves whose last hash comes with the leaf before `at`, where a bundle ends: those that a copy
    /// gets next when the leaves come in order. Each is with its bytes, which are empty if it is not at hand.
    pub fn ending(&self, at: u64, size: u64) -> impl Iterator<Item = (Resource, Vec<u8>)> {
        let ending = (0..LEVELS).filter_map(move |level| {
            let hashes = at >> (HEIGHT * u32::from(level));
            let full = at.trailing_zeros() >= HEIGHT * (u32::from(level) + 1);
            let rest = u16::try_from(hashes % WIDTH).unwrap_or_default();
            match full {
                true => Some((level, hashes / WIDTH - 1, 256)),
                false => (at == size && rest > 0).then_some((level, hashes / WIDTH, rest)),
            }
        });
        ending.map(|(level, index, width)| {
            let bytes = self.tile(level, index).and_then(|tile| tile.to_bytes(width)).unwrap_or_default();
            (Resource::Tile { level, index, width }, bytes)
        })
    }

    /// Forgets the tiles that end at or before the leaf `before`, but for the last one of each level: what follows
    /// needs no others.
    pub fn forget(&mut self, before: u64) {
        let size = self.size;
        self.tiles.retain(|(level, index), _| {
            let leaves = HEIGHT * (u32::from(*level) + 1);
            let end = (index + 1).checked_shl(leaves).filter(|_| leaves < u64::BITS);
            end.is_none_or(|end| end > before || end.saturating_add(1_u64.checked_shl(leaves).unwrap_or(0)) > size)
        });
    }
}

impl Nodes for Tiles {
    type Error = NotAtHand;

    fn node(&self, height: u32, index: u64) -> Result<Digest, NotAtHand> {
        let (level, within) = (height / HEIGHT, height % HEIGHT);
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        let below = HEIGHT - within;
        let missing = NotAtHand { level, index: index >> below };
        let tile = self.tiles.get(&(level, missing.index)).ok_or(missing)?;
        tile.node(within, index & ((1 << below) - 1)).ok_or(missing)
    }
}

/// Entries as a bundle has them: each with its length before it, two bytes, big-endian. None if one is too long.
#[must_use]
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Some(bytes)
}

/// The entries of a bundle; none if it breaks off.
#[must_use]
pub fn unbundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}
