//! No bytes from outside make a reader panic, and what is signed opens unchanged or not at all.

use proptest::prelude::*;

use crate::testing::TestKey;
use crate::{Checkpoint, Envelope, NoteKey, NoteVerifier, PublicKey, Tree};

const ORIGIN: &str = "fed.example/membership";

/// The text with some of its bytes changed, cut to what is still one.
fn mutated(text: &str, changes: &[(usize, u8)]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (place, byte) in changes {
        let place = place % bytes.len();
        bytes[place] = *byte;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)
}

proptest! {
    #[test]
    fn a_mutated_checkpoint_opens_to_what_was_signed_or_not_at_all(changes in changes()) {
        let key = NoteKey::generate(ORIGIN.into()).unwrap();
        let verifier = NoteVerifier::new(ORIGIN.into(), key.public().unwrap());
        let mut tree = Tree::default();
        tree.push(b"leaf");
        let checkpoint = Checkpoint::of(ORIGIN, &tree);
        let note = mutated(&checkpoint.sign(&key).unwrap(), &changes);
        if let Ok(opened) = Checkpoint::open(&note, ORIGIN, &verifier) {
            assert_eq!(opened, checkpoint);
        }
        drop(mutated(&verifier.vkey(), &changes).parse::<NoteVerifier>());
    }

    #[test]
    fn a_mutated_envelope_holds_what_was_signed_or_does_not_verify(changes in changes()) {
        let key = TestKey::ed25519();
        let mut envelope = Envelope::new("application/json", b"{\"a\":1}".to_vec());
        envelope.sign(&key).unwrap();
        let json = mutated(&serde_json::to_string(&envelope).unwrap(), &changes);
        if let Ok(read) = serde_json::from_str::<Envelope>(&json)
            && read.verify("application/json", &[key.public()]).is_ok()
        {
            assert_eq!(read, envelope);
        }
    }

    #[test]
    fn a_mutated_key_is_another_key_or_none(changes in changes(), p256: bool) {
        let key = if p256 { TestKey::p256() } else { TestKey::ed25519() }.public();
        let text = mutated(&key.to_string(), &changes);
        if let Ok(read) = text.parse::<PublicKey>() {
            assert_eq!((read.to_string(), read == key), (text.clone(), text == key.to_string()));
            assert!(!read.verifies(b"message", b"no signature"));
        }
    }

    #[test]
    fn no_text_at_all_makes_a_reader_panic(text: String) {
        let verifier = NoteVerifier::new(ORIGIN.into(), [7; 32]);
        drop((verifier.open(&text), Checkpoint::open(&text, ORIGIN, &verifier)));
        drop((text.parse::<NoteVerifier>(), text.parse::<PublicKey>(), serde_json::from_str::<Envelope>(&text)));
    }
}
