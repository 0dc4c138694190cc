//! (size, root) of a log, verbatim C2SP (c2sp.org/tlog-checkpoint): origin, size and root, a line each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::Digest;

use crate::key::SigningError;
use crate::note::{Note, NoteError, NoteKey, NoteVerifier};
use crate::tree::Tree;
use crate::verifier::{Signed, Verifier};

/// Bytes of a root in base64: 32 bytes, a third more, padded.
const ROOT_CHARS: usize = 44;

/// A log at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// The root of its tree.
    pub root: Digest,
}

/// Why a text is no checkpoint of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note is not the log's.
    #[error("the checkpoint is not signed by the log")]
    Note(#[from] NoteError),
    /// Not origin, size and root.
    #[error("not a checkpoint (c2sp.org/tlog-checkpoint)")]
    Malformed,
    /// Another log's.
    #[error("the checkpoint is of the log {found:?} where {expected:?} is expected")]
    OtherOrigin {
        /// Which log it should be.
        expected: String,
        /// Which it is.
        found: String,
    },
}

impl Checkpoint {
    /// The log `origin` as it stands.
    #[must_use]
    pub fn of(origin: &str, tree: &Tree) -> Self {
        Self { origin: origin.to_owned(), size: tree.size(), root: tree.root() }
    }

    /// What is signed: origin, size and root, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, hash_text(&self.root))
    }

    /// Reads the text of a note as a checkpoint. Lines behind the root are extensions, which say nothing here; an empty
    /// one is refused (tlog-checkpoint, "Note text").
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let read = || {
            let mut lines = text.strip_suffix('\n')?.split('\n');
            let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
            let (size, root) = (decimal(lines.next()?)?, hash(lines.next()?)?);
            lines.all(|extension| !extension.is_empty()).then_some(Self { origin, size, root })
        };
        read().ok_or(CheckpointError::Malformed)
    }

    /// Signs it.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn sign(&self, key: &NoteKey) -> Result<String, SigningError> {
        key.sign(&self.text())
    }

    /// Reads a checkpoint of the log `origin` that `key` signed.
    ///
    /// # Errors
    /// It is not signed by the key, is none, or is another log's.
    pub fn open(note: &str, origin: &str, key: &NoteVerifier) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse(key.open(note)?)?;
        if checkpoint.origin != origin {
            let (expected, found) = (origin.to_owned(), checkpoint.origin);
            return Err(CheckpointError::OtherOrigin { expected, found });
        }
        Ok(checkpoint)
    }
}

/// A note whose text is a checkpoint, with lines below it of which none has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointNote {
    note: Note,
    checkpoint: Checkpoint,
}

impl CheckpointNote {
    /// Takes a checkpoint with its signatures apart.
    ///
    /// # Errors
    /// It is no note, or its text is no checkpoint.
    pub fn parse(note: &str) -> Result<Self, CheckpointError> {
        Self::new(Note::parse(note)?)
    }

    /// A note as a checkpoint.
    ///
    /// # Errors
    /// Its text is none.
    pub fn new(note: Note) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { note, checkpoint })
    }

    /// What the text says; whose word it is, [`signed_by`](Self::signed_by) says.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The text and its lines.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Whether `key` signed, and when at the latest. Lines of other keys are left alone.
    ///
    /// # Errors
    /// A line has the key's name and id and is no signature of it: then the whole note is worth nothing.
    pub fn signed_by(&self, key: &Verifier) -> Result<Option<Signed>, NoteError> {
        let lines = self.note.signatures().iter().filter(|line| key.names(line));
        lines.map(|line| key.verify(self, line)).try_fold(None, |latest, signed| Ok(latest.max(Some(signed?))))
    }

    /// The note with the lines of `keys` alone, as it is stored and passed on: strangers cannot make it grow.
    #[must_use]
    pub(crate) fn with_lines_of(&self, keys: &[Verifier]) -> Self {
        let note = self.note.retaining(|line| keys.iter().any(|key| key.names(line)));
        Self { note, checkpoint: self.checkpoint.clone() }
    }

    /// Adds a line; one that stands there already is not added again.
    ///
    /// # Errors
    /// The note would be beyond a limit.
    pub fn append(&mut self, line: crate::note::SignatureLine) -> Result<(), NoteError> {
        self.note.append(line)
    }
}

impl std::fmt::Display for CheckpointNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.note.fmt(f)
    }
}

/// A number as the specifications have it: digits, no leading zero.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// A hash as the specifications have it: base64 in its one spelling.
pub(crate) fn hash(text: &str) -> Option<Digest> {
    let bytes = if text.len() == ROOT_CHARS { STANDARD.decode(text).ok()? } else { return None };
    bytes.try_into().ok().map(Digest::from_bytes)
}

/// The one spelling of a hash.
pub(crate) fn hash_text(hash: &Digest) -> String {
    STANDARD.encode(hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (NoteKey, NoteVerifier, Checkpoint) {
        let key = NoteKey::generate("fed.example/membership".into()).unwrap();
        let verifier = NoteVerifier::new("fed.example/membership".into(), key.public().unwrap());
        let mut tree = Tree::default();
        tree.push(b"leaf");
        (key, verifier, Checkpoint::of("fed.example/membership", &tree))
    }

    #[test]
    fn a_checkpoint_survives_its_note_and_belongs_to_one_log() {
        let (key, verifier, checkpoint) = log();
        let note = checkpoint.sign(&key).unwrap();
        assert_eq!(Checkpoint::open(&note, "fed.example/membership", &verifier), Ok(checkpoint));
        let other = Checkpoint::open(&note, "fed.example/decisions", &verifier);
        assert!(matches!(other, Err(CheckpointError::OtherOrigin { .. })));
    }

    #[test]
    fn what_the_log_signed_and_is_no_checkpoint_is_refused() {
        let (key, verifier, _) = log();
        let root = STANDARD.encode([7; 32]);
        for text in [
            "o\n1\n",
            &format!("\n1\n{root}\n"),
            &format!("o\n01\n{root}\n"),
            &format!("o\n-1\n{root}\n"),
            &format!("o\n+1\n{root}\n"),
            &format!("o\n\n{root}\n"),
            &format!("o\n18446744073709551616\n{root}\n"),
            &format!("o\n1\n{}\n", root.trim_end_matches('=')),
            &format!("o\n1\n{}\n", root.replace("Bwc=", "Bwd=")),
            &format!("o\n1\n{root}\n\nextension\n"),
            "o\n1\nAAAA\n",
        ] {
            let note = key.sign(text).unwrap();
            assert_eq!(Checkpoint::open(&note, "o", &verifier), Err(CheckpointError::Malformed), "{text}");
        }
    }
}
