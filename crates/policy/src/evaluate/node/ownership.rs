//! Rules on who owns or controls a caller (VOCABULARY D10).

use std::collections::BTreeSet;

use comity_types::{Place, PlaceOrBloc};

use super::callers::is_served;
use crate::caller_rules::{CallerRules, OwnershipRule, OwnershipTarget, OwnershipTest};
use crate::evaluate::control::{Owned, Percent, Seat, control_of};
use crate::evaluate::facet::{Facet, OfUse, Use};
use crate::evaluate::findings::{Field, Findings};
use crate::evaluate::stakes::{self, Holder, Measure, Taint, Taints};
use crate::evaluate::truth::{Doubt, Party, Truth};
use crate::ownership::Ownership;
use crate::tables::blocs::Reach;
use crate::{Offer, Organisation, ReasonCode, Side, Tables};

/// Who owns or controls the caller.
pub(crate) struct CallerOwnership;

impl Facet for CallerOwnership {
    const SIDE: Side = Side::Node;
    type Facts<'a> = &'a CallerRules;
    type Part = OfUse;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let rules = offer.terms.as_ref().and_then(|terms| terms.caller_rules.as_ref());
        rules.filter(|rules| !rules.ownership.is_empty())
    }

    fn is_asked(_: &Use<'_>) -> bool {
        true
    }

    fn check<'t>(rules: &Self::Facts<'t>, asked: &Use<'t>, findings: &mut Findings<'t>) {
        for rule in &rules.ownership {
            check_rule(rule, rules, Party::caller(asked.caller), findings);
        }
    }
}

fn check_rule<'t>(rule: &'t OwnershipRule, rules: &'t CallerRules, caller: Party<'_>, findings: &mut Findings<'t>) {
    if !rule.in_force.is_empty() && !findings.is_in_force(&rule.in_force) {
        return;
    }
    let tests: &[_] = match rule.test {
        OwnershipTest::Ownership => &[OwnershipTest::Ownership],
        OwnershipTest::Control => &[OwnershipTest::Control],
        OwnershipTest::Either => &[OwnershipTest::Ownership, OwnershipTest::Control],
    };
    let outcome = tests.iter().map(|test| match test {
        OwnershipTest::Control => by_control(rule, rules, caller, findings),
        OwnershipTest::Ownership | OwnershipTest::Either => by_ownership(rule, rules, caller, findings),
    });
    // One test that is failed settles the rule, whatever the other leaves open.
    let worst = outcome.fold((Taint::No, String::new()), |worst, one| if one.0 > worst.0 { one } else { worst });
    let path = caller.path("ownership");
    let expected = format_args!("no more than {} % of what the rule counts", Percent(rule.threshold_bp));
    let field = Field { path: &path, expected: &expected, actual: &worst.1 };
    match worst.0 {
        Taint::No => {}
        Taint::Yes => findings.reject_by(ReasonCode::CallerOwnershipRestricted, &rule.id, field, &rule.id),
        Taint::Maybe => {
            findings.reject_by(ReasonCode::CallerOwnershipUndetermined, &rule.id, field, &rule.id);
            explain_target(rule, findings);
        }
    }
}

/// Names what no caller can mend: codes of the rule that no table has.
fn explain_target(rule: &OwnershipRule, findings: &mut Findings<'_>) {
    let OwnershipTarget::Places(target) = &rule.target else { return };
    let tables = findings.tables;
    let is_known = |one: &&PlaceOrBloc| match one.place() {
        Some(place) => tables.places.knows(place),
        None => tables.blocs.knows(one.as_str()),
    };
    for unknown in target.iter().filter(|one| !is_known(one)) {
        findings.doubt(&"terms.caller_rules.ownership", Doubt::unrecognised(unknown.as_str()));
    }
}

/// Held against the shares of those whom the rule taints.
fn by_ownership<'t>(
    rule: &'t OwnershipRule,
    rules: &'t CallerRules,
    caller: Party<'_>,
    findings: &mut Findings<'t>,
) -> (Taint, String) {
    let claim = caller.organisation.ownership.as_ref();
    let Ok(ownership) = findings.look(&caller.path("ownership"), claim) else {
        // Who controls it is all that is stated; that settles a rule that looks at either. Owners that were stated,
        // and of whom nothing holds now, do not.
        let declared = claim.is_none() && caller.organisation.ultimate_controllers.is_some();
        return if declared && rule.test == OwnershipTest::Either {
            (Taint::No, String::new())
        } else {
            (Taint::Maybe, "owners that nobody states".into())
        };
    };
    let taints = taints(&ownership, rule, rules, findings);
    let measure = Measure {
        interests: &rule.interests,
        comparison: rule.comparison,
        threshold_bp: rule.threshold_bp,
        aggregate: rule.aggregate,
        indirect: rule.indirect,
        decisive: false,
    };
    (stakes::judge(&ownership, &measure, &taints), "owners that cross it, or may".into())
}

fn taints<'t>(
    ownership: &Ownership,
    rule: &'t OwnershipRule,
    rules: &'t CallerRules,
    findings: &mut Findings<'t>,
) -> Taints {
    stakes::taints(ownership, |_, owner| match &rule.target {
        OwnershipTarget::Lists(lists) => {
            if lists.is_disjoint(&owner.restricted_party_lists) {
                Taint::No
            } else {
                Taint::Yes
            }
        }
        OwnershipTarget::PlacesNotServed | OwnershipTarget::Places(_) => {
            let places = owner.seat.iter().chain(&owner.headquarters);
            let worst = places.map(|place| by_place(place, rule, rules, findings)).max();
            // Headquarters without a seat, or nothing at all, leave it open where the owner sits.
            let open = if owner.seat.is_none() { Taint::Maybe } else { Taint::No };
            worst.unwrap_or(Taint::Maybe).max(open)
        }
    })
}

fn by_place<'t>(place: &Place, rule: &'t OwnershipRule, rules: &'t CallerRules, findings: &mut Findings<'t>) -> Taint {
    let truth = match &rule.target {
        OwnershipTarget::PlacesNotServed => match is_served(rules, place, None, findings) {
            Truth::Yes => Truth::No,
            Truth::No => Truth::Yes,
            unknown @ Truth::Unknown(_) => unknown,
        },
        OwnershipTarget::Places(places) => findings.is_in(place, places, Reach::Overlap, None),
        OwnershipTarget::Lists(_) => Truth::No,
    };
    match truth {
        Truth::Yes => Taint::Yes,
        Truth::No => Taint::No,
        Truth::Unknown(_) => Taint::Maybe,
    }
}

/// Held against those who control the caller, by shares or by decisive influence.
fn by_control<'t>(
    rule: &'t OwnershipRule,
    rules: &'t CallerRules,
    caller: Party<'_>,
    findings: &mut Findings<'t>,
) -> (Taint, String) {
    if let OwnershipTarget::Lists(lists) = &rule.target {
        return by_control_of_listed(lists, caller, findings);
    }
    let mut control = control_of(&Owned::of(caller), ReasonCode::CallerOwnershipUndetermined, findings);
    let mut own = None;
    if control.is_its_own() {
        match findings.look(&caller.path("seat"), caller.organisation.seat.as_ref()) {
            Ok(seat) => own = Some(seat),
            Err(doubt) => control.open.push(("seat", doubt)),
        }
    }
    // Who may control it, and may not, leaves open at most what it would do.
    let at_its_own = if control.possible().next().is_none() { Taint::Yes } else { Taint::Maybe };
    let own = own.iter().map(|place| Seat { place, name: &caller.organisation.name, field: "seat" });
    let seats = control.certain().map(|seat| (seat, Taint::Yes)).chain(own.map(|seat| (seat, at_its_own)));
    let nothing = if control.open.is_empty() { Taint::No } else { Taint::Maybe };
    let mut worst = (nothing, "control that nobody states".to_owned());
    for (seat, most) in seats.chain(control.possible().map(|seat| (seat, Taint::Maybe))) {
        let taint = by_place(seat.place, rule, rules, findings).min(most);
        if taint > worst.0 {
            worst = (taint, format!("{} ({})", seat.name, seat.place));
        }
    }
    worst
}

fn by_control_of_listed(lists: &BTreeSet<String>, caller: Party<'_>, findings: &mut Findings<'_>) -> (Taint, String) {
    let claim = caller.organisation.ownership.as_ref();
    let Ok(ownership) = findings.look(&caller.path("ownership"), claim) else {
        return (Taint::Maybe, "owners that nobody states".into());
    };
    let stakes::Controllers { holders, is_open } = &ownership.standing().controllers;
    let is_listed = |holder: &&Holder| {
        let owner = ownership.parties().get(&holder.name);
        owner.is_some_and(|owner| !lists.is_disjoint(&owner.restricted_party_lists))
    };
    let worst = holders.iter().filter(is_listed).map(|holder| (holder.control, holder.name.clone())).max();
    let open = if *is_open { Taint::Maybe } else { Taint::No };
    worst.filter(|(taint, _)| *taint > open).unwrap_or_else(|| (open, "control that nobody states".into()))
}
