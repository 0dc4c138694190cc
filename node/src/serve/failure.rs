//! What goes wrong on a node, as the caller sees it.

use comity_policy::Reason;
use comity_proto::convert;
use comity_proto::error::Failure;
use comity_proto::policy::Refusal;
use comity_types::{DecisionId, ModelName, OfferName, SpiffeId};
use tonic::Code;

use crate::backend::Fault;
use crate::guard::Lie;
use crate::replica::Behind;

impl From<&Fault> for Failure {
    fn from(fault: &Fault) -> Self {
        Self { metadata: fault.metadata(), ..Self::new(fault.code(), fault.reason(), fault.to_string()) }
    }
}

impl From<Lie> for Failure {
    fn from(lie: Lie) -> Self {
        let code = if lie == Lie::Full { Code::ResourceExhausted } else { Code::PermissionDenied };
        Self::new(code, lie.reason(), lie.to_string())
    }
}

impl From<Behind> for Failure {
    fn from(behind: Behind) -> Self {
        let failure = Self::new(Code::Unavailable, "REPLICA_BEHIND", behind.to_string());
        failure.with("known_epoch", behind.known).with("needed_epoch", behind.needed)
    }
}

/// This node's own terms forbid what the broker let through.
pub(super) fn veto(offer: &OfferName, model: &ModelName, decision: DecisionId, reasons: Vec<Reason>) -> Failure {
    let verdict = convert::verdict(offer, model, &comity_policy::Verdict::Rejected { reasons });
    let refusal = Refusal { decision_id: decision.to_string(), verdicts: vec![verdict], considered: 1 };
    let message = format!("{offer} does not serve this request (hint: the details say why)");
    Failure::new(Code::PermissionDenied, "NODE_VETO", message).with("decision_id", decision).refusing(refusal)
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
pub(super) fn full(limit: usize) -> Failure {
    let message = format!("the node works on {limit} requests already (hint: try again)");
    Failure::new(Code::ResourceExhausted, "NODE_FULL", message).with("limit", limit)
}
