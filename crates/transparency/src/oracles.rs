//! Other makers' readers take what we write, and we take what they write: `signed_note` and `tlog_tiles` (ports of
//! Go's `sumdb/note` and `sumdb/tlog`).

use crate::proof::{self, verify_consistency, verify_inclusion};
use crate::testing::Leaves;
use crate::tlog_proof::TlogProof;
use crate::tree::leaf_hash;
use crate::witness::{Verdict, Witness, merge};
use crate::{Checkpoint, CheckpointNote, CosignatureKind, CosigningKey, Kind, LogKey, NoteVerifier, Signed, Verifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::Digest;
use proptest::prelude::*;
use signed_note::{Note, Signer as _, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::Hash;

const ORIGIN: &str = "example.com/log42";

/// A key in their format, of which they have the private half.
fn their_key(seed: [u8; 32]) -> (StandardSigner, String) {
    // The public half is not part of their private format, so it is taken from what our library makes of the seed.
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref();
    let vkey = Verifier::new(ORIGIN, Kind::Note, public).unwrap().to_string();
    let id = vkey.split('+').nth(1).unwrap();
    let skey = format!("PRIVATE+KEY+{ORIGIN}+{id}+{}", STANDARD.encode([&[1], &seed[..]].concat()));
    (StandardSigner::new(&skey).unwrap(), vkey)
}

fn leaves(size: u64) -> Leaves {
    Leaves((0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect())
}

fn theirs(hash: Digest) -> Hash {
    Hash(*hash.as_bytes())
}

fn all_theirs(path: &[Digest]) -> Vec<Hash> {
    path.iter().copied().map(theirs).collect()
}

/// A checkpoint with the signatures of both keys of its log, and both cosignatures of a witness.
fn published(log: &LogKey, size: u64) -> CheckpointNote {
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root: leaves(size).root() };
    let keys = [CosignatureKind::Ed25519, CosignatureKind::MlDsa44];
    let keys = keys.map(|kind| CosigningKey::generate("witness.example/w1", kind).unwrap());
    let mut witness = Witness::new(keys.into()).unwrap();
    witness.add_log(ORIGIN, log.verifiers().to_vec(), None).unwrap();
    let mut note = CheckpointNote::parse(&log.sign(&checkpoint, Some(1_700_000_000)).unwrap()).unwrap();
    let request = crate::witness::AddCheckpoint::new(0, vec![], note.clone()).unwrap();
    let Verdict::Advance(advance) = witness.judge(&request) else { panic!("a first checkpoint is consistent") };
    let body = advance.persist(|_, _| Ok::<_, ()>(())).unwrap().sign(1_700_000_001).unwrap();
    let known: Vec<_> = witness.verifiers().cloned().collect();
    assert_eq!(merge(&mut note, &body, &known).unwrap().len(), 2);
    note
}

#[test]
fn they_open_our_checkpoints_and_leave_the_cosignatures_alone() {
    let log = LogKey::generate(ORIGIN).unwrap();
    let note = published(&log, 9).to_string();
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(&log.verifiers()[0].to_string()).unwrap())]);
    let read = Note::from_bytes(note.as_bytes()).unwrap();
    let (verified, others) = read.verify(&known).unwrap();
    assert_eq!((verified.len(), others.len()), (1, 3));
    assert_eq!(String::from_utf8(read.to_bytes()).unwrap(), note);
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(read.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size()), (ORIGIN, 9));
    assert!(*checkpoint.hash() == theirs(leaves(9).root()));
    let forged = Note::from_bytes(note.replacen("\n9\n", "\n8\n", 1).as_bytes()).unwrap();
    assert!(forged.verify(&known).is_err());
}

#[test]
fn we_open_their_checkpoints() {
    let (signer, vkey) = their_key([7; 32]);
    let theirs = tlog_tiles::Checkpoint::new(ORIGIN, 5, theirs(leaves(5).root()), "").unwrap();
    let mut note = Note::new(&theirs.to_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let note = String::from_utf8(note.to_bytes()).unwrap();
    let expected = Checkpoint { origin: ORIGIN.into(), size: 5, root: leaves(5).root() };
    let verifier: NoteVerifier = vkey.parse().unwrap();
    assert_eq!(Checkpoint::open(&note, ORIGIN, &verifier), Ok(expected));
    let read = CheckpointNote::parse(&note).unwrap();
    assert_eq!(read.signed_by(&vkey.parse().unwrap()), Ok(Some(Signed { time: None })));
    assert_eq!(signer.name(), ORIGIN);
}

#[test]
fn the_checkpoint_of_our_proofs_is_verbatim() {
    let log = LogKey::generate(ORIGIN).unwrap();
    let path = proof::inclusion(&leaves(9), 4, 9).unwrap().unwrap();
    let proof = TlogProof::new(None, 4, path, published(&log, 9)).unwrap().to_string();
    let (_, note) = proof.split_once("\n\n").unwrap();
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(&log.verifiers()[0].to_string()).unwrap())]);
    assert!(Note::from_bytes(note.as_bytes()).unwrap().verify(&known).is_ok());
}

/// What they keep of a log: every hash in their own order.
fn stored(size: u64) -> Stored {
    let mut stored = Stored(Vec::new());
    for n in 0..size {
        let more = tlog_tiles::stored_hashes(n, &n.to_be_bytes(), &stored).unwrap();
        stored.0.extend(more);
    }
    stored
}

struct Stored(Vec<Hash>);

impl tlog_tiles::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_make_and_verify_the_same_proofs(size in 1_u64..200, index: u64, old: u64, changed: u64) {
        let (index, old) = (index % size, old % size + 1);
        let (ours, their_log) = (leaves(size), stored(size));
        let (root, old_root) = (ours.root(), leaves(old).root());
        prop_assert!(tlog_tiles::tree_hash(size, &their_log).unwrap() == theirs(root));

        let path = proof::inclusion(&ours, index, size).unwrap().unwrap();
        prop_assert!(tlog_tiles::prove_record(size, index, &their_log).unwrap() == all_theirs(&path));
        let leaf = leaf_hash(&index.to_be_bytes());
        prop_assert!(tlog_tiles::check_record(&all_theirs(&path), size, theirs(root), index, theirs(leaf)).is_ok());

        let consistency = proof::consistency(&ours, old, size).unwrap().unwrap();
        prop_assert!(tlog_tiles::prove_tree(size, old, &their_log).unwrap() == all_theirs(&consistency));
        let check = tlog_tiles::check_tree(&all_theirs(&consistency), size, theirs(root), old, theirs(old_root));
        prop_assert!(check.is_ok());

        // And refuse the same ones.
        let other = changed % size;
        let they = tlog_tiles::check_record(&all_theirs(&path), size, theirs(root), other, theirs(leaf)).is_ok();
        prop_assert_eq!(verify_inclusion(other, size, leaf, &path, root).is_ok(), they);
        let other = other + 1;
        let they = tlog_tiles::check_tree(&all_theirs(&consistency), size, theirs(root), other, theirs(old_root)).is_ok();
        prop_assert_eq!(verify_consistency(other, size, old_root, root, &consistency).is_ok(), they);
    }
}
