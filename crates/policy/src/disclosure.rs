//! What a side keeps to itself (VOCABULARY D20): who sees the reasons of a verdict whole, and whose demands and owners
//! a listing shows.
//!
//! That an offer is refused is never kept, and neither is the code: a caller has to know what kind of thing stands in
//! its way. The verdict is made of the whole terms whatever is shown of them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use comity_types::TrustDomain;

use crate::terms::Disclosure;
use crate::{Offer, Organisation, Reason, ReasonCode, Side, Terms};

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer<'a> {
    /// A member of this organisation.
    Member(&'a TrustDomain),
    /// Who governs the federation: admits on these facts, corrects them, and reads every statement anyhow.
    Governor,
}

/// Those whose words are in the reasons of a verdict.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The offer, with its terms.
    pub offer: &'a Offer,
    /// Who operates it.
    pub operator: &'a Organisation,
    /// Who asked.
    pub caller: &'a Organisation,
}

/// Reasons that are about who owns or controls an organisation, whatever field they name: the place in them may be
/// that of an owner.
const OF_OWNERSHIP: &[ReasonCode] = &[
    ReasonCode::CompelledAccessExposure,
    ReasonCode::ControllerNotAllowed,
    ReasonCode::ForeignOwnershipThresholdExceeded,
    ReasonCode::OwnershipUndetermined,
    ReasonCode::CallerOwnershipRestricted,
    ReasonCode::CallerOwnershipUndetermined,
];

impl Sources<'_> {
    /// The reasons as `viewer` may see them: sorted, and each once, so that their number tells no more than they do.
    #[must_use]
    pub fn shown_to(&self, viewer: Viewer<'_>, reasons: &[Reason]) -> Vec<Reason> {
        let keeps = |reason: &Reason| self.keeps_terms(viewer, reason) || self.keeps_owners(viewer, reason);
        let shown = |reason: &Reason| if keeps(reason) { reason.clone().code_only() } else { reason.clone() };
        reasons.iter().map(shown).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn keeps_terms(&self, viewer: Viewer<'_>, reason: &Reason) -> bool {
        reason.side == Side::Node && hides_demands(self.offer, viewer)
    }

    fn keeps_owners(&self, viewer: Viewer<'_>, reason: &Reason) -> bool {
        let parties = [("operator", self.operator), ("caller", self.caller)];
        parties.into_iter().any(|(role, facts)| hides_owners(facts, viewer) && is_about_owners(reason, role))
    }
}

/// Whether a reason tells something of who owns or controls the party that reasons call `role`.
fn is_about_owners(reason: &Reason, role: &str) -> bool {
    let names = |text: &str| {
        let field = text.strip_prefix(role).and_then(|rest| rest.strip_prefix('.'));
        field.is_some_and(|field| field.starts_with("ownership") || field.starts_with("ultimate_controllers"))
    };
    (reason.party == role && OF_OWNERSHIP.contains(&reason.code)) || names(&reason.path) || names(&reason.subject)
}

/// An offer as a listing shows it to `viewer`: of terms that are code-only, the promises and not the demands.
#[must_use]
pub fn offer<'a>(offer: &'a Offer, viewer: Viewer<'_>) -> Cow<'a, Offer> {
    match &offer.terms {
        Some(terms) if hides_demands(offer, viewer) => {
            Cow::Owned(Offer { terms: Some(promises(terms)), ..offer.clone() })
        }
        _ => Cow::Borrowed(offer),
    }
}

/// An organisation's facts as a listing shows them to `viewer`: where they are code-only, without its owners.
#[must_use]
pub fn organisation<'a>(facts: &'a Organisation, viewer: Viewer<'_>) -> Cow<'a, Organisation> {
    if hides_owners(facts, viewer) {
        Cow::Owned(Organisation { ownership: None, ultimate_controllers: None, ..facts.clone() })
    } else {
        Cow::Borrowed(facts)
    }
}

fn hides_demands(offer: &Offer, viewer: Viewer<'_>) -> bool {
    hides(offer.terms.as_ref().map(|terms| terms.disclosure), offer.node.trust_domain(), viewer)
}

fn hides_owners(facts: &Organisation, viewer: Viewer<'_>) -> bool {
    hides(Some(facts.disclosure), &facts.trust_domain, viewer)
}

fn hides(disclosure: Option<Disclosure>, whose: &TrustDomain, viewer: Viewer<'_>) -> bool {
    disclosure == Some(Disclosure::CodeOnly)
        && match viewer {
            Viewer::Member(of) => of != whose,
            Viewer::Governor => false,
        }
}

/// What terms promise, without what they demand of callers: that is all that the node's side reads. Taken apart field
/// by field, so that a new one has to be put on a side.
fn promises(terms: &Terms) -> Terms {
    let Terms {
        version,
        retention,
        training_use,
        human_review,
        content_logging,
        transfer_basis,
        certifications,
        governing_law,
        courts,
        liability_cap,
        support,
        availability_bp,
        quota,
        disclosure,
        // The demands.
        allowed_purposes: _,
        prohibited_purposes: _,
        high_risk: _,
        caller_rules: _,
        classification_ceilings: _,
        accepted_data_categories: _,
    } = terms.clone();
    Terms {
        version,
        retention,
        training_use,
        human_review,
        content_logging,
        transfer_basis,
        certifications,
        governing_law,
        courts,
        liability_cap,
        support,
        availability_bp,
        quota,
        disclosure,
        ..Terms::default()
    }
}

#[cfg(test)]
mod tests;
