//! Laws that compel access to content, and whether they reach anybody who can read it (VOCABULARY D11).
//!
//! Where content is processed does not matter, nor do the customer's own keys: a model reads plaintext. What helps,
//! if the caller says so, is a runtime whose hardware attests that whoever runs and houses it cannot look inside.

use std::collections::BTreeSet;

use comity_types::Place;

use super::{Control, Owned, control_of, undetermined};
use crate::claim::Assurance;
use crate::evaluate::facet::{Among, Demand, Facet, OfDemand, each_of};
use crate::evaluate::findings::{Field, Findings};
use crate::evaluate::truth::{Doubt, Party, Truth};
use crate::offer::{SubProcessor, SubProcessorRole};
use crate::requirements::NoExposure;
use crate::tables::blocs::Reach;
use crate::tables::regimes::{Nexus, Regime};
use crate::{Claim, Offer, Organisation, ReasonCode, Side, Tables};

/// Whether a law reaches the operator.
pub(crate) struct OperatorExposure;

impl Facet for OperatorExposure {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Reachable<'a>, Option<&'a Claim<String>>);
    type Part = OfDemand;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        _: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [(Reachable::of(operator), offer.runtime.as_ref())]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.no_exposure.is_empty()
    }

    fn check<'t>((operator, runtime): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let mut control = None;
        for_each_regime(asked, *runtime, findings, |regime, is_shielded, findings| {
            if !is_shielded {
                check_operator(regime, operator, &mut control, findings);
            }
        });
    }
}

/// By what a law may reach an operator.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reachable<'a> {
    control: Owned<'a>,
    seat: Option<&'a Claim<Place>>,
    principal_place_of_business: Option<&'a Claim<Place>>,
    establishments: Option<&'a Claim<BTreeSet<Place>>>,
}

impl<'a> Reachable<'a> {
    fn of(operator: &'a Organisation) -> Self {
        Self {
            control: Owned::of(Party::operator(operator)),
            seat: operator.seat.as_ref(),
            principal_place_of_business: operator.principal_place_of_business.as_ref(),
            establishments: operator.establishments.as_ref(),
        }
    }
}

/// Whether a law reaches a sub-processor that can read content.
pub(crate) struct SubProcessorExposure;

impl Facet for SubProcessorExposure {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Among<'a, SubProcessor>, Option<&'a Claim<String>>);
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        each_of(offer.sub_processors.as_ref()).map(|piece| (piece, offer.runtime.as_ref()))
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.no_exposure.is_empty()
    }

    fn check<'t>((piece, runtime): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        for_each_regime(asked, *runtime, findings, |regime, is_shielded, findings| {
            check_sub_processors(regime, *piece, is_shielded, findings);
        });
    }
}

/// Every law that the caller wants to be free from and that is in force, and whether an attested runtime keeps it out.
fn for_each_regime<'t>(
    asked: &Demand<'_>,
    runtime: Option<&Claim<String>>,
    findings: &mut Findings<'t>,
    mut check: impl FnMut(&'t Regime, bool, &mut Findings<'t>),
) {
    let tables = findings.tables;
    for freedom in &asked.requirements.no_exposure {
        let Some(regime) = tables.regimes.get(&freedom.regime) else {
            findings.doubt(&"no_exposure", Doubt::unrecognised(&freedom.regime));
            continue;
        };
        if findings.is_in_force(&regime.in_force) {
            let is_shielded = is_shielded(freedom, runtime, findings);
            check(regime, is_shielded, findings);
        }
    }
}

/// True if hardware attests, and its verifier affirms, a runtime that the caller trusts to keep everybody out.
fn is_shielded(freedom: &NoExposure, claim: Option<&Claim<String>>, findings: &mut Findings<'_>) -> bool {
    if freedom.accept_attested_runtimes.is_empty() {
        return false;
    }
    let Ok(runtime) = findings.look(&"runtime", claim) else { return false };
    let Some(claim) = claim.filter(|_| freedom.accept_attested_runtimes.contains(&*runtime)) else { return false };
    let tables = findings.tables;
    let trusts = |issuer: &str, level| tables.issuers.trusts(issuer, level);
    claim.saying(&runtime, findings.as_of).any(|statement| statement.level(true, trusts) == Assurance::Attested)
}

/// What is asked of one party: the places by which a law may reach it.
struct Reached<'a> {
    role: &'a str,
    /// Each with the fact that states it.
    places: Vec<(&'static str, Place)>,
    /// Of those who may control it, and may not.
    possible: Vec<Place>,
    open: Vec<(&'static str, Doubt)>,
}

impl<'a> Reached<'a> {
    const fn new(role: &'a str) -> Self {
        Self { role, places: Vec::new(), possible: Vec::new(), open: Vec::new() }
    }

    /// One place within the regime settles it; without one, every fact that is not stated leaves it open.
    fn conclude<'t>(mut self, regime: &'t Regime, findings: &mut Findings<'t>) {
        let law = &regime.law;
        for (fact, place) in std::mem::take(&mut self.places) {
            match findings.is_in(&place, law, Reach::Overlap, None) {
                Truth::Yes => return self.reject(fact, &place, regime, findings),
                Truth::No => {}
                Truth::Unknown(doubts) => self.open.extend(doubts.into_iter().map(|doubt| (fact, doubt))),
            }
        }
        let is_outside = |place: &Place| findings.is_in(place, law, Reach::Overlap, None) == Truth::No;
        if !self.possible.iter().all(is_outside) {
            self.open.push(("ownership", undetermined(ReasonCode::OwnershipUndetermined)));
        }
        for (fact, doubt) in self.open {
            findings.doubt(&format_args!("{}.{fact}", self.role), doubt);
        }
    }

    fn reject(&self, fact: &str, place: &Place, regime: &Regime, findings: &mut Findings<'_>) {
        let (path, expected) =
            (format_args!("{}.{fact}", self.role), format_args!("nobody within reach of {}", regime.id));
        let field = Field { path: &path, expected: &expected, actual: place };
        let subject = format_args!("{},{}", regime.id, self.role);
        findings.reject_by(ReasonCode::CompelledAccessExposure, subject, field, &regime.id);
    }
}

fn check_operator<'t>(
    regime: &'t Regime,
    facts: &Reachable<'_>,
    control: &mut Option<Control>,
    findings: &mut Findings<'t>,
) {
    let operator = facts.control;
    let mut reached = Reached::new(operator.role);
    let singles = [
        (Nexus::Seat, "seat", facts.seat),
        (Nexus::PrincipalPlaceOfBusiness, "principal_place_of_business", facts.principal_place_of_business),
    ];
    for (_, fact, claim) in singles.into_iter().filter(|(nexus, ..)| regime.nexus.contains(nexus)) {
        match findings.look(&operator.path(fact), claim) {
            Ok(place) => reached.places.push((fact, place.into_owned())),
            Err(doubt) => reached.open.push((fact, doubt)),
        }
    }
    if regime.nexus.contains(&Nexus::Establishment) {
        const FACT: &str = "establishments";
        match findings.look(&operator.path(FACT), facts.establishments) {
            Ok(places) => reached.places.extend(places.iter().cloned().map(|place| (FACT, place))),
            Err(doubt) => reached.open.push((FACT, doubt)),
        }
    }
    if regime.nexus.contains(&Nexus::Controller) {
        let find = || control_of(&operator, ReasonCode::OwnershipUndetermined, findings);
        let Control { certain, possible, open } = control.get_or_insert_with(find);
        reached.places.extend(certain.iter().map(|seat| (seat.field, seat.place.clone())));
        reached.possible.extend(possible.iter().map(|seat| seat.place.clone()));
        reached.open.extend(open.iter().cloned());
    }
    reached.conclude(regime, findings);
}

fn check_sub_processors<'t>(
    regime: &'t Regime,
    piece: Among<'_, SubProcessor>,
    is_shielded: bool,
    findings: &mut Findings<'t>,
) {
    let check = |one: &SubProcessor, findings: &mut Findings<'t>| {
        // The runtime keeps out whoever houses the machine. Others that can read content read it elsewhere.
        if one.content_access && !(is_shielded && one.role == SubProcessorRole::CloudHost) {
            of_sub_processor(one, regime).conclude(regime, findings);
        }
    };
    match piece {
        Among::One(one) => check(one, findings),
        Among::Whole(claim) => {
            let Some(all) = findings.value(&"sub_processors", claim) else { return };
            all.iter().for_each(|one| check(one, findings));
        }
    }
}

fn of_sub_processor<'a>(one: &'a SubProcessor, regime: &Regime) -> Reached<'a> {
    let mut reached = Reached::new(&one.id);
    let asks = |nexus| regime.nexus.contains(&nexus);
    let mut note = |fact: &'static str, places: Option<Vec<Place>>| match places {
        Some(places) => reached.places.extend(places.into_iter().map(|place| (fact, place))),
        None => reached.open.push((fact, Doubt::missing(format_args!("{}.{fact}", one.id)))),
    };
    if asks(Nexus::Seat) {
        note("seat", one.seat.clone().map(|place| vec![place]));
    }
    if asks(Nexus::PrincipalPlaceOfBusiness) {
        note("principal_place_of_business", one.principal_place_of_business.clone().map(|place| vec![place]));
    }
    if asks(Nexus::Establishment) {
        note("establishments", one.establishments.clone().map(|places| places.into_iter().collect()));
    }
    if asks(Nexus::Controller) {
        let seats = |all: &BTreeSet<crate::Controller>| all.iter().map(|controller| controller.seat.clone()).collect();
        note("ultimate_controllers", one.ultimate_controllers.as_ref().map(seats));
    }
    reached
}
