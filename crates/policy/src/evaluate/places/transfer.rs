//! Where content leaves the places that the caller names, a ground of GDPR's chapter V has to cover it.

use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

use super::sub_processors::SUB_PROCESSORS;
use super::{PROCESSING, whom};
use crate::evaluate::facet::{Among, Demand, Facet, OfDemand, each_of};
use crate::evaluate::findings::{Field, Findings};
use crate::evaluate::truth::{Doubt, Participant, Truth};
use crate::offer::SubProcessor;
use crate::tables::blocs::Reach;
use crate::terms::TransferBasis;
use crate::{Claim, Offer, Organisation, ReasonCode, Side, Tables};

/// The bloc of places with an adequacy decision, which a transfer on that ground needs.
const ADEQUATE: &str = "GDPR-ADEQUATE";

/// On what ground content leaves, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ground<'a> {
    basis: Option<&'a Claim<TransferBasis>>,
    operator: Participant<'a>,
}

impl<'a> Ground<'a> {
    fn of(offer: &'a Offer, operator: &'a Organisation) -> Self {
        let basis = offer.terms.as_ref().and_then(|terms| terms.transfer_basis.as_ref());
        Self { basis, operator: Participant::operator(operator) }
    }
}

/// Whether a ground covers the places of the offer.
pub(crate) struct Transfer;

impl Facet for Transfer {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (&'static str, Among<'a, Place>, Ground<'a>);
    type Part = OfDemand;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        tables: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let axes = [
            (PROCESSING, &offer.processing_locations),
            ("storage_locations", &offer.storage_locations),
            ("access_locations", &offer.access_locations),
        ];
        let ground = Ground::of(offer, operator);
        let at = move |piece| Ground { operator: whom(piece, operator, tables), ..ground };
        let pieces_at =
            move |(path, claim): (_, &'a Option<_>)| each_of(claim.as_ref()).map(move |piece| (path, piece, at(piece)));
        axes.into_iter().flat_map(pieces_at)
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        is_demanded(asked)
    }

    fn check<'t>((path, piece, ground): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let claim = match piece {
            Among::One(place) => return check_place(place, path, ground, asked, findings),
            Among::Whole(claim) => *claim,
        };
        let Some(places) = findings.value(path, claim) else { return };
        // What is processed is processed somewhere; nothing may be stored, and nobody may reach the machine.
        if places.is_empty() && *path == PROCESSING {
            findings.doubt(path, Doubt::missing(path));
        }
        places.iter().for_each(|place| check_place(place, path, ground, asked, findings));
    }
}

/// Whether a ground covers the places of those who can read content besides the operator.
pub(crate) struct TransferOnwards;

impl Facet for TransferOnwards {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Among<'a, SubProcessor>, Ground<'a>);
    type Part = OfDemand;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        _: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let ground = Ground::of(offer, operator);
        each_of(offer.sub_processors.as_ref()).map(move |piece| (piece, ground))
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        is_demanded(asked)
    }

    fn check<'t>((piece, ground): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        match piece {
            Among::One(one) => check_sub_processor(one, ground, asked, findings),
            Among::Whole(claim) => {
                let Some(all) = findings.value(&SUB_PROCESSORS, *claim) else { return };
                all.iter().for_each(|one| check_sub_processor(one, ground, asked, findings));
            }
        }
    }
}

/// The way to the broker: no node's ground covers it, and nobody states one of it.
pub(crate) struct TransferToBroker;

impl Facet for TransferToBroker {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = ();
    type Part = OfDemand;

    fn facts<'a>(_: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [()]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        asked.broker_places.is_some() && is_demanded(asked)
    }

    fn check<'t>((): &(), asked: &Demand<'t>, findings: &mut Findings<'t>) {
        const PATH: &str = "broker.places";
        let Some(places) = asked.broker_places else { return };
        if places.is_empty() {
            findings.doubt(&PATH, Doubt::missing(PATH));
        }
        for home in &asked.requirements.transfer_basis_outside.0 {
            for place in places {
                if leaves(place, PATH, home, Participant::broker(), findings) {
                    reject(PATH, place, &"there is none for the way to the broker", findings);
                }
            }
        }
    }
}

fn is_demanded(asked: &Demand<'_>) -> bool {
    !asked.requirements.transfer_basis_outside.is_unrestricted()
}

fn check_sub_processor<'t>(one: &SubProcessor, ground: &Ground<'_>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
    if !one.content_access {
        return;
    }
    if one.places.is_empty() {
        findings.doubt(&SUB_PROCESSORS, Doubt::missing(format_args!("{SUB_PROCESSORS}.{}.places", one.id)));
    }
    one.places.iter().for_each(|place| check_place(place, SUB_PROCESSORS, ground, asked, findings));
}

fn check_place<'t>(place: &Place, path: &str, ground: &Ground<'_>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
    for home in &asked.requirements.transfer_basis_outside.0 {
        if !leaves(place, path, home, ground.operator, findings) {
            continue;
        }
        let Some(basis) = findings.value(&"transfer_basis", ground.basis).map(|basis| *basis) else { continue };
        if let Some(actual) = uncovered(place, basis, ground.operator, findings) {
            reject("terms.transfer_basis", place, &actual, findings);
        }
    }
}

/// Whether a place is outside of `home`.
fn leaves<'t>(
    place: &Place,
    path: &str,
    home: &'t BTreeSet<PlaceOrBloc>,
    whom: Participant<'_>,
    findings: &mut Findings<'t>,
) -> bool {
    match findings.is_in(place, home, Reach::Within, Some(whom)) {
        Truth::Yes => false,
        Truth::No => true,
        Truth::Unknown(doubts) => {
            findings.doubts(&path, doubts);
            false
        }
    }
}

fn reject(path: &str, place: &Place, actual: &dyn std::fmt::Display, findings: &mut Findings<'_>) {
    let field = Field { path: &path, expected: &"a ground that covers the place", actual };
    findings.reject(ReasonCode::TransferBasisMissing, place, field);
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
            match findings.is_in_once(place, &adequate, Reach::Within, Some(operator)) {
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
