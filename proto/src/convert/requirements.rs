//! What a caller demands.

use std::collections::{BTreeMap, BTreeSet};

use comity_policy::Requirements;
use comity_policy::requirements::{AllowLists, PriceCeiling, RetentionLimit};
use comity_types::{Currency, PlaceOrBloc, Price};

use super::{
    MAX_REQUEST_LIST, MAX_TEXT_BYTES, WireError, bounded, capability, place_set, retention_trigger, text,
    wire_capability, wire_place_set, wire_retention_trigger,
};
use crate::policy as wire;

/// Most price ceilings of a request.
const MAX_PRICES: usize = 8;

impl TryFrom<wire::Requirements> for Requirements {
    type Error = WireError;

    fn try_from(wire: wire::Requirements) -> Result<Self, WireError> {
        let capabilities = wire.required_capabilities.iter().enumerate();
        let capabilities =
            capabilities.map(|(index, number)| capability(&format!("required_capabilities[{index}]"), *number));
        Ok(Self {
            allowed_processing_locations: allowed("allowed_processing_locations", &wire.allowed_processing_locations)?,
            forbidden_processing_locations: forbidden(
                "forbidden_processing_locations",
                wire.forbidden_processing_locations,
            )?,
            allowed_storage_locations: allowed("allowed_storage_locations", &wire.allowed_storage_locations)?,
            forbidden_storage_locations: forbidden("forbidden_storage_locations", wire.forbidden_storage_locations)?,
            allowed_access_locations: allowed("allowed_access_locations", &wire.allowed_access_locations)?,
            forbidden_access_locations: forbidden("forbidden_access_locations", wire.forbidden_access_locations)?,
            allowed_operator_seats: allowed("allowed_operator_seats", &wire.allowed_operator_seats)?,
            allowed_controller_seats: allowed("allowed_controller_seats", &wire.allowed_controller_seats)?,
            forbidden_controller_seats: forbidden("forbidden_controller_seats", wire.forbidden_controller_seats)?,
            retention_limits: retention_limits(&wire.retention_limits)?,
            no_training: wire.no_training,
            allowed_licences: licences(wire.allowed_licences)?,
            max_prices: max_prices(wire.max_prices)?,
            required_capabilities: capabilities.collect::<Result<_, _>>()?,
        })
    }
}

fn allowed(path: &str, sets: &[wire::PlaceSet]) -> Result<AllowLists<PlaceOrBloc>, WireError> {
    bounded(path, sets.len(), MAX_REQUEST_LIST)?;
    let sets = sets.iter().enumerate().map(|(index, set)| place_set(&format!("{path}[{index}]"), set));
    sets.collect::<Result<_, _>>().map(AllowLists)
}

fn forbidden(path: &str, set: Option<wire::PlaceSet>) -> Result<BTreeSet<PlaceOrBloc>, WireError> {
    place_set(path, &set.unwrap_or_default())
}

fn retention_limits(limits: &[wire::RetentionLimit]) -> Result<BTreeSet<RetentionLimit>, WireError> {
    bounded("retention_limits", limits.len(), MAX_REQUEST_LIST)?;
    let convert = |(index, limit): (usize, &wire::RetentionLimit)| {
        let path = format!("retention_limits[{index}].accept_retention_triggers");
        let triggers = limit.accept_retention_triggers.iter().map(|number| retention_trigger(&path, *number));
        let accept_triggers = triggers.collect::<Result<_, _>>()?;
        Ok(RetentionLimit { max_days: limit.max_content_retention_days, accept_triggers })
    };
    limits.iter().enumerate().map(convert).collect()
}

fn licences(sets: Vec<wire::LicenceSet>) -> Result<AllowLists<String>, WireError> {
    bounded("allowed_licences", sets.len(), MAX_REQUEST_LIST)?;
    let convert = |(index, set): (usize, wire::LicenceSet)| {
        let path = format!("allowed_licences[{index}].licences");
        bounded(&path, set.licences.len(), super::MAX_LIST)?;
        set.licences.into_iter().map(|licence| text(&path, licence, MAX_TEXT_BYTES)).collect::<Result<_, _>>()
    };
    sets.into_iter().enumerate().map(convert).collect::<Result<_, _>>().map(AllowLists)
}

fn max_prices(prices: Vec<wire::Price>) -> Result<BTreeMap<Currency, PriceCeiling>, WireError> {
    bounded("max_prices", prices.len(), MAX_PRICES)?;
    let mut ceilings = BTreeMap::new();
    for (index, price) in prices.into_iter().enumerate() {
        let path = format!("max_prices[{index}]");
        let price = Price::try_from(price).map_err(|error| error.within(&path))?;
        let ceiling = PriceCeiling {
            input_micros: price.input_micros_per_million_tokens,
            output_micros: price.output_micros_per_million_tokens,
        };
        if ceilings.insert(price.currency, ceiling).is_some() {
            return Err(WireError::new(path, "a currency has one ceiling"));
        }
    }
    Ok(ceilings)
}

impl From<&Requirements> for wire::Requirements {
    fn from(domain: &Requirements) -> Self {
        let allowed = |lists: &AllowLists<PlaceOrBloc>| lists.0.iter().map(wire_place_set).collect();
        let forbidden = |set: &BTreeSet<PlaceOrBloc>| (!set.is_empty()).then(|| wire_place_set(set));
        let limit = |limit: &RetentionLimit| wire::RetentionLimit {
            max_content_retention_days: limit.max_days,
            accept_retention_triggers: limit
                .accept_triggers
                .iter()
                .map(|one| wire_retention_trigger(*one).into())
                .collect(),
        };
        let price = |(currency, ceiling): (&Currency, &PriceCeiling)| wire::Price {
            currency: currency.to_string(),
            input_micros_per_million_tokens: ceiling.input_micros,
            output_micros_per_million_tokens: ceiling.output_micros,
        };
        let licences = domain.allowed_licences.0.iter();
        Self {
            allowed_processing_locations: allowed(&domain.allowed_processing_locations),
            forbidden_processing_locations: forbidden(&domain.forbidden_processing_locations),
            allowed_storage_locations: allowed(&domain.allowed_storage_locations),
            forbidden_storage_locations: forbidden(&domain.forbidden_storage_locations),
            allowed_access_locations: allowed(&domain.allowed_access_locations),
            forbidden_access_locations: forbidden(&domain.forbidden_access_locations),
            allowed_operator_seats: allowed(&domain.allowed_operator_seats),
            allowed_controller_seats: allowed(&domain.allowed_controller_seats),
            forbidden_controller_seats: forbidden(&domain.forbidden_controller_seats),
            retention_limits: domain.retention_limits.iter().map(limit).collect(),
            no_training: domain.no_training,
            allowed_licences: licences
                .map(|set| wire::LicenceSet { licences: set.iter().cloned().collect() })
                .collect(),
            max_prices: domain.max_prices.iter().map(price).collect(),
            required_capabilities: domain
                .required_capabilities
                .iter()
                .map(|one| wire_capability(*one).into())
                .collect(),
        }
    }
}
