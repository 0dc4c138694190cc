//! Offers, their terms left out.

use std::collections::BTreeSet;

use comity_types::Place;

use super::organisation::controllers;
use super::{Faults, named};
use crate::limits::{
    MAX_CADA_LEVEL, MAX_GAIAX_LABEL, MAX_ID_BYTES, MAX_LIST, MAX_SEAL, MAX_SUB_PROCESSORS, MAX_TEXT_BYTES,
};
use crate::offer::SubProcessor;
use crate::{Claim, Offer};

pub(super) fn check(offer: &Offer, faults: &mut Faults) {
    if offer.capabilities.is_empty() {
        faults.add("capabilities", "is empty: no call needs this offer");
    }
    if let Some(provider) = &offer.model_provider {
        faults.text("model_provider", provider, MAX_TEXT_BYTES);
    }
    faults.claim("model_digest", offer.model_digest.as_ref(), |_, _, _| {});
    faults.claim("modalities", offer.modalities.as_ref(), |_, _, _| {});
    places("processing_locations", offer.processing_locations.as_ref(), faults);
    places("storage_locations", offer.storage_locations.as_ref(), faults);
    places("access_locations", offer.access_locations.as_ref(), faults);
    faults.claim("sub_processors", offer.sub_processors.as_ref(), sub_processors);
    faults.claim("seal", offer.seal.as_ref(), |faults, path, ratings| {
        ratings.iter().for_each(|(objective, level)| faults.level(&format!("{path}.{objective}"), *level, 0, MAX_SEAL));
    });
    faults.claim("cada_level", offer.cada_level.as_ref(), |f, path, level| f.level(path, *level, 1, MAX_CADA_LEVEL));
    faults.claim("gaiax_label", offer.gaiax_label.as_ref(), |f, path, level| f.level(path, *level, 1, MAX_GAIAX_LABEL));
    faults.claim("safety_grade", offer.safety_grade.as_ref(), |_, _, _| {});
    faults.claim("runtime", offer.runtime.as_ref(), |faults, path, text| faults.text(path, text, MAX_TEXT_BYTES));
    faults.claim("licence", offer.licence.as_ref(), |faults, path, text| faults.text(path, text, MAX_TEXT_BYTES));
    faults.interval("in_force", offer.in_force);
}

/// A claim of places.
pub(super) fn places(path: &str, claim: Option<&Claim<BTreeSet<Place>>>, faults: &mut Faults) {
    faults.claim(path, claim, |faults, path, places| faults.bounded(path, places.len(), MAX_LIST));
}

/// What reasons call the parties of a decision.
const ROLES: [&str; 5] = ["operator", "caller", "request", "broker", "offer"];

fn sub_processors(faults: &mut Faults, path: &str, all: &BTreeSet<SubProcessor>) {
    faults.bounded(path, all.len(), MAX_SUB_PROCESSORS);
    faults.once(path, all.iter().map(|one| &one.id));
    for one in all {
        let path = named(path, &one.id);
        let id = format!("{path}.id");
        faults.text(&id, &one.id, MAX_ID_BYTES);
        faults.quotable(&id, &one.id);
        if ROLES.contains(&one.id.as_str()) {
            faults.add(&id, "is the name that reasons have for another party: choose another one");
        }
        faults.bounded(&format!("{path}.places"), one.places.len(), MAX_LIST);
        faults.bounded(&format!("{path}.establishments"), one.establishments.iter().flatten().count(), MAX_LIST);
        if let Some(all) = &one.ultimate_controllers {
            controllers(faults, &format!("{path}.ultimate_controllers"), all);
        }
    }
}
