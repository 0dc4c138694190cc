//! The body of `add-checkpoint`: `old <size>`, hashes, an empty line, and a checkpoint.

use std::fmt;

use comity_types::Digest;

use super::verdict::Refusal;
use crate::checkpoint::{CheckpointNote, decimal, hash, hash_text};
use crate::note::MAX_NOTE_BYTES;
use crate::proof::MAX_PROOF_HASHES;

/// Longest body, in bytes: a note, 63 hashes of 45 bytes, and the old size.
pub const MAX_REQUEST_BYTES: usize = MAX_NOTE_BYTES + 4096;

/// A checkpoint and the way to it from what the witness has. As text: the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: u64,
    path: Vec<Digest>,
    note: CheckpointNote,
}

impl AddCheckpoint {
    /// Puts a request together.
    ///
    /// # Errors
    /// There are more than 63 hashes.
    pub fn new(old: u64, path: Vec<Digest>, note: CheckpointNote) -> Result<Self, Refusal> {
        if path.len() > MAX_PROOF_HASHES { Err(Refusal::Hashes) } else { Ok(Self { old, path, note }) }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// It is none: status 400.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > MAX_REQUEST_BYTES {
            return Err(Refusal::TooLong);
        }
        let line = |line, expected| Refusal::Line { line, expected };
        let body = std::str::from_utf8(body).map_err(|_| line(1, "UTF-8"))?;
        let (first, mut rest) = body.split_once('\n').ok_or_else(|| line(1, "`old` and a size"))?;
        let old = first.strip_prefix("old ").and_then(decimal).ok_or_else(|| line(1, "`old` and a size"))?;
        let mut path = Vec::new();
        loop {
            let number = path.len() + 2;
            let (text, more) = rest.split_once('\n').ok_or_else(|| line(number, "a hash or empty"))?;
            rest = more;
            if text.is_empty() {
                break;
            }
            if path.len() >= MAX_PROOF_HASHES {
                return Err(Refusal::Hashes);
            }
            path.push(hash(text).ok_or_else(|| line(number, "a hash or empty"))?);
        }
        Self::new(old, path, CheckpointNote::parse(rest).map_err(Refusal::Checkpoint)?)
    }

    /// The size that the witness has, as far as the log knows.
    #[must_use]
    pub const fn old(&self) -> u64 {
        self.old
    }

    /// The consistency proof.
    #[must_use]
    pub fn path(&self) -> &[Digest] {
        &self.path
    }

    /// The checkpoint.
    #[must_use]
    pub const fn note(&self) -> &CheckpointNote {
        &self.note
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash_text(hash)))?;
        write!(f, "\n{}", self.note)
    }
}
