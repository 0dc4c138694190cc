//! The offer as such: is it for this model, can the model do it, is it in force.

use comity_types::time::Phase;

use super::Request;
use super::findings::{Field, Findings};
use crate::{Offer, ReasonCode};

pub(super) fn check(offer: &Offer, request: &Request<'_>, findings: &mut Findings<'_>) {
    if let Some(model) = request.model.filter(|model| **model != offer.model) {
        let field = Field { path: "offer.model", expected: model.as_str(), actual: offer.model.as_str() };
        findings.reject(ReasonCode::ModelNotOffered, model.as_str(), field);
    }
    let needed = request.requirements.required_capabilities.iter().copied().chain([request.capability]);
    for capability in needed.filter(|needed| !offer.capabilities.contains(needed)) {
        let field = Field { path: "offer.capabilities", expected: capability.as_str(), actual: "not offered" };
        findings.reject(ReasonCode::CapabilityMissing, capability.as_str(), field);
    }
    let actual = match offer.in_force.phase(findings.as_of) {
        Phase::Within => return findings.expires(offer.in_force.until),
        Phase::Before => "not yet in force",
        Phase::After => "no longer in force",
    };
    findings.reject(
        ReasonCode::OfferNotInForce,
        "",
        Field { path: "offer.in_force", expected: "in force now", actual },
    );
}
