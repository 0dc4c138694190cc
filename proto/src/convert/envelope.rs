//! The envelope of a request.

use bytes::Bytes;
use comity_policy::limits::MAX_ENTRIES;
use comity_policy::rank::Preferences;
use comity_policy::request::Classification;
use comity_policy::requirements::{RequirementsFile, check};
use comity_policy::{Declared, Requirements, Tables};
use comity_types::{ModelName, Place};

use super::claims::strings;
use super::{MAX_REQUEST_LIST, MAX_TEXT_BYTES, WireError, bounded, parse, parse_all, text, texts};
use crate::{inference, policy as wire};

/// How many bytes a nonce has: fewer could be met twice by chance, and more make records longer for nothing.
const NONCE_BYTES: std::ops::RangeInclusive<usize> = 16..=32;

/// The envelope of a request, in domain types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The model that is asked for.
    pub model: ModelName,
    /// What the caller demands.
    pub requirements: Requirements,
    /// What the caller declares.
    pub declared: Declared,
    /// What is better among offers that are eligible.
    pub prefer: Preferences,
    /// Most tokens that it wants in the answer, where it says so.
    pub max_output_tokens: Option<u32>,
}

impl TryFrom<inference::Envelope> for Envelope {
    type Error = WireError;

    fn try_from(wire: inference::Envelope) -> Result<Self, WireError> {
        let model = parse("model", &wire.model)?;
        check_nonce(&wire.nonce)?;
        let max_output_tokens = wire.max_output_tokens;
        if max_output_tokens == Some(0) {
            return Err(WireError::new("max_output_tokens", "must be at least 1, or absent"));
        }
        let RequirementsFile { requirements, declared, prefer } = file(wire)?;
        Ok(Self { model, requirements, declared, prefer, max_output_tokens })
    }
}

/// What tells two requests apart that ask for the same; nothing is decided by it, so that it goes no further than this.
///
/// # Errors
/// It has too few bytes, or too many.
pub fn check_nonce(nonce: &[u8]) -> Result<(), WireError> {
    if nonce.is_empty() || NONCE_BYTES.contains(&nonce.len()) {
        return Ok(());
    }
    let (fewest, most) = (NONCE_BYTES.start(), NONCE_BYTES.end());
    Err(WireError::new("nonce", format!("has {} bytes, where {fewest} to {most} random ones make one", nonce.len())))
}

/// Everything but the model.
pub(super) fn file(wire: inference::Envelope) -> Result<RequirementsFile, WireError> {
    let requirements = wire.requirements.unwrap_or_default().try_into();
    let prefer = wire.preferences.unwrap_or_default().try_into();
    Ok(RequirementsFile {
        requirements: requirements.map_err(|error: WireError| error.within("requirements"))?,
        declared: Declared {
            purposes: texts("purposes", wire.purposes, MAX_REQUEST_LIST)?,
            ai_act_tags: texts("ai_act_tags", wire.ai_act_tags, MAX_REQUEST_LIST)?,
            exceptions: texts("exceptions", wire.exceptions, MAX_REQUEST_LIST)?,
            access_origins: places("access_origins", &wire.access_origins)?,
            output_used_in: places("output_used_in", &wire.output_used_in)?,
            classifications: classifications(wire.classifications)?,
            data_categories: texts("data_categories", wire.data_categories, MAX_REQUEST_LIST)?,
        },
        prefer: prefer.map_err(|error: WireError| error.within("preferences"))?,
    })
}

impl Envelope {
    /// Holds every code and level against the tables: what none of them has would only be refused offer by offer.
    ///
    /// # Errors
    /// The path of the first field that speaks of something unknown.
    pub fn check(&self, tables: &Tables) -> Result<(), WireError> {
        let file = RequirementsFile {
            requirements: self.requirements.clone(),
            declared: self.declared.clone(),
            prefer: self.prefer.clone(),
        };
        check_file(&file, tables)
    }
}

/// Holds everything but the model against the tables.
pub(super) fn check_file(file: &RequirementsFile, tables: &Tables) -> Result<(), WireError> {
    let demanded = |path: &str| !DECLARED.iter().any(|field| path == *field || path.starts_with(&format!("{field}.")));
    check(file, tables).map_err(|(path, problem)| {
        if let Some(preferred) = path.strip_prefix("prefer.") {
            WireError::new(preferred, problem).within("preferences")
        } else if demanded(&path) {
            WireError::new(path, problem).within("requirements")
        } else {
            WireError::new(path, problem)
        }
    })
}

/// The fields that are declared, and stand beside the requirements.
const DECLARED: [&str; 7] =
    ["purposes", "ai_act_tags", "exceptions", "access_origins", "output_used_in", "classifications", "data_categories"];

fn places(path: &str, wire: &[String]) -> Result<std::collections::BTreeSet<Place>, WireError> {
    bounded(path, wire.len(), MAX_REQUEST_LIST)?;
    Ok(parse_all(path, wire)?.into_iter().collect())
}

fn classifications(wire: Vec<wire::Classification>) -> Result<std::collections::BTreeSet<Classification>, WireError> {
    bounded("classifications", wire.len(), MAX_REQUEST_LIST)?;
    let one = |(index, wire): (usize, wire::Classification)| {
        let path = format!("classifications[{index}]");
        Ok(Classification {
            scheme: text(&format!("{path}.scheme"), wire.scheme, MAX_TEXT_BYTES)?,
            level: text(&format!("{path}.level"), wire.level, MAX_TEXT_BYTES)?,
            caveats: texts(&format!("{path}.caveats"), wire.caveats, MAX_ENTRIES)?,
        })
    };
    wire.into_iter().enumerate().map(one).collect()
}

impl From<&Envelope> for inference::Envelope {
    fn from(envelope: &Envelope) -> Self {
        let Envelope { model, requirements, declared, prefer, max_output_tokens } = envelope;
        Self { model: model.to_string(), max_output_tokens: *max_output_tokens, ..wire(requirements, declared, prefer) }
    }
}

/// The wire's form of everything but the model.
pub(super) fn wire(requirements: &Requirements, declared: &Declared, prefer: &Preferences) -> inference::Envelope {
    let classification = |one: &Classification| wire::Classification {
        scheme: one.scheme.clone(),
        level: one.level.clone(),
        caveats: strings(&one.caveats),
    };
    inference::Envelope {
        model: String::new(),
        requirements: Some(requirements.into()),
        purposes: strings(&declared.purposes),
        access_origins: strings(&declared.access_origins),
        ai_act_tags: strings(&declared.ai_act_tags),
        exceptions: strings(&declared.exceptions),
        output_used_in: strings(&declared.output_used_in),
        classifications: declared.classifications.iter().map(classification).collect(),
        data_categories: strings(&declared.data_categories),
        preferences: (!prefer.is_default()).then(|| prefer.into()),
        nonce: Bytes::new(),
        max_output_tokens: None,
    }
}
