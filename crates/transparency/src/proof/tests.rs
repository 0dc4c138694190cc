//! Proofs are those of the definitions, and nothing else verifies.

use proptest::prelude::*;

use super::*;
use crate::tree::{Tree, leaf_hash};

/// All leaves, of which every subtree is hashed anew.
struct Leaves(Vec<Digest>);

impl Nodes for Leaves {
    type Error = std::convert::Infallible;

    fn node(&self, height: u32, index: u64) -> Result<Digest, Self::Error> {
        let start = usize::try_from(index << height).unwrap();
        Ok(definition(&self.0[start..start + (1 << height)]))
    }
}

fn definition(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let middle = leaves.len().next_power_of_two() / 2;
            node_hash(&definition(&leaves[..middle]), &definition(&leaves[middle..]))
        }
    }
}

/// `PATH(m, D[n])`, word for word.
fn path(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    let (mut path, sibling) = match index < middle {
        true => (path(index, left), definition(right)),
        false => (path(index - middle, right), definition(left)),
    };
    path.push(sibling);
    path
}

/// `SUBPROOF(m, D[n], b)`, word for word.
fn subproof(old: usize, leaves: &[Digest], is_old_tree: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if is_old_tree { Vec::new() } else { vec![definition(leaves)] };
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    let (mut proof, sibling) = match old <= middle {
        true => (subproof(old, left, is_old_tree), definition(right)),
        false => (subproof(old - middle, right, false), definition(left)),
    };
    proof.push(sibling);
    proof
}

fn leaves(count: u32) -> Leaves {
    Leaves((0..count).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect())
}

#[test]
fn roots_and_proofs_are_the_definitions_at_every_size_and_verify() {
    let log = leaves(70);
    let mut tree = Tree::default();
    for size in 0..=log.0.len() {
        let (new, some) = (size as u64, &log.0[..size]);
        let of_new = root(&log, new).unwrap();
        assert_eq!((of_new, of_new), (definition(some), tree.root()), "{size}");
        for index in 0..size {
            let proof = inclusion(&log, index as u64, new).unwrap().unwrap();
            assert_eq!(proof, path(index, some), "leaf {index} of {size}");
            assert_eq!(verify_inclusion(index as u64, new, some[index], &proof, of_new), Ok(()));
        }
        for old in 0..=size {
            let proof = consistency(&log, old as u64, new).unwrap().unwrap();
            if old > 0 {
                assert_eq!(proof, subproof(old, some, true), "{old} of {size}");
            }
            let of_old = definition(&some[..old]);
            assert_eq!(verify_consistency(old as u64, new, of_old, of_new, &proof), Ok(()), "{old} of {size}");
        }
        assert_eq!(inclusion(&log, new, new), Ok(None));
        assert_eq!(consistency(&log, new + 1, new), Ok(None));
        if let Some(next) = log.0.get(size) {
            tree.push_hash(*next);
        }
    }
}

/// What is changed of a proof.
#[derive(Debug, Clone, Copy)]
enum Change {
    Flip(usize),
    Drop(usize),
    Double(usize),
    Add,
}

fn changed(mut path: Vec<Digest>, change: Change) -> Vec<Digest> {
    let at = |place: usize| place % path.len().max(1);
    match change {
        Change::Flip(place) if !path.is_empty() => {
            let place = at(place);
            path[place] = Digest::of(path[place].as_bytes());
        }
        Change::Drop(place) if !path.is_empty() => drop(path.remove(at(place))),
        Change::Double(place) if !path.is_empty() => path.insert(at(place), path[at(place)]),
        Change::Flip(_) | Change::Drop(_) | Change::Double(_) | Change::Add => path.push(Digest::of(b"more")),
    }
    path
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<usize>().prop_map(Change::Flip),
        any::<usize>().prop_map(Change::Drop),
        any::<usize>().prop_map(Change::Double),
        Just(Change::Add),
    ]
}

proptest! {
    #[test]
    fn a_changed_proof_of_inclusion_proves_nothing(size in 1_u32..300, index: u64, change in changes()) {
        let log = leaves(size);
        let (size, index) = (u64::from(size), index % u64::from(size));
        let (leaf, of_all) = (log.0[usize::try_from(index).unwrap()], root(&log, size).unwrap());
        let proof = inclusion(&log, index, size).unwrap().unwrap();
        let other = changed(proof.clone(), change);
        prop_assert!(verify_inclusion(index, size, leaf, &other, of_all).is_err());
        prop_assert!(verify_inclusion(index, size, leaf, &proof, Digest::of(b"root")).is_err());
        prop_assert!(verify_inclusion(index, size, Digest::of(b"leaf"), &proof, of_all).is_err());
        prop_assert!(verify_inclusion(size, size, leaf, &proof, of_all).is_err());
    }

    #[test]
    fn a_changed_proof_of_consistency_proves_nothing(new in 1_u32..300, old: u64, change in changes()) {
        let log = leaves(new);
        let (new, old) = (u64::from(new), old % u64::from(new));
        let (of_old, of_new) = (root(&log, old).unwrap(), root(&log, new).unwrap());
        let proof = consistency(&log, old, new).unwrap().unwrap();
        prop_assert!(verify_consistency(old, new, of_old, of_new, &changed(proof.clone(), change)).is_err());
        prop_assert!(verify_consistency(old, new, Digest::of(b"old"), of_new, &proof).is_err());
        if old > 0 {
            prop_assert!(verify_consistency(old, new, of_old, Digest::of(b"new"), &proof).is_err());
        }
    }

    #[test]
    fn a_path_shows_what_a_tree_begins_with_and_a_changed_one_shows_nothing_else(
        new in 2_u32..300,
        old: u64,
        change in changes()
    ) {
        let log = leaves(new);
        let (new, old) = (u64::from(new), 1 + old % (u64::from(new) - 1));
        let (of_old, of_new) = (root(&log, old).unwrap(), root(&log, new).unwrap());
        let path = prefix(&log, old, new).unwrap().unwrap();
        prop_assert_eq!(prefix_root(old, new, of_new, &path), Some(of_old));
        prop_assert_eq!(prefix_root(old, new, Digest::of(b"new"), &path), None);
        prop_assert_eq!(prefix_root(old, new, of_new, &changed(path, change)), None);
    }

    #[test]
    fn no_sizes_and_no_number_of_hashes_make_it_fall(index: u64, size: u64, count in 0_usize..80) {
        let (hash, path) = (Digest::of(b"x"), vec![Digest::of(b"y"); count]);
        let _ = verify_inclusion(index, size, hash, &path, hash);
        let _ = verify_consistency(index, size, hash, hash, &path);
        let _ = prefix_root(index, size, hash, &path);
    }
}
