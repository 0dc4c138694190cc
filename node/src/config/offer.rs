//! `[[offers]]`: what the node offers, and how it fits backends and terms.

use std::collections::{BTreeMap, BTreeSet};

use comity_policy::offer::{Modality, Objective, OfferState, SafetyGrade, SubProcessor};
use comity_policy::{Capability, Claim, Offer};
use comity_types::{Digest, Interval, ModelName, Name, Place, Price, SpiffeId};
use serde::Deserialize;

use super::{Config, Misfit};

/// Offers that a node may publish, as `PublishOffersRequest.offers` states.
const MAX_OFFERS: usize = 256;

/// An offer, as the file states it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferConfig {
    /// Unique on this node.
    pub id: Name,
    /// The model's public name: what a caller asks for.
    pub model: ModelName,
    /// The backend, by its name in this file.
    pub backend: Name,
    /// The backend's own name for the model; the public name if absent.
    pub backend_model: Option<String>,
    /// SHA-256 of the weights; the node fills it in where it has the file.
    pub model_digest: Option<Claim<Digest>>,
    /// Who made the model.
    pub model_provider: Option<String>,
    /// What the model reads and writes.
    pub modalities: Option<Claim<BTreeSet<Modality>>>,
    /// What the model can do.
    pub capabilities: BTreeSet<Capability>,
    /// Where requests are processed.
    pub processing_locations: Option<Claim<BTreeSet<Place>>>,
    /// Where data is stored.
    pub storage_locations: Option<Claim<BTreeSet<Place>>>,
    /// From where people can reach the machine.
    pub access_locations: Option<Claim<BTreeSet<Place>>>,
    /// Everybody else who takes part.
    pub sub_processors: Option<Claim<BTreeSet<SubProcessor>>>,
    /// Sovereignty ratings by objective.
    pub seal: Option<Claim<BTreeMap<Objective, u8>>>,
    /// The CADA level, 1 to 4.
    pub cada_level: Option<Claim<u8>>,
    /// The Gaia-X label, 1 to 3.
    pub gaiax_label: Option<Claim<u8>>,
    /// The grade of a safety benchmark.
    pub safety_grade: Option<Claim<SafetyGrade>>,
    /// What it runs in.
    pub runtime: Option<Claim<String>>,
    /// The model's licence.
    pub licence: Option<Claim<String>>,
    /// Grams of CO2 equivalent for a million tokens.
    pub carbon_grams_per_million_tokens: Option<u64>,
    /// Whether it takes calls.
    #[serde(default)]
    pub state: OfferState,
    /// What it costs.
    pub price: Option<Price>,
    /// The terms, by their name in this file.
    pub terms: Name,
    /// When the offer is in force.
    #[serde(default)]
    pub in_force: Interval,
    /// The longest context, in tokens.
    pub context_tokens: Option<u32>,
}

/// An offer that fits, with the way to its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The offer; the model's digest is filled in when the backend is open.
    pub offer: Offer,
    /// The backend, by its name in the file.
    pub backend: Name,
    /// The backend's own name for the model.
    pub backend_model: String,
}

/// Every offer, or every misfit.
pub(super) fn plan(config: &Config, node: &SpiffeId) -> Result<Vec<Planned>, Vec<Misfit>> {
    let misfits = misfits(config);
    if !misfits.is_empty() {
        return Err(misfits);
    }
    let planned: Vec<_> = config.offers.iter().map(|offer| planned(config, offer, node)).collect();
    let misfits: Vec<_> = planned.iter().filter_map(unpublishable).collect();
    if misfits.is_empty() { Ok(planned) } else { Err(misfits) }
}

/// What the broker would refuse of an offer, said before anybody is asked.
fn unpublishable(planned: &Planned) -> Option<Misfit> {
    let error = Offer::try_from(comity_proto::policy::Offer::from(&planned.offer)).err()?;
    Some(misfit(format!("offers.{}.{}", planned.offer.id, error.path), error.problem))
}

fn planned(config: &Config, offer: &OfferConfig, node: &SpiffeId) -> Planned {
    let OfferConfig { id, model, backend, backend_model, capabilities, .. } = offer.clone();
    Planned {
        backend,
        backend_model: backend_model.unwrap_or_else(|| model.to_string()),
        offer: Offer {
            id,
            node: node.clone(),
            model,
            model_digest: offer.model_digest.clone(),
            model_provider: offer.model_provider.clone(),
            modalities: offer.modalities.clone(),
            capabilities,
            processing_locations: offer.processing_locations.clone(),
            storage_locations: offer.storage_locations.clone(),
            access_locations: offer.access_locations.clone(),
            sub_processors: offer.sub_processors.clone(),
            seal: offer.seal.clone(),
            cada_level: offer.cada_level.clone(),
            gaiax_label: offer.gaiax_label.clone(),
            safety_grade: offer.safety_grade.clone(),
            runtime: offer.runtime.clone(),
            licence: offer.licence.clone(),
            price: offer.price.clone(),
            carbon_grams_per_million_tokens: offer.carbon_grams_per_million_tokens,
            state: offer.state,
            terms: config.terms.get(&offer.terms).cloned(),
            in_force: offer.in_force,
            context_tokens: offer.context_tokens,
        },
    }
}

fn misfits(config: &Config) -> Vec<Misfit> {
    let mut misfits = config.node.misfits();
    for (name, backend) in &config.backends {
        misfits.extend(backend.misfits().into_iter().map(|p| misfit(format!("backends.{name}"), p)));
    }
    if config.offers.is_empty() || config.offers.len() > MAX_OFFERS {
        misfits.push(misfit(
            "offers",
            format!("a node has 1 to {MAX_OFFERS} offers, this one has {}", config.offers.len()),
        ));
    }
    let mut seen = BTreeSet::new();
    for offer in &config.offers {
        let path = |field: &str| format!("offers.{}.{field}", offer.id);
        if !seen.insert(&offer.id) {
            misfits.push(misfit(path("id"), "another offer has this id: rename one"));
        }
        if !config.backends.contains_key(&offer.backend) {
            misfits.push(misfit(path("backend"), format!("there is no [backends.{}]: add it", offer.backend)));
        }
        if !config.terms.contains_key(&offer.terms) {
            misfits.push(misfit(path("terms"), format!("there is no [terms.{}]: add it", offer.terms)));
        }
        misfits.extend(incomplete(config, offer).into_iter().map(|(field, problem)| misfit(path(field), problem)));
    }
    misfits
}

/// What is missing would make the offer refuse every caller: better said now.
fn incomplete(config: &Config, offer: &OfferConfig) -> Vec<(&'static str, &'static str)> {
    let terms = config.terms.get(&offer.terms);
    let lacks = |there: Option<bool>| there == Some(false);
    let checks = [
        (offer.capabilities.is_empty(), "capabilities", "is empty: no call needs this offer"),
        (offer.in_force.is_empty(), "in_force", "`from` must be before `until`"),
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
