//! Laws that compel access to content, and whether they reach anybody who can read it (VOCABULARY D11).
//!
//! Where content is processed does not matter, nor do the customer's own keys: a model reads plaintext. What helps,
//! if the caller says so, is a runtime whose hardware attests that its operator cannot look inside.

use std::collections::BTreeSet;

use comity_types::Place;
use comity_types::time::Phase;

use super::control_of;
use crate::ReasonCode;
use crate::claim::Assurance;
use crate::evaluate::Question;
use crate::evaluate::findings::{Doubt, Field, Findings, Party};
use crate::offer::SubProcessor;
use crate::requirements::NoExposure;
use crate::tables::regimes::{Nexus, Regime};

pub(super) fn check(question: &Question<'_>, findings: &mut Findings<'_>) {
    for freedom in &question.request.requirements.no_exposure {
        let Some(regime) = findings.tables.regimes.get(&freedom.regime) else {
            findings.doubt("no_exposure", Doubt::unrecognised(&freedom.regime));
            continue;
        };
        if is_in_force(regime, findings) && !is_shielded(freedom, question, findings) {
            check_operator(regime, question.operator(), findings);
            check_sub_processors(regime, question, findings);
        }
    }
}

fn is_in_force(regime: &Regime, findings: &mut Findings<'_>) -> bool {
    let phases: Vec<_> = regime.in_force.iter().map(|interval| (interval, interval.phase(findings.as_of))).collect();
    let now = phases.iter().any(|(_, phase)| *phase == Phase::Within);
    if !now {
        // A yes today ends when the law begins.
        let begins =
            phases.iter().filter(|(_, phase)| *phase == Phase::Before).filter_map(|(interval, _)| interval.from);
        findings.expires(begins.min());
    }
    now
}

/// True if hardware attests, and its verifier affirms, a runtime that the caller trusts to keep everybody out.
fn is_shielded(freedom: &NoExposure, question: &Question<'_>, findings: &mut Findings<'_>) -> bool {
    if freedom.accept_attested_runtimes.is_empty() {
        return false;
    }
    let Ok(runtime) = findings.look("runtime", question.offer.runtime.as_ref()) else { return false };
    let Some(claim) = question.offer.runtime.as_ref().filter(|_| freedom.accept_attested_runtimes.contains(&*runtime))
    else {
        return false;
    };
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
        let subject = format!("{},{}", regime.id, self.role);
        if let Some(place) = self.places.iter().find(hit) {
            let path = format!("{}.seat", self.role);
            let expected = format!("nobody within reach of {}", regime.id);
            let field = Field { path: &path, expected: &expected, actual: place.as_str() };
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

fn check_sub_processors(regime: &Regime, question: &Question<'_>, findings: &mut Findings<'_>) {
    let Some(all) = findings.value("sub_processors", question.offer.sub_processors.as_ref()) else { return };
    for one in all.iter().filter(|one| one.content_access) {
        of_sub_processor(one, regime).conclude(regime, findings);
    }
}

fn of_sub_processor<'a>(one: &'a SubProcessor, regime: &Regime) -> Reached<'a> {
    let mut reached = Reached { role: &one.id, places: BTreeSet::new(), open: Vec::new() };
    let asks = |nexus| regime.nexus.contains(&nexus);
    let mut note = |field: &str, places: Option<Vec<Place>>| match places {
        Some(places) => reached.places.extend(places),
        None => reached.open.push(Doubt::missing(format!("{}.{field}", one.id))),
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
