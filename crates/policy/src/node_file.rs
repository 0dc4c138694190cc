//! `node.toml`, as far as it is about offers: what the node publishes and `comity policy check` judges, read alike.

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Digest, Distinct, Interval, ModelName, Name, Place, Price, SpiffeId};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::check::{Fault, codes};
use crate::offer::{Modality, Objective, OfferState, SafetyGrade, SubProcessor};
use crate::{Capability, Claim, Offer, Tables, Terms, check};

/// Offers that a node may publish, as `PublishOffersRequest.offers` states.
pub const MAX_OFFERS: usize = 256;

/// The file: the node itself and its backends are the node's to read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    #[serde(default, rename = "node")]
    _node: IgnoredAny,
    #[serde(default, rename = "identity")]
    _identity: IgnoredAny,
    #[serde(default, rename = "metrics")]
    _metrics: IgnoredAny,
    #[serde(default, rename = "staleness")]
    _staleness: IgnoredAny,
    #[serde(default, rename = "backends")]
    _backends: IgnoredAny,
    /// Terms that offers refer to, by name.
    #[serde(default)]
    pub terms: BTreeMap<Name, Terms>,
    /// What the node offers.
    pub offers: Vec<OfferEntry>,
}

/// Requests that a node works on at once, at most: each holds its payload, some tens of KiB as a rule.
pub const MAX_IN_FLIGHT: u32 = 1024;

/// An entry of `[[offers]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferEntry {
    /// Unique on this node.
    pub id: Name,
    /// The model's public name: what a caller asks for.
    pub model: ModelName,
    /// The backend, by its name in the file.
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
    /// The terms, by their name in the file.
    pub terms: Name,
    /// When the offer is in force.
    #[serde(default)]
    pub in_force: Interval,
    /// The longest context, in tokens.
    pub context_tokens: Option<u32>,
    /// How many requests of it the node works on at once; as many as of all its offers, if absent.
    pub max_in_flight: Option<u32>,
}

impl OfferEntry {
    /// The offer that the node with this identity makes, under these terms.
    #[must_use]
    pub fn offer(&self, node: &SpiffeId, terms: Option<&Terms>) -> Offer {
        let entry = self.clone();
        Offer {
            id: entry.id,
            node: node.clone(),
            model: entry.model,
            model_digest: entry.model_digest,
            model_provider: entry.model_provider,
            modalities: entry.modalities,
            capabilities: entry.capabilities,
            processing_locations: entry.processing_locations,
            storage_locations: entry.storage_locations,
            access_locations: entry.access_locations,
            sub_processors: entry.sub_processors,
            seal: entry.seal,
            cada_level: entry.cada_level,
            gaiax_label: entry.gaiax_label,
            safety_grade: entry.safety_grade,
            runtime: entry.runtime,
            licence: entry.licence,
            price: entry.price,
            terms: terms.cloned(),
            state: entry.state,
            in_force: entry.in_force,
            context_tokens: entry.context_tokens,
            carbon_grams_per_million_tokens: entry.carbon_grams_per_million_tokens,
        }
    }
}

/// What cannot be as it stands in these entries and terms, with paths such as `offers.chat.licence`.
#[must_use]
pub fn faults(offers: &[OfferEntry], terms: &BTreeMap<Name, Terms>, node: &SpiffeId, tables: &Tables) -> Vec<Fault> {
    let mut found = Vec::new();
    if offers.is_empty() || offers.len() > MAX_OFFERS {
        let problem = format!("a node has 1 to {MAX_OFFERS} offers, this one has {}", offers.len());
        found.push(Fault::new("offers", problem));
    }
    let mut seen = BTreeSet::new();
    for entry in offers {
        let holder = format!("offers.{}", entry.id);
        if !seen.insert(&entry.id) {
            found.push(Fault::new(format!("{holder}.id"), "another offer has this id: rename one"));
        }
        if entry.max_in_flight.is_some_and(|most| !(1..=MAX_IN_FLIGHT).contains(&most)) {
            let problem = format!("1 to {MAX_IN_FLIGHT} requests are accepted");
            found.push(Fault::new(format!("{holder}.max_in_flight"), problem));
        }
        if !terms.contains_key(&entry.terms) {
            found.push(Fault::new(format!("{holder}.terms"), format!("there is no [terms.{}]: add it", entry.terms)));
        }
        let offer = entry.offer(node, None);
        let own = check::offer(&offer).into_iter().chain(codes::offer(&offer, tables));
        found.extend(own.map(|fault| fault.within(&holder)));
    }
    for (name, terms) in terms {
        let own = check::terms(terms).into_iter().chain(codes::terms(terms, tables));
        found.extend(own.map(|fault| fault.within(&format!("terms.{name}"))));
    }
    found
}

impl NodeFile {
    /// Reads a text.
    ///
    /// # Errors
    /// Names the line and the key.
    pub fn parse(text: &str) -> Result<Self, Box<toml::de::Error>> {
        let file = toml::from_str(text)?;
        toml::from_str::<Distinct>(text)?;
        Ok(file)
    }

    /// The offers that the node with this identity makes, or every fault.
    ///
    /// # Errors
    /// All of them, not the first.
    pub fn offers(&self, node: &SpiffeId, tables: &Tables) -> Result<Vec<Offer>, Vec<Fault>> {
        let found = faults(&self.offers, &self.terms, node, tables);
        if found.is_empty() {
            Ok(self.offers.iter().map(|entry| entry.offer(node, self.terms.get(&entry.terms))).collect())
        } else {
            Err(found)
        }
    }
}
