//! A leaf has one form, and nothing else is read as one.

use proptest::prelude::*;

use super::*;

fn leaf(kind: Kind) -> Leaf {
    Leaf {
        kind,
        at: Timestamp::from_millis(1_795_000_000_123).unwrap(),
        decision: DecisionId::from_bytes([0xd1; 16]),
        epoch: Epoch { size: 7, root: Digest::from_bytes([0xe2; 32]) },
        engine: 1,
        record: Digest::from_bytes([0xf3; 32]),
    }
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let bytes = leaf(Kind::Outcome { decision: 5 }).to_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "636f6d6974792f6c6561662f76310a",
        "02",
        "000001a1ee565e7b",
        &"d1".repeat(16),
        "0000000000000007",
        &"e2".repeat(32),
        "00000001",
        &"f3".repeat(32),
        "0000000000000005",
    ];
    assert_eq!(hex, expected.concat());
    assert_eq!((bytes.len(), leaf(Kind::Decision).to_bytes().len()), (OUTCOME_BYTES, DECISION_BYTES));
}

#[test]
fn every_kind_is_read_back_and_no_other_length_is() {
    for kind in [Kind::Decision, Kind::Outcome { decision: 5 }, Kind::Abort { decision: u64::MAX }] {
        let bytes = leaf(kind).to_bytes();
        assert_eq!(Leaf::from_bytes(&bytes), Ok(leaf(kind)));
        for length in 0..bytes.len() {
            assert!(Leaf::from_bytes(&bytes[..length]).is_err(), "{kind:?} cut to {length}");
        }
        assert!(Leaf::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn what_is_not_known_is_refused() {
    let bytes = leaf(Kind::Decision).to_bytes();
    for kind in [0, 4, 255] {
        let mut other = bytes.clone();
        other[CONTEXT.len()] = kind;
        assert!(Leaf::from_bytes(&other).is_err(), "{kind}");
    }
    let mut other = bytes;
    other[0] ^= 1;
    assert!(Leaf::from_bytes(&other).is_err());
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_alike(mut bytes in proptest::collection::vec(any::<u8>(), 100..130), kind in 0_u8..5) {
        bytes[..CONTEXT.len()].copy_from_slice(CONTEXT);
        bytes[CONTEXT.len()] = kind;
        if let Ok(leaf) = Leaf::from_bytes(&bytes) {
            prop_assert_eq!(leaf.to_bytes(), bytes);
        }
    }
}
