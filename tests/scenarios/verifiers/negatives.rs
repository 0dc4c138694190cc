//! What nobody may take: each is done to a copy of the exhibit, and every tool looks at the whole of it.

use std::io::Write as _;
use std::path::Path;

use comity_identity::Root;
use comity_tests::exhibit::{COSIGNED_AT, Exhibit, as_witness, line_by, line_of, other_spelling, relabelled, renamed};
use comity_tests::verifiers::{TOOLS, Tool};
use comity_transparency::NoteKey;
use comity_types::Secret;

/// The broker's own key of its log: what a broker could sign, whatever it ought to.
pub(super) fn log_key(root: &Root, data: &Path) -> NoteKey {
    let der = Secret::new(std::fs::read(data.join("decision-log.key")).unwrap());
    NoteKey::from_pkcs8(root.decision_log_origin(), &der).unwrap()
}

/// What is done, and what each tool refuses it with, in the order of [`TOOLS`]; `LOOKS_ELSEWHERE` if it takes it.
struct Negative {
    name: &'static str,
    done: fn(&mut Exhibit, &NoteKey),
    refused_with: [&'static str; TOOLS.len()],
}

/// It does not read what was changed, and takes the exhibit as it took it before.
const LOOKS_ELSEWHERE: &str = "";

const NEGATIVES: &[Negative] = &[
    Negative {
        name: "a tile of which a byte was flipped",
        done: |exhibit, _| exhibit.edit_bytes("log/tile/0/000", |bytes| bytes[40] ^= 1),
        refused_with: ["?", "", "?", "", "?", ""],
    },
    Negative {
        name: "a tile that is truncated",
        done: |exhibit, _| exhibit.edit_bytes("log/tile/0/001.p/46", |bytes| bytes.truncate(45 * 32)),
        refused_with: ["?", "", "?", "", "?", ""],
    },
    Negative {
        name: "a leaf that was tampered with, in its bundle",
        done: |exhibit, _| exhibit.edit_bytes("log/tile/entries/001.p/46", |bytes| *bytes.last_mut().unwrap() ^= 1),
        refused_with: ["?", "", "?", "", "?", ""],
    },
    Negative {
        name: "a leaf that was tampered with, in its receipt",
        done: |exhibit, _| {
            exhibit.edit_extra(|extra| {
                let leaf = extra["leaf"].as_str().unwrap().to_owned();
                extra["leaf"] = leaf.replacen('A', "B", 1).into();
            });
        },
        refused_with: ["?", "?", "", "", "", "?"],
    },
    Negative {
        name: "a hash of the proof that is another",
        done: |exhibit, _| exhibit.edit("receipt", |text| with_hash(text, swapped)),
        refused_with: ["?", "?", "?", "", "", "?"],
    },
    Negative {
        name: "a hash of the proof in another spelling of base64",
        done: |exhibit, _| exhibit.edit("receipt", |text| with_hash(text, other_spelling)),
        refused_with: ["?", "?", "?", "", "", "?"],
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
        refused_with: ["?", "?", "?", "", "?", "?"],
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
        refused_with: ["?", "?", "?", "", "", "?"],
    },
    Negative {
        name: "a size with a leading zero, signed by the log",
        done: |exhibit, key| resigned(exhibit, key, |text| text.replacen('\n', "\n0", 1)),
        refused_with: ["?", "?", "?", "?", "?", "?"],
    },
    Negative {
        name: "the checkpoint of another log, signed by the key of this one",
        done: |exhibit, key| resigned(exhibit, key, |text| text.replacen("/decisions/", "/other/", 1)),
        refused_with: ["?", "?", "?", "?", "?", "?"],
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
        refused_with: ["", "?", "", "", "?", "?"],
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
        refused_with: ["", "?", "", "?", "", "?"],
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
        refused_with: ["", "?", "", "", "?", "?"],
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
        refused_with: ["", "?", "", "", "?", "?"],
    },
    Negative {
        name: "the log's ML-DSA signature posing as a witness's",
        done: |exhibit, _| exhibit.witnesses[2] = exhibit.log[1].clone(),
        refused_with: ["", "?", "", "", "", "?"],
    },
];

/// Does each to a copy, and holds what every tool says of it against the table.
pub(super) fn refused_by_whoever_looks(exhibit: &Exhibit, key: &NoteKey) {
    let mut wrong = Vec::new();
    for (number, negative) in NEGATIVES.iter().enumerate() {
        let mut copy = exhibit.copy(exhibit.folder.with_file_name(format!("negative-{number}")));
        (negative.done)(&mut copy, key);
        assert!(negative.refused_with.iter().any(|said| *said != LOOKS_ELSEWHERE), "{}: nobody looks", negative.name);
        for (tool, expected) in TOOLS.into_iter().zip(negative.refused_with).filter(|(tool, _)| is_there(*tool)) {
            match tool.judge(&copy) {
                Ok(_) if expected == LOOKS_ELSEWHERE => {}
                Err(said) if expected != LOOKS_ELSEWHERE && said.contains(expected) => {}
                Ok(said) => wrong.push(format!("{tool:?} takes {}: {said}", negative.name)),
                Err(said) => wrong.push(format!("{tool:?} refuses {} with {said}", negative.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// True if the tool is installed. If not, that is said past the test's captured output: nobody is to believe that it was
/// asked.
pub(super) fn is_there(tool: Tool) -> bool {
    let there = tool.is_installed();
    if !there {
        let told = writeln!(std::io::stderr(), "SKIPPED: {tool:?} is not installed, it wants a newer Python");
        told.unwrap();
    }
    there
}

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
