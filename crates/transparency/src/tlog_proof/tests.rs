use proptest::prelude::*;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::cosignature::{CosignatureKind, CosigningKey};
use crate::log_key::LogKey;
use crate::proof::inclusion;
use crate::testing::Leaves;
use crate::tree::leaf_hash;

const ORIGIN: &str = "example.com/fancylog";

struct World {
    log: LogKey,
    witness: CosigningKey,
    leaves: Leaves,
    policy: Policy,
}

impl World {
    fn of(size: u64) -> Self {
        let log = LogKey::generate(ORIGIN).unwrap();
        let witness = CosigningKey::generate("witness1.example", CosignatureKind::MlDsa44).unwrap();
        let file = format!("log {}\nwitness W {}\nquorum W\n", log.verifiers()[0], witness.verifier());
        let leaves = Leaves((0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect());
        Self { log, witness, leaves, policy: Policy::parse(file.as_bytes()).unwrap() }
    }

    fn proof(&self, index: u64, extra: Option<&[u8]>) -> TlogProof {
        let (size, root) = (self.leaves.0.len() as u64, self.leaves.root());
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root };
        let mut note = CheckpointNote::parse(&self.log.sign(&checkpoint, None).unwrap()).unwrap();
        note.append(self.witness.cosign(&note, 7).unwrap()).unwrap();
        let path = inclusion(&self.leaves, index, size).unwrap().unwrap();
        TlogProof::new(extra.map(<[u8]>::to_vec), index, path, note).unwrap()
    }
}

/// What reading the text says.
fn read(text: &str) -> Result<TlogProof, TlogProofError> {
    text.parse()
}

#[test]
fn a_proof_shows_its_leaf_in_its_log_and_no_other() {
    let world = World::of(13);
    let proof = world.proof(5, Some(b"context"));
    let proven = proof.verify(leaf_hash(&5_u64.to_be_bytes()), &world.policy).unwrap();
    assert_eq!((proven.checkpoint().size, proof.extra()), (13, Some(&b"context"[..])));
    let other = leaf_hash(&6_u64.to_be_bytes());
    assert_eq!(proof.verify(other, &world.policy), Err(Unproven::Inclusion(ProofError::OtherRoot)));

    let stranger = World::of(13);
    let no_log = Unproven::Judge(JudgeError::NoLog { origin: ORIGIN.into() });
    assert_eq!(proof.verify(leaf_hash(&5_u64.to_be_bytes()), &stranger.policy), Err(no_log));
    let lone = world.log.sign(proof.checkpoint().checkpoint(), None).unwrap();
    let lone = TlogProof { checkpoint: CheckpointNote::parse(&lone).unwrap(), ..proof };
    let refused = lone.verify(leaf_hash(&5_u64.to_be_bytes()), &world.policy);
    assert!(matches!(refused, Err(Unproven::NotWitnessed(_))));
}

#[test]
fn a_tree_of_one_leaf_needs_no_hash() {
    let world = World::of(1);
    let text = world.proof(0, None).to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nexample.com/fancylog\n1\n"));
    assert!(read(&text).unwrap().verify(leaf_hash(&0_u64.to_be_bytes()), &world.policy).is_ok());
}

#[test]
fn sixty_four_hashes_are_no_proof() {
    let world = World::of(3);
    let text = world.proof(2, None).to_string();
    let hash = format!("{}\n", hash_text(&Digest::of(b"")));
    let with = |more: usize| text.replacen("index 2\n", &format!("index 2\n{}", hash.repeat(more)), 1);
    let most = read(&with(62)).unwrap();
    let length = ProofError::Length { found: 63 };
    assert_eq!(most.verify(leaf_hash(&2_u64.to_be_bytes()), &world.policy), Err(Unproven::Inclusion(length)));
    assert_eq!(read(&with(63)), Err(TlogProofError::Hashes));
}

#[test]
fn what_is_not_exactly_a_proof_is_refused() {
    use TlogProofError as E;
    let world = World::of(3);
    let text = world.proof(1, Some(b"e")).to_string();
    let hash = text.lines().nth(3).unwrap();
    let spoilt = |from: &str, to: &str| {
        assert!(text.contains(from), "{from:?}");
        read(&text.replacen(from, to, 1)).unwrap_err()
    };
    assert_eq!(spoilt("@v1\n", "@v2\n"), E::Header);
    assert_eq!(spoilt("@v1\n", "@v1\r\n"), E::Header);
    assert_eq!(spoilt("@v1\n", "@v1\n\n"), E::Index);
    for wrong in ["extra ZR==\n", "extra ZQ=\n", "extra ZQ\n", "extra \n", "extra\n", "extra  ZQ==\n", "extraZQ==\n"] {
        assert_eq!(spoilt("extra ZQ==\n", wrong), E::Extra, "{wrong:?}");
    }
    assert_eq!(spoilt("extra ZQ==\n", "extra ZQ==\nextra ZQ==\n"), E::Index);
    for wrong in ["index 01\n", "index +1\n", "index -1\n", "index \n", "index  1\n", "index 1 \n", "Index 1\n", ""] {
        assert_eq!(spoilt("index 1\n", wrong), E::Index, "{wrong:?}");
    }
    assert_eq!(spoilt("index 1\n", "index 18446744073709551616\n"), E::Index);
    assert_eq!(spoilt(hash, &hash[..43]), E::Hash(1));
    assert_eq!(spoilt(hash, &format!("{hash} ")), E::Hash(1));
    assert_eq!(spoilt(hash, &hash.to_lowercase().replace('=', "-")), E::Hash(1));
    assert_eq!(
        spoilt("\n\n", "\n"),
        E::Hash(3),
        "the empty line before the signatures is taken for the one before the checkpoint"
    );
    assert!(
        matches!(spoilt("\n3\n", "\n03\n"), E::Checkpoint(CheckpointError::Malformed)),
        "a size with a zero before it"
    );
    for cut in 1..40 {
        assert!(read(&text[..text.len() - cut]).is_err(), "{cut} bytes cut off");
    }
    for more in ["\n", " ", "x", "x\n", "\u{2014} x\n"] {
        assert!(matches!(read(&format!("{text}{more}")), Err(E::Checkpoint(_))), "{more:?}");
    }
    assert_eq!(read(&"x".repeat(MAX_TLOG_PROOF_BYTES + 1)), Err(E::TooLong));
    assert_eq!(TlogProof::new(Some(vec![]), 0, vec![], world.proof(0, None).checkpoint), Err(E::Extra));
    let long = Some(vec![0; MAX_EXTRA_BYTES + 1]);
    assert_eq!(TlogProof::new(long, 0, vec![], world.proof(0, None).checkpoint), Err(E::TooLong));
}

#[test]
fn a_hash_has_one_spelling() {
    let world = World::of(2);
    let text = world.proof(0, None).to_string();
    let hash = text.lines().nth(2).unwrap();
    // The last character before the padding holds two bits that mean nothing.
    let spelling = |last: char| format!("{}{last}=", &hash[..42]);
    let read: Vec<_> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        .chars()
        .filter(|last| read(&text.replace(hash, &spelling(*last))).is_ok())
        .collect();
    assert_eq!(read.len(), 16, "{read:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_leaf_of_every_tree_is_proven_by_text_and_none_by_another_index(
        size in 1_u64..70, index: u64, other: u64, extra in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..50)),
    ) {
        let world = World::of(size);
        let (index, other) = (index % size, other % size);
        let proof = world.proof(index, extra.as_deref());
        let text = proof.to_string();
        prop_assert_eq!(read(&text), Ok(proof.clone()));
        let leaf = leaf_hash(&index.to_be_bytes());
        prop_assert!(proof.verify(leaf, &world.policy).is_ok());
        let moved = TlogProof { index: other, ..proof };
        prop_assert_eq!(moved.verify(leaf, &world.policy).is_ok(), other == index);
    }

    #[test]
    fn a_flipped_byte_is_found_wherever_it_counts(place: usize, bit in 0_u32..7) {
        let world = World::of(5);
        let proof = world.proof(3, None);
        let mut text = proof.to_string().into_bytes();
        let place = place % text.len();
        text[place] ^= 1 << bit;
        let leaf = leaf_hash(&3_u64.to_be_bytes());
        let read = String::from_utf8(text).ok().and_then(|text| text.parse::<TlogProof>().ok());
        if let Some(read) = read {
            // A signature of a key that is renamed by the flip is a stranger's; without it the quorum is not met.
            prop_assert!(read.verify(leaf, &world.policy).is_err());
        }
    }
}
