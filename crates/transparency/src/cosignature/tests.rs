use proptest::prelude::*;

use super::*;
use crate::checkpoint::CheckpointError;
use crate::log_key::LogKey;
use crate::note::NoteError;
use crate::tree::Tree;
use crate::verifier::Signed;

const LOG: &str = "example.com/behind-the-sofa";
const WITNESS: &str = "witness.example.com/w1";
const KINDS: [CosignatureKind; 2] = [CosignatureKind::Ed25519, CosignatureKind::MlDsa44];
const AT: u64 = 1_679_315_147;

fn checkpoint() -> Checkpoint {
    let mut tree = Tree::default();
    tree.push(b"leaf");
    Checkpoint::of(LOG, &tree)
}

fn signed(log: &LogKey) -> CheckpointNote {
    CheckpointNote::parse(&log.sign(&checkpoint(), None).unwrap()).unwrap()
}

fn cosigned(key: &CosigningKey) -> CheckpointNote {
    let mut note = signed(&LogKey::generate(LOG).unwrap());
    note.append(key.cosign(&note, AT).unwrap()).unwrap();
    note
}

#[test]
fn the_ed25519_message_is_the_specifications() {
    // tlog-cosignature, "Ed25519 signed message", the example.
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    assert_eq!(ed25519_message(text, AT), format!("cosignature/v1\ntime 1679315147\n{text}"));
}

#[test]
fn the_ml_dsa_44_message_is_the_specifications_byte_for_byte() {
    let root = comity_types::Digest::from_bytes([0xab; 32]);
    let checkpoint = Checkpoint { origin: "log".into(), size: 0x0102, root };
    let mut expected = b"subtree/v1\n\0\x01w".to_vec();
    expected.extend([0, 0, 0, 0, 0, 0, 0, 5]); // time
    expected.extend(b"\x03log");
    expected.extend([0; 8]); // start
    expected.extend([0, 0, 0, 0, 0, 0, 1, 2]); // end
    expected.extend([0xab; 32]);
    assert_eq!(subtree_message("w", &checkpoint, 5), Some(expected));
    for long in ["", &"o".repeat(256)] {
        assert_eq!(subtree_message(long, &checkpoint, 5), None);
        assert_eq!(subtree_message("w", &Checkpoint { origin: long.into(), ..checkpoint.clone() }, 5), None);
    }
}

#[test]
fn the_example_of_the_specification_is_read() {
    let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo\
        +zyWE+xeMcTOAYQ8=\n\
        \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5\
        nNo0xUe+mbIUBkBIfZ+qnA==\n";
    let read = CheckpointNote::parse(note).unwrap();
    assert_eq!((read.checkpoint().size, read.to_string()), (20_852_163, note.to_owned()));
    let cosignature = &read.note().signatures()[1];
    assert_eq!(cosignature.signature()[..8], AT.to_be_bytes(), "the time of the message's example");
}

#[test]
fn a_cosignature_holds_for_its_key_its_checkpoint_and_its_time_alone() {
    for kind in KINDS {
        let key = CosigningKey::generate(WITNESS, kind).unwrap();
        let note = cosigned(&key);
        assert_eq!(note.signed_by(key.verifier()), Ok(Some(Signed { time: Some(AT) })));
        let other = CosigningKey::generate(WITNESS, kind).unwrap();
        assert_eq!(note.signed_by(other.verifier()), Ok(None), "another key of the same name");

        let text = note.to_string();
        let larger = CheckpointNote::parse(&text.replacen("\n1\n", "\n2\n", 1)).unwrap();
        assert_eq!(larger.signed_by(key.verifier()), Err(NoteError::Forged));

        let mut later = note.note().signatures()[1].clone();
        later.signature[7] ^= 1;
        let mut note = signed(&LogKey::generate(LOG).unwrap());
        note.append(later).unwrap();
        assert_eq!(note.signed_by(key.verifier()), Err(NoteError::Forged), "another time");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_cosignature_spoils_the_note() {
    for kind in KINDS {
        let key = CosigningKey::generate(WITNESS, kind).unwrap();
        let note = cosigned(&key);
        let line = &note.note().signatures()[1];
        for place in (0..line.signature.len()).step_by(97).chain([line.signature.len() - 1]) {
            let mut flipped = line.clone();
            flipped.signature[place] ^= 0x40;
            let mut spoilt = note.clone();
            spoilt.append(flipped).unwrap();
            assert_eq!(spoilt.signed_by(key.verifier()), Err(NoteError::Forged), "{kind:?} {place}");
        }
        let mut cut = line.clone();
        cut.signature.truncate(7);
        let mut spoilt = signed(&LogKey::generate(LOG).unwrap());
        spoilt.append(cut).unwrap();
        assert_eq!(spoilt.signed_by(key.verifier()), Err(NoteError::Forged), "not even a time");
    }
}

#[test]
fn a_swapped_name_makes_a_cosignature_another_keys() {
    for kind in KINDS {
        let key = CosigningKey::generate(WITNESS, kind).unwrap();
        let note = cosigned(&key);
        let swapped = note.to_string().replace(WITNESS, "witness.example.com/w2");
        let swapped = CheckpointNote::parse(&swapped).unwrap();
        assert_eq!(swapped.signed_by(key.verifier()), Ok(None));
        // With the id of the other name, too: ML-DSA-44 signs the name; with Ed25519 it is the same key, and every
        // policy counts a key once.
        let original = key.verifier().clone();
        let renamed = CosigningKey::new("witness.example.com/w2", key.pair).unwrap();
        let line = note.note().signatures().iter().find(|line| original.names(line)).unwrap();
        let mut note = signed(&LogKey::generate(LOG).unwrap());
        note.append(renamed.verifier().line(line.signature.clone())).unwrap();
        let expected = match kind {
            CosignatureKind::MlDsa44 => Err(NoteError::Forged),
            CosignatureKind::Ed25519 => Ok(Some(Signed { time: Some(AT) })),
        };
        assert_eq!(note.signed_by(renamed.verifier()), expected);
        assert!(renamed.verifier().is_same_key(&original));
    }
}

#[test]
fn no_key_signs_without_a_time_or_beyond_the_last_one() {
    for kind in KINDS {
        let key = CosigningKey::generate(WITNESS, kind).unwrap();
        let note = signed(&LogKey::generate(LOG).unwrap());
        assert_eq!(key.cosign(&note, 0).err(), Some(SigningError::Time));
        assert_eq!(key.cosign(&note, MAX_TIME + 1).err(), Some(SigningError::Time));
        assert!(key.cosign(&note, MAX_TIME).is_ok());
    }
}

#[test]
fn a_key_survives_pkcs8_and_its_vkey_and_does_not_print() {
    for (kind, other) in [(KINDS[0], KINDS[1]), (KINDS[1], KINDS[0])] {
        let key = CosigningKey::generate(WITNESS, kind).unwrap();
        let der = key.to_pkcs8().unwrap();
        let again = CosigningKey::from_pkcs8(WITNESS, kind, &der).unwrap();
        assert_eq!(again.verifier(), key.verifier());
        assert!(CosigningKey::from_pkcs8(WITNESS, other, &der).is_err());
        assert_eq!(format!("{key:?}"), format!("CosigningKey({WITNESS})"));
        let vkey = key.verifier().to_string();
        assert_eq!(vkey.parse::<Verifier>().as_ref(), Ok(key.verifier()));
        assert!(CosigningKey::generate("a b", kind).is_err());
    }
}

#[test]
fn a_log_signs_by_either_key_and_only_its_own_checkpoints() {
    let log = LogKey::generate(LOG).unwrap();
    let [plain, post_quantum] = log.verifiers();
    let note = CheckpointNote::parse(&log.sign(&checkpoint(), Some(AT)).unwrap()).unwrap();
    assert_eq!(note.signed_by(plain), Ok(Some(Signed { time: None })));
    assert_eq!(note.signed_by(post_quantum), Ok(Some(Signed { time: Some(AT) })));
    let quick = CheckpointNote::parse(&log.sign(&checkpoint(), None).unwrap()).unwrap();
    assert_eq!((quick.note().signatures().len(), quick.signed_by(post_quantum)), (1, Ok(None)));

    let other = Checkpoint { origin: "example.com/other".into(), ..checkpoint() };
    assert_eq!(log.sign(&other, None), Err(SigningError::OtherLog));
    let [ed25519, ml_dsa_44] = log.to_pkcs8().unwrap();
    let again = LogKey::from_pkcs8(LOG, &ed25519, &ml_dsa_44).unwrap();
    assert_eq!(again.verifiers(), log.verifiers());
    assert!(LogKey::from_pkcs8(LOG, &ml_dsa_44, &ed25519).is_err());
}

#[test]
fn a_plain_signature_is_no_cosignature_and_a_cosignature_no_plain_one() {
    let key = CosigningKey::generate(WITNESS, CosignatureKind::Ed25519).unwrap();
    let vkey = key.verifier().to_string();
    assert!(vkey.parse::<crate::NoteVerifier>().is_err());
    let note = cosigned(&key);
    // The same key as a plain one has another id, so that its lines are not even looked at.
    let CosigningKey { pair: Pair::Ed25519(pair), .. } = key else { panic!("Ed25519 was made") };
    let plain = Verifier::new(WITNESS, Kind::Note, pair.public_key().as_ref()).unwrap();
    assert_eq!(note.signed_by(&plain), Ok(None));
    let mut line = note.note().signatures()[1].clone();
    line.id = plain.line(Vec::new()).id;
    let mut note = note;
    note.append(line).unwrap();
    assert_eq!(note.signed_by(&plain), Err(NoteError::Forged));
}

#[test]
fn a_vkey_has_one_spelling_and_a_known_kind() {
    let vkey = CosigningKey::generate(WITNESS, CosignatureKind::Ed25519).unwrap().verifier().to_string();
    let (name, rest) = vkey.split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    for wrong in [
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".to_owned(),
        format!("{name}+00000000+{key}"),
        format!("{name}+{id}+{key} "),
        format!("{name}+{id}+{key}===="),
        format!("{name}x+{id}+{key}"),
        format!("+{id}+{key}"),
        format!("{name}+{id}+"),
        format!("{name}+{id}"),
        String::new(),
        "x".repeat(crate::verifier::MAX_VKEY_BYTES + 1),
    ] {
        assert!(wrong.parse::<Verifier>().is_err(), "{wrong}");
    }
    for byte in [0, 2, 3, 5, 7, 0xff] {
        use base64::Engine as _;
        let public = [&[byte], &[9; 32][..]].concat();
        let id = u32::from_be_bytes(crate::note::key_id("n", byte, &[9; 32]));
        let vkey = format!("n+{id:08x}+{}", base64::engine::general_purpose::STANDARD.encode(public));
        assert!(vkey.parse::<Verifier>().is_err(), "{vkey}");
    }
    let mut everybodys = [0; 32];
    everybodys[0] = 1;
    assert!(Verifier::new("n", Kind::Ed25519Cosignature, &everybodys).is_err());
    assert!(Verifier::new("n", Kind::MlDsa44Cosignature, &everybodys).is_err(), "too short");
}

#[test]
fn extensions_are_read_over_and_empty_lines_are_not() {
    let text = checkpoint().text();
    assert_eq!(Checkpoint::parse(&format!("{text}more\n")), Ok(checkpoint()));
    assert_eq!(Checkpoint::parse(&format!("{text}\n")), Err(CheckpointError::Malformed));
    assert_eq!(Checkpoint::parse(text.trim_end()), Err(CheckpointError::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_checkpoint_cosigns_and_reads_back(
        size: u64, root: [u8; 32], time in 1..=MAX_TIME, origin in "[a-z./]{1,255}", post_quantum: bool,
    ) {
        let kind = KINDS[usize::from(post_quantum)];
        let key = CosigningKey::generate(WITNESS, kind).unwrap();
        let root = comity_types::Digest::from_bytes(root);
        let checkpoint = Checkpoint { origin: origin.clone(), size, root };
        let log = crate::NoteKey::generate(origin).unwrap();
        let mut note = CheckpointNote::parse(&checkpoint.sign(&log).unwrap()).unwrap();
        note.append(key.cosign(&note, time).unwrap()).unwrap();
        let read = CheckpointNote::parse(&note.to_string()).unwrap();
        prop_assert_eq!(read.checkpoint(), &checkpoint);
        prop_assert_eq!(read.signed_by(key.verifier()), Ok(Some(Signed { time: Some(time) })));
    }
}

/// Keys, an empty line, and a checkpoint that they signed, all made by another implementation (the Rust crate
/// `metamorphic-log` 0.5.0, seeds of equal bytes), which also took ours.
const VECTOR: &str = include_str!("vector.txt");

#[test]
fn the_cosignatures_of_another_maker_hold() {
    let (keys, note) = VECTOR.split_once("\n\n").unwrap();
    let note = CheckpointNote::parse(note).unwrap();
    let keys: Vec<Verifier> = keys.lines().map(|key| key.parse().unwrap()).collect();
    let times: Vec<_> = keys.iter().map(|key| note.signed_by(key).unwrap().unwrap().time).collect();
    assert_eq!(times, [None, Some(1_679_315_147), Some(1_679_315_148), Some(1_679_315_149)]);
    let kinds = [Kind::Note, Kind::Ed25519Cosignature, Kind::MlDsa44Cosignature, Kind::MlDsa44Cosignature];
    assert_eq!(keys.iter().map(Verifier::kind).collect::<Vec<_>>(), kinds);
    // A policy that knows them takes it.
    let file = format!(
        "log {}\nlog {}\nwitness A {}\nwitness B {}\ngroup G all A B\nquorum G\n",
        keys[0], keys[3], keys[1], keys[2]
    );
    let judgement = crate::policy::Policy::parse(file.as_bytes()).unwrap().judge(&note.to_string()).unwrap();
    assert_eq!((judgement.log.len(), judgement.cosigned_by.len(), judgement.quorum_met), (2, 2, true));
}
