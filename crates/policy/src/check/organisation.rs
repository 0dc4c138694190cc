//! The facts of organisations.

use std::collections::BTreeSet;

use super::offer::places;
use super::{Faults, named};
use crate::limits::{MAX_CONTROLLERS, MAX_ENTRIES, MAX_LIST, MAX_NUMBER_BYTES, MAX_NUMBERS, MAX_TEXT_BYTES};
use crate::ownership::Ownership;
use crate::{Controller, Organisation};

pub(super) fn check(facts: &Organisation, faults: &mut Faults) {
    faults.text("name", &facts.name, MAX_TEXT_BYTES);
    faults.bounded("registration_numbers", facts.registration_numbers.len(), MAX_NUMBERS);
    for (index, number) in facts.registration_numbers.iter().enumerate() {
        faults.text(&format!("registration_numbers[{index}].number"), &number.number, MAX_NUMBER_BYTES);
        if facts.registration_numbers.iter().take(index).any(|other| other == number) {
            faults.add(format!("registration_numbers[{index}]"), "stands twice: remove one");
        }
    }
    faults.claim("seat", facts.seat.as_ref(), |_, _, _| {});
    faults.claim("headquarters", facts.headquarters.as_ref(), |_, _, _| {});
    faults.claim("principal_place_of_business", facts.principal_place_of_business.as_ref(), |_, _, _| {});
    places("establishments", facts.establishments.as_ref(), faults);
    faults.claim("ownership", facts.ownership.as_ref(), ownership);
    faults.claim("ultimate_controllers", facts.ultimate_controllers.as_ref(), controllers);
    faults.claim("organisation_type", facts.organisation_type.as_ref(), |_, _, _| {});
    faults.claim("sector", facts.sector.as_ref(), |faults, path, text| faults.text(path, text, MAX_TEXT_BYTES));
    faults.claim("restricted_party_lists", facts.restricted_party_lists.as_ref(), |faults, path, lists| {
        faults.texts(path, lists, MAX_LIST);
    });
    faults.claim("monthly_active_users", facts.monthly_active_users.as_ref(), |_, _, _| {});
    faults.claim("dpf_participation", facts.dpf_participation.as_ref(), |_, _, _| {});
    faults.claim("commercial_organisation", facts.commercial_organisation.as_ref(), |_, _, _| {});
    faults.bounded("accepted_terms", facts.accepted_terms.len(), MAX_LIST);
    faults.bounded("training_choices", facts.training_choices.len(), MAX_LIST);
}

/// Names and lists of parties; how many there are, and who holds what, is checked where the graph is made.
fn ownership(faults: &mut Faults, path: &str, ownership: &Ownership) {
    for (name, party) in &ownership.parties {
        let path = named(&format!("{path}.parties"), name);
        faults.text(&path, name, MAX_TEXT_BYTES);
        faults.quotable(&path, name);
        faults.texts(&format!("{path}.restricted_party_lists"), &party.restricted_party_lists, MAX_ENTRIES);
    }
}

pub(super) fn controllers(faults: &mut Faults, path: &str, all: &BTreeSet<Controller>) {
    faults.bounded(path, all.len(), MAX_CONTROLLERS);
    faults.once(path, all.iter().map(|one| &one.name));
    for one in all {
        faults.text(&format!("{}.name", named(path, &one.name)), &one.name, MAX_TEXT_BYTES);
    }
}
