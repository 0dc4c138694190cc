//! Makes a decision durable, and so a permit of it. Nothing is relayed without one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use comity_membership::offer_digest;
use comity_policy::{Offer, Reason, Requirements, Verdict};
use comity_proto::error::Failure;
use comity_proto::{permit as wire, policy};
use comity_types::{DecisionId, OfferName, Timestamp};
use http::HeaderValue;
use prost::Message;
use tonic::Code;

use super::decide::{Candidate, Decision, Rejected, layer_demands};
use super::request::Admitted;
use super::{Parts, disclose};
use crate::ledger::decisions::{Committed, DecisionRecord, RefusedOffer};
use crate::rpc::timestamp;

/// How long a permit counts: time for a few tries of nodes that are slow to answer. Nodes accept 120 s at most.
pub const PERMIT_LIFE: Duration = Duration::from_secs(60);
/// Longest account of requirements in a record, in bytes; the envelope's digest stands beside it.
const MAX_REQUIREMENTS_BYTES: usize = 16 * 1024;
/// Most verdicts that a refusal carries on its way to being cut to what headers hold.
const MAX_REFUSAL_VERDICTS: usize = 64;

/// The proof that a decision with an eligible set is durable.
#[derive(Debug)]
pub struct Permit {
    decision: Decision,
    committed: Committed,
}

impl Permit {
    /// The decision.
    #[must_use]
    pub const fn id(&self) -> DecisionId {
        self.committed.id()
    }

    /// The eligible set, in the order of preference.
    #[must_use]
    pub fn eligible(&self) -> &[Candidate] {
        &self.decision.eligible
    }

    /// The offer of `candidate`, as it was decided on.
    #[must_use]
    pub fn offer(&self, candidate: &Candidate) -> Option<&Offer> {
        self.decision.snapshot.federation().offer(&candidate.name)
    }

    /// First instant at which it no longer counts for `candidate`.
    #[must_use]
    pub fn expires_at(&self, candidate: &Candidate) -> Timestamp {
        let end = self.decision.at.plus(PERMIT_LIFE);
        candidate.expires_at.map_or(end, |expires| expires.min(end))
    }

    /// What the node of `candidate` gets: the grant of one try, signed.
    ///
    /// # Errors
    /// The permit key cannot be used.
    pub fn grant(
        &self,
        parts: &Parts,
        admitted: &Admitted,
        candidate: &Candidate,
        attempt: u32,
    ) -> Result<HeaderValue, Failure> {
        let federation = &self.decision.snapshot.federation();
        let offer = self.offer(candidate).ok_or_else(broker_failed)?;
        let grant = wire::Grant {
            decision_id: self.id().as_bytes().to_vec().into(),
            node: candidate.name.node().to_string(),
            offer: candidate.name.to_string(),
            offer_sha256: offer_digest(offer).as_bytes().to_vec().into(),
            caller: admitted.caller.to_string(),
            envelope_sha256: admitted.envelope_sha256.as_bytes().to_vec().into(),
            method: admitted.method.name().to_owned(),
            epoch: federation.epoch(),
            issued_at: Some(timestamp(self.decision.at)),
            expires_at: Some(timestamp(self.expires_at(candidate))),
            attempt,
        };
        let grant = grant.encode_to_vec();
        let signature = parts.permit_key.sign(&grant).map_err(|_| broker_failed())?.to_vec();
        let permit = wire::Permit { grant: grant.into(), signature: signature.into() };
        HeaderValue::try_from(STANDARD_NO_PAD.encode(permit.encode_to_vec())).map_err(|_| broker_failed())
    }
}

/// Keeps `decision`, and returns the permit.
///
/// # Errors
/// It cannot be kept, so that nothing may be sent; or it is kept and nothing is eligible.
pub async fn commit(parts: &Parts, admitted: &Admitted, decision: Decision) -> Result<Permit, Failure> {
    let kept = parts.ledger.commit(record(admitted, &decision)).await;
    let committed = kept.map_err(|error| {
        tracing::error!(error = %error, "a decision could not be kept");
        Failure::new(
            Code::Unavailable,
            "LEDGER_FAILED",
            "the broker cannot keep its decisions, so that it relays nothing",
        )
    })?;
    if decision.eligible.is_empty() {
        return Err(refusal(admitted, &decision));
    }
    Ok(Permit { decision, committed })
}

fn record(admitted: &Admitted, decision: &Decision) -> DecisionRecord {
    let refused = if decision.eligible.is_empty() { decision.rejected.as_slice() } else { &[] };
    DecisionRecord {
        id: decision.id,
        at: decision.at,
        caller: admitted.caller.clone(),
        method: admitted.method.name().to_owned(),
        epoch: decision.snapshot.federation().epoch(),
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        envelope_sha256: admitted.envelope_sha256,
        model: admitted.envelope.model.clone(),
        requirements: summary(&decision.demanded.requirements),
        considered: decision.eligible.len() + decision.rejected.len(),
        rejected: decision.rejected.len(),
        eligible: decision.eligible.iter().map(|candidate| candidate.name.clone()).collect(),
        refused: refused.iter().map(refused_offer).collect(),
    }
}

fn refused_offer(rejected: &Rejected) -> RefusedOffer {
    RefusedOffer { offer: rejected.name.clone(), reasons: rejected.reasons.iter().map(ToString::to_string).collect() }
}

/// The requirements in words, for people who read the journal.
fn summary(requirements: &Requirements) -> String {
    let mut text = format!("{requirements:?}");
    let end = (0..=MAX_REQUIREMENTS_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

fn refusal(admitted: &Admitted, decision: &Decision) -> Failure {
    let (model, federation) = (&admitted.envelope.model, &decision.snapshot.federation());
    let shown = |Rejected { name, reasons }: &Rejected| {
        (disclose::reasons(admitted.caller.trust_domain(), federation, name, reasons), name.clone())
    };
    let mut shown: Vec<_> = decision.rejected.iter().map(shown).collect();
    // By what is shown: the order must not tell how many reasons a side keeps to itself.
    shown.sort_by(|(a, one), (b, other)| (a.len(), one).cmp(&(b.len(), other)));
    let verdict = |(reasons, name): (Vec<Reason>, OfferName)| {
        comity_proto::convert::verdict(&name, model, &Verdict::Rejected { reasons })
    };
    let refusal = policy::Refusal {
        decision_id: decision.id.to_string(),
        verdicts: shown.into_iter().take(MAX_REFUSAL_VERDICTS).map(verdict).collect(),
        considered: u32::try_from(decision.rejected.len()).unwrap_or(u32::MAX),
        layer_demands: layer_demands(&admitted.caller, &decision.demanded),
    };
    let message = format!(
        "none of the {} offers of {model} is eligible for this request (hint: the details say why, for each)",
        refusal.considered
    );
    let failure = Failure::new(Code::FailedPrecondition, "NO_ELIGIBLE_OFFER", message).with("decision_id", decision.id);
    failure.with("epoch", federation.epoch()).refusing(refusal)
}

fn broker_failed() -> Failure {
    Failure::new(Code::Internal, "BROKER_FAILED", "the broker cannot make a permit; its log says why")
}
