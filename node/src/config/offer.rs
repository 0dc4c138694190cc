//! `[[offers]]`: what the node offers, and how it fits backends and terms.

use comity_policy::node_file::{self, OfferEntry};
use comity_policy::{Offer, Tables};
use comity_types::{Name, SpiffeId};

use super::{Config, Misfit};

/// An offer that fits, with the way to its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The offer; the model's digest is filled in when the backend is open.
    pub offer: Offer,
    /// The backend, by its name in the file.
    pub backend: Name,
    /// The backend's own name for the model.
    pub backend_model: String,
    /// How many requests of it the node works on at once.
    pub max_in_flight: u32,
}

/// Every offer, or every misfit.
pub(super) fn plan(config: &Config, node: &SpiffeId, tables: &Tables) -> Result<Vec<Planned>, Vec<Misfit>> {
    let misfits = misfits(config, node, tables);
    if !misfits.is_empty() {
        return Err(misfits);
    }
    let planned: Vec<_> = config.offers.iter().map(|offer| planned(config, offer, node)).collect();
    let misfits: Vec<_> = planned.iter().filter_map(unpublishable).collect();
    if misfits.is_empty() { Ok(planned) } else { Err(misfits) }
}

/// What the node means to publish, for those who decide whether it is let in; nothing where the file has no offers. What
/// else in the file is not finished yet keeps nobody from joining.
pub(super) fn intended(config: &Config, node: &SpiffeId, tables: &Tables) -> Result<Vec<Offer>, Vec<Misfit>> {
    if config.offers.is_empty() {
        return Ok(Vec::new());
    }
    let misfits = offer_misfits(config, node, tables);
    if !misfits.is_empty() {
        return Err(misfits);
    }
    let planned: Vec<_> = config.offers.iter().map(|offer| planned(config, offer, node)).collect();
    let misfits: Vec<_> = planned.iter().filter_map(unpublishable).collect();
    if misfits.is_empty() { Ok(planned.into_iter().map(|planned| planned.offer).collect()) } else { Err(misfits) }
}

/// What the broker would refuse of an offer, said before anybody is asked.
fn unpublishable(planned: &Planned) -> Option<Misfit> {
    let error = Offer::try_from(comity_proto::policy::Offer::from(&planned.offer)).err()?;
    Some(misfit(format!("offers.{}.{}", planned.offer.id, error.path), error.problem))
}

fn planned(config: &Config, entry: &OfferEntry, node: &SpiffeId) -> Planned {
    Planned {
        backend: entry.backend.clone(),
        max_in_flight: entry.max_in_flight.unwrap_or(node_file::MAX_IN_FLIGHT),
        backend_model: entry.backend_model.clone().unwrap_or_else(|| entry.model.to_string()),
        offer: entry.offer(node, config.terms.get(&entry.terms)),
    }
}

fn misfits(config: &Config, node: &SpiffeId, tables: &Tables) -> Vec<Misfit> {
    let mut misfits = config.node.misfits();
    misfits.extend(config.misfits());
    for (name, backend) in &config.backends {
        misfits.extend(backend.misfits().into_iter().map(|p| misfit(format!("backends.{name}"), p)));
    }
    misfits.extend(offer_misfits(config, node, tables));
    misfits
}

/// What of the offers, and the terms that they name, cannot be as it stands.
fn offer_misfits(config: &Config, node: &SpiffeId, tables: &Tables) -> Vec<Misfit> {
    let faults = node_file::faults(&config.offers, &config.terms, node, tables);
    let mut misfits: Vec<_> = faults.into_iter().map(|fault| misfit(fault.path, fault.problem)).collect();
    for offer in &config.offers {
        let path = |field: &str| format!("offers.{}.{field}", offer.id);
        if !config.backends.contains_key(&offer.backend) {
            misfits.push(misfit(path("backend"), format!("there is no [backends.{}]: add it", offer.backend)));
        }
        misfits.extend(incomplete(config, offer).into_iter().map(|(field, problem)| misfit(path(field), problem)));
    }
    misfits
}

/// What is missing would make the offer refuse every caller: better said now.
fn incomplete(config: &Config, offer: &OfferEntry) -> Vec<(&'static str, &'static str)> {
    let terms = config.terms.get(&offer.terms);
    let lacks = |there: Option<bool>| there == Some(false);
    let checks = [
        (
            offer
                .processing_locations
                .as_ref()
                .is_none_or(|claim| claim.statements().iter().all(|one| one.value.is_empty())),
            "processing_locations",
            "is missing or empty: callers that restrict places refuse unknown ones",
        ),
        (
            offer.sub_processors.is_none(),
            "sub_processors",
            "is missing: [] states that there are none; callers that restrict places refuse unknown ones",
        ),
        (offer.licence.is_none(), "licence", "is missing: an unknown licence is refused"),
        (lacks(terms.map(|t| t.caller_rules.is_some())), "terms", "has no caller_rules: nobody would be served"),
        (lacks(terms.map(|t| t.retention.is_some())), "terms", "has no retention: callers that limit it refuse"),
        (lacks(terms.map(|t| t.training_use.is_some())), "terms", "has no training_use: callers that limit it refuse"),
        (
            lacks(terms.map(|t| !t.allowed_purposes.is_empty())),
            "terms",
            "has no allowed_purposes: nothing would be allowed",
        ),
    ];
    checks.into_iter().filter(|(wrong, ..)| *wrong).map(|(_, field, problem)| (field, problem)).collect()
}

fn misfit(path: impl Into<String>, problem: impl Into<String>) -> Misfit {
    Misfit::new(path, problem)
}
