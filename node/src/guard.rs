//! Whether a request comes with a permit for exactly it, on this node, now.
//!
//! [`Guard::verify`] is the one maker of a [`VerifiedPermit`], and nothing runs
//! without one. It takes no word of the broker but a signature by the permit key
//! that the federation's root names.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use comity_proto::permit::{Grant, Permit};
use comity_types::{Clock, DecisionId, Digest, OfferName, SpiffeId, Timestamp};
use prost::Message;

use self::seen::Seen;

mod seen;
#[cfg(test)]
mod tests;

/// What stands before a grant's bytes when they are signed, so that the signature means nothing elsewhere.
pub const SIGNED_PREFIX: &[u8] = b"comity permit v1\n";
/// How far the broker's clock may be from this node's: NTP keeps machines within a fraction of it.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
/// The longest life of a permit that is accepted: it bounds what has to be remembered against replay.
pub const MAX_PERMIT_LIFE: Duration = Duration::from_secs(120);

/// Proof that the broker let this request, to this offer, in this try, once.
#[derive(Debug)]
pub struct VerifiedPermit {
    decision: DecisionId,
    offer: OfferName,
    caller: SpiffeId,
    epoch: u64,
    issued_at: Timestamp,
    arrived_at: Timestamp,
}

impl VerifiedPermit {
    /// The decision that it proves.
    #[must_use]
    pub const fn decision(&self) -> DecisionId {
        self.decision
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
        self.epoch
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
    /// The signature is not by the permit key of the federation's root.
    #[error("the permit's signature is wrong")]
    Signature,
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
    /// Too many permits are in force to remember another.
    #[error("too many permits are in force")]
    Full,
}

impl Lie {
    /// The `ErrorInfo` reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "PERMIT_MISSING",
            Self::Malformed { .. } => "PERMIT_MALFORMED",
            Self::Signature => "PERMIT_SIGNATURE",
            Self::OtherNode => "PERMIT_OTHER_NODE",
            Self::UnknownOffer => "PERMIT_UNKNOWN_OFFER",
            Self::OtherOffer => "PERMIT_OTHER_OFFER",
            Self::OtherEnvelope => "PERMIT_OTHER_ENVELOPE",
            Self::OtherMethod => "PERMIT_OTHER_METHOD",
            Self::Stale => "PERMIT_STALE",
            Self::TooLong => "PERMIT_TOO_LONG",
            Self::Replayed => "PERMIT_REPLAYED",
            Self::Full => "PERMITS_FULL",
        }
    }
}

/// What the guard compares a permit with.
#[derive(Debug)]
pub struct Guard {
    node: SpiffeId,
    permit_key: Vec<u8>,
    offers: HashMap<OfferName, Digest>,
    seen: Seen,
    clock: Arc<dyn Clock>,
}

impl Guard {
    /// A guard of this node's offers. `permit_key` is the raw Ed25519 key of the federation's root.
    pub fn new(node: SpiffeId, permit_key: Vec<u8>, offers: HashMap<OfferName, Digest>, clock: Arc<dyn Clock>) -> Self {
        Self { node, permit_key, offers, seen: Seen::default(), clock }
    }

    /// Checks the bytes of a permit against the request that they came with.
    ///
    /// # Errors
    /// Says which lie the permit tells. A permit counts as used only if it told none.
    pub fn verify(&self, permit: Option<&[u8]>, envelope: Digest, method: &str) -> Result<VerifiedPermit, Lie> {
        let permit = Permit::decode(permit.ok_or(Lie::Missing)?).map_err(|_| Lie::Malformed { field: "permit" })?;
        self.check_signature(&permit)?;
        let grant = Grant::decode(permit.grant).map_err(|_| Lie::Malformed { field: "grant" })?;
        let offer = self.check_target(&grant)?;
        check_digest(&grant.envelope_sha256, envelope, Lie::OtherEnvelope)?;
        if grant.method != method {
            return Err(Lie::OtherMethod);
        }
        let now = self.clock.now();
        let (issued_at, expires_at) = check_time(&grant, now)?;
        let caller = grant.caller.parse().map_err(|_| Lie::Malformed { field: "caller" })?;
        let id = <[u8; 16]>::try_from(grant.decision_id.as_ref());
        let decision = DecisionId::from_bytes(id.map_err(|_| Lie::Malformed { field: "decision_id" })?);
        self.seen.claim((decision, grant.attempt), expires_at.plus(CLOCK_TOLERANCE), now)?;
        Ok(VerifiedPermit { decision, offer, caller, epoch: grant.epoch, issued_at, arrived_at: now })
    }

    fn check_signature(&self, permit: &Permit) -> Result<(), Lie> {
        let signed = [SIGNED_PREFIX, permit.grant.as_ref()].concat();
        let key = UnparsedPublicKey::new(&ED25519, &self.permit_key);
        key.verify(&signed, &permit.signature).map_err(|_| Lie::Signature)
    }

    fn check_target(&self, grant: &Grant) -> Result<OfferName, Lie> {
        if grant.node != self.node.as_str() {
            return Err(Lie::OtherNode);
        }
        let offer: OfferName = grant.offer.parse().map_err(|_| Lie::Malformed { field: "offer" })?;
        let own = self.offers.get(&offer).ok_or(Lie::UnknownOffer)?;
        check_digest(&grant.offer_sha256, *own, Lie::OtherOffer)?;
        Ok(offer)
    }
}

fn check_digest(found: &[u8], expected: Digest, lie: Lie) -> Result<(), Lie> {
    if found == expected.as_bytes() { Ok(()) } else { Err(lie) }
}

fn check_time(grant: &Grant, now: Timestamp) -> Result<(Timestamp, Timestamp), Lie> {
    let issued_at = instant(grant.issued_at.as_ref()).ok_or(Lie::Malformed { field: "issued_at" })?;
    let expires_at = instant(grant.expires_at.as_ref()).ok_or(Lie::Malformed { field: "expires_at" })?;
    if expires_at.since(issued_at) > MAX_PERMIT_LIFE {
        return Err(Lie::TooLong);
    }
    if issued_at > now.plus(CLOCK_TOLERANCE) || now >= expires_at.plus(CLOCK_TOLERANCE) {
        return Err(Lie::Stale);
    }
    Ok((issued_at, expires_at))
}

fn instant(wire: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    let wire = wire?;
    let millis = wire.seconds.checked_mul(1000)?.checked_add(i64::from(wire.nanos / 1_000_000))?;
    Timestamp::from_millis(millis).ok()
}
