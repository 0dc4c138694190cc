//! The table: what is done, and what Go, proofbundle, tlog-scales, cryptography, aics-tlog, tlog_tiles and `comity` say to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_tests::exhibit::{COSIGNED_AT, Exhibit, as_witness, line_by, line_of, other_spelling, relabelled, renamed};
use comity_transparency::NoteKey;

use super::Negative;
use super::Word::{Elsewhere, Refuses, Takes};

/// Where in a leaf its commitment begins.
const COMMITMENT: usize = 84;

pub(super) const NEGATIVES: &[Negative] = &[
    Negative {
        name: "a tile of which a byte was flipped",
        done: |exhibit, _| exhibit.edit_bytes("log/tile/0/000", |bytes| bytes[40] ^= 1),
        said: [
            Refuses("leaf 0: invalid transparency proof"),
            Elsewhere,
            Refuses("!= root_hash"),
            Elsewhere,
            Refuses("does not match its parent tile"),
            Refuses("leaf 0: invalid transparency proof"),
            Elsewhere,
        ],
    },
    Negative {
        name: "a tile that is truncated",
        done: |exhibit, _| exhibit.edit_bytes("log/tile/0/001.p/46", |bytes| bytes.truncate(45 * 32)),
        said: [
            Refuses("bad result slice"),
            Elsewhere,
            Refuses("list index out of range"),
            Elsewhere,
            Refuses("malformed resource"),
            Refuses("bad math"),
            Elsewhere,
        ],
    },
    Negative {
        name: "a partial tile of another width than its name says",
        done: |exhibit, _| exhibit.edit_bytes("log/tile/0/001.p/46", |bytes| bytes.extend([0; 32])),
        said: [Takes, Elsewhere, Takes, Elsewhere, Refuses("malformed resource"), Refuses("bad math"), Elsewhere],
    },
    Negative {
        name: "a leaf that was tampered with, in its bundle",
        done: |exhibit, _| exhibit.edit_bytes("log/tile/entries/001.p/46", |bytes| *bytes.last_mut().unwrap() ^= 1),
        said: [
            Refuses("leaf 301: invalid transparency proof"),
            Elsewhere,
            Refuses("!= root_hash"),
            Elsewhere,
            Refuses("does not match its level 0 tile"),
            Refuses("leaf 301: invalid transparency proof"),
            Elsewhere,
        ],
    },
    Negative {
        name: "a leaf that was tampered with, in its receipt",
        done: |exhibit, _| {
            exhibit.edit_extra(|extra| {
                let mut leaf = STANDARD.decode(extra["leaf"].as_str().unwrap()).unwrap();
                leaf[COMMITMENT] ^= 1;
                extra["leaf"] = STANDARD.encode(leaf).into();
            });
        },
        said: [
            Refuses("receipt: invalid transparency proof"),
            Refuses("inclusion_ok"),
            Elsewhere,
            Elsewhere,
            Elsewhere,
            Refuses("receipt: invalid transparency proof"),
            Refuses("the outcome is not in the log"),
        ],
    },
    Negative {
        name: "a hash of the proof that is another",
        done: |exhibit, _| exhibit.edit("receipt", |text| with_hash(text, swapped)),
        said: [
            Refuses("receipt: invalid transparency proof"),
            Refuses("inclusion_ok"),
            Refuses("is not the one that the tiles make"),
            Elsewhere,
            Elsewhere,
            Refuses("receipt: invalid transparency proof"),
            Refuses("leads to another root"),
        ],
    },
    Negative {
        name: "a hash of the proof in another spelling of base64",
        done: |exhibit, _| exhibit.edit("receipt", |text| with_hash(text, other_spelling)),
        said: [
            Refuses("illegal base64 data"),
            Refuses("is not valid standard base64"),
            Refuses("is not the one that the tiles make"),
            Elsewhere,
            Elsewhere,
            Refuses("Invalid last symbol"),
            Refuses("is not 32 bytes in base64"),
        ],
    },
    Negative {
        name: "the log's signature in another spelling of base64",
        done: |exhibit, _| {
            let key = exhibit.log[0].clone();
            exhibit.edit("receipt", |text| {
                let line = line_of(text, &key);
                text.replace(line, &other_spelling(line))
            });
        },
        said: [
            Takes,
            Takes,
            Takes,
            Elsewhere,
            Refuses("non-canonical base64"),
            Refuses("malformed note"),
            Refuses("not a signed note"),
        ],
    },
    Negative {
        name: "a proof of 64 hashes",
        done: |exhibit, _| {
            exhibit.edit("receipt", |text| {
                let (head, note) = text.split_once("\n\n").unwrap();
                let hashes = head.lines().count() - 3;
                let more = format!("\n{}", head.lines().last().unwrap()).repeat(64 - hashes);
                format!("{head}{more}\n\n{note}")
            });
        },
        said: [
            Refuses("receipt: invalid transparency proof"),
            Refuses("inclusion_ok"),
            Refuses("is not the one that the tiles make"),
            Elsewhere,
            Elsewhere,
            Refuses("receipt: invalid transparency proof"),
            Refuses("more than 63 hashes"),
        ],
    },
    Negative {
        name: "a size with a leading zero, signed by the log",
        done: |exhibit, key| resigned(exhibit, key, |text| text.replacen('\n', "\n0", 1)),
        said: [
            Refuses("no number in its one spelling"),
            Refuses("no leading zeros"),
            Refuses("the signature does not verify"),
            Refuses("not in its one spelling"),
            Refuses("tree size has leading zeroes"),
            Refuses("malformed"),
            Refuses("not a checkpoint"),
        ],
    },
    Negative {
        name: "the checkpoint of another log, signed by the key of this one",
        done: |exhibit, key| resigned(exhibit, key, |text| text.replacen("/decisions/", "/other/", 1)),
        said: [
            Refuses("checkpoint: of the log"),
            Refuses("log_ok"),
            Refuses("is of the log"),
            Refuses("the signature does not verify"),
            Refuses("origin mismatch"),
            Refuses("it is of the log"),
            Refuses("is of the log"),
        ],
    },
    Negative {
        name: "cosigners whose names were swapped",
        done: |exhibit, _| {
            let [one, two] = [0, 1].map(|at| exhibit.witnesses[at].name().to_owned());
            exhibit.edit("receipt", |text| {
                let swap = |line: &str| match line.split(' ').nth(1) {
                    Some(name) if name == one => line.replacen(&one, &two, 1),
                    Some(name) if name == two => line.replacen(&two, &one, 1),
                    _ => line.to_owned(),
                };
                text.split('\n').map(swap).collect::<Vec<_>>().join("\n")
            });
        },
        said: [
            Elsewhere,
            Refuses("witnesses_ok"),
            Elsewhere,
            Elsewhere,
            Refuses("quorum not met: 0"),
            Elsewhere,
            Refuses("missing: w0, w1"),
        ],
    },
    Negative {
        name: "an ML-DSA cosignature under another name",
        done: |exhibit, _| {
            let other = renamed(&exhibit.witnesses[2], "other.example/w");
            let before = std::mem::replace(&mut exhibit.witnesses[2], other.clone());
            exhibit.edit("receipt", |text| {
                let line = line_of(text, &before);
                text.replace(line, &relabelled(line, &other))
            });
        },
        said: [
            Elsewhere,
            Refuses("witnesses_ok"),
            Elsewhere,
            Refuses("the signature does not verify"),
            Elsewhere,
            Elsewhere,
            Refuses("is forged"),
        ],
    },
    Negative {
        name: "a witness that stands twice, under two names",
        done: |exhibit, _| {
            let (key, absent) = (exhibit.witnesses[0].clone(), exhibit.witnesses[1].clone());
            let twin = renamed(&key, "twin.example/w");
            exhibit
                .edit("receipt", |text| text.replace(line_of(text, &absent), &relabelled(line_of(text, &key), &twin)));
            exhibit.witnesses[1] = twin;
        },
        said: [
            Elsewhere,
            Refuses("witnesses_ok"),
            Elsewhere,
            Elsewhere,
            Refuses("quorum not met: 1"),
            Elsewhere,
            Refuses("is the witness w0's already"),
        ],
    },
    Negative {
        name: "the log's key posing as a witness",
        done: |exhibit, key| {
            let posing = as_witness(&exhibit.log[0], "posing.example/w");
            let absent = std::mem::replace(&mut exhibit.witnesses[1], posing.clone());
            exhibit.edit("receipt", |text| {
                let (proof, note) = text.split_once("\n\n").unwrap();
                let (signed, _) = note.split_once("\n\n").unwrap();
                let message = format!("cosignature/v1\ntime {COSIGNED_AT}\n{signed}\n");
                let signature = key.signature(&message).unwrap();
                let timed = [&COSIGNED_AT.to_be_bytes(), signature.signature()].concat();
                format!("{proof}\n\n{}", note.replace(line_of(note, &absent), &line_by(&posing, &timed)))
            });
        },
        said: [
            Elsewhere,
            Refuses("witnesses_ok"),
            Elsewhere,
            Elsewhere,
            Takes,
            Elsewhere,
            Refuses("and so no witness"),
        ],
    },
    Negative {
        name: "the log's ML-DSA signature posing as a witness's",
        done: |exhibit, _| exhibit.witnesses[2] = exhibit.log[1].clone(),
        said: [
            Elsewhere,
            Refuses("witnesses_ok"),
            Elsewhere,
            Takes,
            Elsewhere,
            Elsewhere,
            Refuses("and so no witness"),
        ],
    },
];

/// The receipt with its first hash changed.
fn with_hash(text: &str, change: impl Fn(&str) -> String) -> String {
    let hash = text.lines().nth(3).unwrap();
    text.replacen(&format!("\n{hash}\n"), &format!("\n{}\n", change(hash)), 1)
}

/// Other base64 of the same length.
fn swapped(hash: &str) -> String {
    let first = if hash.starts_with('A') { "B" } else { "A" };
    format!("{first}{}", &hash[1..])
}

/// Both checkpoints with another text, each with the log's own signature of it by Ed25519, and all other lines as they were.
fn resigned(exhibit: &Exhibit, key: &NoteKey, change: fn(&str) -> String) {
    let again = |note: &str| {
        let (text, lines) = note.split_once("\n\n").unwrap();
        let (_, others) = lines.split_once('\n').unwrap();
        format!("{}{others}", key.sign(&change(&format!("{text}\n"))).unwrap())
    };
    exhibit.edit("log/checkpoint", again);
    exhibit.edit("receipt", |text| {
        let (proof, note) = text.split_once("\n\n").unwrap();
        format!("{proof}\n\n{}", again(note))
    });
}
