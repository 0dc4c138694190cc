//! What a node signed of a request, kept only where it is the node's word on this try and says what was relayed.
//!
//! A node has the prompt, and writes this trailer as it likes: what the broker keeps of it must have no room for anything
//! else. And whoever verifies a receipt takes what contradicts the record for the broker's lie (`comity receipt verify`), so
//! that a node's garbage would accuse the broker. [`NodeSigned::verify`] is the one maker of a [`NodeSigned`].

use std::time::Duration;

use bytes::Bytes;
use comity_proto::convert::instant;
use comity_proto::metadata::OUTCOME_CONTEXT;
use comity_proto::permit::{NodeOutcome, Outcome};
use comity_proto::strict;
use comity_transparency::PublicKey;
use comity_types::{DecisionId, OfferName, Timestamp};
use prost::Message as _;

use super::UsageRecord;

#[cfg(test)]
mod tests;

/// Longest that is looked at: the longest name of an offer, numbers and a signature come to less than 700 bytes. Receipts
/// hold it in trailers, of which clients read some 8 KiB.
pub const MAX_SIGNED_BYTES: usize = 1024;
/// How far the node's clock may be from the broker's: it takes permits of 60 s, and clocks that are 5 s apart.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// The oldest state that a node acts on, in milliseconds: a day is the longest that `node.toml` takes.
const MAX_STATE_AGE_MS: u64 = 24 * 60 * 60 * 1000;
/// Times are of milliseconds.
const NANOS_A_MILLI: i32 = 1_000_000;

/// A [`NodeOutcome`] that the node of this try signed, and that says what the broker relayed of it: encoded, with no more in
/// it than that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSigned(Bytes);

/// What the broker relayed of a try, which the node's word on it has to say.
#[derive(Debug, Clone, Copy)]
pub struct Relayed<'a> {
    /// The decision.
    pub decision: DecisionId,
    /// The index of its leaf.
    pub index: u64,
    /// When it was made.
    pub decided_at: Timestamp,
    /// The federation's epochs that the node may have judged by: from the decision's to the newest.
    pub epochs: (u64, u64),
    /// The offer that was tried.
    pub offer: &'a OfferName,
    /// Which try that was.
    pub attempt: u32,
    /// The gRPC code that it ended with.
    pub grpc_code: i32,
    /// What the node says that it used.
    pub usage: Option<UsageRecord>,
    /// When it ended here.
    pub ended_at: Timestamp,
}

/// Why nothing of what a node sent is kept. It names fields, and never what was in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// It sent nothing.
    #[error("the node signed nothing of its answer")]
    Missing,
    /// It is longer than any outcome.
    #[error("what the node sent as its outcome is longer than {MAX_SIGNED_BYTES} bytes")]
    TooLong,
    /// It is no outcome, or more than that: something that this version does not know, or that has another encoding.
    #[error(
        "what the node sent as its outcome is none, or has more in it (hint: of a node that is newer than this broker, upgrade the broker)"
    )]
    Malformed,
    /// It says that more was used than can have been.
    #[error(
        "the node says that it used more {field} than a request of this length and time can (hint: what bounds it stands in docs/decision-log.md)"
    )]
    Excessive {
        /// Which field.
        field: &'static str,
    },
    /// It is of something else than was relayed.
    #[error("the node signed another {field} than it answered with")]
    Other {
        /// Which field.
        field: &'static str,
    },
    /// It is not signed by the key that the membership log names for the node.
    #[error("the outcome is not signed by the node's key of the membership log")]
    Forged,
}

impl Unsigned {
    /// In a word, for records and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooLong | Self::Malformed => "malformed",
            Self::Excessive { .. } => "excessive",
            Self::Other { .. } => "other",
            Self::Forged => "forged",
        }
    }
}

impl NodeSigned {
    /// Holds what a node sent against its key and what was relayed.
    ///
    /// # Errors
    /// It is not the node's word on it: nothing of it is to be kept.
    pub fn verify(sent: &[u8], key: &PublicKey, relayed: &Relayed<'_>) -> Result<Self, Unsigned> {
        if sent.len() > MAX_SIGNED_BYTES {
            return Err(Unsigned::TooLong);
        }
        let signed: NodeOutcome = strict::decode(Bytes::copy_from_slice(sent)).map_err(|_| Unsigned::Malformed)?;
        let outcome: Outcome = strict::decode(signed.outcome.clone()).map_err(|_| Unsigned::Malformed)?;
        // A field that comes twice is known, and its first value would be read by nobody and kept by us.
        if outcome.encode_to_vec() != signed.outcome {
            return Err(Unsigned::Malformed);
        }
        relayed.check(&outcome)?;
        if !key.verifies(&[OUTCOME_CONTEXT, &signed.outcome].concat(), &signed.signature) {
            return Err(Unsigned::Forged);
        }
        Ok(Self(signed.encode_to_vec().into()))
    }

    /// The encoded [`NodeOutcome`].
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Relayed<'_> {
    fn check(&self, outcome: &Outcome) -> Result<(), Unsigned> {
        let usage = self.usage.map(|usage| (usage.input_tokens, usage.output_tokens)).unzip();
        let ended_at = outcome.ended_at.and_then(|ended| instant("ended_at", ended).ok());
        // Numbers that nothing is held against have no more room than what they are for.
        let is_whole = outcome.ended_at.is_some_and(|ended| ended.nanos % NANOS_A_MILLI == 0);
        let is_in_time = |ended: Timestamp| {
            ended >= self.decided_at.minus(CLOCK_TOLERANCE) && ended <= self.ended_at.plus(CLOCK_TOLERANCE)
        };
        let (first, last) = self.epochs;
        let fields = [
            ("decision", outcome.decision_id == self.decision.as_bytes()[..] && outcome.decision_index == self.index),
            ("try", outcome.attempt == self.attempt),
            ("offer", outcome.offer == self.offer.as_str()),
            ("status", outcome.status == self.grpc_code),
            ("usage", (outcome.input_tokens, outcome.output_tokens) == usage),
            ("time", ended_at.is_some_and(is_in_time) && is_whole),
            ("state_age_ms", outcome.state_age_ms <= MAX_STATE_AGE_MS),
            ("epoch", (first..=last).contains(&outcome.epoch)),
        ];
        match fields.into_iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(Unsigned::Other { field }),
            None => Ok(()),
        }
    }
}
