//! Makes a decision durable, and so a permit of it. Nothing is relayed without one.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use comity_policy::{Offer, Reason, Verdict};
use comity_proto::error::Failure;
use comity_proto::policy;
use comity_transparency::PublicKey;
use comity_transparency::record::CANDIDATES;
use comity_types::{DecisionId, OfferName, Timestamp};
use http::HeaderValue;
use prost::Message;
use tonic::Code;

use super::decide::{Candidate, Decision, Rejected, layer_demands};
use super::request::Admitted;
use super::settle::{Opening, Settlement};
use super::{Parts, disclose};
use crate::budgets::spending::Spending;
use crate::ledger::decisions::{CandidateRecord, Committed, DecisionRecord, LedgerError, RefusedOffer, ReservedRecord};
use crate::registry::run_to_end;

/// How long a permit counts: time for a few tries of nodes that are slow to answer. Nodes accept 120 s at most.
pub const PERMIT_LIFE: Duration = Duration::from_secs(60);
/// How long a decision counts after the federation's state has changed: time for a failover of what was decided just before.
const EPOCH_LIFE: Duration = Duration::from_secs(10);
/// Most verdicts that a refusal carries on its way to being cut to what headers hold.
const MAX_REFUSAL_VERDICTS: usize = 64;

/// The proof that a decision with an eligible set is durable.
#[derive(Debug)]
pub struct Permit {
    decision: Decision,
    committed: Arc<Committed>,
}

impl Permit {
    /// The decision.
    #[must_use]
    pub fn id(&self) -> DecisionId {
        self.committed.id()
    }

    /// Whom the record lets try, in the order of preference: the head of the eligible set.
    pub fn candidates(&self) -> impl Iterator<Item = (usize, &Candidate)> {
        self.decision.candidates().enumerate()
    }

    /// The offer of `candidate`, as it was decided on.
    #[must_use]
    pub fn offer(&self, candidate: &Candidate) -> Option<&Offer> {
        self.decision.offer(candidate)
    }

    /// What the node of `candidate` signs with, by the state that was decided on.
    #[must_use]
    pub fn key(&self, candidate: &Candidate) -> Option<&PublicKey> {
        let federation = self.decision.snapshot.federation();
        federation.member(candidate.offer.name.node()).map(|member| &member.key)
    }

    /// First instant at which it no longer counts for `candidate`.
    #[must_use]
    pub fn expires_at(&self, candidate: &Candidate) -> Timestamp {
        self.decision.expires_at(candidate)
    }

    /// Whether it was decided by a state that is not the newest, and not just now: nodes refuse a permit of an epoch that they
    /// have known to be over for 30 s, and what was said since then counts for this request as well.
    #[must_use]
    pub fn is_overtaken(&self, newest: u64, now: Timestamp) -> bool {
        self.committed.epoch() < newest && now > self.committed.at().plus(EPOCH_LIFE)
    }

    /// What the node of the candidate of this rank gets for one try: the proof that the decision is in the log and names it.
    ///
    /// # Errors
    /// The candidate has no place in the record.
    pub fn proof(&self, rank: usize, attempt: u32) -> Result<HeaderValue, Failure> {
        let permit = self.committed.permit(rank, attempt).ok_or_else(broker_failed)?;
        HeaderValue::try_from(STANDARD_NO_PAD.encode(permit.encode_to_vec())).map_err(|_| broker_failed())
    }
}

impl Decision {
    /// Whom the record lets try.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.eligible.iter().take(CANDIDATES)
    }

    fn offer(&self, candidate: &Candidate) -> Option<&Offer> {
        self.snapshot.federation().offer(&candidate.offer.name)
    }

    fn expires_at(&self, candidate: &Candidate) -> Timestamp {
        let end = self.at.plus(PERMIT_LIFE);
        candidate.expires_at.map_or(end, |expires| expires.min(end))
    }
}

/// Keeps `decision`, and returns the permit with the account of what becomes of it, which settles `spending`.
///
/// # Errors
/// It cannot be kept, so that nothing may be sent; or it is kept and nothing is eligible.
pub async fn commit(
    parts: &Parts,
    admitted: &Admitted,
    decision: Decision,
    spending: Option<Spending>,
) -> Result<(Permit, Settlement), Failure> {
    let record = record(admitted, &decision, spending.as_ref());
    let (opening, ledger) = (Opening::of(parts, admitted, spending), parts.ledger.clone());
    // To its end, even when the caller leaves: what is durable by then is settled as that of a caller who left.
    let kept = run_to_end(&parts.tasks, "commit", async move {
        let opens = record.opens();
        let committed = Arc::new(ledger.commit(record).await?);
        let settlement = opens.then(|| Settlement::open(opening, Arc::clone(&committed)));
        Ok::<_, LedgerError>((committed, settlement))
    });
    let kept = kept.await;
    if let Some(Ok((committed, _))) = &kept {
        admitted.account.decided(committed.id(), committed.epoch(), &admitted.envelope.model);
    }
    match kept {
        Some(Ok((committed, Some(settlement)))) => Ok((Permit { decision, committed }, settlement)),
        Some(Ok((committed, None))) => Err(refusal(admitted, &decision).with_receipt(committed.receipt())),
        Some(Err(error)) => {
            tracing::error!(error = comity_runtime::chain::text(&error), "a decision could not be kept");
            Err(ledger_failed())
        }
        // The broker is stopping, and takes on no more work.
        None => Err(ledger_failed()),
    }
}

/// What a caller gets where the broker cannot keep what it decides.
pub(super) fn ledger_failed() -> Failure {
    let message = "the broker cannot keep its decisions, so that it relays nothing";
    Failure::new(Code::Unavailable, "LEDGER_FAILED", message)
}

fn record(admitted: &Admitted, decision: &Decision, spending: Option<&Spending>) -> DecisionRecord {
    let reserved = |candidate: &Candidate| {
        let (input_tokens, output_tokens) = (spending?.input_tokens(), spending?.output_tokens());
        Some(ReservedRecord { input_tokens, output_tokens, price: candidate.offer.price.clone() })
    };
    let candidate = |candidate: &Candidate| CandidateRecord {
        offer: candidate.offer.name.clone(),
        offer_sha256: candidate.offer.sha256,
        expires_at: decision.expires_at(candidate).as_millis(),
        reserved: reserved(candidate),
    };
    let refused = decision.refused.iter().flat_map(|refused| &refused.rejected);
    DecisionRecord {
        id: decision.id,
        at: decision.at,
        epoch: decision.snapshot.epoch(),
        caller: admitted.caller.clone(),
        method: admitted.method.name(),
        model: admitted.envelope.model.clone(),
        envelope_sha256: admitted.envelope_sha256,
        envelope: admitted.envelope_bytes.clone(),
        considered: decision.considered,
        eligible: decision.eligible.iter().map(|candidate| candidate.offer.name.clone()).collect(),
        candidates: decision.candidates().map(candidate).collect(),
        refused: refused.map(refused_offer).collect(),
    }
}

fn refused_offer(rejected: &Rejected) -> RefusedOffer {
    RefusedOffer { offer: rejected.name.clone(), reasons: rejected.reasons.iter().map(ToString::to_string).collect() }
}

fn refusal(admitted: &Admitted, decision: &Decision) -> Failure {
    let (model, federation) = (&admitted.envelope.model, &decision.snapshot.federation());
    let shown = |Rejected { name, reasons }: &Rejected| {
        (disclose::reasons(admitted.caller.trust_domain(), federation, name, reasons), name.clone())
    };
    let refused = decision.refused.as_ref();
    let mut shown: Vec<_> = refused.iter().flat_map(|refused| &refused.rejected).map(shown).collect();
    // By what is shown: the order must not tell how many reasons a side keeps to itself.
    shown.sort_by(|(a, one), (b, other)| (a.len(), one).cmp(&(b.len(), other)));
    let verdict = |(reasons, name): (Vec<Reason>, OfferName)| {
        comity_proto::convert::verdict(&name, model, &Verdict::Rejected { reasons })
    };
    let refusal = policy::Refusal {
        decision_id: decision.id.to_string(),
        verdicts: shown.into_iter().take(MAX_REFUSAL_VERDICTS).map(verdict).collect(),
        considered: u32::try_from(decision.considered).unwrap_or(u32::MAX),
        layer_demands: refused.map(|refused| layer_demands(&admitted.caller, &refused.demanded)).unwrap_or_default(),
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
