//! Where content leaves the places that the caller names, a ground of GDPR's chapter V has to cover it.

use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

use crate::evaluate::facet::{Demand, Facet, OfDemand};
use crate::evaluate::findings::{Field, Findings};
use crate::evaluate::truth::{Doubt, Participant, Truth};
use crate::tables::blocs::Reach;
use crate::terms::TransferBasis;
use crate::{Claim, Offer, Organisation, ReasonCode, Side};

/// The bloc of places with an adequacy decision, which a transfer on that ground needs.
const ADEQUATE: &str = "GDPR-ADEQUATE";

/// On what ground content leaves.
pub(crate) struct Transfer;

/// Where content goes, and on what ground.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Transfers<'a> {
    processing: Option<&'a Claim<BTreeSet<Place>>>,
    storage: Option<&'a Claim<BTreeSet<Place>>>,
    access: Option<&'a Claim<BTreeSet<Place>>>,
    basis: Option<&'a Claim<TransferBasis>>,
    operator: Participant<'a>,
}

impl Facet for Transfer {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Transfers<'a>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, operator: &'a Organisation) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [Transfers {
            processing: offer.processing_locations.as_ref(),
            storage: offer.storage_locations.as_ref(),
            access: offer.access_locations.as_ref(),
            basis: offer.terms.as_ref().and_then(|terms| terms.transfer_basis.as_ref()),
            operator: Participant::operator(operator),
        }]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.transfer_basis_outside.is_unrestricted()
    }

    fn check(facts: &Self::Facts<'_>, asked: &Demand<'_>, findings: &mut Findings<'_>) {
        for home in &asked.requirements.transfer_basis_outside.0 {
            check_from(home, facts, findings);
        }
    }
}

fn check_from(home: &BTreeSet<PlaceOrBloc>, facts: &Transfers<'_>, findings: &mut Findings<'_>) {
    const PATH: &str = "terms.transfer_basis";
    let outside = outside(home, facts, findings);
    if outside.is_empty() {
        return;
    }
    let Some(basis) = findings.value(&"transfer_basis", facts.basis).map(|basis| *basis) else { return };
    for place in &outside {
        if let Some(actual) = uncovered(place, basis, facts.operator, findings) {
            let field = Field { path: &PATH, expected: &"a ground that covers the place", actual: &actual };
            findings.reject(ReasonCode::TransferBasisMissing, place, field);
        }
    }
}

/// The places outside of `home` that content may reach.
fn outside(home: &BTreeSet<PlaceOrBloc>, facts: &Transfers<'_>, findings: &mut Findings<'_>) -> BTreeSet<Place> {
    // What is processed is processed somewhere; nothing may be stored, and nobody may reach the machine.
    const PROCESSING: &str = "processing_locations";
    let axes =
        [(PROCESSING, facts.processing), ("storage_locations", facts.storage), ("access_locations", facts.access)];
    let mut outside = BTreeSet::new();
    for (path, claim) in axes {
        let Some(places) = findings.value(&path, claim) else { continue };
        if places.is_empty() && path == PROCESSING {
            findings.doubt(&path, Doubt::missing(path));
        }
        for place in places.iter() {
            match findings.is_in(place, home, Reach::Within, Some(facts.operator)) {
                Truth::Yes => {}
                Truth::No => drop(outside.insert(place.clone())),
                Truth::Unknown(doubts) => findings.doubts(&path, doubts),
            }
        }
    }
    outside
}

/// Why the ground does not cover the place, if it does not.
fn uncovered(
    place: &Place,
    basis: TransferBasis,
    operator: Participant<'_>,
    findings: &mut Findings<'_>,
) -> Option<&'static str> {
    match basis {
        TransferBasis::StandardClauses | TransferBasis::CorporateRules => None,
        TransferBasis::NoneNeeded => Some("none is said to be needed"),
        TransferBasis::Adequacy => {
            let adequate = ADEQUATE.parse().into_iter().collect();
            match findings.is_in(place, &adequate, Reach::Within, Some(operator)) {
                Truth::Yes => None,
                Truth::No => Some("adequacy, and there is no decision on the place"),
                Truth::Unknown(doubts) => {
                    findings.doubts(&"terms.transfer_basis", doubts);
                    None
                }
            }
        }
    }
}
