//! The offer as such: is it for this model, can the model do it, is it in force.

use comity_types::time::Phase;

use super::Question;
use super::findings::{Field, Findings};
use crate::offer::OfferState;
use crate::{ReasonCode, Side};

pub(super) fn check(question: &Question<'_>, findings: &mut Findings<'_>) {
    findings.speak_for(Side::Federation);
    let (offer, request) = (question.offer, question.request);
    if let Some(model) = request.model.filter(|model| **model != offer.model) {
        let field = Field { path: "model", expected: model.as_str(), actual: offer.model.as_str() };
        findings.reject(ReasonCode::ModelNotOffered, model.as_str(), field);
    }
    let needed = request.requirements.required_capabilities.iter().copied().chain([request.capability]);
    for capability in needed.filter(|needed| !offer.capabilities.contains(needed)) {
        let field = Field { path: "capabilities", expected: capability.as_str(), actual: "not offered" };
        findings.reject(ReasonCode::CapabilityMissing, capability.as_str(), field);
    }
    check_time(question, findings);
    match offer.state {
        OfferState::Active => {}
        OfferState::Draining => not_in_force("takes no new calls", "state", findings),
        OfferState::Withdrawn => not_in_force("withdrawn", "state", findings),
    }
}

fn check_time(question: &Question<'_>, findings: &mut Findings<'_>) {
    match question.offer.in_force.phase(findings.as_of) {
        Phase::Within => findings.expires(question.offer.in_force.until),
        Phase::Before => not_in_force("not yet in force", "in_force", findings),
        Phase::After => not_in_force("no longer in force", "in_force", findings),
    }
}

fn not_in_force(actual: &str, path: &str, findings: &mut Findings<'_>) {
    findings.reject(ReasonCode::OfferNotInForce, "", Field { path, expected: "in force now", actual });
}
