//! Who operates the node, who controls the operator, and whose law reaches those who can read content
//! (VOCABULARY D9, D10, D11).

mod exposure;

use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

pub(super) use self::exposure::{OperatorExposure, SubProcessorExposure};
use super::facet::{Demand, Facet, OfDemand, Whole};
use super::findings::{Field, Findings};
use super::stakes::{self, Measure, Taint};
use super::truth::{Doubt, Party, PartyPath, Truth};
use crate::caller_rules::Comparison;
use crate::ownership::{Ownership, Party as Owner};
use crate::requirements::ForeignOwnership;
use crate::tables::blocs::Reach;
use crate::{Offer, Organisation, ReasonCode, Requirements, Side};

/// Who operates the node, and who controls the operator.
pub(super) struct Operator;

impl Facet for Operator {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Whole<'a>;
    type Part = OfDemand;

    fn facts<'a>(_: &'a Offer, operator: &'a Organisation) -> Self::Facts<'a> {
        Whole(operator)
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        let demanded = asked.requirements;
        !demanded.allowed_operator_seats.is_unrestricted()
            || asks_for_controllers(demanded)
            || !demanded.foreign_ownership.is_empty()
    }

    fn check(facts: &Self::Facts<'_>, asked: &Demand<'_>, findings: &mut Findings<'_>) {
        let (operator, demanded) = (Party::operator(facts.0), asked.requirements);
        if !demanded.allowed_operator_seats.is_unrestricted() {
            let path = operator.path("seat");
            if let Some(seat) = findings.value(&path, operator.organisation.seat.as_ref()) {
                let (code, lists) = (ReasonCode::OperatorSeatNotAllowed, &demanded.allowed_operator_seats);
                findings.allowed(code, &path, &seat, lists, Some(operator.participant()));
            }
        }
        if asks_for_controllers(demanded) {
            check_controllers(operator, demanded, findings);
        }
        for rule in &demanded.foreign_ownership {
            check_foreign_ownership(rule, operator, findings);
        }
    }
}

fn asks_for_controllers(demanded: &Requirements) -> bool {
    !demanded.allowed_controller_seats.is_unrestricted() || !demanded.forbidden_controller_seats.is_empty()
}

/// Where those are seated who control an organisation: by more than half of it, or by decisive influence.
pub(super) struct Control {
    /// The places of those who do, each with the name of whose it is.
    pub(super) places: BTreeSet<(Place, String)>,
    /// What leaves the question open: somebody may control it, or a place is not stated.
    pub(super) open: Vec<Doubt>,
}

/// Who controls `party`, by what it declares and by what its ownership says.
pub(super) fn control_of(party: Party<'_>, code: ReasonCode, findings: &mut Findings<'_>) -> Control {
    let organisation = party.organisation;
    let (mut places, mut open) = (BTreeSet::new(), Vec::new());
    let declared_path = party.path("ultimate_controllers");
    if organisation.ultimate_controllers.is_none() && organisation.ownership.is_none() {
        return Control { places, open: vec![Doubt::missing(declared_path)] };
    }
    if let Some(claim) = &organisation.ultimate_controllers {
        match findings.look(&declared_path, Some(claim)) {
            Ok(all) => places.extend(all.iter().map(|one| (one.seat.clone(), one.name.clone()))),
            Err(doubt) => open.push(doubt),
        }
    }
    if let Some(claim) = &organisation.ownership {
        let path = party.path("ownership");
        match findings.look(&path, Some(claim)) {
            Ok(ownership) => from_ownership(&ownership, &path, code, &mut places, &mut open),
            Err(doubt) => open.push(doubt),
        }
    }
    Control { places, open }
}

fn from_ownership(
    ownership: &Ownership,
    path: &PartyPath<'_>,
    code: ReasonCode,
    places: &mut BTreeSet<(Place, String)>,
    open: &mut Vec<Doubt>,
) {
    let (controllers, unknown) = stakes::controllers(ownership);
    for (name, owner, taint) in controllers {
        let of_owner: Vec<_> = owner.seat.iter().chain(&owner.headquarters).cloned().collect();
        match taint {
            Taint::Yes if of_owner.is_empty() => open.push(Doubt::missing(format_args!("{path}.parties.{name}.seat"))),
            Taint::Yes => places.extend(of_owner.into_iter().map(|place| (place, name.to_owned()))),
            // Whether it controls is open only as long as somebody unknown may hold the rest, which is said once.
            Taint::Maybe | Taint::No => {}
        }
    }
    if unknown {
        let (expected, actual) = ("owners that settle who controls", "more than half may belong to anybody".to_owned());
        open.push(Doubt { code, subject: String::new(), expected, actual });
    }
}

fn check_controllers(operator: Party<'_>, demanded: &Requirements, findings: &mut Findings<'_>) {
    let path = operator.path("ultimate_controllers");
    let control = control_of(operator, ReasonCode::OwnershipUndetermined, findings);
    let nobody = control.places.is_empty() && control.open.is_empty();
    for (seat, _) in &control.places {
        check_seat(seat, &path, operator, demanded, findings);
    }
    findings.doubts(&path, control.open);
    // Nobody controls it, so that it is ruled from its own seat.
    if nobody {
        let path = operator.path("seat");
        if let Some(seat) = findings.value(&path, operator.organisation.seat.as_ref()) {
            check_seat(&seat, &path, operator, demanded, findings);
        }
    }
}

fn check_seat(
    seat: &Place,
    path: &PartyPath<'_>,
    operator: Party<'_>,
    demanded: &Requirements,
    findings: &mut Findings<'_>,
) {
    let code = ReasonCode::ControllerNotAllowed;
    findings.allowed(code, path, seat, &demanded.allowed_controller_seats, Some(operator.participant()));
    findings.forbidden(code, path, seat, &demanded.forbidden_controller_seats, Some(operator.participant()));
}

/// No holder from elsewhere may have too much, alone or together (SecNumCloud 3.2, 19.6).
fn check_foreign_ownership(rule: &ForeignOwnership, operator: Party<'_>, findings: &mut Findings<'_>) {
    let path = operator.path("ownership");
    let Some(ownership) = findings.value(&path, operator.organisation.ownership.as_ref()) else { return };
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
fn taints(
    ownership: &Ownership,
    home: &BTreeSet<PlaceOrBloc>,
    findings: &mut Findings<'_>,
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
