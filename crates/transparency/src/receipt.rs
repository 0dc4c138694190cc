//! The proof that a decision, and what became of it, are in a log.
//!
//! ```text
//! checkpoint ──log's key──▶ (size, root) ◀──path── leaf ──commitment──▶ what is shown of the record
//! ```
//! [`Receipt::verify`] is the one maker of a [`Verified`], of which alone a field can be read as proven.
//! An outcome is held against its decision: it lies behind it in the log, ended no earlier, and was decided by the same state.

use comity_types::{Digest, Timestamp};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::leaf::{Kind, Leaf, LeafError};
use crate::note::NoteVerifier;
use crate::proof::{MAX_PROOF_HASHES, ProofError, verify_inclusion};
use crate::record::{Disclosure, Field, RecordKind};
use crate::tree::leaf_hash;

mod file;
#[cfg(test)]
mod tests;

pub use file::FileError;

/// A leaf with its way to a log's root, and what is shown of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Its index in the log.
    pub index: u64,
    /// Its bytes.
    pub leaf: Vec<u8>,
    /// From its sibling up.
    pub path: Vec<Digest>,
    /// What is shown of its record; none where that has been erased.
    pub record: Option<Disclosure>,
}

/// The proof of a decision, and of its outcome where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The log's checkpoint: a signed note.
    pub checkpoint: String,
    /// The decision.
    pub decision: Proven,
    /// Its outcome, or that it was aborted.
    pub outcome: Option<Proven>,
}

/// Why a receipt proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The checkpoint is not the log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A leaf is none.
    #[error("the {which}: {source}")]
    Leaf {
        /// The decision, or the outcome.
        which: &'static str,
        /// Why.
        source: LeafError,
    },
    /// A leaf is not in the log.
    #[error("the {which} is not in the log: {source}")]
    NotIncluded {
        /// The decision, or the outcome.
        which: &'static str,
        /// Why.
        source: ProofError,
    },
    /// What is shown is of another record than the leaf's.
    #[error("what is shown of the {which} is not what the leaf commits to")]
    OtherRecord {
        /// The decision, or the outcome.
        which: &'static str,
    },
    /// A leaf of another kind stands in its place.
    #[error("the {which} is a leaf of another kind")]
    OtherKind {
        /// The decision, or the outcome.
        which: &'static str,
    },
    /// The outcome is of another decision.
    #[error("the outcome is of another decision")]
    OtherDecision,
    /// The outcome was logged before what it is the outcome of.
    #[error("the outcome is leaf {outcome}, and its decision leaf {decision} comes after it")]
    OutcomeFirst {
        /// Index of the decision's leaf.
        decision: u64,
        /// Index of the outcome's.
        outcome: u64,
    },
    /// The outcome is older than its decision. A broker whose clock was set back says the decision's time again.
    #[error("the outcome is of {outcome}, and its decision of {decision}, which is later")]
    OutcomeEarlier {
        /// When it was decided.
        decision: Timestamp,
        /// When it is said to have ended.
        outcome: Timestamp,
    },
    /// An outcome repeats the state that its decision was made by, and the engine that made it.
    #[error("the outcome says another {what} than its decision")]
    OtherBasis {
        /// The epoch, or the engine.
        what: &'static str,
    },
    /// Nobody knows what became of it, says the leaf, and its record says something all the same.
    #[error("the broker ended before the request did, says leaf {index}, and its record says what became of it")]
    AbortWithRecord {
        /// Index of the abort's leaf.
        index: u64,
    },
}

/// A leaf that is in a log, with the fields of its record that are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLeaf {
    index: u64,
    leaf: Leaf,
    record: Option<Disclosure>,
}

/// A receipt whose every part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    checkpoint: Checkpoint,
    decision: VerifiedLeaf,
    outcome: Option<VerifiedLeaf>,
}

impl Proven {
    /// Checks that the leaf is in the log, and that what is shown is of its record. `which` says what it is, in errors.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn verify(&self, log: &Checkpoint, which: &'static str) -> Result<VerifiedLeaf, ReceiptError> {
        let leaf = Leaf::from_bytes(&self.leaf).map_err(|source| ReceiptError::Leaf { which, source })?;
        let not_included = |source| ReceiptError::NotIncluded { which, source };
        if self.path.len() > MAX_PROOF_HASHES {
            return Err(not_included(ProofError::Length { found: self.path.len() }));
        }
        verify_inclusion(self.index, log.size, leaf_hash(&self.leaf), &self.path, log.root).map_err(not_included)?;
        let kind = match leaf.kind {
            Kind::Decision => RecordKind::Decision,
            Kind::Outcome { .. } | Kind::Abort { .. } => RecordKind::Outcome,
        };
        if let Some(record) = &self.record
            && (record.kind() != kind || record.commitment() != leaf.record)
        {
            return Err(ReceiptError::OtherRecord { which });
        }
        Ok(VerifiedLeaf { index: self.index, leaf, record: self.record.clone() })
    }
}

impl Receipt {
    /// Checks all of it against the log `origin`, whose checkpoints `key` signs.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn verify(&self, origin: &str, key: &NoteVerifier) -> Result<Verified, ReceiptError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, origin, key)?;
        let decision = self.decision.verify(&checkpoint, "decision")?;
        if decision.leaf.kind != Kind::Decision {
            return Err(ReceiptError::OtherKind { which: "decision" });
        }
        let outcome = self.outcome.as_ref().map(|outcome| outcome.verify(&checkpoint, "outcome")).transpose()?;
        if let Some(outcome) = &outcome {
            outcome.ends(&decision)?;
        }
        Ok(Verified { checkpoint, decision, outcome })
    }

    /// The same with fewer fields shown.
    #[must_use]
    pub fn narrowed(mut self, shown: impl Fn(Field) -> bool) -> Self {
        for proven in [Some(&mut self.decision), self.outcome.as_mut()].into_iter().flatten() {
            proven.record = proven.record.as_ref().map(|record| record.narrowed(&shown));
        }
        self
    }
}

impl VerifiedLeaf {
    /// Checks that it is what became of this decision.
    fn ends(&self, decision: &Self) -> Result<(), ReceiptError> {
        let (ended, decided) = (&self.leaf, &decision.leaf);
        let of = match ended.kind {
            Kind::Outcome { decision } | Kind::Abort { decision } => decision,
            Kind::Decision => return Err(ReceiptError::OtherKind { which: "outcome" }),
        };
        if of != decision.index || ended.decision != decided.decision {
            return Err(ReceiptError::OtherDecision);
        }
        if self.index <= decision.index {
            return Err(ReceiptError::OutcomeFirst { decision: decision.index, outcome: self.index });
        }
        if ended.at < decided.at {
            return Err(ReceiptError::OutcomeEarlier { decision: decided.at, outcome: ended.at });
        }
        if ended.epoch != decided.epoch {
            return Err(ReceiptError::OtherBasis { what: "epoch" });
        }
        match ended.kind {
            // Whatever is started next says it, which may be an older or a newer program.
            Kind::Abort { .. } => self.says_nothing(),
            Kind::Outcome { .. } | Kind::Decision if ended.engine != decided.engine => {
                Err(ReceiptError::OtherBasis { what: "engine" })
            }
            Kind::Outcome { .. } | Kind::Decision => Ok(()),
        }
    }

    /// The record of an abort has no field, and so nothing to hide.
    fn says_nothing(&self) -> Result<(), ReceiptError> {
        let empty = self.record.as_ref().is_none_or(Disclosure::is_empty);
        if empty { Ok(()) } else { Err(ReceiptError::AbortWithRecord { index: self.index }) }
    }

    /// Its index in the log.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The leaf.
    #[must_use]
    pub const fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// True if its record has been erased, or is kept from whoever has the receipt.
    #[must_use]
    pub const fn is_without_record(&self) -> bool {
        self.record.is_none()
    }

    /// A field of its record, where that is shown.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&[u8]> {
        self.record.as_ref()?.get(field)
    }

    /// True if a field of its record may have a value that is not shown.
    #[must_use]
    pub fn hides(&self, field: Field) -> bool {
        self.record.as_ref().is_none_or(|record| record.hides(field))
    }
}

impl Verified {
    /// The log that proves it.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The decision.
    #[must_use]
    pub const fn decision(&self) -> &VerifiedLeaf {
        &self.decision
    }

    /// Its outcome, where there is one.
    #[must_use]
    pub const fn outcome(&self) -> Option<&VerifiedLeaf> {
        self.outcome.as_ref()
    }

    /// A field of either record, where it is shown.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&[u8]> {
        match field.kind() {
            RecordKind::Decision => self.decision.get(field),
            RecordKind::Outcome => self.outcome.as_ref()?.get(field),
        }
    }

    /// The same as text, where the field is one.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&str> {
        std::str::from_utf8(self.get(field)?).ok()
    }
}
