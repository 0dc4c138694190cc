//! The record of every decision and of its outcome: what a later question "why did this request go there"
//! is answered from. Holds no prompt and no completion.
//!
//! [`Ledger::commit`] is the one maker of a [`Committed`], the proof that a decision is durable.

#[cfg(test)]
mod tests;

use std::path::Path;

use comity_types::{DecisionId, Digest, ModelName, OfferName, SpiffeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::journal::{Journal, JournalError};

/// Most offers that a record names, eligible or refused: far above a federation's offers of one model, and
/// their names and reasons stay within a frame of the journal.
pub const MAX_RECORDED_OFFERS: usize = 512;
/// Most reasons that a record holds for one offer.
pub const MAX_RECORDED_REASONS: usize = 16;

/// One frame of the decision journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// Which offers may have a request.
    Decision(DecisionRecord),
    /// What became of it.
    Outcome(OutcomeRecord),
}

/// What was decided, on which grounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRecord {
    /// The decision.
    pub id: DecisionId,
    /// When it was made.
    pub at: Timestamp,
    /// The app that called.
    pub caller: SpiffeId,
    /// The gRPC method, such as `Chat`.
    pub method: String,
    /// The registry's epoch that it was made against.
    pub epoch: u64,
    /// The version of the program whose rules decided.
    pub engine: String,
    /// SHA-256 of the request's envelope in canonical encoding.
    pub envelope_sha256: Digest,
    /// The model that was asked for.
    pub model: ModelName,
    /// The requirements as they were sent, in words.
    pub requirements: String,
    /// How many offers were judged.
    pub considered: usize,
    /// How many of them were refused.
    pub rejected: usize,
    /// The eligible set in the order of preference; cut to [`MAX_RECORDED_OFFERS`].
    pub eligible: Vec<OfferName>,
    /// Where nothing was eligible: why. Cut to [`MAX_RECORDED_OFFERS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedOffer>,
}

/// An offer and the reasons against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedOffer {
    /// The offer.
    pub offer: OfferName,
    /// The codes, each with its subject: `PRICE_ABOVE_MAX(EUR)`. Cut to [`MAX_RECORDED_REASONS`].
    pub reasons: Vec<String>,
}

/// What became of a request that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRecord {
    /// The decision.
    pub id: DecisionId,
    /// When it ended.
    pub at: Timestamp,
    /// The offer that answered, or the last one that was tried.
    pub offer: Option<OfferName>,
    /// Which try that was, from 1; 0 if there was none.
    pub attempt: u32,
    /// The gRPC code that the caller got, as its number.
    pub grpc_code: i32,
    /// What the node says that it used.
    pub usage: Option<UsageRecord>,
    /// Bytes of messages that went to the caller.
    pub bytes_out: u64,
    /// From the request's arrival to its end.
    pub duration_ms: u64,
    /// True if the caller left before the end.
    pub cancelled: bool,
}

/// Tokens, as the backend counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageRecord {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

/// Why a record is not kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The journal takes no more.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The record has no JSON form.
    #[error("cannot encode a record")]
    Encode(#[source] serde_json::Error),
}

/// The proof that a decision is durable.
#[derive(Debug)]
pub struct Committed {
    id: DecisionId,
    position: u64,
}

impl Committed {
    /// The decision.
    #[must_use]
    pub const fn id(&self) -> DecisionId {
        self.id
    }

    /// Its place in the journal.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }
}

/// A handle on the decision journal.
#[derive(Debug, Clone)]
pub struct Ledger {
    journal: Journal,
}

impl Ledger {
    /// Opens or makes the journal at `path`. What it holds is not read into memory.
    ///
    /// # Errors
    /// It is damaged, in use, or cannot be used.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Ok(Self { journal: Journal::open_with(path, drop)? })
    }

    /// Reads the journal at `path` as a start would, and changes nothing.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub fn check(path: &Path) -> Result<(), JournalError> {
        Journal::read(path, drop)
    }

    /// A ledger over any journal.
    #[cfg(test)]
    pub(crate) const fn over(journal: Journal) -> Self {
        Self { journal }
    }

    /// Keeps a decision. When this returns, it is durable.
    ///
    /// # Errors
    /// The journal takes no more; then nothing may be relayed.
    pub async fn commit(&self, decision: DecisionRecord) -> Result<Committed, LedgerError> {
        let id = decision.id;
        let position = self.append(&Record::Decision(decision.bounded())).await?;
        Ok(Committed { id, position })
    }

    /// Keeps what became of a decision.
    ///
    /// # Errors
    /// The journal takes no more.
    pub async fn settle(&self, outcome: OutcomeRecord) -> Result<u64, LedgerError> {
        self.append(&Record::Outcome(outcome)).await
    }

    /// Resolves, to the cause, when the journal has failed and the broker has to end.
    pub async fn failed(&self) -> std::sync::Arc<str> {
        self.journal.failed().await
    }

    async fn append(&self, record: &Record) -> Result<u64, LedgerError> {
        let frame = serde_json::to_vec(record).map_err(LedgerError::Encode)?;
        Ok(self.journal.append(frame).await?)
    }
}

impl DecisionRecord {
    /// Cuts the lists; the counts still say how many there were.
    fn bounded(mut self) -> Self {
        self.eligible.truncate(MAX_RECORDED_OFFERS);
        self.refused.truncate(MAX_RECORDED_OFFERS);
        self.refused.iter_mut().for_each(|refused| refused.reasons.truncate(MAX_RECORDED_REASONS));
        self
    }
}
