//! Who operates the node, who controls the operator, and whose law reaches those who can read content
//! (VOCABULARY D9, D10, D11).

mod exposure;

use std::borrow::Cow;
use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

pub(super) use self::exposure::{OperatorExposure, SubProcessorExposure};
use super::facet::{Demand, Facet, OfDemand};
use super::findings::{Field, Findings};
use super::stakes::{self, Measure, Taint};
use super::truth::{Doubt, Participant, Party, PartyPath, Truth};
use crate::caller_rules::Comparison;
use crate::ownership::{Ownership, Party as Owner};
use crate::requirements::ForeignOwnership;
use crate::tables::blocs::Reach;
use crate::{Claim, Controller, Offer, Organisation, ReasonCode, Requirements, Side, Tables};

/// Where the operator has its seat.
pub(super) struct OperatorSeat;

impl Facet for OperatorSeat {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Option<&'a Claim<Place>>, Participant<'a>);
    type Part = OfDemand;

    fn facts<'a>(_: &'a Offer, operator: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [(operator.seat.as_ref(), Participant::operator(operator))]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.allowed_operator_seats.is_unrestricted()
    }

    fn check<'t>((seat, operator): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let path = operator.path("seat");
        if let Some(seat) = findings.value(&path, *seat) {
            let (code, lists) = (ReasonCode::OperatorSeatNotAllowed, &asked.requirements.allowed_operator_seats);
            findings.allowed(code, &path, &seat, lists, Some(*operator));
        }
    }
}

/// Who controls the operator.
pub(super) struct Controllers;

/// What is stated of that, and where the operator has its seat, whose law holds if nobody controls it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ruled<'a> {
    control: Owned<'a>,
    seat: Option<&'a Claim<Place>>,
    operator: Participant<'a>,
}

impl Facet for Controllers {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Ruled<'a>;
    type Part = OfDemand;

    fn facts<'a>(_: &'a Offer, operator: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let (seat, control) = (operator.seat.as_ref(), Owned::of(Party::operator(operator)));
        [Ruled { control, seat, operator: Participant::operator(operator) }]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        let demanded = asked.requirements;
        !demanded.allowed_controller_seats.is_unrestricted() || !demanded.forbidden_controller_seats.is_empty()
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        check_controllers(facts, asked.requirements, findings);
    }
}

/// Who owns the operator.
pub(super) struct ForeignOwners;

impl Facet for ForeignOwners {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Owned<'a>;
    type Part = OfDemand;

    fn facts<'a>(_: &'a Offer, operator: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [Owned::of(Party::operator(operator))]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.foreign_ownership.is_empty()
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        for rule in &asked.requirements.foreign_ownership {
            check_foreign_ownership(rule, facts, findings);
        }
    }
}

/// What is stated of who owns and controls an organisation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Owned<'a> {
    role: &'a str,
    declared: Option<&'a Claim<BTreeSet<Controller>>>,
    ownership: Option<&'a Claim<Ownership>>,
}

impl<'a> Owned<'a> {
    pub(super) fn of(party: Party<'a>) -> Self {
        let Organisation { ultimate_controllers, ownership, .. } = party.organisation;
        Self { role: party.role, declared: ultimate_controllers.as_ref(), ownership: ownership.as_ref() }
    }

    const fn path(&self, field: &'a str) -> PartyPath<'a> {
        PartyPath { role: self.role, field }
    }
}

/// Where those are seated who control an organisation: by more than half of it, or by decisive influence.
pub(super) struct Control {
    /// The seats of those who do.
    pub(super) certain: BTreeSet<Seat>,
    /// The seats of those who may: their shares are known within bounds, or what is not disclosed may be theirs.
    pub(super) possible: BTreeSet<Seat>,
    /// What leaves the question open, wherever those are seated, by the fact that does: somebody may control it, or a
    /// place is not stated.
    pub(super) open: Vec<(&'static str, Doubt)>,
}

/// A place of somebody who controls an organisation.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat {
    pub(super) place: Place,
    /// Whose it is.
    pub(super) name: String,
    /// The fact of the organisation that says so.
    pub(super) field: &'static str,
}

const DECLARED: &str = "ultimate_controllers";
const OWNERSHIP: &str = "ownership";

/// Who controls an organisation, by what it declares and by what its ownership says.
pub(super) fn control_of(stated: &Owned<'_>, code: ReasonCode, findings: &mut Findings<'_>) -> Control {
    let mut control = Control { certain: BTreeSet::new(), possible: BTreeSet::new(), open: Vec::new() };
    let declared_path = stated.path(DECLARED);
    if stated.declared.is_none() && stated.ownership.is_none() {
        control.open.push((DECLARED, Doubt::missing(declared_path)));
        return control;
    }
    if let Some(claim) = stated.declared {
        let seat = |one: &Controller| Seat { place: one.seat.clone(), name: one.name.clone(), field: DECLARED };
        match findings.look(&declared_path, Some(claim)) {
            Ok(all) => control.certain.extend(all.iter().map(seat)),
            Err(doubt) => control.open.push((DECLARED, doubt)),
        }
    }
    if let Some(claim) = stated.ownership {
        let path = stated.path(OWNERSHIP);
        match findings.look(&path, Some(claim)) {
            Ok(ownership) => control.add_owners(&ownership, &path, code),
            Err(doubt) => control.open.push((OWNERSHIP, doubt)),
        }
    }
    control
}

impl Control {
    /// The seat of the organisation itself, as far as nobody controls it.
    pub(super) fn add_own_seat(&mut self, place: Place, name: &str) {
        let settled = if self.possible.is_empty() { &mut self.certain } else { &mut self.possible };
        settled.insert(Seat { place, name: name.to_owned(), field: "seat" });
    }

    fn add_owners(&mut self, ownership: &Ownership, path: &PartyPath<'_>, code: ReasonCode) {
        let (controllers, mut unknown) = stakes::controllers(ownership);
        for (name, owner, taint) in controllers {
            let places = owner.seat.iter().chain(&owner.headquarters).cloned();
            let seats = places.map(|place| Seat { place, name: name.to_owned(), field: OWNERSHIP });
            match taint {
                Taint::No => {}
                Taint::Maybe => {
                    self.possible.extend(seats);
                    // It may be anywhere, as somebody may who is not stated at all.
                    unknown |= owner.seat.is_none();
                }
                Taint::Yes => {
                    self.certain.extend(seats);
                    if owner.seat.is_none() {
                        let seat = Doubt::missing(format_args!("{path}.parties.{name}.seat"));
                        self.open.push((OWNERSHIP, seat));
                    }
                }
            }
        }
        if unknown {
            self.open.push((OWNERSHIP, undetermined(code)));
        }
    }
}

/// Who controls an organisation depends on shares that are not known well enough.
pub(super) fn undetermined(code: ReasonCode) -> Doubt {
    let (expected, actual) = ("owners that settle who controls", "somebody may control it, or not".to_owned());
    Doubt { code, subject: String::new(), expected, actual }
}

fn check_controllers<'t>(facts: &Ruled<'_>, demanded: &'t Requirements, findings: &mut Findings<'t>) {
    let operator = facts.operator;
    let control = control_of(&facts.control, ReasonCode::OwnershipUndetermined, findings);
    let is_settled = control.open.is_empty();
    for seat in &control.certain {
        check_seat(&seat.place, &operator.path(seat.field), operator, demanded, findings);
    }
    for (field, doubt) in control.open {
        findings.doubt(&operator.path(field), doubt);
    }
    let mut possible: Vec<_> = control.possible.into_iter().map(|seat| seat.place).collect();
    // Nobody controls it, so that it is ruled from its own seat; or perhaps nobody does.
    if control.certain.is_empty() && is_settled {
        let path = operator.path("seat");
        match findings.value(&path, facts.seat) {
            Some(seat) if possible.is_empty() => check_seat(&seat, &path, operator, demanded, findings),
            seat => possible.extend(seat.map(Cow::into_owned)),
        }
    }
    let path = operator.path(OWNERSHIP);
    let offends = |place: &Place, findings: &mut Findings<'t>| {
        findings.would_reject(|probe| check_seat(place, &path, operator, demanded, probe))
    };
    if possible.iter().any(|place| offends(place, findings)) {
        findings.doubt(&path, undetermined(ReasonCode::OwnershipUndetermined));
    }
}

fn check_seat<'t>(
    seat: &Place,
    path: &PartyPath<'_>,
    operator: Participant<'_>,
    demanded: &'t Requirements,
    findings: &mut Findings<'t>,
) {
    let code = ReasonCode::ControllerNotAllowed;
    findings.allowed(code, path, seat, &demanded.allowed_controller_seats, Some(operator));
    findings.forbidden(code, path, seat, &demanded.forbidden_controller_seats, Some(operator));
}

/// No holder from elsewhere may have too much, alone or together (SecNumCloud 3.2, 19.6).
fn check_foreign_ownership<'t>(rule: &'t ForeignOwnership, operator: &Owned<'_>, findings: &mut Findings<'t>) {
    let path = operator.path(OWNERSHIP);
    let Some(ownership) = findings.value(&path, operator.ownership) else { return };
    let (foreign, doubts) = taints(&ownership, &rule.home, findings);
    let limits = [("individual", rule.individual_bp, false), ("aggregate", rule.aggregate_bp, true)];
    for (which, threshold_bp, aggregate) in limits {
        let measure = Measure {
            interests: &rule.interests,
            comparison: Comparison::MoreThan,
            threshold_bp,
            aggregate,
            indirect: rule.indirect,
            decisive: false,
        };
        let expected = format_args!("at most {} % from elsewhere", Percent(threshold_bp));
        match stakes::judge(&ownership, &measure, |name, _| foreign(name)) {
            Taint::No => {}
            Taint::Yes => {
                let field = Field { path: &path, expected: &expected, actual: &"more" };
                findings.reject(ReasonCode::ForeignOwnershipThresholdExceeded, which, field);
            }
            Taint::Maybe => {
                let field = Field { path: &path, expected: &expected, actual: &"perhaps more" };
                findings.reject(ReasonCode::OwnershipUndetermined, which, field);
                findings.doubts(&path, doubts.clone());
            }
        }
    }
}

/// Which owners are not at home, and what leaves that open for one of them.
fn taints<'t>(
    ownership: &Ownership,
    home: &'t BTreeSet<PlaceOrBloc>,
    findings: &mut Findings<'t>,
) -> (impl Fn(&str) -> Taint + use<>, Vec<Doubt>) {
    let mut doubts = Vec::new();
    let mut of = |owner: &Owner| {
        let mut worst = if owner.seat.is_none() { Taint::Maybe } else { Taint::No };
        for place in owner.seat.iter().chain(&owner.headquarters) {
            let taint = match findings.is_in(place, home, Reach::Within, None) {
                Truth::Yes => Taint::No,
                Truth::No => Taint::Yes,
                Truth::Unknown(more) => {
                    doubts.extend(more);
                    Taint::Maybe
                }
            };
            worst = worst.max(taint);
        }
        worst
    };
    let all: std::collections::BTreeMap<String, Taint> =
        ownership.parties.iter().map(|(name, owner)| (name.clone(), of(owner))).collect();
    (move |name: &str| all.get(name).copied().unwrap_or(Taint::Maybe), doubts)
}

/// Hundredths of a percent, for people.
pub(super) struct Percent(pub(super) u32);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}
