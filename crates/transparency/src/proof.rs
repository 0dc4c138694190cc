//! Inclusion and consistency: made from the roots of complete subtrees (RFC 6962, sections 2.1.1 and 2.1.2), and
//! verified without any of them (RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use comity_types::Digest;

use crate::tree::node_hash;

#[cfg(test)]
mod tests;

/// Most hashes of a proof: a tree has at most 2^63 leaves (c2sp.org/tlog-witness, "add-checkpoint").
pub const MAX_PROOF_HASHES: usize = 63;

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no such leaf, or no such older tree.
    #[error("{index} lies outside of a tree of {size}")]
    Outside {
        /// The leaf, or the older size.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// More or fewer hashes than the sizes ask for.
    #[error("the proof has {found} hashes, which do not fit the tree's size")]
    Length {
        /// How many it has.
        found: usize,
    },
    /// It leads to another root.
    #[error("the proof leads to another root")]
    OtherRoot,
}

/// Where the roots of a log's complete subtrees are had from.
pub trait Nodes {
    /// Why one is not to be had.
    type Error;

    /// The root of the leaves from `index << height` to `(index + 1) << height`, all of which the log has.
    ///
    /// # Errors
    /// It cannot be read.
    fn node(&self, height: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// The root of the first `size` leaves.
///
/// # Errors
/// A subtree's root cannot be read.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Digest, N::Error> {
    if size == 0 { Ok(Digest::of(b"")) } else { range(nodes, 0, size) }
}

/// The hashes that lead from the leaf `index` to the root of the first `size` leaves: `PATH(index, D[size])`.
/// None where there is no such leaf.
///
/// # Errors
/// A subtree's root cannot be read.
pub fn inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Option<Vec<Digest>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut end, mut siblings) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            siblings.push((middle, end));
            end = middle;
        } else {
            siblings.push((start, middle));
            start = middle;
        }
    }
    siblings.into_iter().rev().map(|(start, end)| range(nodes, start, end)).collect::<Result<_, _>>().map(Some)
}

/// The hashes that lead from the root of the first `old` leaves to that of the first `new`: `PROOF(old, D[new])`.
/// Empty where `old` is 0 or `new`; none where `old` is larger.
///
/// # Errors
/// A subtree's root cannot be read.
pub fn consistency<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Option<Vec<Digest>>, N::Error> {
    if old > new {
        return Ok(None);
    }
    if old == 0 || old == new {
        return Ok(Some(Vec::new()));
    }
    let (mut start, mut end, mut parts) = (0, new, Vec::new());
    // Down to the subtree that ends where the old tree does.
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            parts.push((middle, end));
            end = middle;
        } else {
            parts.push((start, middle));
            start = middle;
        }
    }
    // It is the old tree itself, whose root the verifier has, if nothing of the old tree lies to its left.
    if start != 0 {
        parts.push((start, end));
    }
    parts.into_iter().rev().map(|(start, end)| range(nodes, start, end)).collect::<Result<_, _>>().map(Some)
}

/// Checks that `leaf`, a leaf's hash, is at `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// The path does not lead there.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: Digest,
    path: &[Digest],
    expected: Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Outside { index, size });
    }
    let length = ProofError::Length { found: path.len() };
    let (mut position, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return Err(length);
        }
        if position & 1 == 1 || position == last {
            hash = node_hash(sibling, &hash);
            // A right edge has no siblings on some levels.
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    match (last, hash == expected) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::OtherRoot),
        _ => Err(length),
    }
}

/// Checks that the tree of `new` leaves begins with the tree of `old` leaves. Every tree begins with the empty one.
///
/// # Errors
/// The path does not show it.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: Digest,
    new_root: Digest,
    path: &[Digest],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Outside { index: old, size: new });
    }
    let length = ProofError::Length { found: path.len() };
    if old == 0 || old == new {
        let same = if old == new { old_root == new_root } else { old_root == Digest::of(b"") };
        return match (path.is_empty(), same) {
            (false, _) => Err(length),
            (true, false) => Err(ProofError::OtherRoot),
            (true, true) => Ok(()),
        };
    }
    // A complete old tree is its own first hash.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, path)
    } else {
        let (first, rest) = path.split_first().ok_or(length)?;
        (*first, rest)
    };
    match both_roots(old, new, first, rest) {
        Some(roots) if roots == (old_root, new_root) => Ok(()),
        Some(_) => Err(ProofError::OtherRoot),
        None => Err(length),
    }
}

/// The root of the first `old` leaves of the tree that has `new` leaves and this root, as the path shows it: none where it
/// leads to another tree. The path is that of [`consistency`], with the root of the first `old` leaves before it where `old`
/// is a power of two; whoever has the root of another tree of `old` leaves has seen that no tree begins with both.
#[must_use]
pub fn prefix_root(old: u64, new: u64, new_root: Digest, path: &[Digest]) -> Option<Digest> {
    if old == 0 || old >= new {
        return None;
    }
    let (first, rest) = path.split_first()?;
    let (of_old, of_new) = both_roots(old, new, *first, rest)?;
    (of_new == new_root).then_some(of_old)
}

/// The path that [`prefix_root`] reads.
///
/// # Errors
/// A subtree's root cannot be read.
pub fn prefix<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Option<Vec<Digest>>, N::Error> {
    let Some(path) = consistency(nodes, old, new)? else { return Ok(None) };
    let own = if old.is_power_of_two() && old < new { Some(root(nodes, old)?) } else { None };
    Ok(Some(own.into_iter().chain(path).collect()))
}

/// What both trees' roots come to along the rest of a consistency proof, from their last common subtree up (RFC 9162,
/// section 2.1.4.2); none where the number of hashes does not fit.
fn both_roots(old: u64, new: u64, first: Digest, rest: &[Digest]) -> Option<(Digest, Digest)> {
    let levels = (old - 1).trailing_ones();
    let (mut position, mut last) = ((old - 1) >> levels, (new - 1) >> levels);
    let (mut of_old, mut of_new) = (first, first);
    for hash in rest {
        if last == 0 {
            return None;
        }
        if position & 1 == 1 || position == last {
            of_old = node_hash(hash, &of_old);
            of_new = node_hash(hash, &of_new);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, hash);
        }
        position >>= 1;
        last >>= 1;
    }
    (last == 0).then_some((of_old, of_new))
}

/// The root of the leaves from `start` to `end`, where `start` is a multiple of the power of two at or above their number.
fn range<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Digest, N::Error> {
    let (mut at, mut roots) = (start, Vec::new());
    while at < end {
        let height = (end - at).ilog2();
        roots.push(nodes.node(height, at >> height)?);
        at += 1 << height;
    }
    let mut roots = roots.into_iter().rev();
    let last = roots.next().unwrap_or_else(|| Digest::of(b""));
    Ok(roots.fold(last, |right, left| node_hash(&left, &right)))
}

/// The largest power of two below `size`, which is at least 2.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}
