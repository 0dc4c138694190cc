//! Offers.

use std::collections::{BTreeMap, BTreeSet};

use comity_policy::limits::{MAX_ID_BYTES, MAX_SEAL, MAX_SUB_PROCESSORS};
use comity_policy::offer::{Modality, Objective, OfferState, SafetyGrade, SubProcessor, SubProcessorRole};
use comity_policy::{Claim, Offer, Terms, check};
use comity_types::{Place, Price};

use super::claims::{
    claim, digest, interval, place_list, places, strings, text_claim, wire_claim, wire_interval, wire_places, wire_text,
};
use super::organisation::{controllers, wire_controllers};
use super::{
    MAX_TEXT_BYTES, MAX_VALUES, Read, WireError, bounded, capabilities, enums, optional, optional_text, or_default,
    own_word, parse, text, wire_capability, without,
};
use crate::policy as wire;

/// The highest sovereignty rating.
const MAX_RATING: u32 = MAX_SEAL as u32;

enums!(modality, wire_modality, Modality, Modality, [Text, Image, Audio, Video]);
enums!(objective, wire_objective, Objective, Objective, [Sov1, Sov2, Sov3, Sov4, Sov5, Sov6, Sov7, Sov8]);
enums!(safety_grade, wire_safety_grade, SafetyGrade, SafetyGrade, [Poor, Fair, Good, VeryGood, Excellent]);
enums!(offer_state, wire_offer_state, OfferState, OfferState, [Active, Draining, Withdrawn]);
enums!(
    role,
    wire_role,
    SubProcessorRole,
    SubProcessorRole,
    [CloudHost, Support, Safety, Billing, KeyCustodian, ModelProvider]
);

impl TryFrom<wire::Offer> for Offer {
    type Error = WireError;

    fn try_from(wire: wire::Offer) -> Result<Self, WireError> {
        own_word::check(&wire)?;
        Self::read(wire)
    }
}

impl Read<wire::Offer> for Offer {
    fn read(wire: wire::Offer) -> Result<Self, WireError> {
        let able = capabilities("capabilities", &wire.capabilities)?;
        if able.is_empty() {
            return Err(WireError::new("capabilities", "an offer has at least one"));
        }
        let within = |field: &'static str| move |error: WireError| error.within(field);
        let offer = Self {
            id: parse("id", &wire.id)?,
            node: parse("node", &wire.node)?,
            model: parse("model", &wire.model)?,
            model_digest: claim("model_digest", wire.model_digest, |path, wire| {
                Ok((digest(&format!("{path}.sha256"), &wire.sha256)?, wire.provenance))
            })?,
            model_provider: optional_text("model_provider", wire.model_provider, MAX_TEXT_BYTES)?,
            modalities: claim("modalities", wire.modalities, modalities)?,
            capabilities: able,
            processing_locations: places("processing_locations", wire.processing_locations)?,
            storage_locations: places("storage_locations", wire.storage_locations)?,
            access_locations: places("access_locations", wire.access_locations)?,
            sub_processors: claim("sub_processors", wire.sub_processors, sub_processors)?,
            seal: claim("seal", wire.seal, |path, wire| {
                Ok((ratings(&format!("{path}.ratings"), wire.ratings, MAX_RATING)?, wire.provenance))
            })?,
            cada_level: level("cada_level", wire.cada_level)?,
            gaiax_label: level("gaiax_label", wire.gaiax_label)?,
            safety_grade: claim("safety_grade", wire.safety_grade, |path, wire| {
                Ok((safety_grade(&format!("{path}.grade"), wire.grade)?, wire.provenance))
            })?,
            runtime: text_claim("runtime", wire.runtime)?,
            licence: text_claim("licence", wire.licence)?,
            price: wire.price.map(|price| price.try_into().map_err(within("price"))).transpose()?,
            terms: wire.terms.map(|terms| Terms::read(terms).map_err(within("terms"))).transpose()?,
            state: or_default(wire.state, |number| offer_state("state", number))?,
            in_force: interval("in_force", wire.in_force)?,
            context_tokens: (wire.context_tokens > 0).then_some(wire.context_tokens),
            carbon_grams_per_million_tokens: wire.carbon_grams_per_million_tokens,
        };
        without(check::offer(&offer))?;
        Ok(offer)
    }
}

fn modalities(
    path: &str,
    wire: wire::ModalitiesClaim,
) -> Result<(BTreeSet<Modality>, Option<wire::Provenance>), WireError> {
    bounded(&format!("{path}.modalities"), wire.modalities.len(), MAX_VALUES)?;
    let one = |(index, number): (usize, &i32)| modality(&format!("{path}.modalities[{index}]"), *number);
    Ok((wire.modalities.iter().enumerate().map(one).collect::<Result<_, _>>()?, wire.provenance))
}

fn level(path: &str, wire: Vec<wire::LevelClaim>) -> Result<Option<Claim<u8>>, WireError> {
    claim(path, wire, |path, wire| {
        let level = u8::try_from(wire.level);
        let level = level.map_err(|_| WireError::new(format!("{path}.level"), "at most 255 is accepted"))?;
        Ok((level, wire.provenance))
    })
}

/// Ratings, or weights, of objectives: each at most once.
pub(super) fn ratings(path: &str, wire: Vec<wire::Seal>, most: u32) -> Result<BTreeMap<Objective, u8>, WireError> {
    let mut all = BTreeMap::new();
    for (index, wire) in wire.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let of = objective(&format!("{path}.objective"), wire.objective)?;
        let rating = u8::try_from(wire.level).ok().filter(|_| wire.level <= most);
        let rating =
            rating.ok_or_else(|| WireError::new(format!("{path}.level"), format!("at most {most} is accepted")))?;
        if all.insert(of, rating).is_some() {
            return Err(WireError::new(format!("{path}.objective"), "another entry has this objective"));
        }
    }
    Ok(all)
}

pub(super) fn wire_ratings(ratings: &BTreeMap<Objective, u8>) -> Vec<wire::Seal> {
    let one =
        |(of, level): (&Objective, &u8)| wire::Seal { objective: wire_objective(*of).into(), level: (*level).into() };
    ratings.iter().map(one).collect()
}

fn sub_processors(
    path: &str,
    wire: wire::SubProcessorsClaim,
) -> Result<(BTreeSet<SubProcessor>, Option<wire::Provenance>), WireError> {
    let path = format!("{path}.sub_processors");
    bounded(&path, wire.sub_processors.len(), MAX_SUB_PROCESSORS)?;
    let mut all = BTreeSet::new();
    for (index, wire) in wire.sub_processors.into_iter().enumerate() {
        let one = sub_processor(&format!("{path}[{index}]"), wire)?;
        if all.iter().any(|other: &SubProcessor| other.id == one.id) {
            return Err(WireError::new(format!("{path}[{index}].id"), "another sub-processor has this id"));
        }
        all.insert(one);
    }
    Ok((all, wire.provenance))
}

fn sub_processor(path: &str, wire: wire::SubProcessor) -> Result<SubProcessor, WireError> {
    let establishments = |list: wire::PlaceList| place_list(&format!("{path}.establishments.places"), &list.places);
    let control =
        |list: wire::ControllerList| controllers(&format!("{path}.ultimate_controllers.controllers"), list.controllers);
    Ok(SubProcessor {
        id: text(&format!("{path}.id"), wire.id, MAX_ID_BYTES)?,
        lei: optional(&format!("{path}.lei"), &wire.lei)?,
        role: role(&format!("{path}.role"), wire.role)?,
        places: place_list(&format!("{path}.places"), &wire.places)?,
        content_access: wire.content_access,
        seat: optional(&format!("{path}.seat"), &wire.seat)?,
        principal_place_of_business: optional(
            &format!("{path}.principal_place_of_business"),
            &wire.principal_place_of_business,
        )?,
        establishments: wire.establishments.map(establishments).transpose()?,
        ultimate_controllers: wire.ultimate_controllers.map(control).transpose()?,
    })
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

impl From<&Price> for wire::Price {
    fn from(price: &Price) -> Self {
        Self {
            currency: price.currency.to_string(),
            input_micros_per_million_tokens: price.input_micros_per_million_tokens,
            output_micros_per_million_tokens: price.output_micros_per_million_tokens,
        }
    }
}

impl From<&Offer> for wire::Offer {
    fn from(offer: &Offer) -> Self {
        let level = |claim: &Option<Claim<u8>>| {
            wire_claim(claim.as_ref(), |level, provenance| wire::LevelClaim { level: (*level).into(), provenance })
        };
        Self {
            id: offer.id.to_string(),
            node: offer.node.to_string(),
            model: offer.model.to_string(),
            model_digest: wire_claim(offer.model_digest.as_ref(), |digest, provenance| wire::DigestClaim {
                sha256: digest.as_bytes().to_vec().into(),
                provenance,
            }),
            model_provider: offer.model_provider.clone().unwrap_or_default(),
            modalities: wire_claim(offer.modalities.as_ref(), |all, provenance| wire::ModalitiesClaim {
                modalities: all.iter().map(|one| wire_modality(*one).into()).collect(),
                provenance,
            }),
            capabilities: offer.capabilities.iter().map(|one| wire_capability(*one).into()).collect(),
            processing_locations: wire_places(offer.processing_locations.as_ref()),
            storage_locations: wire_places(offer.storage_locations.as_ref()),
            access_locations: wire_places(offer.access_locations.as_ref()),
            sub_processors: wire_claim(offer.sub_processors.as_ref(), |all, provenance| wire::SubProcessorsClaim {
                sub_processors: all.iter().map(wire_sub_processor).collect(),
                provenance,
            }),
            seal: wire_claim(offer.seal.as_ref(), |all, provenance| wire::SealClaim {
                ratings: wire_ratings(all),
                provenance,
            }),
            cada_level: level(&offer.cada_level),
            gaiax_label: level(&offer.gaiax_label),
            safety_grade: wire_claim(offer.safety_grade.as_ref(), |grade, provenance| wire::SafetyGradeClaim {
                grade: wire_safety_grade(*grade).into(),
                provenance,
            }),
            runtime: wire_text(offer.runtime.as_ref()),
            licence: wire_text(offer.licence.as_ref()),
            price: offer.price.as_ref().map(Into::into),
            terms: offer.terms.as_ref().map(Into::into),
            state: wire_offer_state(offer.state).into(),
            in_force: wire_interval(offer.in_force),
            context_tokens: offer.context_tokens.unwrap_or(0),
            carbon_grams_per_million_tokens: offer.carbon_grams_per_million_tokens,
        }
    }
}

fn wire_sub_processor(one: &SubProcessor) -> wire::SubProcessor {
    let text = |place: &Option<Place>| place.as_ref().map(ToString::to_string).unwrap_or_default();
    wire::SubProcessor {
        id: one.id.clone(),
        role: wire_role(one.role).into(),
        places: strings(&one.places),
        content_access: one.content_access,
        seat: text(&one.seat),
        principal_place_of_business: text(&one.principal_place_of_business),
        establishments: one.establishments.as_ref().map(|places| wire::PlaceList { places: strings(places) }),
        ultimate_controllers: one
            .ultimate_controllers
            .as_ref()
            .map(|all| wire::ControllerList { controllers: wire_controllers(all) }),
        lei: one.lei.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}
