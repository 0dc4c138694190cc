//! The leaves of a decision log: what a decision was made against, and what commits to its record. Nothing of the
//! request itself stands here, so that everybody may read the log, and a record can be erased without harming it.
//!
//! A leaf is a structure in the presentation of RFC 8446, section 3, of fixed length, numbers big-endian:
//! ```text
//! struct {
//!     opaque context[15] = "comity/leaf/v1\n";
//!     enum { decision(1), outcome(2), abort(3), (255) } kind;
//!     uint64 at;                    // milliseconds since 1970-01-01T00:00:00Z
//!     opaque decision_id[16];
//!     uint64 epoch_size;            // the membership log that was decided by
//!     opaque epoch_root[32];
//!     uint32 engine;                // the version of the policy engine
//!     opaque record[32];            // the commitment to the record
//!     select (kind) { case outcome, abort: uint64 decision_index; };
//! } leaf;
//! ```

use comity_types::{DecisionId, Digest, Timestamp};

use crate::tree::leaf_hash;

#[cfg(test)]
mod tests;

/// What every leaf begins with, so that it is never one of another log.
pub const CONTEXT: &[u8; 15] = b"comity/leaf/v1\n";
/// Bytes of a decision's leaf.
pub const DECISION_BYTES: usize = 116;
/// Bytes of an outcome's and an abort's leaf.
pub const OUTCOME_BYTES: usize = DECISION_BYTES + 8;

/// A leaf of a decision log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// What it says.
    pub kind: Kind,
    /// When that was.
    pub at: Timestamp,
    /// Of which decision.
    pub decision: DecisionId,
    /// The state of the federation that it was decided by.
    pub epoch: Epoch,
    /// The version of the engine that decided.
    pub engine: u32,
    /// The commitment to the record: [`Record::commitment`](crate::record::Record::commitment).
    pub record: Digest,
}

/// What a leaf says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Which offers may have a request.
    Decision,
    /// What became of it.
    Outcome {
        /// The index of the decision's leaf.
        decision: u64,
    },
    /// That nobody knows what became of it: the broker ended in between.
    Abort {
        /// The index of the decision's leaf.
        decision: u64,
    },
}

/// A state of the federation: the membership log's size and root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// How many statements.
    pub size: u64,
    /// The root of their tree.
    pub root: Digest,
}

/// Not a leaf of a decision log, or one that this program does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a leaf of a decision log: {0}")]
pub struct LeafError(&'static str);

impl Leaf {
    /// Its one form in bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, decision) = match self.kind {
            Kind::Decision => (1, None),
            Kind::Outcome { decision } => (2, Some(decision)),
            Kind::Abort { decision } => (3, Some(decision)),
        };
        let mut bytes = Vec::with_capacity(OUTCOME_BYTES);
        bytes.extend_from_slice(CONTEXT);
        bytes.push(kind);
        // What was decided before 1970 was decided in 1970.
        bytes.extend_from_slice(&u64::try_from(self.at.as_millis()).unwrap_or_default().to_be_bytes());
        bytes.extend_from_slice(self.decision.as_bytes());
        bytes.extend_from_slice(&self.epoch.size.to_be_bytes());
        bytes.extend_from_slice(self.epoch.root.as_bytes());
        bytes.extend_from_slice(&self.engine.to_be_bytes());
        bytes.extend_from_slice(self.record.as_bytes());
        bytes.extend(decision.into_iter().flat_map(u64::to_be_bytes));
        bytes
    }

    /// Reads the one form.
    ///
    /// # Errors
    /// It is another.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LeafError> {
        let mut rest = Reader(bytes);
        if rest.take()? != *CONTEXT {
            return Err(LeafError("it begins otherwise"));
        }
        let [kind] = rest.take()?;
        let at = i64::try_from(rest.number()?).map_err(|_| LeafError("its time is none"))?;
        let at = Timestamp::from_millis(at).map_err(|_| LeafError("its time is none"))?;
        let decision = DecisionId::from_bytes(rest.take()?);
        let epoch = Epoch { size: rest.number()?, root: Digest::from_bytes(rest.take()?) };
        let engine = u32::from_be_bytes(rest.take()?);
        let record = Digest::from_bytes(rest.take()?);
        let kind = match kind {
            1 => Kind::Decision,
            2 => Kind::Outcome { decision: rest.number()? },
            3 => Kind::Abort { decision: rest.number()? },
            _ => return Err(LeafError("its kind is not known")),
        };
        if rest.0.is_empty() {
            Ok(Self { kind, at, decision, epoch, engine, record })
        } else {
            Err(LeafError("it is too long"))
        }
    }

    /// Its hash in the log's tree.
    #[must_use]
    pub fn hash(&self) -> Digest {
        leaf_hash(&self.to_bytes())
    }
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], LeafError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(LeafError("it is too short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, LeafError> {
        self.take().map(u64::from_be_bytes)
    }
}
