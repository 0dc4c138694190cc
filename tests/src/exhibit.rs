//! What verifiers of other makers are shown of a log, in a folder, and what can be done to it.
//!
//! ```text
//! log/checkpoint, log/tile/…   the log                     receipt   a receipt, whose checkpoint witnesses cosigned
//! earlier                      a checkpoint of before      root.json the federation's root document
//! ```

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_transparency::witness::{AddCheckpoint, Verdict, Witness, merge};
use comity_transparency::{CheckpointNote, CosigningKey, Kind, Verifier};
use serde_json::Value;

/// When the witnesses of a scenario cosign, in seconds since 1970.
pub const COSIGNED_AT: u64 = 1_796_000_000;
/// What base64 is made of, in its order.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A log and a receipt of it, and whom a verifier is told to believe.
#[derive(Debug, Clone)]
pub struct Exhibit {
    /// Where it is.
    pub folder: PathBuf,
    /// The log's keys: Ed25519, ML-DSA-44.
    pub log: [Verifier; 2],
    /// The witnesses, every one of whom has to have cosigned.
    pub witnesses: Vec<Verifier>,
}

impl Exhibit {
    /// A file of it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A copy of it, in another folder.
    ///
    /// # Panics
    /// If it cannot be copied.
    #[must_use]
    pub fn copy(&self, folder: PathBuf) -> Self {
        copy(&self.folder, &folder);
        Self { folder, ..self.clone() }
    }

    /// Changes a file's text.
    ///
    /// # Panics
    /// If the file is as it was.
    pub fn edit(&self, name: &str, change: impl FnOnce(&str) -> String) {
        let text = std::fs::read_to_string(self.file(name)).unwrap();
        let changed = change(&text);
        assert_ne!(text, changed, "{name} is as it was");
        std::fs::write(self.file(name), changed).unwrap();
    }

    /// Changes a file's bytes.
    ///
    /// # Panics
    /// If it cannot be read or written.
    pub fn edit_bytes(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.file(name)).unwrap();
        change(&mut bytes);
        std::fs::write(self.file(name), bytes).unwrap();
    }

    /// Changes what stands beside the receipt's proof.
    ///
    /// # Panics
    /// If it has no such line.
    pub fn edit_extra(&self, change: impl FnOnce(&mut Value)) {
        self.edit("receipt", |text| {
            let line = text.lines().nth(1).unwrap();
            let extra = STANDARD.decode(line.strip_prefix("extra ").unwrap()).unwrap();
            let mut extra = serde_json::from_slice(&extra).unwrap();
            change(&mut extra);
            text.replacen(line, &format!("extra {}", STANDARD.encode(extra.to_string())), 1)
        });
    }

    /// Has the receipt's checkpoint cosigned by a witness that saw no other.
    ///
    /// # Panics
    /// If it does not.
    pub fn cosign(&mut self, key: CosigningKey) {
        let verifier = key.verifier().clone();
        self.edit("receipt", |text| {
            let (proof, note) = text.split_once("\n\n").unwrap();
            let mut note = CheckpointNote::parse(note).unwrap();
            let mut witness = Witness::new(vec![key]).unwrap();
            witness.add_log(self.log[0].name(), self.log.to_vec(), None).unwrap();
            let request = AddCheckpoint::new(0, vec![], note.clone()).unwrap();
            let Verdict::Advance(advance) = witness.judge(&request) else { panic!("the witness refuses") };
            let body = advance.persist(|_, _| Ok::<_, ()>(())).unwrap().sign(COSIGNED_AT).unwrap();
            assert_eq!(merge(&mut note, &body, std::slice::from_ref(&verifier)).unwrap().len(), 1);
            format!("{proof}\n\n{note}")
        });
        self.witnesses.push(verifier);
    }

    /// The policy that says whom to believe (c2sp.org/tlog-policy).
    #[must_use]
    pub fn policy(&self) -> String {
        let logs = self.log.iter().map(|key| format!("log {key}\n"));
        let witnesses = self.witnesses.iter().enumerate().map(|(at, key)| format!("witness w{at} {key}\n"));
        let names: String = (0..self.witnesses.len()).map(|at| format!(" w{at}")).collect();
        let group = format!("group everyone all{names}\nquorum everyone\n");
        logs.chain(witnesses).chain([group]).collect()
    }
}

/// The line that a key made, in a note or a proof.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn line_of<'a>(text: &'a str, key: &Verifier) -> &'a str {
    let by = |line: &&str| line.split(' ').nth(1) == Some(key.name()) && signature(line)[..4] == id(key);
    text.lines().filter(|line| line.starts_with('\u{2014}')).find(by).unwrap()
}

/// The same signature as that of a line, as if `key` had made it.
#[must_use]
pub fn relabelled(line: &str, key: &Verifier) -> String {
    line_by(key, &signature(line)[4..])
}

/// The line of a signature that `key` is said to have made.
#[must_use]
pub fn line_by(key: &Verifier, signature: &[u8]) -> String {
    format!("\u{2014} {} {}", key.name(), STANDARD.encode([&id(key), signature].concat()))
}

/// The same key under another name.
///
/// # Panics
/// If the name is none.
#[must_use]
pub fn renamed(key: &Verifier, name: &str) -> Verifier {
    Verifier::new(name, key.kind(), key.public()).unwrap()
}

/// The key as that of a witness that makes Ed25519 cosignatures.
///
/// # Panics
/// If the name is none.
#[must_use]
pub fn as_witness(key: &Verifier, name: &str) -> Verifier {
    Verifier::new(name, Kind::Ed25519Cosignature, key.public()).unwrap()
}

/// Base64 of the same bytes in another spelling: with a bit set that no byte has.
///
/// # Panics
/// If it ends without `=`.
#[must_use]
pub fn other_spelling(base64: &str) -> String {
    let (body, padding) = base64.split_at(base64.trim_end_matches('=').len());
    let (rest, last) = body.split_at(body.len() - 1);
    let last = ALPHABET.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
    assert!(!padding.is_empty() && last.is_multiple_of(4), "{base64}");
    format!("{rest}{}{padding}", char::from(ALPHABET[last + 1]))
}

fn signature(line: &str) -> Vec<u8> {
    STANDARD.decode(line.rsplit(' ').next().unwrap()).unwrap()
}

/// The four bytes that a key's lines begin with, as its vkey has them.
fn id(key: &Verifier) -> [u8; 4] {
    let vkey = key.to_string();
    u32::from_str_radix(vkey.split('+').nth(1).unwrap(), 16).unwrap().to_be_bytes()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}
