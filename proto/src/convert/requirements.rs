//! What a caller demands, and what it prefers.

use std::collections::{BTreeMap, BTreeSet};

use comity_policy::Requirements;
use comity_policy::limits::{MAX_DEMANDS, MAX_SEAL};
use comity_policy::rank::{Hedge, Preferences};
use comity_policy::requirements::{
    AllowLists, ForeignOwnership, NoExposure, PriceCeiling, RequiredCertification, RetentionLimit,
};
use comity_types::{Currency, Digest, PlaceOrBloc, Price};

use super::claims::{assurance, strings, wire_assurance};
use super::offer::{ratings, safety_grade, wire_ratings, wire_safety_grade};
use super::organisation::wire_interest;
use super::terms::{
    indirect, interests, money, retention_trigger, some, support, wire_indirect, wire_retention_trigger, wire_support,
};
use super::{
    MAX_LIST, MAX_REQUEST_LIST, MAX_TEXT_BYTES, MAX_VALUES, WireError, bounded, capabilities, optional_text,
    or_default, parse, place_set, share, text, texts, wire_capability, wire_place_set,
};
use crate::policy as wire;

/// Most price ceilings, and most liability caps, of a request.
const MAX_PRICES: usize = 8;
/// The highest sovereignty rating.
const MAX_RATING: u32 = MAX_SEAL as u32;
/// The highest weight of a preference.
const MAX_WEIGHT: u32 = 255;

impl TryFrom<wire::Requirements> for Requirements {
    type Error = WireError;

    fn try_from(wire: wire::Requirements) -> Result<Self, WireError> {
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
            no_exposure: each("no_exposure", wire.no_exposure, MAX_REQUEST_LIST, no_exposure)?,
            foreign_ownership: each("foreign_ownership", wire.foreign_ownership, MAX_REQUEST_LIST, foreign_ownership)?,
            forbidden_sub_processors: texts("forbidden_sub_processors", wire.forbidden_sub_processors, MAX_LIST)?,
            transfer_basis_outside: allowed("transfer_basis_outside", &wire.transfer_basis_outside)?,
            retention_limits: each("retention_limits", wire.retention_limits, MAX_REQUEST_LIST, retention_limit)?,
            no_training: wire.no_training,
            no_human_review: wire.no_human_review,
            no_content_logging: wire.no_content_logging,
            required_certifications: each(
                "required_certifications",
                wire.required_certifications,
                MAX_DEMANDS,
                certification,
            )?,
            min_seal: ratings("min_seal", wire.min_seal, MAX_RATING)?,
            min_cada_level: label("min_cada_level", wire.min_cada_level)?,
            min_gaiax_label: label("min_gaiax_label", wire.min_gaiax_label)?,
            min_safety_grade: some(wire.min_safety_grade, |number| safety_grade("min_safety_grade", number))?,
            min_assurance: min_assurance(wire.min_assurance)?,
            allowed_licences: licences(wire.allowed_licences)?,
            allowed_governing_laws: allowed("allowed_governing_laws", &wire.allowed_governing_laws)?,
            min_liability_caps: liability_caps(&wire.min_liability_caps)?,
            min_support: some(wire.min_support, |number| support("min_support", number))?,
            min_availability_bp: wire.min_availability_bp.map(|bp| share("min_availability_bp", bp)).transpose()?,
            max_prices: max_prices(wire.max_prices)?,
            required_capabilities: capabilities("required_capabilities", &wire.required_capabilities)?,
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

/// Every entry of a list of demands, each by `read`.
fn each<W, T: Ord>(
    path: &str,
    wire: Vec<W>,
    most: usize,
    read: impl Fn(&str, W) -> Result<T, WireError>,
) -> Result<BTreeSet<T>, WireError> {
    bounded(path, wire.len(), most)?;
    wire.into_iter().enumerate().map(|(index, wire)| read(&format!("{path}[{index}]"), wire)).collect()
}

fn no_exposure(path: &str, wire: wire::NoExposure) -> Result<NoExposure, WireError> {
    let runtimes = format!("{path}.accept_attested_runtimes");
    Ok(NoExposure {
        regime: text(&format!("{path}.regime"), wire.regime, MAX_TEXT_BYTES)?,
        accept_attested_runtimes: texts(&runtimes, wire.accept_attested_runtimes, MAX_REQUEST_LIST)?,
    })
}

fn foreign_ownership(path: &str, wire: wire::ForeignOwnership) -> Result<ForeignOwnership, WireError> {
    Ok(ForeignOwnership {
        home: place_set(&format!("{path}.home"), &wire.home.unwrap_or_default())?,
        individual_bp: share(&format!("{path}.individual_bp"), wire.individual_bp)?,
        aggregate_bp: share(&format!("{path}.aggregate_bp"), wire.aggregate_bp)?,
        indirect: or_default(wire.indirect, |number| indirect(&format!("{path}.indirect"), number))?,
        interests: interests(&format!("{path}.interests"), &wire.interests)?,
    })
}

fn retention_limit(path: &str, wire: wire::RetentionLimit) -> Result<RetentionLimit, WireError> {
    let path = format!("{path}.accept_retention_triggers");
    bounded(&path, wire.accept_retention_triggers.len(), MAX_VALUES)?;
    let triggers = wire.accept_retention_triggers.into_iter().map(|number| retention_trigger(&path, number));
    Ok(RetentionLimit {
        max_days: wire.max_content_retention_days,
        accept_triggers: triggers.collect::<Result<_, _>>()?,
    })
}

fn certification(path: &str, wire: wire::RequiredCertification) -> Result<RequiredCertification, WireError> {
    Ok(RequiredCertification {
        scheme: text(&format!("{path}.scheme"), wire.scheme, MAX_TEXT_BYTES)?,
        level: optional_text(&format!("{path}.level"), wire.level, MAX_TEXT_BYTES)?,
        editions: texts(&format!("{path}.editions"), wire.editions, MAX_REQUEST_LIST)?,
        max_age_days: wire.max_age_days,
    })
}

fn label(path: &str, level: Option<u32>) -> Result<Option<u8>, WireError> {
    let read = |level| u8::try_from(level).map_err(|_| WireError::new(path, "at most 255 is accepted"));
    level.map(read).transpose()
}

fn min_assurance(
    wire: Vec<wire::RequiredAssurance>,
) -> Result<BTreeMap<String, comity_policy::claim::Assurance>, WireError> {
    bounded("min_assurance", wire.len(), MAX_DEMANDS)?;
    let mut all = BTreeMap::new();
    for (index, wire) in wire.into_iter().enumerate() {
        let path = format!("min_assurance[{index}]");
        let claim = text(&format!("{path}.path"), wire.path, MAX_TEXT_BYTES)?;
        if all.insert(claim, assurance(&format!("{path}.assurance"), wire.assurance)?).is_some() {
            return Err(WireError::new(format!("{path}.path"), "another entry has this path"));
        }
    }
    Ok(all)
}

fn licences(sets: Vec<wire::LicenceSet>) -> Result<AllowLists<String>, WireError> {
    bounded("allowed_licences", sets.len(), MAX_REQUEST_LIST)?;
    let convert = |(index, set): (usize, wire::LicenceSet)| {
        texts(&format!("allowed_licences[{index}].licences"), set.licences, MAX_LIST)
    };
    sets.into_iter().enumerate().map(convert).collect::<Result<_, _>>().map(AllowLists)
}

fn liability_caps(wire: &[wire::Money]) -> Result<BTreeMap<Currency, u64>, WireError> {
    bounded("min_liability_caps", wire.len(), MAX_PRICES)?;
    let mut caps = BTreeMap::new();
    for (index, wire) in wire.iter().enumerate() {
        let path = format!("min_liability_caps[{index}]");
        let cap = money(&path, wire)?;
        if caps.insert(cap.currency, cap.micros).is_some() {
            return Err(WireError::new(path, "a currency has one minimum"));
        }
    }
    Ok(caps)
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
        let price = |(currency, ceiling): (&Currency, &PriceCeiling)| wire::Price {
            currency: currency.to_string(),
            input_micros_per_million_tokens: ceiling.input_micros,
            output_micros_per_million_tokens: ceiling.output_micros,
        };
        let cap =
            |(currency, micros): (&Currency, &u64)| wire::Money { currency: currency.to_string(), micros: *micros };
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
            no_exposure: domain.no_exposure.iter().map(wire_no_exposure).collect(),
            foreign_ownership: domain.foreign_ownership.iter().map(wire_foreign_ownership).collect(),
            forbidden_sub_processors: strings(&domain.forbidden_sub_processors),
            transfer_basis_outside: allowed(&domain.transfer_basis_outside),
            retention_limits: domain.retention_limits.iter().map(wire_retention_limit).collect(),
            no_training: domain.no_training,
            no_human_review: domain.no_human_review,
            no_content_logging: domain.no_content_logging,
            required_certifications: domain.required_certifications.iter().map(wire_required_certification).collect(),
            min_seal: wire_ratings(&domain.min_seal),
            min_cada_level: domain.min_cada_level.map(Into::into),
            min_gaiax_label: domain.min_gaiax_label.map(Into::into),
            min_safety_grade: domain.min_safety_grade.map(|grade| wire_safety_grade(grade).into()).unwrap_or_default(),
            min_assurance: domain
                .min_assurance
                .iter()
                .map(|(path, level)| wire::RequiredAssurance {
                    path: path.clone(),
                    assurance: wire_assurance(*level).into(),
                })
                .collect(),
            allowed_licences: licences.map(|set| wire::LicenceSet { licences: strings(set) }).collect(),
            allowed_governing_laws: allowed(&domain.allowed_governing_laws),
            min_liability_caps: domain.min_liability_caps.iter().map(cap).collect(),
            min_support: domain.min_support.map(|least| wire_support(least).into()).unwrap_or_default(),
            min_availability_bp: domain.min_availability_bp,
            max_prices: domain.max_prices.iter().map(price).collect(),
            required_capabilities: domain
                .required_capabilities
                .iter()
                .map(|one| wire_capability(*one).into())
                .collect(),
        }
    }
}

fn wire_no_exposure(one: &NoExposure) -> wire::NoExposure {
    wire::NoExposure { regime: one.regime.clone(), accept_attested_runtimes: strings(&one.accept_attested_runtimes) }
}

fn wire_foreign_ownership(rule: &ForeignOwnership) -> wire::ForeignOwnership {
    wire::ForeignOwnership {
        home: Some(wire_place_set(&rule.home)),
        individual_bp: rule.individual_bp,
        aggregate_bp: rule.aggregate_bp,
        indirect: wire_indirect(rule.indirect).into(),
        interests: rule.interests.iter().map(|one| wire_interest(*one).into()).collect(),
    }
}

fn wire_retention_limit(limit: &RetentionLimit) -> wire::RetentionLimit {
    wire::RetentionLimit {
        max_content_retention_days: limit.max_days,
        accept_retention_triggers: limit
            .accept_triggers
            .iter()
            .map(|one| wire_retention_trigger(*one).into())
            .collect(),
    }
}

fn wire_required_certification(required: &RequiredCertification) -> wire::RequiredCertification {
    wire::RequiredCertification {
        scheme: required.scheme.clone(),
        level: required.level.clone().unwrap_or_default(),
        editions: strings(&required.editions),
        max_age_days: required.max_age_days,
    }
}

impl TryFrom<wire::Preferences> for Preferences {
    type Error = WireError;

    fn try_from(wire: wire::Preferences) -> Result<Self, WireError> {
        if wire.resume {
            let problem = "no backend can go on with an answer that broke off (hint: leave it out, and ask again)";
            return Err(WireError::new("resume", problem));
        }
        bounded("locations", wire.locations.len(), MAX_REQUEST_LIST)?;
        let location = |(index, one): (usize, wire::LocationPreference)| {
            let path = format!("locations[{index}]");
            Ok((parse(format!("{path}.place"), &one.place)?, weight(&format!("{path}.weight"), one.weight)?))
        };
        Ok(Self {
            locations: wire.locations.into_iter().enumerate().map(location).collect::<Result<_, WireError>>()?,
            seal: ratings("seal", wire.seal, MAX_WEIGHT)?,
            price: weight("price", wire.price)?,
            latency: weight("latency", wire.latency)?,
            carbon: weight("carbon", wire.carbon)?,
            session: session(&wire.session)?,
            hedge: wire.hedge.map(hedge).transpose()?,
        })
    }
}

fn session(bytes: &[u8]) -> Result<Option<Digest>, WireError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let problem =
        || format!("has {} bytes, where 32 are expected: a SHA-256 of what the app calls the session", bytes.len());
    let digest = <[u8; 32]>::try_from(bytes).map_err(|_| WireError::new("session", problem()))?;
    Ok(Some(Digest::from_bytes(digest)))
}

fn hedge(wire: wire::Hedge) -> Result<Hedge, WireError> {
    let (least, most) = (Hedge::AFTER_MS.start(), Hedge::AFTER_MS.end());
    match wire.after_ms {
        Some(after) if !Hedge::AFTER_MS.contains(&after) => {
            Err(WireError::new("hedge.after_ms", format!("{least} to {most} ms are accepted")))
        }
        after_ms => Ok(Hedge { after_ms }),
    }
}

fn weight(path: &str, number: u32) -> Result<u8, WireError> {
    u8::try_from(number).map_err(|_| WireError::new(path, format!("at most {MAX_WEIGHT} is accepted")))
}

impl From<&Preferences> for wire::Preferences {
    fn from(prefer: &Preferences) -> Self {
        let location = |(place, weight): (&PlaceOrBloc, &u8)| wire::LocationPreference {
            place: place.to_string(),
            weight: (*weight).into(),
        };
        Self {
            locations: prefer.locations.iter().map(location).collect(),
            seal: wire_ratings(&prefer.seal),
            price: prefer.price.into(),
            latency: prefer.latency.into(),
            carbon: prefer.carbon.into(),
            session: prefer.session.map_or_else(Default::default, |session| session.as_bytes().to_vec().into()),
            hedge: prefer.hedge.map(|Hedge { after_ms }| wire::Hedge { after_ms }),
            resume: false,
        }
    }
}
