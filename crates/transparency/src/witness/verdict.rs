//! What a witness answers.

use super::{Advance, Evidence};
use crate::checkpoint::CheckpointError;
use crate::proof::{MAX_PROOF_HASHES, ProofError};

/// What a request comes to.
#[derive(Debug)]
#[must_use]
pub enum Verdict<'w> {
    /// It is not cosigned.
    Refused(Box<Refused>),
    /// It is, as soon as it is stored.
    Advance(Advance<'w>),
}

/// A request that is not cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// What the log signed against itself or cannot explain: to be kept.
    pub evidence: Option<Evidence>,
}

/// Why a checkpoint is not cosigned. As text: the response's body, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Too much.
    #[error("the request is too long")]
    TooLong,
    /// Not the lines of a request.
    #[error("line {line} of the request is not {expected}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// Too many hashes.
    #[error("the request has more than {MAX_PROOF_HASHES} hashes")]
    Hashes,
    /// No checkpoint.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// A log that the witness does not know.
    #[error("this witness does not know the log")]
    UnknownOrigin,
    /// No key of the log signed.
    #[error("the checkpoint is not signed by the log")]
    NotSigned,
    /// A signature that has a key's name and id is not the key's.
    #[error("a signature of the log is forged")]
    Forged,
    /// The log shrinks.
    #[error("the old size is above the checkpoint's")]
    OldAboveNew,
    /// The witness has another size: the body is the size alone.
    #[error("{size}")]
    Conflict {
        /// The latest size that it cosigned.
        size: u64,
    },
    /// A tree without leaves has one root.
    #[error("a tree of size 0 has the hash of nothing as its root")]
    EmptyRoot,
    /// The proof shows no consistency, or the root at the same size is another.
    #[error(transparent)]
    Inconsistent(#[from] ProofError),
}

impl Refusal {
    /// The status of HTTP (tlog-witness, "add-checkpoint").
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooLong | Self::Line { .. } | Self::Hashes | Self::Checkpoint(_) | Self::OldAboveNew => 400,
            Self::NotSigned | Self::Forged => 403,
            Self::UnknownOrigin => 404,
            Self::Conflict { .. } => 409,
            Self::EmptyRoot | Self::Inconsistent(_) => 422,
        }
    }

    /// The content type of the body.
    #[must_use]
    pub const fn content_type(&self) -> &'static str {
        if matches!(self, Self::Conflict { .. }) { "text/x.tlog.size" } else { "text/plain; charset=utf-8" }
    }

    /// The body: for a conflict the size and a newline, as the specification says.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{self}\n")
    }
}
