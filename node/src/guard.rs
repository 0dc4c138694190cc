//! Whether a request comes with a permit for exactly it, on this node, now.
//!
//! [`Guard::verify`] is the one maker of a [`VerifiedPermit`], and nothing runs without one. A permit is the proof that a
//! decision is in the broker's log (RFC 6962), whose checkpoints are signed by the key that the federation's root names,
//! and that the decision names this request, this caller and this offer. A broker that keeps no account gets nothing run, nor
//! does one that keeps another account for this node than for everybody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use comity_proto::convert;
use comity_proto::permit::Permit;
use comity_transparency::leaf::{Epoch, Kind};
use comity_transparency::receipt::VerifiedLeaf;
use comity_transparency::record::{CANDIDATES, Field, MAX_TRIES, RecordKind};
use comity_transparency::{Checkpoint, NoteVerifier};
use comity_types::{Clock, DecisionId, Digest, OfferName, Price, SpiffeId, Timestamp};
use prost::Message;
use serde::Deserialize;
use tonic::Code;

use crate::replica::EPOCH_TOLERANCE;

pub use self::history::{EvidenceFault, LogHistory, PUBLISHED_WITHIN};
pub use self::seen::{Seen, SeenError};

pub(crate) mod history;
mod seen;
#[cfg(test)]
mod tests;

/// How far the broker's clock may be from this node's: NTP keeps machines within a fraction of it.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
/// The longest life of a permit that is accepted: it bounds what has to be remembered against replay.
pub const MAX_PERMIT_LIFE: Duration = Duration::from_secs(120);

/// Proof that the broker let this request, to this offer, in this try, once.
#[derive(Debug)]
pub struct VerifiedPermit {
    decision: DecisionId,
    index: u64,
    attempt: u32,
    offer: OfferName,
    caller: SpiffeId,
    epoch: Epoch,
    issued_at: Timestamp,
    arrived_at: Timestamp,
}

impl VerifiedPermit {
    /// The decision that it proves.
    #[must_use]
    pub const fn decision(&self) -> DecisionId {
        self.decision
    }

    /// The index of its leaf in the broker's log.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Which try of the request this is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The offer that may run.
    #[must_use]
    pub const fn offer(&self) -> &OfferName {
        &self.offer
    }

    /// The app that calls.
    #[must_use]
    pub const fn caller(&self) -> &SpiffeId {
        &self.caller
    }

    /// The registry's epoch at which it was decided.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch.size
    }

    /// The root of the membership log at that epoch, as the decision has it.
    #[must_use]
    pub const fn epoch_root(&self) -> Digest {
        self.epoch.root
    }

    /// When it was decided.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// When it came here, by this node's clock.
    #[must_use]
    pub const fn arrived_at(&self) -> Timestamp {
        self.arrived_at
    }
}

/// Why a permit does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// There is none.
    #[error("the request has no permit")]
    Missing,
    /// It cannot be read.
    #[error("the permit is malformed: {field}")]
    Malformed {
        /// What of it.
        field: &'static str,
    },
    /// The checkpoint is not signed by the decision log's key of the federation's root.
    #[error("the permit's checkpoint is not the decision log's")]
    Checkpoint,
    /// The decision is not in that log, or what is shown of it is not what it says.
    #[error("the permit's decision is not in the log")]
    NotInLog,
    /// The decision log has signed two histories: nothing that it proves counts.
    #[error("the decision log has signed two histories (hint: the operator of this node has the evidence)")]
    Contradicted,
    /// What this node's witness kept against the log cannot be read: it may have convicted it.
    #[error(
        "this node cannot read what its witness kept against the decision log (hint: the operator of this node looks at data/witness/evidence; docs/witnesses.md)"
    )]
    EvidenceUnread,
    /// The log has proven to this node what it has not published in time.
    #[error("the decision log has not published within {} s what it proved to this node (hint: the operator of the broker finds out why; `comity doctor`)", PUBLISHED_WITHIN.as_secs())]
    Unpublished,
    /// It was decided by another log of the federation than the one that this node follows.
    #[error("the permit was decided by another log of the federation than this node's")]
    OtherFederation,
    /// It was decided by a state that is over, and this node has known that for a while.
    #[error(
        "the permit was decided at epoch {decided}, and this node has known for {} s that the federation has come to epoch {known} (hint: the operator of the broker finds out why it decides by what is over)",
        EPOCH_TOLERANCE.as_secs()
    )]
    OldEpoch {
        /// The permit's.
        decided: u64,
        /// The oldest that still counts.
        known: u64,
    },
    /// It is for another node.
    #[error("the permit is for another node")]
    OtherNode,
    /// It is for an offer that this node does not make.
    #[error("the permit is for an offer that this node does not make")]
    UnknownOffer,
    /// The offer was decided upon in another form than this node's.
    #[error("the permit is for another version of the offer")]
    OtherOffer,
    /// It is for another request.
    #[error("the permit is for another envelope")]
    OtherEnvelope,
    /// It is for another method.
    #[error("the permit is for another method")]
    OtherMethod,
    /// It is not yet, or no longer, in force.
    #[error("the permit is not in force now")]
    Stale,
    /// It is in force for longer than any permit may be.
    #[error("the permit is in force for too long")]
    TooLong,
    /// It was used.
    #[error("the permit was used before")]
    Replayed,
    /// Another try of the same decision was answered by this node.
    #[error("this node has answered the permit's decision before, in another try")]
    Answered,
    /// It was issued before this node knows which it has let in.
    #[error(
        "the permit was issued before this node started on this machine, which no longer knows whether it was used (hint: try again)"
    )]
    BeforeStart,
    /// Too many permits are in force to remember another.
    #[error("too many permits are in force")]
    Full,
    /// What is let in cannot be written down.
    #[error("this node cannot keep which permits were used (hint: its operator finds the cause in its log)")]
    Unkept,
}

impl Lie {
    /// The gRPC code: that a permit does not count, or that it may count somewhere else.
    #[must_use]
    pub fn code(&self) -> Code {
        if *self == Self::Full {
            Code::ResourceExhausted
        } else if *self == Self::Unkept {
            Code::Unavailable
        } else {
            Code::PermissionDenied
        }
    }

    /// The `ErrorInfo` reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "PERMIT_MISSING",
            Self::Malformed { .. } => "PERMIT_MALFORMED",
            Self::Checkpoint => "PERMIT_CHECKPOINT",
            Self::NotInLog => "PERMIT_NOT_IN_LOG",
            Self::Contradicted => "LOG_CONTRADICTED",
            Self::EvidenceUnread => "LOG_EVIDENCE_UNREAD",
            Self::Unpublished => "LOG_UNPUBLISHED",
            Self::OtherFederation => "PERMIT_OTHER_FEDERATION",
            Self::OldEpoch { .. } => "PERMIT_OLD_EPOCH",
            Self::OtherNode => "PERMIT_OTHER_NODE",
            Self::UnknownOffer => "PERMIT_UNKNOWN_OFFER",
            Self::OtherOffer => "PERMIT_OTHER_OFFER",
            Self::OtherEnvelope => "PERMIT_OTHER_ENVELOPE",
            Self::OtherMethod => "PERMIT_OTHER_METHOD",
            Self::Stale => "PERMIT_STALE",
            Self::TooLong => "PERMIT_TOO_LONG",
            Self::Replayed | Self::Answered => "PERMIT_REPLAYED",
            Self::BeforeStart => "PERMIT_BEFORE_START",
            Self::Full => "PERMITS_FULL",
            Self::Unkept => "PERMITS_UNKEPT",
        }
    }
}

/// The offer of a decision that is shown, as its record has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Candidate {
    offer: OfferName,
    offer_sha256: String,
    expires_at: i64,
    #[serde(default, rename = "reserved")]
    _reserved: Option<Reserved>,
}

/// What the broker's budgets reserve for an offer, where there are some: a node has no use for it, and knows what it may be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read so that nothing else stands in its place")]
struct Reserved {
    input_tokens: u64,
    output_tokens: Option<u64>,
    price: Option<Price>,
}

/// The decision log of the federation's broker.
#[derive(Debug, Clone)]
pub struct DecisionLog {
    /// What it is called.
    pub origin: String,
    /// Whose signature its checkpoints have.
    pub key: NoteVerifier,
}

/// What the guard compares a permit with.
#[derive(Debug)]
pub struct Guard {
    node: SpiffeId,
    log: DecisionLog,
    offers: HashMap<OfferName, Digest>,
    history: LogHistory,
    seen: Seen,
    clock: Arc<dyn Clock>,
}

impl Guard {
    /// A guard of this node's offers, which goes by the log's history and by what was let in before.
    pub fn new(
        node: SpiffeId,
        (log, history): (DecisionLog, LogHistory),
        offers: HashMap<OfferName, Digest>,
        seen: Seen,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { node, log, offers, history, seen, clock }
    }

    /// What the log has shown so far.
    #[must_use]
    pub const fn history(&self) -> &LogHistory {
        &self.history
    }

    /// Whether what is let in can be kept: where it cannot, nothing is run.
    #[must_use]
    pub fn can_keep(&self) -> bool {
        self.seen.can_keep()
    }

    /// Waits for the look at what the log has published, if one is overdue.
    pub async fn catch_up(&self) {
        self.history.catch_up(self.clock.now()).await;
    }

    /// Checks the bytes of a permit against the request that they came with.
    ///
    /// # Errors
    /// Says which lie the permit tells. A permit counts as used only if it told none.
    pub fn verify(&self, permit: Option<&[u8]>, envelope: Digest, method: &str) -> Result<VerifiedPermit, Lie> {
        let permit = Permit::decode(permit.ok_or(Lie::Missing)?).map_err(|_| Lie::Malformed { field: "permit" })?;
        let attempt = permit.attempt;
        if !(1..=MAX_TRIES).contains(&attempt) {
            return Err(Lie::Malformed { field: "attempt" });
        }
        let decision = self.logged(permit)?;
        if text(&decision, Field::METHOD, "method")? != method {
            return Err(Lie::OtherMethod);
        }
        if field(&decision, Field::ENVELOPE_SHA256, "envelope_sha256")? != envelope.as_bytes() {
            return Err(Lie::OtherEnvelope);
        }
        let caller =
            text(&decision, Field::CALLER, "caller")?.parse().map_err(|_| Lie::Malformed { field: "caller" })?;
        let Candidate { offer, offer_sha256, expires_at, _reserved: _ } = self.own_candidate(&decision)?;
        let own = self.offers.get(&offer).ok_or(Lie::UnknownOffer)?;
        if offer_sha256 != own.to_string() {
            return Err(Lie::OtherOffer);
        }
        let (leaf, now) = (decision.leaf(), self.clock.now());
        let expires_at = Timestamp::from_millis(expires_at).map_err(|_| Lie::Malformed { field: "expires_at" })?;
        check_time(leaf.at, expires_at, now)?;
        self.seen.claim((leaf.decision, attempt), (leaf.at, expires_at.plus(CLOCK_TOLERANCE)), now)?;
        Ok(VerifiedPermit {
            decision: leaf.decision,
            index: decision.index(),
            attempt,
            offer,
            caller,
            epoch: leaf.epoch,
            issued_at: leaf.at,
            arrived_at: now,
        })
    }

    /// What this permit opened is answered, and the first piece of that is about to be handed over: no other try of its decision
    /// runs here. Once for each permit.
    ///
    /// # Errors
    /// Another try was answered, or it cannot be written down that this one is: then nothing of it may be handed over.
    pub fn answered(&self, permit: &VerifiedPermit) -> Result<(), Lie> {
        let until = permit.issued_at.plus(MAX_PERMIT_LIFE).plus(CLOCK_TOLERANCE);
        self.seen.answered(permit.decision, until, self.clock.now())
    }

    /// The decision that the permit proves to be in the log.
    fn logged(&self, permit: Permit) -> Result<VerifiedLeaf, Lie> {
        let checkpoint = Checkpoint::open(&permit.checkpoint, &self.log.origin, &self.log.key);
        let checkpoint = checkpoint.map_err(|_| Lie::Checkpoint)?;
        self.history.take(&permit.checkpoint, &checkpoint, self.clock.now())?;
        let wire = permit.decision.ok_or(Lie::Malformed { field: "decision" })?;
        let proven = convert::proven(&wire, RecordKind::Decision, "decision");
        let proven = proven.map_err(|_| Lie::Malformed { field: "decision" })?;
        let decision = proven.verify(&checkpoint, "decision").map_err(|_| Lie::NotInLog)?;
        if decision.leaf().kind == Kind::Decision { Ok(decision) } else { Err(Lie::NotInLog) }
    }

    /// The offer of this node that the decision lets try.
    fn own_candidate(&self, decision: &VerifiedLeaf) -> Result<Candidate, Lie> {
        let shown = (0..CANDIDATES).filter_map(|rank| decision.get(Field::candidate(rank)?));
        let read = |json| serde_json::from_slice::<Candidate>(json).map_err(|_| Lie::Malformed { field: "candidate" });
        let candidates: Vec<_> = shown.map(read).collect::<Result<_, _>>()?;
        candidates.into_iter().find(|candidate| *candidate.offer.node() == self.node).ok_or(Lie::OtherNode)
    }
}

fn field<'a>(decision: &'a VerifiedLeaf, field: Field, name: &'static str) -> Result<&'a [u8], Lie> {
    decision.get(field).ok_or(Lie::Malformed { field: name })
}

fn text<'a>(decision: &'a VerifiedLeaf, of: Field, name: &'static str) -> Result<&'a str, Lie> {
    std::str::from_utf8(field(decision, of, name)?).map_err(|_| Lie::Malformed { field: name })
}

fn check_time(issued_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> Result<(), Lie> {
    if expires_at.since(issued_at) > MAX_PERMIT_LIFE {
        return Err(Lie::TooLong);
    }
    if issued_at > now.plus(CLOCK_TOLERANCE) || now >= expires_at.plus(CLOCK_TOLERANCE) {
        return Err(Lie::Stale);
    }
    Ok(())
}
