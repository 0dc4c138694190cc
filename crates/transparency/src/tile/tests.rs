//! Paths are the specification's, and tiles give the hashes that the definition gives.

use proptest::prelude::*;

use super::*;
use crate::proof::{consistency, inclusion, root, verify_consistency, verify_inclusion};
use crate::tree::{Tree, leaf_hash};

#[test]
fn the_examples_of_the_specification_hold() {
    let tile = Resource::Tile { level: 0, index: 1_234_067, width: 256 };
    assert_eq!(tile.to_string(), "tile/0/x001/x234/067");
    let all: Vec<_> = Resource::all(70_000).collect();
    let of = |wanted: u8| {
        let tiles = all.iter().filter_map(|resource| match resource {
            Resource::Tile { level, width, .. } if *level == wanted => Some(*width),
            Resource::Checkpoint | Resource::Tile { .. } | Resource::Entries { .. } => None,
        });
        let (full, partial): (Vec<_>, Vec<_>) = tiles.partition(|width| *width == 256);
        (full.len(), partial)
    };
    assert_eq!([of(0), of(1), of(2), of(3)], [(273, vec![112]), (1, vec![17]), (0, vec![1]), (0, vec![])]);
    let of_256: Vec<_> = Resource::all(256).map(|resource| resource.to_string()).collect();
    assert_eq!(of_256, ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
}

#[test]
fn a_path_has_one_spelling() {
    for path in ["checkpoint", "tile/0/000", "tile/63/x001/000.p/255", "tile/entries/x999/999.p/1"] {
        assert_eq!(Resource::parse(path).unwrap().to_string(), path);
    }
    for path in [
        "",
        "/checkpoint",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/64/000",
        "tile/00/000",
        "tile/+1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/data/000",
        "tile/0/../000",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(Resource::parse(path), None, "{path}");
    }
}

fn log(count: u64) -> (Tiles, Tree) {
    let (mut tiles, mut tree) = (Tiles::default(), Tree::default());
    for leaf in 0..count {
        let hash = leaf_hash(&leaf.to_be_bytes());
        tiles.push(hash);
        tree.push_hash(hash);
    }
    (tiles, tree)
}

#[test]
fn tiles_have_the_trees_root_and_prove_every_leaf() {
    let (tiles, tree) = log(70_000);
    assert_eq!(root(&tiles, 70_000), Ok(tree.root()));
    for index in [0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999] {
        let path = inclusion(&tiles, index, 70_000).unwrap().unwrap();
        let leaf = leaf_hash(&index.to_be_bytes());
        assert_eq!(verify_inclusion(index, 70_000, leaf, &path, tree.root()), Ok(()), "{index}");
    }
}

#[test]
fn what_is_forgotten_is_not_at_hand_and_what_follows_needs_it_not() {
    let (mut tiles, mut tree) = log(70_000);
    tiles.forget(69_888);
    assert_eq!(tiles.tile(0, 0), None);
    assert!(tiles.node(0, 0).is_err());
    for leaf in 70_000_u64..71_000 {
        let hash = leaf_hash(&leaf.to_be_bytes());
        tiles.push(hash);
        tree.push_hash(hash);
        let path = inclusion(&tiles, leaf, leaf + 1).unwrap().unwrap();
        assert_eq!(verify_inclusion(leaf, leaf + 1, hash, &path, tree.root()), Ok(()), "{leaf}");
        if leaf % 100 == 0 {
            tiles.forget(leaf);
        }
    }
}

#[test]
fn a_log_goes_on_from_the_tiles_of_its_right_edge() {
    let (whole, tree) = log(70_000);
    let mut again = Tiles::at(70_000);
    for resource in Resource::all(70_000) {
        let Resource::Tile { level, index, width } = resource else { continue };
        if width < 256 || level > 0 || index == 272 {
            let bytes = whole.tile(level, index).unwrap().to_bytes(width).unwrap();
            again.put(level, index, Tile::from_bytes(&bytes).unwrap());
        }
    }
    assert_eq!(root(&again, 70_000), Ok(tree.root()));
}

#[test]
fn a_tile_is_whole_hashes() {
    let (tiles, _) = log(3);
    let tile = tiles.tile(0, 0).unwrap();
    let bytes = tile.to_bytes(3).unwrap();
    assert_eq!(Tile::from_bytes(&bytes).as_ref(), Some(tile));
    assert_eq!(tile.to_bytes(2).unwrap(), bytes[..64]);
    assert_eq!(tile.to_bytes(4), None);
    for bad in [&bytes[..0], &bytes[..33], &[0; 257 * 32]] {
        assert_eq!(Tile::from_bytes(bad), None, "{}", bad.len());
    }
}

proptest! {
    #[test]
    fn tiles_prove_that_a_log_only_grew(old in 0_u64..1500, more in 0_u64..1500) {
        let (before, (tiles, after)) = (log(old).1, log(old + more));
        let path = consistency(&tiles, old, old + more).unwrap().unwrap();
        prop_assert_eq!(verify_consistency(old, old + more, before.root(), after.root(), &path), Ok(()));
    }

    #[test]
    fn a_bundle_gives_its_entries_back(entries: Vec<Vec<u8>>) {
        let bytes = bundle(entries.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(unbundle(&bytes).unwrap(), entries);
        if !bytes.is_empty() {
            // What breaks off within an entry is none; at an entry's end it is a shorter bundle.
            prop_assert!(unbundle(&bytes[..bytes.len() - 1]).is_none_or(|kept| kept.len() < bytes.len()));
        }
    }

    #[test]
    fn no_path_makes_the_reader_fall(path in "[a-z0-9./x]{0,40}") {
        let resource = Resource::parse(&path);
        prop_assert!(resource.is_none_or(|resource| resource.to_string() == path));
    }
}

#[test]
fn every_tile_of_a_log_ends_once_as_the_bundles_come() {
    for size in [1, 255, 256, 257, 512, 65_535, 65_536, 65_537, 66_000, 131_072] {
        let bundles = (1..=size / WIDTH).map(|bundle| bundle * WIDTH);
        let ends = bundles.chain((size % WIDTH > 0).then_some(size));
        let none = Tiles::default();
        let mut ended: Vec<_> = ends.flat_map(|at| none.ending(at, size)).map(|(tile, _)| tile).collect();
        ended.sort_unstable();
        let mut all: Vec<_> =
            Resource::all(size).filter(|resource| matches!(resource, Resource::Tile { .. })).collect();
        all.sort_unstable();
        assert_eq!(ended, all, "{size}");
    }
}
