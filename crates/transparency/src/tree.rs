//! The Merkle tree of a log (RFC 6962, section 2.1), of which only what the next leaf needs is kept.

use comity_types::Digest;
use comity_types::digest::Hasher;

use crate::proof::Nodes;

/// What comes before a leaf when it is hashed.
const LEAF: &[u8] = &[0];
/// What comes before two children when they are hashed.
const NODE: &[u8] = &[1];

/// A tree by its size and the roots of its complete subtrees, the largest first: at most 64 of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    roots: Vec<Digest>,
}

impl Tree {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        self.push_hash(leaf_hash(leaf));
    }

    /// Adds a leaf by its hash.
    pub fn push_hash(&mut self, leaf: Digest) {
        let mut hash = leaf;
        // As when one is added in binary: each trailing 1 of the old size is a subtree that is complete now.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// Takes up a tree again by its size and its [`roots`](Self::roots); none where there are more or fewer than such a
    /// tree has. That they are its roots shows when its [`root`](Self::root) is the one that somebody signed.
    #[must_use]
    pub fn from_roots(size: u64, roots: Vec<Digest>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// The first `size` leaves of a log, from the roots of its complete subtrees.
    ///
    /// # Errors
    /// One of them is not to be had.
    pub fn at<N: Nodes>(nodes: &N, size: u64) -> Result<Self, N::Error> {
        let heights = (0..u64::BITS).rev().filter(|height| size >> height & 1 == 1);
        // Before the subtree of this height come those of the larger ones, all of which it divides.
        let roots = heights.map(|height| nodes.node(height, (size >> height) - 1));
        Ok(Self { size, roots: roots.collect::<Result<_, _>>()? })
    }

    /// The roots of its complete subtrees, the largest first: what it takes to go on with it.
    #[must_use]
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root: SHA-256 of nothing for a tree without leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else { return Digest::of(b"") };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The hash of a leaf.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    leaf_hash_of(&[leaf])
}

/// The hash of a leaf that comes in parts.
pub(crate) fn leaf_hash_of(parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::default();
    [LEAF].iter().chain(parts).for_each(|part| hasher.update(part));
    hasher.finish()
}

pub(crate) fn node_hash(left: &Digest, right: &Digest) -> Digest {
    hash(&[NODE, left.as_bytes(), right.as_bytes()])
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::default();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tile::Tiles;

    /// The definition, word for word.
    fn definition(leaves: &[Vec<u8>]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [leaf] => leaf_hash(leaf),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&definition(&leaves[..split]), &definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_the_definitions_at_every_size() {
        let (mut tree, mut leaves) = (Tree::default(), Vec::new());
        for size in 0..200_u32 {
            assert_eq!((tree.size(), tree.root()), (size.into(), definition(&leaves)), "{size}");
            leaves.push(size.to_be_bytes().to_vec());
            tree.push(&size.to_be_bytes());
        }
    }

    #[test]
    fn a_tree_goes_on_from_its_roots() {
        let (mut tree, mut again) = (Tree::default(), Tree::default());
        for size in 0..70_u64 {
            tree.push(&size.to_be_bytes());
            again = Tree::from_roots(size, again.roots().to_vec()).unwrap();
            again.push(&size.to_be_bytes());
            assert_eq!(tree, again);
            assert_eq!(
                Tree::from_roots(size, tree.roots().to_vec()).is_some(),
                size.count_ones() == (size + 1).count_ones()
            );
        }
    }

    #[test]
    fn a_tree_of_every_size_is_had_from_the_tiles_of_a_larger_one() {
        let (mut tiles, mut tree, mut trees) = (Tiles::default(), Tree::default(), vec![Tree::default()]);
        for size in 0..600_u64 {
            tiles.push(leaf_hash(&size.to_be_bytes()));
            tree.push(&size.to_be_bytes());
            trees.push(tree.clone());
        }
        for (size, tree) in (0..).zip(trees) {
            assert_eq!(Tree::at(&tiles, size), Ok(tree), "{size}");
        }
        assert!(Tree::at(&tiles, 601).is_err());
    }

    #[test]
    fn the_roots_are_those_of_certificate_transparency() {
        // The test vectors of the reference implementation of RFC 6962: eight leaves.
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let mut tree = Tree::default();
        assert_eq!(tree.root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        tree.push(leaves[0]);
        assert_eq!(tree.root().to_string(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        leaves[1..].iter().for_each(|leaf| tree.push(leaf));
        assert_eq!(tree.root().to_string(), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }
}
