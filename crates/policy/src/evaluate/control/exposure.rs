//! Laws that compel access to content, and whether they reach anybody who can read it (VOCABULARY D11).
//!
//! Where content is processed does not matter, nor do the customer's own keys: a model reads plaintext. What helps,
//! if the caller says so, is a runtime whose hardware attests that its operator cannot look inside.

use std::collections::BTreeSet;

use comity_types::Place;
use comity_types::time::Phase;

use super::control_of;
use crate::claim::Assurance;
use crate::evaluate::facet::{Demand, Facet, OfDemand, Whole};
use crate::evaluate::findings::{Field, Findings};
use crate::evaluate::truth::{Doubt, Party};
use crate::offer::SubProcessor;
use crate::requirements::NoExposure;
use crate::tables::regimes::{Nexus, Regime};
use crate::{Claim, Offer, Organisation, ReasonCode, Side};

/// Whether a law reaches the operator.
pub(crate) struct OperatorExposure;

impl Facet for OperatorExposure {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Whole<'a>, Option<&'a Claim<String>>);
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, operator: &'a Organisation) -> Self::Facts<'a> {
        (Whole(operator), offer.runtime.as_ref())
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.no_exposure.is_empty()
    }

    fn check((operator, runtime): &Self::Facts<'_>, asked: &Demand<'_>, findings: &mut Findings<'_>) {
        for_each_regime(asked, *runtime, findings, |regime, findings| {
            check_operator(regime, Party::operator(operator.0), findings);
        });
    }
}

/// Whether a law reaches a sub-processor that can read content.
pub(crate) struct SubProcessorExposure;

impl Facet for SubProcessorExposure {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Option<&'a Claim<BTreeSet<SubProcessor>>>, Option<&'a Claim<String>>);
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation) -> Self::Facts<'a> {
        (offer.sub_processors.as_ref(), offer.runtime.as_ref())
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.no_exposure.is_empty()
    }

    fn check((sub_processors, runtime): &Self::Facts<'_>, asked: &Demand<'_>, findings: &mut Findings<'_>) {
        for_each_regime(asked, *runtime, findings, |regime, findings| {
            check_sub_processors(regime, *sub_processors, findings);
        });
    }
}

/// Every law that the caller wants to be free from, that is in force, and that no attested runtime keeps out.
fn for_each_regime<'t>(
    asked: &Demand<'_>,
    runtime: Option<&Claim<String>>,
    findings: &mut Findings<'t>,
    mut check: impl FnMut(&Regime, &mut Findings<'t>),
) {
    let tables = findings.tables;
    for freedom in &asked.requirements.no_exposure {
        let Some(regime) = tables.regimes.get(&freedom.regime) else {
            findings.doubt(&"no_exposure", Doubt::unrecognised(&freedom.regime));
            continue;
        };
        if is_in_force(regime, findings) && !is_shielded(freedom, runtime, findings) {
            check(regime, findings);
        }
    }
}

fn is_in_force(regime: &Regime, findings: &mut Findings<'_>) -> bool {
    let (mut now, mut begins) = (false, None);
    for interval in &regime.in_force {
        match findings.phase(interval) {
            Phase::Within => now = true,
            Phase::Before => begins = [begins, interval.from].into_iter().flatten().min(),
            Phase::After => {}
        }
    }
    if !now {
        // A yes today ends when the law begins.
        findings.expires(begins);
    }
    now
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

/// What is asked of one party: a place of it, or why there is none.
struct Reached<'a> {
    role: &'a str,
    places: BTreeSet<Place>,
    open: Vec<Doubt>,
}

impl Reached<'_> {
    /// One place within the regime settles it; without one, every fact that is not stated leaves it open.
    fn conclude(self, regime: &Regime, findings: &mut Findings<'_>) {
        let hit = |place: &&Place| {
            let place = findings.tables.places.canonical(place);
            regime.places.iter().any(|of_law| place.is_within(of_law.as_str()) || of_law.is_within(place.as_str()))
        };
        if let Some(place) = self.places.iter().find(hit) {
            let (path, expected) =
                (format_args!("{}.seat", self.role), format_args!("nobody within reach of {}", regime.id));
            let field = Field { path: &path, expected: &expected, actual: place };
            let subject = format_args!("{},{}", regime.id, self.role);
            findings.reject_by(ReasonCode::CompelledAccessExposure, subject, field, &regime.id);
        } else {
            for doubt in self.open {
                let path =
                    if doubt.subject.is_empty() { format!("{}.ownership", self.role) } else { doubt.subject.clone() };
                findings.doubt(&path, doubt);
            }
        }
    }
}

fn check_operator(regime: &Regime, operator: Party<'_>, findings: &mut Findings<'_>) {
    let facts = operator.organisation;
    let mut reached = Reached { role: operator.role, places: BTreeSet::new(), open: Vec::new() };
    let singles = [
        (Nexus::Seat, "seat", &facts.seat),
        (Nexus::PrincipalPlaceOfBusiness, "principal_place_of_business", &facts.principal_place_of_business),
    ];
    for (nexus, field, claim) in singles {
        if regime.nexus.contains(&nexus) {
            match findings.look(&operator.path(field), claim.as_ref()) {
                Ok(place) => drop(reached.places.insert(place.into_owned())),
                Err(doubt) => reached.open.push(doubt),
            }
        }
    }
    if regime.nexus.contains(&Nexus::Establishment) {
        match findings.look(&operator.path("establishments"), facts.establishments.as_ref()) {
            Ok(places) => reached.places.extend(places.iter().cloned()),
            Err(doubt) => reached.open.push(doubt),
        }
    }
    if regime.nexus.contains(&Nexus::Controller) {
        let control = control_of(operator, ReasonCode::OwnershipUndetermined, findings);
        reached.places.extend(control.places.into_iter().map(|(place, _)| place));
        reached.open.extend(control.open);
    }
    reached.conclude(regime, findings);
}

fn check_sub_processors(regime: &Regime, claim: Option<&Claim<BTreeSet<SubProcessor>>>, findings: &mut Findings<'_>) {
    let Some(all) = findings.value(&"sub_processors", claim) else { return };
    for one in all.iter().filter(|one| one.content_access) {
        of_sub_processor(one, regime).conclude(regime, findings);
    }
}

fn of_sub_processor<'a>(one: &'a SubProcessor, regime: &Regime) -> Reached<'a> {
    let mut reached = Reached { role: &one.id, places: BTreeSet::new(), open: Vec::new() };
    let asks = |nexus| regime.nexus.contains(&nexus);
    let mut note = |field: &str, places: Option<Vec<Place>>| match places {
        Some(places) => reached.places.extend(places),
        None => reached.open.push(Doubt::missing(format_args!("{}.{field}", one.id))),
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
