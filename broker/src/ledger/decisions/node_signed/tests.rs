//! A node's word is kept where it is just that; whatever else a node sends, nothing of it is.

use comity_identity::KeyPair;
use comity_proto::convert::wire_instant;
use comity_transparency::{Signer as _, SigningError};
use proptest::prelude::*;

use super::*;

const PROMPT: &[u8] = b"the patient is seventeen and afraid";

fn at() -> Timestamp {
    "2026-11-23T10:00:01Z".parse().unwrap()
}

fn offer() -> OfferName {
    "org-a.example/n1/chat".parse().unwrap()
}

fn relayed(offer: &OfferName) -> Relayed<'_> {
    Relayed {
        decision: DecisionId::from_bytes([7; 16]),
        index: 41,
        decided_at: at(),
        epochs: (5, 6),
        offer,
        attempt: 1,
        grpc_code: 0,
        usage: Some(UsageRecord { input_tokens: 3, output_tokens: 4 }),
        ended_at: at(),
    }
}

fn outcome() -> Outcome {
    Outcome {
        decision_id: vec![7; 16].into(),
        decision_index: 41,
        attempt: 1,
        offer: offer().to_string(),
        status: 0,
        input_tokens: Some(3),
        output_tokens: Some(4),
        ended_at: Some(wire_instant(at())),
        epoch: 6,
        state_age_ms: 900,
    }
}

fn signed(key: &KeyPair, outcome: Vec<u8>) -> Result<NodeOutcome, SigningError> {
    let signature = key.sign(&[OUTCOME_CONTEXT, &outcome].concat())?;
    Ok(NodeOutcome { outcome: outcome.into(), signature: signature.into() })
}

/// What becomes of an outcome, with some of what is sent changed after it was signed.
fn taken(outcome: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Result<NodeSigned, Unsigned> {
    let key = KeyPair::generate().unwrap();
    let mut sent = signed(&key, outcome).unwrap().encode_to_vec();
    change(&mut sent);
    NodeSigned::verify(&sent, &key.public_key().unwrap(), &relayed(&offer()))
}

fn says(change: impl FnOnce(&mut Outcome)) -> Result<NodeSigned, Unsigned> {
    let mut said = outcome();
    change(&mut said);
    taken(said.encode_to_vec(), |_| ())
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

#[test]
fn a_nodes_word_is_kept_as_it_was_signed() {
    let key = KeyPair::generate().unwrap();
    let sent = signed(&key, outcome().encode_to_vec()).unwrap().encode_to_vec();
    let kept = NodeSigned::verify(&sent, &key.public_key().unwrap(), &relayed(&offer())).unwrap();
    assert_eq!(kept.into_bytes(), sent);
}

#[test]
fn numbers_that_nothing_is_held_against_have_no_room_for_a_text() {
    let key = KeyPair::generate().unwrap();
    let offer: OfferName = "a.example/n1/o1".parse().unwrap();
    let ended = outcome().ended_at.unwrap();
    let finer = prost_types::Timestamp { nanos: ended.nanos + 1, ..ended };
    for (said, field) in [
        (Outcome { state_age_ms: MAX_STATE_AGE_MS + 1, ..outcome() }, "state_age_ms"),
        (Outcome { ended_at: Some(finer), ..outcome() }, "time"),
    ] {
        let said = Outcome { offer: offer.to_string(), ..said };
        let sent = signed(&key, said.encode_to_vec()).unwrap().encode_to_vec();
        let found = NodeSigned::verify(&sent, &key.public_key().unwrap(), &relayed(&offer));
        assert_eq!(found, Err(Unsigned::Other { field }));
    }
}

#[test]
fn the_longest_word_that_an_honest_node_has_is_kept() {
    let name = |label: &str| label.repeat(64);
    let domain = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(63));
    let offer: OfferName = format!("{domain}/{}/{}", name("n"), name("o")).parse().unwrap();
    let usage = UsageRecord { input_tokens: u64::MAX, output_tokens: u64::MAX };
    let (index, epochs) = (u64::MAX, (u64::MAX, u64::MAX));
    let relayed = Relayed { index, epochs, usage: Some(usage), ..relayed(&offer) };
    let said = Outcome {
        decision_index: index,
        offer: offer.to_string(),
        input_tokens: Some(u64::MAX),
        output_tokens: Some(u64::MAX),
        epoch: u64::MAX,
        state_age_ms: MAX_STATE_AGE_MS,
        ..outcome()
    };
    let key = KeyPair::generate().unwrap();
    let sent = signed(&key, said.encode_to_vec()).unwrap().encode_to_vec();
    assert!(NodeSigned::verify(&sent, &key.public_key().unwrap(), &relayed).is_ok());
}

#[test]
fn nothing_is_kept_of_what_has_more_in_it_than_an_outcome() {
    let with = |bytes: Vec<u8>| move |sent: &mut Vec<u8>| sent.extend(bytes);
    let honest = outcome().encode_to_vec();
    // Beside the outcome: a field that nobody knows, and one that comes twice, of which readers take the last.
    assert_eq!(taken(honest.clone(), with(field(15, PROMPT))), Err(Unsigned::Malformed));
    let twice = |sent: &mut Vec<u8>| *sent = [field(2, PROMPT), sent.clone()].concat();
    assert!(!taken(honest.clone(), twice).unwrap().into_bytes().windows(PROMPT.len()).any(|part| part == PROMPT));
    // Within it, and signed.
    assert_eq!(taken([honest.clone(), field(15, PROMPT)].concat(), |_| ()), Err(Unsigned::Malformed));
    assert_eq!(taken([field(4, PROMPT), honest.clone()].concat(), |_| ()), Err(Unsigned::Malformed));
    let padded = [honest, vec![0x50, 0x80, 0x80, 0]].concat();
    assert_eq!(taken(padded, |_| ()), Err(Unsigned::Malformed));
}

#[test]
fn garbage_and_what_is_too_long_are_no_word() {
    let honest = outcome().encode_to_vec();
    assert_eq!(taken(honest.clone(), |sent| *sent = vec![0xff, 0xff]), Err(Unsigned::Malformed));
    assert_eq!(taken(honest, |sent| sent.resize(11_000, b'A')), Err(Unsigned::TooLong));
    assert_eq!(taken(Vec::new(), |sent| sent.clear()), Err(Unsigned::Other { field: "decision" }));
}

#[test]
fn a_word_on_something_else_than_was_relayed_is_none() {
    let other = |field| Err(Unsigned::Other { field });
    assert_eq!(says(|said| said.decision_id = vec![8; 16].into()), other("decision"));
    assert_eq!(says(|said| said.decision_index = 42), other("decision"));
    assert_eq!(says(|said| said.attempt = 2), other("try"));
    assert_eq!(says(|said| said.offer = "org-a.example/n1/embed".into()), other("offer"));
    assert_eq!(says(|said| said.status = 13), other("status"));
    assert_eq!(says(|said| said.output_tokens = Some(5)), other("usage"));
    assert_eq!(says(|said| said.output_tokens = None), other("usage"));
    let far = |seconds| Some(wire_instant(at().plus(Duration::from_secs(seconds))));
    assert_eq!(says(|said| said.ended_at = far(121)), other("time"));
    assert_eq!(says(|said| said.ended_at = None), other("time"));
    assert_eq!([4, 7].map(|epoch| says(|said| said.epoch = epoch)), [(); 2].map(|()| other("epoch")));
    assert!(says(|said| (said.ended_at, said.epoch) = (far(119), 5)).is_ok());
}

#[test]
fn what_the_nodes_key_did_not_sign_is_forged() {
    let (key, another) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let sent = signed(&another, outcome().encode_to_vec()).unwrap();
    let verify =
        |sent: &NodeOutcome| NodeSigned::verify(&sent.encode_to_vec(), &key.public_key().unwrap(), &relayed(&offer()));
    assert_eq!(verify(&sent), Err(Unsigned::Forged));
    // Signed, and for another purpose.
    let bare = key.sign(&outcome().encode_to_vec()).unwrap();
    let sent = NodeOutcome { signature: bare.into(), ..sent };
    assert_eq!(verify(&sent), Err(Unsigned::Forged));
    // With something behind the signature.
    let mut longer = signed(&key, outcome().encode_to_vec()).unwrap();
    longer.signature = [&longer.signature[..], PROMPT].concat().into();
    assert_eq!(verify(&longer), Err(Unsigned::Forged));
}

proptest! {
    #[test]
    fn whatever_is_sent_is_kept_only_as_a_signed_outcome_and_without_a_byte_more(
        bytes in proptest::collection::vec(any::<u8>(), 0..64), at in 0_usize..300,
    ) {
        let honest = outcome().encode_to_vec();
        let changed = taken(honest.clone(), |sent| {
            let at = at.min(sent.len());
            sent.splice(at..at, bytes.clone());
        });
        if let Ok(kept) = changed {
            let kept = NodeOutcome::decode(kept.into_bytes()).unwrap();
            prop_assert_eq!(kept.outcome, honest);
        }
    }
}
