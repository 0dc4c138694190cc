//! `signed_note` and `tlog_tiles`, ports of Go's `sumdb/note` and `sumdb/tlog` to Rust: they read an exported log as any server has
//! it, and believe its checkpoint alone. They are used here and in the tests of `transparency`, and nowhere else.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_transparency::tile::unbundle;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, Tile, TileHashReader, TileReader, check_record, check_tree, prove_record, prove_tree,
    record_hash,
};

use crate::exhibit::Exhibit;

/// The height of a tile (c2sp.org/tlog-tiles).
const HEIGHT: u8 = 8;
/// What that library writes before the rest of a path; the specification leaves the height out.
const PREFIX: &str = "tile/8/";
/// Entries of a full bundle.
const WIDTH: u64 = 1 << HEIGHT;

/// What it says of an exhibit: every leaf of its bundles, the growth since its earlier checkpoint, and its receipt.
pub(super) fn judge(exhibit: &Exhibit) -> Result<String, String> {
    let text = |name: &str| std::fs::read_to_string(exhibit.file(name)).map_err(|error| format!("{name}: {error}"));
    let log = opened(exhibit, &text("log/checkpoint")?)?;
    let folder = Folder(exhibit.file("log"));
    let reader = TileHashReader::new(log.size(), *log.hash(), &folder);
    every_leaf(&folder, &log, &reader)?;

    let earlier = opened(exhibit, &text("earlier")?)?;
    let way = prove_tree(log.size(), earlier.size(), &reader).map_err(|error| error.to_string())?;
    check_tree(&way, log.size(), *log.hash(), earlier.size(), *earlier.hash()).map_err(|error| error.to_string())?;

    let receipt = Receipt::read(&text("receipt")?)?;
    let note = opened(exhibit, &receipt.note)?;
    let leaf = record_hash(&receipt.leaf);
    check_record(&receipt.path, note.size(), *note.hash(), receipt.index, leaf)
        .map_err(|error| format!("receipt: {error}"))?;
    let made = prove_record(log.size(), receipt.index, &reader).map_err(|error| error.to_string())?;
    check_record(&made, log.size(), *log.hash(), receipt.index, leaf).map_err(|error| format!("tiles: {error}"))?;
    Ok(format!(
        "leaf {} of {} is proven, and the log goes on from {} leaves",
        receipt.index,
        log.size(),
        earlier.size()
    ))
}

/// A checkpoint that the log's own key signed.
fn opened(exhibit: &Exhibit, note: &str) -> Result<Checkpoint, String> {
    let key = StandardVerifier::new(&exhibit.log[0].to_string()).map_err(|error| error.to_string())?;
    let note = Note::from_bytes(note.as_bytes()).map_err(|error| error.to_string())?;
    note.verify(&VerifierList::new(vec![Box::new(key)])).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|error| error.to_string())?;
    let (origin, name) = (checkpoint.origin(), exhibit.log[0].name());
    if origin == name { Ok(checkpoint) } else { Err(format!("it is of the log {origin}, not of {name}")) }
}

/// Proves every entry of the bundles from the tiles. That the reader gave a hash is not enough: of a log whose right edge has more
/// subtrees than tiles it authenticates the first full tiles by nothing, so that each proof is checked.
fn every_leaf(folder: &Folder, log: &Checkpoint, reader: &TileHashReader<'_>) -> Result<(), String> {
    for bundle in 0..log.size().div_ceil(WIDTH) {
        let width = u32::try_from((log.size() - bundle * WIDTH).min(WIDTH)).unwrap();
        let mut entries = Tile::new(HEIGHT, 0, bundle, width, false);
        entries.set_is_data();
        let bytes = folder.bytes(&entries).map_err(|error| error.to_string())?;
        for (index, leaf) in (bundle * WIDTH..).zip(unbundle(&bytes).ok_or("a bundle breaks off")?) {
            let path = prove_record(log.size(), index, reader).map_err(|error| error.to_string())?;
            check_record(&path, log.size(), *log.hash(), index, record_hash(leaf))
                .map_err(|error| format!("leaf {index}: {error}"))?;
        }
    }
    Ok(())
}

/// An exported log.
struct Folder(PathBuf);

impl Folder {
    fn bytes(&self, tile: &Tile) -> Result<Vec<u8>, Error> {
        let path = tile.path();
        let path = path.strip_prefix(PREFIX).unwrap().replacen("data/", "entries/", 1);
        std::fs::read(self.0.join("tile").join(path)).map_err(|_| Error::InvalidTile)
    }
}

impl TileReader for Folder {
    fn height(&self) -> u8 {
        HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        tiles.iter().map(|tile| self.bytes(tile)).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// A receipt (c2sp.org/tlog-proof), read by hand.
struct Receipt {
    index: u64,
    path: Vec<Hash>,
    leaf: Vec<u8>,
    note: String,
}

impl Receipt {
    fn read(text: &str) -> Result<Self, String> {
        let (head, note) = text.split_once("\n\n").ok_or("no proof")?;
        let mut lines = head.lines().skip(1);
        let mut value =
            |name: &str| lines.next().and_then(|line| line.strip_prefix(name)).ok_or_else(|| format!("no {name}"));
        let (extra, index) = (value("extra ")?, value("index ")?);
        let extra = STANDARD.decode(extra).map_err(|error| error.to_string())?;
        let extra: serde_json::Value = serde_json::from_slice(&extra).map_err(|error| error.to_string())?;
        let leaf = STANDARD.decode(extra["leaf"].as_str().ok_or("no leaf")?).map_err(|error| error.to_string())?;
        let path =
            head.lines().skip(3).map(Hash::parse_hash).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        Ok(Self { index: index.parse().map_err(|_| "no index")?, path, leaf, note: note.to_owned() })
    }
}
