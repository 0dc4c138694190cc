//! What of a decision and of its outcome goes into their records, field by field.

use bytes::Bytes;
use comity_transparency::leaf::Epoch;
use comity_transparency::record::{CANDIDATES, Field, MAX_VALUE_BYTES, Record, RecordKind, SALT_BYTES};
use comity_types::{DecisionId, Digest, ModelName, OfferName, Place, Price, SpiffeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{LedgerError, NodeSigned, Unsigned};
use crate::budgets::charge::passed_tokens;

/// Most offers that a record names, eligible or refused: far above a federation's offers of one model, and
/// their names and reasons stay within a field.
const MAX_RECORDED_OFFERS: usize = 512;
/// Most reasons that a record holds for one offer.
const MAX_RECORDED_REASONS: usize = 16;

/// What was decided, on which grounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRecord {
    /// The decision.
    pub id: DecisionId,
    /// When it was made.
    pub at: Timestamp,
    /// The state of the federation that it was made against.
    pub epoch: Epoch,
    /// The app that called.
    pub caller: SpiffeId,
    /// The gRPC method, such as `Chat`.
    pub method: &'static str,
    /// The model that was asked for.
    pub model: ModelName,
    /// SHA-256 of the request's envelope in canonical encoding.
    pub envelope_sha256: Digest,
    /// That encoding.
    pub envelope: Bytes,
    /// How many offers were judged.
    pub considered: usize,
    /// The names of the eligible set in the order of preference; cut to 512.
    pub eligible: Vec<OfferName>,
    /// Those of them that may be tried: cut to [`CANDIDATES`].
    pub candidates: Vec<CandidateRecord>,
    /// Where nothing was eligible: why. Cut to 512.
    pub refused: Vec<RefusedOffer>,
}

/// An offer that may be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CandidateRecord {
    /// The offer.
    pub offer: OfferName,
    /// SHA-256 of its stored form, which is what was decided on.
    pub offer_sha256: Digest,
    /// First instant at which the permit no longer counts for it, in milliseconds since 1970.
    pub expires_at: i64,
    /// What is reserved for it, where there are budgets: they are counted anew from that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<ReservedRecord>,
}

/// What budgets reserve for an offer that may be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReservedRecord {
    /// Tokens that its model reads of the request, at most.
    pub input_tokens: u64,
    /// Tokens of the answer that its node may sign, where the caller said how many it wants at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// What it costs, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// An offer and the reasons against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedOffer {
    /// The offer.
    pub offer: OfferName,
    /// The codes, each with its subject: `PRICE_ABOVE_MAX(EUR)`. Cut to 16.
    pub reasons: Vec<String>,
}

/// What became of a request that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeRecord {
    /// When it ended.
    pub at: Timestamp,
    /// The offer that answered, or the last one that was tried.
    pub offer: Option<OfferRecord>,
    /// Which try that was, from 1; 0 if there was none.
    pub attempt: u32,
    /// Every try.
    pub tries: Vec<TryRecord>,
    /// The gRPC code that the caller got, as its number.
    pub grpc_code: i32,
    /// What the node says that it used.
    pub usage: Option<UsageRecord>,
    /// What the node signed, where it is its word on just this.
    pub node_outcome: Option<NodeSigned>,
    /// Bytes of messages that went to the caller.
    pub bytes_out: u64,
    /// From the request's arrival to its end.
    pub duration_ms: u64,
    /// True if the caller left before the end.
    pub cancelled: bool,
}

/// What of an offer an outcome names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRecord {
    /// Its rank in the eligible set, from 0.
    pub rank: usize,
    /// Its name.
    pub name: OfferName,
    /// SHA-256 of its stored form.
    pub sha256: Digest,
    /// Where it says that it is processed, where it says so.
    pub jurisdiction: Option<Vec<Place>>,
    /// The law that its terms are under, where they say so.
    pub governing_law: Option<Place>,
}

/// A try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TryRecord {
    /// The offer.
    pub offer: OfferName,
    /// Which try, from 1.
    pub attempt: u32,
    /// Why it was not the last, in a word; empty for the last, but where its answer was [malformed](Self::MALFORMED).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failed: String,
    /// Why nothing of what the node said at its end is kept, in a word: it did not sign what it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<&'static str>,
    /// Why no node can have used anything of it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_nothing: Option<UsedNothing>,
    /// Tokens that went to the caller at least, where there are budgets and nobody signed how many that were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_tokens: Option<u64>,
}

/// Why a try used nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UsedNothing {
    /// Not a byte of it was sent.
    #[serde(rename = "not sent")]
    NotSent,
    /// Its node says that it has run nothing of it: it did not look at it, or declined before it asked its backend. One that
    /// has run it and says so is not paid.
    #[serde(rename = "not run")]
    NotRun,
}

impl TryRecord {
    /// Why a try failed that had no permit: no node runs anything without one.
    pub const WITHDRAWN: &str = "withdrawn";

    /// Why a try failed whose answer was not made of whole messages.
    pub const MALFORMED: &str = "malformed answer";

    /// The try of this number begins.
    #[must_use]
    pub const fn begun(offer: OfferName, attempt: u32) -> Self {
        Self { offer, attempt, failed: String::new(), unsigned: None, used_nothing: None, passed_tokens: None }
    }

    /// Whether a node may have run it.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.failed != Self::WITHDRAWN && self.used_nothing.is_none()
    }
}

/// Tokens, as the backend counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UsageRecord {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

impl DecisionRecord {
    /// Whether something is to become of it: nothing does of a refusal.
    #[must_use]
    pub const fn opens(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// Its fields, hidden by this salt.
    pub(super) fn record(mut self, salt: [u8; SALT_BYTES]) -> Result<Record, LedgerError> {
        self.bound();
        let mut record = Record::new(RecordKind::Decision, salt)
            .with(Field::CALLER, self.caller.as_str())?
            .with(Field::METHOD, self.method)?
            .with(Field::MODEL, self.model.as_str())?
            .with(Field::ENVELOPE_SHA256, self.envelope_sha256.as_bytes())?
            .with(Field::CONSIDERED, self.considered.to_string())?
            .with(Field::ELIGIBLE, list(&mut self.eligible)?)?;
        // One that is longer is known by its digest alone: whoever sent it has it.
        if self.envelope.len() <= MAX_VALUE_BYTES {
            record = record.with(Field::ENVELOPE, self.envelope)?;
        }
        if !self.refused.is_empty() {
            record = record.with(Field::REFUSED, list(&mut self.refused)?)?;
        }
        for (rank, candidate) in self.candidates.iter().enumerate() {
            if let Some(field) = Field::candidate(rank) {
                record = record.with(field, serde_json::to_vec(candidate)?)?;
            }
        }
        Ok(record)
    }

    /// Cuts the lists; the count still says how many there were.
    fn bound(&mut self) {
        self.eligible.truncate(MAX_RECORDED_OFFERS);
        self.candidates.truncate(CANDIDATES);
        self.refused.truncate(MAX_RECORDED_OFFERS);
        self.refused.iter_mut().for_each(|refused| refused.reasons.truncate(MAX_RECORDED_REASONS));
    }
}

/// A list as JSON, cut until it fits a field.
fn list<T: Serialize>(items: &mut Vec<T>) -> Result<Vec<u8>, serde_json::Error> {
    loop {
        let json = serde_json::to_vec(items)?;
        if json.len() <= MAX_VALUE_BYTES {
            return Ok(json);
        }
        items.truncate(items.len() / 2);
    }
}

impl OutcomeRecord {
    /// Whether a node may have run the try that it is of.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.tries.last().is_some_and(TryRecord::may_have_run)
    }

    /// Whether it was sent, and no node has run it, because a node that looked at it says that it is none.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        let not_run = self.tries.last().is_some_and(|last| last.used_nothing == Some(UsedNothing::NotRun));
        let is_fault = self.grpc_code == i32::from(tonic::Code::InvalidArgument);
        is_fault && not_run && !self.tries.iter().any(TryRecord::may_have_run)
    }

    /// Says how many tokens went to the caller at least, where the node did not sign how many it used.
    pub fn pass_tokens(&mut self) {
        let is_unsigned = self.node_outcome.is_none() && self.may_have_run();
        let tokens = Some(passed_tokens(self.bytes_out)).filter(|tokens| is_unsigned && *tokens > 0);
        self.tries.last_mut().into_iter().for_each(|last| last.passed_tokens = tokens);
    }

    /// The node did not sign what it answered.
    pub fn not_signed(&mut self, why: Unsigned) {
        if let Some(last) = self.tries.last_mut() {
            last.unsigned = Some(why.word());
        }
    }

    /// Its fields, hidden by this salt.
    pub(super) fn record(mut self, salt: [u8; SALT_BYTES]) -> Result<Record, LedgerError> {
        let mut record = Record::new(RecordKind::Outcome, salt)
            .with(Field::ATTEMPT, self.attempt.to_string())?
            .with(Field::TRIES, list(&mut self.tries)?)?
            .with(Field::STATUS, self.grpc_code.to_string())?
            .with(Field::BYTES_OUT, self.bytes_out.to_string())?
            .with(Field::DURATION_MS, self.duration_ms.to_string())?
            .with(Field::CANCELLED, self.cancelled.to_string())?;
        if let Some(offer) = self.offer {
            record = record
                .with(Field::OFFER, offer.name.as_str())?
                .with(Field::OFFER_SHA256, offer.sha256.to_string())?
                .with(Field::OPERATOR, offer.name.node().trust_domain().as_str())?;
            if let Some(places) = offer.jurisdiction {
                record = record.with(Field::JURISDICTION, serde_json::to_vec(&places)?)?;
            }
            if let Some(law) = offer.governing_law {
                record = record.with(Field::GOVERNING_LAW, law.as_str())?;
            }
        }
        if let Some(usage) = self.usage {
            record = record.with(Field::USAGE, serde_json::to_vec(&usage)?)?;
        }
        if let Some(signed) = self.node_outcome {
            record = record.with(Field::NODE_OUTCOME, signed.into_bytes())?;
        }
        Ok(record)
    }
}
