//! The offer as such: is it for this model, can the model do it, is it in force.

use std::collections::BTreeSet;

use comity_types::time::Phase;
use comity_types::{Interval, ModelName};

use super::facet::{AtAnyTime, Demand, Facet, OfDemand, OfModel};
use super::findings::{Field, Findings};
use crate::offer::OfferState;
use crate::{Capability, Offer, Organisation, ReasonCode, Side, Tables};

/// Is it for this model?
pub(super) struct Model;

impl Facet for Model {
    const SIDE: Side = Side::Federation;
    type Facts<'a> = &'a ModelName;
    type Part = OfModel;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [&offer.model]
    }

    fn is_asked(model: &Option<&ModelName>) -> bool {
        model.is_some()
    }

    fn check<'t>(offered: &Self::Facts<'t>, model: &Option<&ModelName>, findings: &mut Findings<'t>) {
        if let Some(model) = model.filter(|model| model != offered) {
            let field = Field { path: &"model", expected: model, actual: offered };
            findings.reject(ReasonCode::ModelNotOffered, model, field);
        }
    }
}

/// Can the model do it?
pub(super) struct Capabilities;

impl Facet for Capabilities {
    const SIDE: Side = Side::Federation;
    type Facts<'a> = &'a BTreeSet<Capability>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [&offer.capabilities]
    }

    fn is_asked(_: &Demand<'_>) -> bool {
        true
    }

    fn check<'t>(offered: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let needed = asked.requirements.required_capabilities.iter().copied().chain([asked.capability]);
        for capability in needed.filter(|needed| !offered.contains(needed)) {
            let field = Field { path: &"capabilities", expected: &capability, actual: &"not offered" };
            findings.reject(ReasonCode::CapabilityMissing, capability, field);
        }
    }
}

/// Is it in force, and does it take calls?
pub(super) struct InForce;

impl Facet for InForce {
    const SIDE: Side = Side::Federation;
    type Facts<'a> = (Interval, OfferState);
    type Part = AtAnyTime;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [(offer.in_force, offer.state)]
    }

    fn is_asked((): &()) -> bool {
        true
    }

    fn check<'t>((in_force, state): &Self::Facts<'t>, (): &(), findings: &mut Findings<'t>) {
        match findings.phase(in_force) {
            Phase::Within => findings.expires(in_force.until),
            Phase::Before => not_in_force("not yet in force", "in_force", findings),
            Phase::After => not_in_force("no longer in force", "in_force", findings),
        }
        match state {
            OfferState::Active => {}
            OfferState::Draining => not_in_force("takes no new calls", "state", findings),
            OfferState::Withdrawn => not_in_force("withdrawn", "state", findings),
        }
    }
}

fn not_in_force(actual: &str, path: &str, findings: &mut Findings<'_>) {
    findings.reject(ReasonCode::OfferNotInForce, "", Field { path: &path, expected: &"in force now", actual: &actual });
}
