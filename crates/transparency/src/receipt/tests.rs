//! A receipt holds as a whole, or proves nothing.

use comity_types::{DecisionId, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::leaf::Epoch;
use crate::note::NoteKey;
use crate::proof::{inclusion, root};
use crate::record::{Place, Record, SALT_BYTES};
use crate::tile::Tiles;

const ORIGIN: &str = "fed.example/decisions/b1";

struct Scene {
    key: NoteKey,
    receipt: Receipt,
    /// The outcome of the decision that follows.
    next_outcome: Proven,
}

impl Scene {
    fn verifier(&self) -> NoteVerifier {
        NoteVerifier::new(ORIGIN.into(), self.key.public().unwrap())
    }

    fn verify(&self, change: impl FnOnce(&mut Receipt)) -> Result<Verified, ReceiptError> {
        let mut receipt = self.receipt.clone();
        change(&mut receipt);
        receipt.verify(ORIGIN, &self.verifier())
    }
}

/// A log of ten decisions, each with its outcome right behind it; the receipt is of the fourth.
fn scene() -> Scene {
    let (mut tiles, mut leaves) = (Tiles::default(), Vec::new());
    for number in 0..10_u8 {
        let decision = Record::new(RecordKind::Decision, [number; SALT_BYTES]);
        let decision = decision.with(Field::CALLER, "spiffe://org-a.example/app/a").unwrap();
        let outcome = Record::new(RecordKind::Outcome, [100 + number; SALT_BYTES]);
        let outcome = outcome.with(Field::JURISDICTION, r#"["FR"]"#).unwrap();
        let index = u64::from(number) * 2;
        for (kind, record) in [(Kind::Decision, decision), (Kind::Outcome { decision: index }, outcome)] {
            let leaf = Leaf {
                kind,
                at: Timestamp::from_millis(1_795_000_000_000).unwrap(),
                decision: DecisionId::from_bytes([number; 16]),
                epoch: Epoch { size: 3, root: Digest::of(b"epoch") },
                engine: 1,
                record: record.commitment(),
            };
            tiles.push(leaf.hash());
            leaves.push((leaf.to_bytes(), record.disclose(|_| true)));
        }
    }
    let key = NoteKey::generate(ORIGIN.into()).unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 20, root: root(&tiles, 20).unwrap() };
    let proven = |index: u64| {
        let (leaf, record) = leaves[usize::try_from(index).unwrap()].clone();
        Proven { index, leaf, path: inclusion(&tiles, index, 20).unwrap().unwrap(), record: Some(record) }
    };
    let receipt = Receipt { checkpoint: checkpoint.sign(&key).unwrap(), decision: proven(6), outcome: Some(proven(7)) };
    Scene { key, receipt, next_outcome: proven(9) }
}

#[test]
fn a_receipt_says_what_the_records_say() {
    let verified = scene().verify(|_| {}).unwrap();
    assert_eq!(verified.text(Field::CALLER), Some("spiffe://org-a.example/app/a"));
    assert_eq!(verified.text(Field::JURISDICTION), Some(r#"["FR"]"#));
    assert_eq!((verified.text(Field::MODEL), verified.checkpoint().size), (None, 20));
}

#[test]
fn a_refusal_is_a_decision_alone_and_an_erased_record_leaves_the_leaf() {
    let scene = scene();
    let alone = scene.verify(|receipt| receipt.outcome = None).unwrap();
    assert_eq!((alone.outcome(), alone.get(Field::JURISDICTION)), (None, None));
    let erased = scene.verify(|receipt| receipt.decision.record = None).unwrap();
    assert!(erased.decision().is_without_record() && erased.get(Field::CALLER).is_none());
}

#[test]
fn no_part_can_be_exchanged() {
    let (scene, other) = (scene(), scene());
    let which = |result: Result<Verified, ReceiptError>| result.unwrap_err();
    assert!(matches!(
        which(scene.verify(|r| r.checkpoint.clone_from(&other.receipt.checkpoint))),
        ReceiptError::Checkpoint(_)
    ));
    assert!(matches!(
        which(scene.verify(|r| r.decision.index = 4)),
        ReceiptError::NotIncluded { which: "decision", .. }
    ));
    assert!(matches!(which(scene.verify(|r| r.decision.leaf[20] ^= 1)), ReceiptError::NotIncluded { .. }));
    assert!(matches!(which(scene.verify(|r| r.decision.leaf.truncate(9))), ReceiptError::Leaf { .. }));
    let as_decision = scene.verify(|r| r.decision = r.outcome.clone().unwrap());
    assert_eq!(which(as_decision), ReceiptError::OtherKind { which: "decision" });
    let as_outcome = scene.verify(|r| r.outcome = Some(r.decision.clone()));
    assert_eq!(which(as_outcome), ReceiptError::OtherKind { which: "outcome" });
    let long = scene.verify(|r| r.decision.path = vec![Digest::of(b"x"); MAX_PROOF_HASHES + 1]);
    assert!(matches!(which(long), ReceiptError::NotIncluded { .. }));
    let swapped = scene.verify(|r| r.decision.record = r.outcome.as_ref().unwrap().record.clone());
    assert_eq!(which(swapped), ReceiptError::OtherRecord { which: "decision" });
    let told = scene.verify(|r| {
        let mut places = r.outcome.as_ref().unwrap().record.as_ref().unwrap().places().clone();
        places[3] = Place::Shown { salt: [0; SALT_BYTES], value: b"[\"US\"]".to_vec() };
        r.outcome.as_mut().unwrap().record = Some(Disclosure::new(RecordKind::Outcome, places));
    });
    assert_eq!(which(told), ReceiptError::OtherRecord { which: "outcome" });
}

#[test]
fn an_outcome_is_of_its_own_decision() {
    let scene = scene();
    // Both are in the log; they do not belong together.
    let mixed = scene.verify(|receipt| receipt.outcome = Some(scene.next_outcome.clone()));
    assert_eq!(mixed, Err(ReceiptError::OtherDecision));
}

/// A decision and what is said to have become of it, in a log where both are wherever `at` puts them.
fn ending(at: (u64, u64), change: impl FnOnce(&mut Leaf, &mut Leaf, &mut Record)) -> Result<Verified, ReceiptError> {
    let mut decision = Leaf {
        kind: Kind::Decision,
        at: Timestamp::from_millis(1_795_000_000_000).unwrap(),
        decision: DecisionId::from_bytes([9; 16]),
        epoch: Epoch { size: 3, root: Digest::of(b"epoch") },
        engine: 1,
        record: Record::new(RecordKind::Decision, [1; SALT_BYTES]).commitment(),
    };
    let mut outcome = Leaf { kind: Kind::Outcome { decision: at.0 }, ..decision };
    let mut record = Record::new(RecordKind::Outcome, [2; SALT_BYTES]);
    change(&mut decision, &mut outcome, &mut record);
    outcome.record = record.commitment();
    let mut tiles = Tiles::default();
    for index in 0..8 {
        tiles.push(match index {
            index if index == at.0 => decision.hash(),
            index if index == at.1 => outcome.hash(),
            _ => Digest::of(b"another"),
        });
    }
    let key = NoteKey::generate(ORIGIN.into()).unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 8, root: root(&tiles, 8).unwrap() };
    let proven = |index, leaf: &Leaf, record| Proven {
        index,
        leaf: leaf.to_bytes(),
        path: inclusion(&tiles, index, 8).unwrap().unwrap(),
        record,
    };
    let shown = Some(record.disclose(|_| false));
    let receipt = Receipt {
        checkpoint: checkpoint.sign(&key).unwrap(),
        decision: proven(at.0, &decision, None),
        outcome: Some(proven(at.1, &outcome, shown)),
    };
    receipt.verify(ORIGIN, &NoteVerifier::new(ORIGIN.into(), key.public().unwrap()))
}

#[test]
fn an_outcome_comes_after_its_decision_in_the_log_and_in_time() {
    assert!(ending((2, 5), |_, _, _| {}).is_ok());
    let first = ending((5, 2), |_, _, _| {});
    assert_eq!(first, Err(ReceiptError::OutcomeFirst { decision: 5, outcome: 2 }));
    let earlier = ending((2, 5), |decision, outcome, _| {
        outcome.at = Timestamp::from_millis(decision.at.as_millis() - 1).unwrap();
    });
    assert!(matches!(earlier, Err(ReceiptError::OutcomeEarlier { .. })), "{earlier:?}");
}

#[test]
fn an_outcome_repeats_the_state_and_the_engine_of_its_decision_and_an_abort_the_state() {
    let epoch = |_: &mut Leaf, outcome: &mut Leaf, _: &mut Record| outcome.epoch.size += 1;
    assert_eq!(ending((2, 5), epoch), Err(ReceiptError::OtherBasis { what: "epoch" }));
    let engine = |_: &mut Leaf, outcome: &mut Leaf, _: &mut Record| outcome.engine += 1;
    assert_eq!(ending((2, 5), engine), Err(ReceiptError::OtherBasis { what: "engine" }));
    // The next start writes it, perhaps after an update.
    let abort = |_: &mut Leaf, outcome: &mut Leaf, _: &mut Record| {
        (outcome.kind, outcome.engine) = (Kind::Abort { decision: 2 }, 2);
    };
    assert!(ending((2, 5), abort).is_ok());
}

#[test]
fn an_abort_that_says_what_became_of_it_is_refused_shown_or_hidden() {
    let says = |_: &mut Leaf, outcome: &mut Leaf, record: &mut Record| {
        outcome.kind = Kind::Abort { decision: 2 };
        *record = record.clone().with(Field::OFFER, "org-b.example/n1/chat").unwrap();
    };
    assert_eq!(ending((2, 5), says), Err(ReceiptError::AbortWithRecord { index: 5 }));
}

#[test]
fn what_is_narrowed_still_holds_and_tells_less() {
    let scene = scene();
    let narrowed = scene.receipt.clone().narrowed(|field| field == Field::JURISDICTION);
    let verified = narrowed.verify(ORIGIN, &scene.verifier()).unwrap();
    assert_eq!((verified.get(Field::CALLER), verified.text(Field::JURISDICTION)), (None, Some(r#"["FR"]"#)));
}

#[test]
fn a_receipt_survives_its_file_which_others_read_as_a_proof() {
    let scene = scene();
    let hidden = scene.receipt.clone().narrowed(|field| field == Field::JURISDICTION);
    let refusal = Receipt { outcome: None, ..scene.receipt.clone() };
    let erased =
        Receipt { decision: Proven { record: None, ..scene.receipt.decision.clone() }, ..scene.receipt.clone() };
    for receipt in [scene.receipt, hidden, refusal, erased] {
        let file = receipt.to_file().unwrap();
        assert_eq!(Receipt::from_file(&file).unwrap(), receipt);
        let proof: crate::tlog_proof::TlogProof = file.parse().unwrap();
        assert_eq!(proof.index(), receipt.outcome.as_ref().unwrap_or(&receipt.decision).index);
    }
}

#[test]
fn a_file_that_is_no_receipt_is_refused() {
    let file = scene().receipt.to_file().unwrap();
    let extra = file.lines().nth(1).unwrap();
    assert!(matches!(Receipt::from_file(&file.replace(&format!("{extra}\n"), "")), Err(FileError::NoExtra)));
    let other = |json: &str| {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, json);
        Receipt::from_file(&file.replace(extra, &format!("extra {encoded}")))
    };
    assert!(matches!(other("{}"), Err(FileError::Extra(_))));
    assert!(matches!(other(r#"{"leaf":"!"}"#), Err(FileError::Field("leaf"))));
    assert!(matches!(other(r#"{"leaf":"","record":[]}"#), Err(FileError::Field("record"))));
    assert!(matches!(other(r#"{"leaf":"","unknown":1}"#), Err(FileError::Extra(_))));
    assert!(matches!(Receipt::from_file("hello"), Err(FileError::Proof(_))));
}

proptest! {
    #[test]
    fn no_flipped_bit_is_taken(which in 0_usize..3, place: usize, bit in 0_u8..8) {
        let scene = scene();
        let changed = scene.verify(|receipt| {
            let outcome = receipt.outcome.as_mut().unwrap();
            match which {
                0 => { let place = place % outcome.leaf.len(); outcome.leaf[place] ^= 1 << bit; }
                1 => {
                    let hash = place % outcome.path.len();
                    let mut bytes = *outcome.path[hash].as_bytes();
                    bytes[place % 32] ^= 1 << bit;
                    outcome.path[hash] = Digest::from_bytes(bytes);
                }
                _ => {
                    let mut places = outcome.record.as_ref().unwrap().places().clone();
                    if let Place::Shown { salt, value } = &mut places[3] {
                        let at = place % (SALT_BYTES + value.len());
                        *salt.iter_mut().chain(value).nth(at).unwrap() ^= 1 << bit;
                    }
                    outcome.record = Some(Disclosure::new(RecordKind::Outcome, places));
                }
            }
        });
        prop_assert!(changed.is_err());
    }
}
