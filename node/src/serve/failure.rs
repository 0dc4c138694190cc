//! What goes wrong on a node, as the caller sees it.

use comity_policy::{Capability, Reason, ReasonCode, Side};
use comity_proto::convert;
use comity_proto::error::{Failure, RETRY_AFTER_SECONDS};
use comity_proto::policy::Refusal;
use comity_types::{DecisionId, ModelName, OfferName, SpiffeId, TrustDomain};
use tonic::Code;

use super::Places;
use crate::backend::Fault;
use crate::backend::fault::BUSY_SECONDS;
use crate::guard::Lie;
use crate::replica::NotCurrent;

/// When somebody comes back who found no place: of so many requests, some have ended by then.
const FULL_SECONDS: u64 = 1;

/// What went wrong behind `offer`, with what mends it: by the caller, or by the organisation that makes the offer.
/// Where its backend is stays with it.
pub(super) fn of_fault(fault: &Fault, offer: &OfferName) -> Failure {
    let hint = hint(fault, offer.node().trust_domain());
    Failure {
        metadata: fault.metadata(),
        ..Failure::new(fault.code(), fault.reason(), format!("{fault} (hint: {hint})"))
    }
}

fn hint(fault: &Fault, organisation: &TrustDomain) -> String {
    match fault {
        Fault::Unreachable => {
            format!("{organisation} has to start the model server behind the offer, or correct `url` in its node.toml")
        }
        Fault::Failed { .. } | Fault::Malformed { .. } | Fault::Truncated => {
            format!("{organisation} finds the cause in the log of its model server; `comity-node check` tries it out")
        }
        Fault::Stalled { .. } => {
            format!("try again or ask for less; {organisation} may raise `first_byte_seconds` or `idle_seconds`")
        }
        Fault::Unauthorised { .. } => {
            format!("{organisation} has to correct `api_key_file` or `api_key_env` in its node.toml")
        }
        Fault::Model { .. } => format!("{organisation} finds the cause in the log of its node"),
        Fault::RateLimited { retry_after_seconds: Some(seconds) } => format!("try again in {seconds} s"),
        Fault::RateLimited { retry_after_seconds: None } => "try again later".to_owned(),
        Fault::Busy { .. } => format!("try again in {BUSY_SECONDS} s"),
        Fault::TooLarge { .. } => "ask for a shorter answer".to_owned(),
        Fault::PromptTooLong { .. } => "shorten the conversation, or choose a model with a longer context".to_owned(),
        Fault::Refused { .. } => {
            format!("correct the request; if it should do, {organisation} finds the cause in its model server's log")
        }
        Fault::Invalid { .. } => "correct the field".to_owned(),
        Fault::Unsupported { .. } => "leave it out, or choose another offer".to_owned(),
    }
}

impl From<Lie> for Failure {
    fn from(lie: Lie) -> Self {
        let code = lie.code();
        Self::new(code, lie.reason(), lie.to_string())
    }
}

impl From<NotCurrent> for Failure {
    fn from(error: NotCurrent) -> Self {
        let failure = |reason| Self::new(Code::Unavailable, reason, error.to_string());
        match &error {
            NotCurrent::Behind { known, needed } => {
                failure("REPLICA_BEHIND").with("known_epoch", known).with("needed_epoch", needed)
            }
            NotCurrent::Stale { class, age, budget } => failure("REPLICA_STALE")
                .with("class", class)
                .with("age_seconds", age.as_secs())
                .with("budget_seconds", budget.as_secs()),
            NotCurrent::Halted { .. } => failure("REPLICA_HALTED"),
        }
    }
}

/// This node's own terms forbid what the broker let through.
pub(super) fn veto(offer: &OfferName, model: &ModelName, decision: DecisionId, reasons: Vec<Reason>) -> Failure {
    let message = format!("{offer} does not serve this request (hint: the details say why)");
    refusing(offer, model, decision, reasons, message)
}

fn refusing(
    offer: &OfferName,
    model: &ModelName,
    decision: DecisionId,
    reasons: Vec<Reason>,
    message: String,
) -> Failure {
    let verdict = convert::verdict(offer, model, &comity_policy::Verdict::Rejected { reasons });
    let refusal =
        Refusal { decision_id: decision.to_string(), verdicts: vec![verdict], considered: 1, layer_demands: vec![] };
    Failure::new(Code::PermissionDenied, "NODE_VETO", message).with("decision_id", decision).refusing(refusal)
}

/// A capability that the offer does not name.
pub(super) fn missing(capability: Capability) -> Reason {
    Reason {
        code: ReasonCode::CapabilityMissing,
        subject: capability.as_str().to_owned(),
        side: Side::Federation,
        path: "capabilities".to_owned(),
        party: "offer".to_owned(),
        expected: capability.as_str().to_owned(),
        actual: "not offered".to_owned(),
        rule: String::new(),
    }
}

/// A payload needs what the offer does not name. Another offer may have it, so it is a veto, after which the broker
/// goes on to the next.
pub(super) fn incapable(
    offer: &OfferName,
    model: &ModelName,
    decision: DecisionId,
    (capability, field): (Capability, &str),
    reasons: Vec<Reason>,
) -> Failure {
    let name = capability.as_str();
    let message = format!(
        "{field} needs the capability {name}, which {offer} does not offer (hint: add it to required_capabilities, so that the broker chooses an offer that has it)"
    );
    let failure = refusing(offer, model, decision, reasons, message);
    Failure { code: Code::FailedPrecondition, ..failure }.with("capability", name).with("field", field)
}

/// The caller takes no part in the federation, as far as this node knows.
pub(super) fn stranger(caller: &SpiffeId, why: &str) -> Failure {
    let message = format!("{caller} {why}");
    Failure::new(Code::PermissionDenied, "NODE_VETO", message).with("caller", caller)
}

/// A field of the envelope is wrong, though the broker signed it.
pub(super) fn invalid(field: &str, problem: &str) -> Failure {
    Failure::new(Code::InvalidArgument, "REQUEST_INVALID", format!("{field}: {problem}")).with("field", field)
}

/// The call's time is over.
pub(super) fn late() -> Failure {
    Failure::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the call's deadline has passed")
}

/// There is no place for another call.
pub(super) fn full(places: &Places) -> Failure {
    let limit = places.limit();
    let message = format!("the node works on {limit} requests already (hint: try again in {FULL_SECONDS} s)");
    let failure = Failure::new(Code::ResourceExhausted, "NODE_FULL", message);
    failure.with("limit", limit).with(RETRY_AFTER_SECONDS, FULL_SECONDS)
}

/// There is none for another call of this offer.
pub(super) fn offer_full(offer: &OfferName, places: &Places) -> Failure {
    let limit = places.limit();
    let message = format!(
        "the node works on {limit} requests of {offer} already, its `max_in_flight` (hint: try again in {FULL_SECONDS} s)"
    );
    let failure = Failure::new(Code::ResourceExhausted, "OFFER_FULL", message);
    failure.with("offer", offer).with("limit", limit).with(RETRY_AFTER_SECONDS, FULL_SECONDS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FAULTS: &[Fault] = &[
        Fault::Unreachable,
        Fault::RateLimited { retry_after_seconds: Some(7) },
        Fault::RateLimited { retry_after_seconds: None },
        Fault::Failed { status: 500 },
        Fault::Unauthorised { status: 401 },
        Fault::Refused { status: 400 },
        Fault::Truncated,
        Fault::Malformed { expected: "an HTTP response" },
        Fault::TooLarge { limit_bytes: 1 },
        Fault::Stalled { after: Duration::from_secs(30) },
        Fault::Unsupported { feature: "tools" },
        Fault::Busy { waiting: 16 },
        Fault::PromptTooLong { tokens: 9, limit: 8 },
        Fault::Model { step: "embed" },
    ];

    #[test]
    fn every_fault_says_what_mends_it_and_what_is_the_backends_names_whose_it_is() {
        let offer = "org-a.example/n1/chat".parse().unwrap();
        for fault in FAULTS {
            let failure = of_fault(fault, &offer);
            assert!(failure.message.ends_with(')') && failure.message.contains(" (hint: "), "{failure:?}");
            assert!(!failure.message.contains("broker"), "{failure:?}");
            let backends =
                matches!(failure.code, Code::Unavailable | Code::Internal) && !matches!(fault, Fault::TooLarge { .. });
            assert!(!backends || failure.message.contains("org-a.example"), "{failure:?}");
        }
    }
}
