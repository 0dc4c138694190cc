//! (size, root) of a log, verbatim C2SP (c2sp.org/tlog-checkpoint): origin, size and root, a line each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::Digest;

use crate::key::SigningError;
use crate::note::{NoteError, NoteKey, NoteVerifier};
use crate::tree::Tree;

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

    /// Signs it.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn sign(&self, key: &NoteKey) -> Result<String, SigningError> {
        key.sign(&format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes())))
    }

    /// Reads a checkpoint of the log `origin` that `key` signed.
    ///
    /// # Errors
    /// It is not signed by the key, is none, or is another log's.
    pub fn open(note: &str, origin: &str, key: &NoteVerifier) -> Result<Self, CheckpointError> {
        let mut lines = key.open(note)?.split('\n');
        let (found, size, root) = (lines.next(), lines.next(), lines.next());
        let found = found.filter(|origin| !origin.is_empty()).ok_or(CheckpointError::Malformed)?;
        let size = size.and_then(decimal).ok_or(CheckpointError::Malformed)?;
        let root = root.and_then(|root| STANDARD.decode(root).ok()).and_then(|root| root.try_into().ok());
        let root = Digest::from_bytes(root.ok_or(CheckpointError::Malformed)?);
        if found != origin {
            return Err(CheckpointError::OtherOrigin { expected: origin.to_owned(), found: found.to_owned() });
        }
        Ok(Self { origin: found.to_owned(), size, root })
    }
}

/// A number as the specification has it: digits, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
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
            "o\n1\nAAAA\n",
        ] {
            let note = key.sign(text).unwrap();
            assert_eq!(Checkpoint::open(&note, "o", &verifier), Err(CheckpointError::Malformed), "{text}");
        }
    }
}
