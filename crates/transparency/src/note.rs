//! Signed text, verbatim C2SP (c2sp.org/signed-note): a text, an empty line, and lines
//! `— <key name> base64(key id || signature)`.
//!
//! A [`Note`] is a text with the lines that stand below it, whoever wrote them; nothing of it is to be believed before
//! a key of the reader's own choice verified. [`NoteKey`] and [`NoteVerifier`] sign and verify plain notes; the keys
//! of logs and witnesses are in `cosignature`.

mod key;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::Invalid;
use comity_types::digest::Hasher;

pub(crate) use key::ED25519_TYPE;
pub use key::{NoteKey, NoteVerifier};

/// Bytes of a key's id.
pub const KEY_ID_BYTES: usize = 4;
/// What a line of a signature begins with: an em dash and a space.
const SIGNATURE_LINE: &str = "\u{2014} ";
/// Most lines of signatures of one note: two by each of the 64 witnesses that a policy may know, and some by the log.
/// The specification asks for 16 at least.
pub const MAX_SIGNATURES: usize = 136;
/// Longest note, in bytes: [`MAX_SIGNATURES`] lines, of which half are post-quantum ones of 3,300 bytes.
pub const MAX_NOTE_BYTES: usize = 256 * 1024;
/// Longest name of a key, in bytes: what a cosignature can commit to (tlog-cosignature, `cosigner_name<1..2^8-1>`).
pub const MAX_NAME_BYTES: usize = 255;

/// A text and the signatures below it, none of which has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// One line of a signature. As text: the line without its newline.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignatureLine {
    /// The name of the key.
    pub(crate) name: String,
    /// The id of the key under that name.
    pub(crate) id: [u8; KEY_ID_BYTES],
    /// What the key's algorithm made of the text: at least a byte.
    pub(crate) signature: Vec<u8>,
}

/// Why a text is no note that was signed by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_BYTES`].
    #[error("the note is longer than {MAX_NOTE_BYTES} bytes")]
    TooLong,
    /// More lines than [`MAX_SIGNATURES`].
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooMany,
    /// Not a text, an empty line and signatures.
    #[error("not a signed note (c2sp.org/signed-note)")]
    Malformed,
    /// The key did not sign it.
    #[error("the note is not signed by the key that it should be")]
    Unsigned,
    /// What has the key's name and id is no signature of the key.
    #[error("the note's signature is forged")]
    Forged,
}

impl Note {
    /// Takes a note apart. One text is one note: what is read is written again byte for byte.
    ///
    /// # Errors
    /// It is none, or beyond a limit.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let (text, signatures) = split(note)?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text with its last newline: what keys sign.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines below it, in their order.
    #[must_use]
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Adds a line; one that stands there already is not added again.
    ///
    /// # Errors
    /// It would be beyond a limit.
    pub fn append(&mut self, line: SignatureLine) -> Result<(), NoteError> {
        if self.signatures.contains(&line) {
            return Ok(());
        }
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::TooMany);
        }
        let length: usize = self.signatures.iter().map(SignatureLine::written_bytes).sum();
        if self.text.len() + 1 + length + line.written_bytes() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        self.signatures.push(line);
        Ok(())
    }

    /// The same text with those lines alone that `keep` wants: at least one, or it is no note.
    #[must_use]
    pub(crate) fn retaining(&self, keep: impl Fn(&SignatureLine) -> bool) -> Self {
        let signatures = self.signatures.iter().filter(|line| keep(line)).cloned().collect();
        Self { text: self.text.clone(), signatures }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        Self::parse(note)
    }
}

impl SignatureLine {
    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key: a hint, which anybody can make collide.
    #[must_use]
    pub const fn id(&self) -> [u8; KEY_ID_BYTES] {
        self.id
    }

    /// What comes after the id.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// How long it is as text, with its newline, in bytes.
    fn written_bytes(&self) -> usize {
        SIGNATURE_LINE.len() + self.name.len() + 2 + (KEY_ID_BYTES + self.signature.len()).div_ceil(3) * 4
    }

    /// Reads lines, each of which ends in a newline: none is no error.
    ///
    /// # Errors
    /// There is something else, or too much.
    pub fn parse_all(lines: &str) -> Result<Vec<Self>, NoteError> {
        if lines.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        if lines.split('\n').nth(MAX_SIGNATURES).is_some() {
            return Err(NoteError::TooMany);
        }
        lines.split('\n').map(|line| line.parse().map_err(|_| NoteError::Malformed)).collect()
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = STANDARD.encode([&self.id[..], &self.signature].concat());
        write!(f, "{SIGNATURE_LINE}{} {encoded}", self.name)
    }
}

impl FromStr for SignatureLine {
    type Err = Invalid;

    fn from_str(line: &str) -> Result<Self, Invalid> {
        let read = || {
            let (name, encoded) = line.strip_prefix(SIGNATURE_LINE)?.split_once(' ')?;
            // One spelling alone: padding has to be there, and the bits that it leaves over have to be zero.
            let bytes = STANDARD.decode(encoded).ok()?;
            let (id, signature) = bytes.split_first_chunk::<KEY_ID_BYTES>()?;
            let whole = is_name(name) && !signature.is_empty();
            whole.then(|| Self { name: name.to_owned(), id: *id, signature: signature.to_vec() })
        };
        read().ok_or_else(|| Invalid::new(line, "a line of a signature: \u{2014} <name> <base64>"))
    }
}

/// A note's text and lines (signed-note, "Format").
fn split(note: &str) -> Result<(&str, Vec<SignatureLine>), NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::TooLong);
    }
    if note.contains(|c: char| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed);
    }
    let (before, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
    let text = note.get(..=before.len()).ok_or(NoteError::Malformed)?;
    let signatures = SignatureLine::parse_all(signatures)?;
    if signatures.is_empty() { Err(NoteError::Malformed) } else { Ok((text, signatures)) }
}

/// Not empty, without spaces and plus signs (signed-note, "Format"), and without control characters, which no note has.
pub(crate) fn is_name(name: &str) -> bool {
    let stray = |c: char| c.is_whitespace() || c == '+' || c < ' ';
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(stray)
}

/// `SHA-256(name || 0x0A || type || key)[:4]` (signed-note, "Signatures").
pub(crate) fn key_id(name: &str, kind: u8, public: &[u8]) -> [u8; KEY_ID_BYTES] {
    let mut hasher = Hasher::default();
    for part in [name.as_bytes(), b"\n", &[kind], public] {
        hasher.update(part);
    }
    let [a, b, c, d, ..] = *hasher.finish().as_bytes();
    [a, b, c, d]
}
