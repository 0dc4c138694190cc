//! Offers and their terms.

use comity_policy::offer::{CallerRules, OwnershipRule, OwnershipTarget, RetentionRule, Served};
use comity_policy::{Claim, Offer, Terms};
use comity_types::{Digest, Price};

use super::claims::{interval, places, wire_interval, wire_places};
use super::{
    MAX_TEXT_BYTES, WireError, bounded, capability, parse, place_set, purposes, retention_data, retention_trigger,
    text, training_use, wire_capability, wire_place_set, wire_retention_data, wire_retention_trigger,
    wire_training_use,
};
use crate::policy as wire;

/// Most retention rules, and most ownership rules, of one offer.
const MAX_RULES: usize = 32;
/// Longest licence identifier, in bytes.
const MAX_LICENCE_BYTES: usize = 128;
/// Longest name of an ownership rule, in bytes.
const MAX_RULE_ID_BYTES: usize = 64;

impl TryFrom<wire::Offer> for Offer {
    type Error = WireError;

    fn try_from(offer: wire::Offer) -> Result<Self, WireError> {
        let capabilities = offer.capabilities.iter().enumerate();
        let capabilities = capabilities.map(|(index, number)| capability(&format!("capabilities[{index}]"), *number));
        let capabilities = capabilities.collect::<Result<std::collections::BTreeSet<_>, _>>()?;
        if capabilities.is_empty() {
            return Err(WireError::new("capabilities", "an offer has at least one"));
        }
        Ok(Self {
            id: parse("id", &offer.id)?,
            node: parse("node", &offer.node)?,
            model: parse("model", &offer.model)?,
            model_sha256: sha256(&offer.model_sha256)?,
            capabilities,
            processing_locations: places("processing_locations", offer.processing_locations)?,
            storage_locations: places("storage_locations", offer.storage_locations)?,
            access_locations: places("access_locations", offer.access_locations)?,
            licence: offer.licence.map(licence).transpose()?,
            price: offer
                .price
                .map(|price| price.try_into().map_err(|error: WireError| error.within("price")))
                .transpose()?,
            terms: offer
                .terms
                .map(|terms| terms.try_into().map_err(|error: WireError| error.within("terms")))
                .transpose()?,
            in_force: interval("in_force", offer.in_force)?,
            context_tokens: (offer.context_tokens > 0).then_some(offer.context_tokens),
        })
    }
}

fn sha256(bytes: &[u8]) -> Result<Option<Digest>, WireError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let digest = bytes.try_into().map(Digest::from_bytes);
    digest
        .map(Some)
        .map_err(|_| WireError::new("model_sha256", format!("32 bytes are accepted, {} were sent", bytes.len())))
}

fn licence(claim: wire::LicenceClaim) -> Result<Claim<String>, WireError> {
    let value = text("licence.licence", claim.licence, MAX_LICENCE_BYTES)?;
    Ok(Claim { value, validity: interval("licence.validity", claim.validity)? })
}

impl TryFrom<wire::Price> for Price {
    type Error = WireError;

    fn try_from(price: wire::Price) -> Result<Self, WireError> {
        Ok(Self {
            currency: parse("currency", &price.currency)?,
            input_micros_per_million_tokens: price.input_micros_per_million_tokens,
            output_micros_per_million_tokens: price.output_micros_per_million_tokens,
        })
    }
}

impl TryFrom<wire::Terms> for Terms {
    type Error = WireError;

    fn try_from(terms: wire::Terms) -> Result<Self, WireError> {
        let training = |claim: wire::TrainingUseClaim| {
            let value = training_use("training_use.training_use", claim.training_use)?;
            Ok(Claim { value, validity: interval("training_use.validity", claim.validity)? })
        };
        Ok(Self {
            retention: terms.retention.as_ref().map(retention).transpose()?,
            training_use: terms.training_use.map(training).transpose()?,
            allowed_purposes: purposes("allowed_purposes", terms.allowed_purposes)?,
            prohibited_purposes: purposes("prohibited_purposes", terms.prohibited_purposes)?,
            caller_rules: terms.caller_rules.map(caller_rules).transpose()?,
        })
    }
}

fn retention(claim: &wire::RetentionClaim) -> Result<Claim<Vec<RetentionRule>>, WireError> {
    bounded("retention.rules", claim.rules.len(), MAX_RULES)?;
    let rule = |(index, rule): (usize, &wire::RetentionRule)| {
        let path = format!("retention.rules[{index}]");
        Ok(RetentionRule {
            data: retention_data(&format!("{path}.data"), rule.data)?,
            trigger: retention_trigger(&format!("{path}.trigger"), rule.trigger)?,
            max_days: rule.max_days,
        })
    };
    let value = claim.rules.iter().enumerate().map(rule).collect::<Result<_, WireError>>()?;
    Ok(Claim { value, validity: interval("retention.validity", claim.validity)? })
}

fn caller_rules(rules: wire::CallerRules) -> Result<CallerRules, WireError> {
    use wire::served::Served as Wire;
    bounded("caller_rules.ownership", rules.ownership.len(), MAX_RULES)?;
    let served = match rules.served.and_then(|served| served.served) {
        Some(Wire::Everyone(true)) => Served::Everyone,
        Some(Wire::Places(set)) => Served::Places(place_set("caller_rules.served.places", &set)?),
        Some(Wire::Everyone(false)) | None => {
            return Err(WireError::new("caller_rules.served", "must be `everyone: true` or a set of places"));
        }
    };
    let served_except = place_set("caller_rules.served_except", &rules.served_except.unwrap_or_default())?;
    let ownership = rules.ownership.into_iter().enumerate();
    let ownership = ownership.map(|(index, rule)| ownership_rule(&format!("caller_rules.ownership[{index}]"), rule));
    Ok(CallerRules { served, served_except, ownership: ownership.collect::<Result<_, _>>()? })
}

fn ownership_rule(path: &str, rule: wire::OwnershipRule) -> Result<OwnershipRule, WireError> {
    use wire::ownership_rule::Target as Wire;
    let target = match rule.target {
        Some(Wire::PlacesNotServed(true)) => OwnershipTarget::PlacesNotServed,
        Some(Wire::Places(set)) => OwnershipTarget::Places(place_set(&format!("{path}.places"), &set)?),
        Some(Wire::PlacesNotServed(false)) | None => {
            return Err(WireError::new(
                format!("{path}.target"),
                "must be `places_not_served: true` or a set of places",
            ));
        }
    };
    Ok(OwnershipRule { id: text(&format!("{path}.id"), rule.id, MAX_RULE_ID_BYTES.min(MAX_TEXT_BYTES))?, target })
}

impl From<&Offer> for wire::Offer {
    fn from(offer: &Offer) -> Self {
        let licence = |claim: &Claim<String>| wire::LicenceClaim {
            licence: claim.value.clone(),
            validity: wire_interval(claim.validity),
        };
        Self {
            id: offer.id.to_string(),
            node: offer.node.to_string(),
            model: offer.model.to_string(),
            model_sha256: offer.model_sha256.map(|digest| digest.as_bytes().to_vec().into()).unwrap_or_default(),
            capabilities: offer.capabilities.iter().map(|one| wire_capability(*one).into()).collect(),
            processing_locations: offer.processing_locations.as_ref().map(wire_places),
            storage_locations: offer.storage_locations.as_ref().map(wire_places),
            access_locations: offer.access_locations.as_ref().map(wire_places),
            licence: offer.licence.as_ref().map(licence),
            price: offer.price.as_ref().map(Into::into),
            terms: offer.terms.as_ref().map(Into::into),
            in_force: wire_interval(offer.in_force),
            context_tokens: offer.context_tokens.unwrap_or(0),
        }
    }
}

impl From<&Price> for wire::Price {
    fn from(price: &Price) -> Self {
        Self {
            currency: price.currency.to_string(),
            input_micros_per_million_tokens: price.input_micros_per_million_tokens,
            output_micros_per_million_tokens: price.output_micros_per_million_tokens,
        }
    }
}

impl From<&Terms> for wire::Terms {
    fn from(terms: &Terms) -> Self {
        let rule = |rule: &RetentionRule| wire::RetentionRule {
            data: wire_retention_data(rule.data).into(),
            trigger: wire_retention_trigger(rule.trigger).into(),
            max_days: rule.max_days,
        };
        Self {
            retention: terms.retention.as_ref().map(|claim| wire::RetentionClaim {
                rules: claim.value.iter().map(rule).collect(),
                validity: wire_interval(claim.validity),
            }),
            training_use: terms.training_use.as_ref().map(|claim| wire::TrainingUseClaim {
                training_use: wire_training_use(claim.value).into(),
                validity: wire_interval(claim.validity),
            }),
            allowed_purposes: terms.allowed_purposes.iter().cloned().collect(),
            prohibited_purposes: terms.prohibited_purposes.iter().cloned().collect(),
            caller_rules: terms.caller_rules.as_ref().map(Into::into),
        }
    }
}

impl From<&CallerRules> for wire::CallerRules {
    fn from(rules: &CallerRules) -> Self {
        use wire::{ownership_rule::Target, served::Served as Wire};
        let served = match &rules.served {
            Served::Everyone => Wire::Everyone(true),
            Served::Places(places) => Wire::Places(wire_place_set(places)),
        };
        let rule = |rule: &OwnershipRule| wire::OwnershipRule {
            id: rule.id.clone(),
            target: Some(match &rule.target {
                OwnershipTarget::PlacesNotServed => Target::PlacesNotServed(true),
                OwnershipTarget::Places(places) => Target::Places(wire_place_set(places)),
            }),
        };
        Self {
            served: Some(wire::Served { served: Some(served) }),
            served_except: (!rules.served_except.is_empty()).then(|| wire_place_set(&rules.served_except)),
            ownership: rules.ownership.iter().map(rule).collect(),
        }
    }
}
