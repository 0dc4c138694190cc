//! Who operates the node, who controls the operator, and whose law reaches those who can read content
//! (VOCABULARY D9, D10, D11).

mod exposure;

use std::borrow::Cow;
use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

pub(super) use self::exposure::{OperatorExposure, SubProcessorExposure};
use super::facet::{Demand, Facet, OfDemand};
use super::findings::{Field, Findings};
use super::membership::Lists;
use super::reading::{All, ByControl, ByShares, Read, Seats, claim_of};
use super::stakes::{self, Holder, Measure, Taint, Taints};
use super::truth::{Doubt, OPERATOR, Participant, Party, PartyPath, Truth};
use crate::caller_rules::Comparison;
use crate::ownership::Ownership;
use crate::requirements::ForeignOwnership;
use crate::tables::blocs::Reach;
use crate::{Claim, Controller, Offer, Organisation, ReasonCode, Requirements, Side, Tables};

/// Where the operator has its seat.
pub(super) struct OperatorSeat;

impl Facet for OperatorSeat {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Option<Read<'a, All<Place>>>, Participant<'a>);
    type Part = OfDemand;

    fn facts<'a>(_: &'a Offer, operator: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [(operator.seat.as_ref().map(Read::of), Participant::operator(operator))]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.allowed_operator_seats.is_unrestricted()
    }

    fn place((seat, _): &Self::Facts<'_>) -> Option<Place> {
        claim_of(*seat).and_then(Claim::timeless).cloned()
    }

    fn lists(demanded: &Requirements) -> Option<Lists<'_>> {
        Some(seats(demanded))
    }

    fn check<'t>((seat, operator): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let path = operator.path("seat");
        if let Some(seat) = findings.value(&path, claim_of(*seat)) {
            findings.hold(&seats(asked.requirements), &path, &seat, Some(*operator));
        }
    }
}

fn seats(demanded: &Requirements) -> Lists<'_> {
    Lists::allowing(ReasonCode::OperatorSeatNotAllowed, &demanded.allowed_operator_seats)
}

/// Who controls the operator.
pub(super) struct Controllers;

/// What is stated of that, and where the operator has its seat, whose law holds if nobody controls it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ruled<'a> {
    control: Owned<'a>,
    seat: Option<Read<'a, All<Place>>>,
    operator: Participant<'a>,
}

impl Facet for Controllers {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Ruled<'a>;
    type Part = OfDemand;

    fn facts<'a>(_: &'a Offer, operator: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let (seat, control) = (operator.seat.as_ref().map(Read::of), Owned::of(Party::operator(operator)));
        [Ruled { control, seat, operator: Participant::operator(operator) }]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        controllers(asked.requirements).is_demanded()
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        check_controllers(facts, asked.requirements, findings);
    }
}

/// Who owns the operator.
pub(super) struct ForeignOwners;

impl Facet for ForeignOwners {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Option<Read<'a, ByShares>>;
    type Part = OfDemand;

    fn facts<'a>(_: &'a Offer, operator: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [operator.ownership.as_ref().map(Read::of)]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.foreign_ownership.is_empty()
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        for rule in &asked.requirements.foreign_ownership {
            check_foreign_ownership(rule, claim_of(*facts), findings);
        }
    }
}

/// What is stated of who owns and controls an organisation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Owned<'a> {
    role: &'a str,
    declared: Option<Read<'a, Seats>>,
    ownership: Option<Read<'a, ByControl>>,
}

impl<'a> Owned<'a> {
    pub(super) fn of(party: Party<'a>) -> Self {
        let Organisation { ultimate_controllers, ownership, .. } = party.organisation;
        let (declared, ownership) = (ultimate_controllers.as_ref().map(Read::of), ownership.as_ref().map(Read::of));
        Self { role: party.role, declared, ownership }
    }

    const fn path(&self, field: &'a str) -> PartyPath<'a> {
        PartyPath { role: self.role, field }
    }
}

/// Those who control an organisation: by more than half of it, or by decisive influence.
pub(super) struct Control<'a> {
    declared: Option<Cow<'a, BTreeSet<Controller>>>,
    ownership: Option<Cow<'a, Ownership>>,
    /// What leaves the question open, wherever those are seated, by the fact that does: somebody may control it, or a
    /// place is not stated.
    pub(super) open: Vec<(&'static str, Doubt)>,
}

/// A place of somebody who controls an organisation, or may.
#[derive(Clone, Copy)]
pub(super) struct Seat<'a> {
    pub(super) place: &'a Place,
    /// Whose it is.
    pub(super) name: &'a str,
    /// The fact of the organisation that says so.
    pub(super) field: &'static str,
}

const DECLARED: &str = "ultimate_controllers";
const OWNERSHIP: &str = "ownership";

/// Who controls an organisation, by what it declares and by what its ownership says.
pub(super) fn control_of<'a>(stated: &Owned<'a>, code: ReasonCode, findings: &mut Findings<'_>) -> Control<'a> {
    let mut control = Control { declared: None, ownership: None, open: Vec::new() };
    let (declared_path, path) = (stated.path(DECLARED), stated.path(OWNERSHIP));
    if stated.declared.is_none() && stated.ownership.is_none() {
        control.open.push((DECLARED, Doubt::missing(declared_path)));
        return control;
    }
    if let Some(read) = stated.declared {
        match findings.look(&declared_path, Some(read.claim())) {
            Ok(all) => control.declared = Some(all),
            Err(doubt) => control.open.push((DECLARED, doubt)),
        }
    }
    if let Some(read) = stated.ownership {
        match findings.look(&path, Some(read.claim())) {
            Ok(ownership) => {
                control.add_open(&ownership.standing().controllers, &path, code);
                control.ownership = Some(ownership);
            }
            Err(doubt) => control.open.push((OWNERSHIP, doubt)),
        }
    }
    control
}

impl Control<'_> {
    /// Where those are who do.
    pub(super) fn certain(&self) -> impl Iterator<Item = Seat<'_>> {
        let declared = self.declared.iter().flat_map(|all| all.iter());
        let declared = declared.map(|one| Seat { place: &one.seat, name: &one.name, field: DECLARED });
        declared.chain(self.owners(Taint::Yes))
    }

    /// Where those are who may: their shares are known within bounds, or what is not disclosed may be theirs.
    pub(super) fn possible(&self) -> impl Iterator<Item = Seat<'_>> {
        self.owners(Taint::Maybe)
    }

    /// True if nobody controls it, or perhaps nobody does, so that it is ruled from its own seat.
    pub(super) fn is_its_own(&self) -> bool {
        self.open.is_empty() && self.certain().next().is_none()
    }

    fn owners(&self, control: Taint) -> impl Iterator<Item = Seat<'_>> {
        let holders = self.ownership.iter().flat_map(|ownership| &ownership.standing().controllers.holders);
        let seats = |holder| Holder::places(holder).map(|place| Seat { place, name: &holder.name, field: OWNERSHIP });
        holders.filter(move |holder| holder.control == control).flat_map(seats)
    }

    fn add_open(&mut self, controllers: &stakes::Controllers, path: &PartyPath<'_>, code: ReasonCode) {
        let seatless = |control| {
            let is_one = move |holder: &&Holder| holder.control == control && !holder.has_seat();
            controllers.holders.iter().filter(is_one)
        };
        for holder in seatless(Taint::Yes) {
            let seat = Doubt::missing(format_args!("{path}.parties.{}.seat", holder.name));
            self.open.push((OWNERSHIP, seat));
        }
        // Who may control it may be anywhere, as somebody may who is not stated at all.
        if controllers.is_open || seatless(Taint::Maybe).next().is_some() {
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
    let (operator, lists) = (facts.operator, controllers(demanded));
    let control = control_of(&facts.control, ReasonCode::OwnershipUndetermined, findings);
    for seat in control.certain() {
        findings.hold(&lists, &operator.path(seat.field), seat.place, Some(operator));
    }
    for (field, doubt) in &control.open {
        findings.doubt(&operator.path(field), doubt.clone());
    }
    let path = operator.path(OWNERSHIP);
    let offends = |place: &Place, findings: &mut Findings<'t>| {
        findings.would_reject(|probe| probe.hold(&lists, &path, place, Some(operator)))
    };
    let mut is_open = control.possible().any(|seat| offends(seat.place, findings));
    if control.is_its_own() {
        let path = operator.path("seat");
        match findings.value(&path, claim_of(facts.seat)) {
            Some(seat) if control.possible().next().is_none() => {
                findings.hold(&lists, &path, &seat, Some(operator));
            }
            Some(seat) => is_open = is_open || offends(&seat, findings),
            None => {}
        }
    }
    if is_open {
        findings.doubt(&path, undetermined(ReasonCode::OwnershipUndetermined));
    }
}

fn controllers(demanded: &Requirements) -> Lists<'_> {
    let Requirements { allowed_controller_seats: allowed, forbidden_controller_seats: forbidden, .. } = demanded;
    Lists::new(ReasonCode::ControllerNotAllowed, allowed, forbidden)
}

/// No holder from elsewhere may have too much, alone or together (SecNumCloud 3.2, 19.6).
fn check_foreign_ownership<'t>(
    rule: &'t ForeignOwnership,
    ownership: Option<&Claim<Ownership>>,
    findings: &mut Findings<'t>,
) {
    let path = PartyPath { role: OPERATOR, field: OWNERSHIP };
    let Some(ownership) = findings.value(&path, ownership) else { return };
    let (foreign, doubts) = foreign(&ownership, &rule.home, findings);
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
        match stakes::judge(&ownership, &measure, &foreign) {
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
fn foreign<'t>(
    ownership: &Ownership,
    home: &'t BTreeSet<PlaceOrBloc>,
    findings: &mut Findings<'t>,
) -> (Taints, Vec<Doubt>) {
    let mut doubts = Vec::new();
    let taints = stakes::taints(ownership, |_, owner| {
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
    });
    (taints, doubts)
}

/// Hundredths of a percent, for people.
pub(super) struct Percent(pub(super) u32);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}
