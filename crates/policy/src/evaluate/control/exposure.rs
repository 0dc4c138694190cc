//! Laws that compel access to content, and whether they reach anybody who can read it (VOCABULARY D11).
//!
//! Where content is processed does not matter, nor do the customer's own keys: a model reads plaintext. What helps,
//! if the caller says so, is a runtime whose hardware attests that whoever runs and houses it cannot look inside.

use std::collections::BTreeSet;
use std::iter::once;

use comity_types::Place;

use super::{Control, Owned, control_of, undetermined};
use crate::claim::Assurance;
use crate::evaluate::facet::{Among, Demand, Facet, OfDemand, each_of};
use crate::evaluate::findings::{Field, Findings};
use crate::evaluate::reading::{All, Read, claim_of};
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
    seat: Option<Read<'a, All<Place>>>,
    principal_place_of_business: Option<Read<'a, All<Place>>>,
    establishments: Option<Read<'a, All<BTreeSet<Place>>>>,
}

impl<'a> Reachable<'a> {
    fn of(operator: &'a Organisation) -> Self {
        Self {
            control: Owned::of(Party::operator(operator)),
            seat: operator.seat.as_ref().map(Read::of),
            principal_place_of_business: operator.principal_place_of_business.as_ref().map(Read::of),
            establishments: operator.establishments.as_ref().map(Read::of),
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

/// Whether a law reaches one party. One place within it settles that; without one, every fact that is not stated leaves
/// it open.
struct Reached<'a, 't> {
    role: &'a str,
    regime: &'t Regime,
    is_settled: bool,
    /// What leaves it open, by the fact that does.
    open: Vec<(&'static str, Doubt)>,
}

impl<'a, 't> Reached<'a, 't> {
    const fn new(role: &'a str, regime: &'t Regime) -> Self {
        Self { role, regime, is_settled: false, open: Vec::new() }
    }

    /// By a place, which a fact states.
    fn by(&mut self, fact: &'static str, place: &Place, findings: &mut Findings<'t>) {
        if self.is_settled {
            return;
        }
        match findings.is_in(place, &self.regime.law, Reach::Overlap, None) {
            Truth::No => {}
            Truth::Unknown(doubts) => self.open.extend(doubts.into_iter().map(|doubt| (fact, doubt))),
            Truth::Yes => {
                self.is_settled = true;
                self.reject(fact, place, findings);
            }
        }
    }

    /// By the places of a fact that is stated for all time, if the law reaches by such.
    fn by_fact<'p>(
        &mut self,
        nexus: Nexus,
        fact: &'static str,
        places: Option<impl IntoIterator<Item = &'p Place>>,
        findings: &mut Findings<'t>,
    ) {
        if !self.regime.nexus.contains(&nexus) {
            return;
        }
        match places {
            Some(places) => places.into_iter().for_each(|place| self.by(fact, place, findings)),
            None => self.open.push((fact, Doubt::missing(format_args!("{}.{fact}", self.role)))),
        }
    }

    /// By the places of those who control it, or may.
    fn by_control(&mut self, control: &Control<'_>, findings: &mut Findings<'t>) {
        for seat in control.certain() {
            self.by(seat.field, seat.place, findings);
        }
        self.open.extend(control.open.iter().cloned());
        let law = &self.regime.law;
        let is_inside = |place: &Place| findings.is_in(place, law, Reach::Overlap, None) != Truth::No;
        if !self.is_settled && control.possible().map(|seat| seat.place).any(is_inside) {
            self.open.push(("ownership", undetermined(ReasonCode::OwnershipUndetermined)));
        }
    }

    fn conclude(self, findings: &mut Findings<'_>) {
        if self.is_settled {
            return;
        }
        for (fact, doubt) in self.open {
            findings.doubt(&format_args!("{}.{fact}", self.role), doubt);
        }
    }

    fn reject(&self, fact: &str, place: &Place, findings: &mut Findings<'_>) {
        let id = &self.regime.id;
        let (path, expected) = (format_args!("{}.{fact}", self.role), format_args!("nobody within reach of {id}"));
        let field = Field { path: &path, expected: &expected, actual: place };
        findings.reject_by(ReasonCode::CompelledAccessExposure, format_args!("{id},{}", self.role), field, id);
    }
}

fn check_operator<'a, 't>(
    regime: &'t Regime,
    facts: &Reachable<'a>,
    control: &mut Option<Control<'a>>,
    findings: &mut Findings<'t>,
) {
    let operator = facts.control;
    let mut reached = Reached::new(operator.role, regime);
    let singles = [
        (Nexus::Seat, "seat", facts.seat),
        (Nexus::PrincipalPlaceOfBusiness, "principal_place_of_business", facts.principal_place_of_business),
    ];
    for (_, fact, read) in singles.into_iter().filter(|(nexus, ..)| regime.nexus.contains(nexus)) {
        match findings.look(&operator.path(fact), claim_of(read)) {
            Ok(place) => reached.by(fact, &place, findings),
            Err(doubt) => reached.open.push((fact, doubt)),
        }
    }
    if regime.nexus.contains(&Nexus::Establishment) {
        const FACT: &str = "establishments";
        match findings.look(&operator.path(FACT), claim_of(facts.establishments)) {
            Ok(places) => places.iter().for_each(|place| reached.by(FACT, place, findings)),
            Err(doubt) => reached.open.push((FACT, doubt)),
        }
    }
    if regime.nexus.contains(&Nexus::Controller) {
        let find = || control_of(&operator, ReasonCode::OwnershipUndetermined, findings);
        let control = control.get_or_insert_with(find);
        reached.by_control(control, findings);
    }
    reached.conclude(findings);
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
            check_sub_processor(one, regime, findings);
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

fn check_sub_processor<'t>(one: &SubProcessor, regime: &'t Regime, findings: &mut Findings<'t>) {
    let SubProcessor { seat, principal_place_of_business: principal, establishments, ultimate_controllers, .. } = one;
    let controllers = ultimate_controllers.as_ref().map(|all| all.iter().map(|one| &one.seat));
    let mut reached = Reached::new(&one.id, regime);
    reached.by_fact(Nexus::Seat, "seat", seat.as_ref().map(once), findings);
    let fact = "principal_place_of_business";
    reached.by_fact(Nexus::PrincipalPlaceOfBusiness, fact, principal.as_ref().map(once), findings);
    reached.by_fact(Nexus::Establishment, "establishments", establishments.as_ref(), findings);
    reached.by_fact(Nexus::Controller, "ultimate_controllers", controllers, findings);
    reached.conclude(findings);
}
