//! Requirements as people write them: flat keys in TOML, presets by name.

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{PlaceOrBloc, Price};
use serde::{Deserialize, Serialize};

use super::{AllowLists, PriceCeiling, Requirements, RetentionLimit};
use crate::Tables;
use crate::offer::{Capability, RetentionTrigger};

/// Longest list of a requirements file: what the contract lets a request carry.
pub const MAX_ENTRIES: usize = 256;

/// What a requirements file says, expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequirementsFile {
    /// What is demanded.
    pub requirements: Requirements,
    /// Why the caller asks.
    pub purposes: BTreeSet<String>,
}

/// A requirements file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RequirementsError {
    /// Not TOML of this form; the source names line and key.
    #[error("the requirements cannot be understood")]
    Malformed(#[source] Box<toml::de::Error>),
    /// No preset of this name.
    #[error("there is no preset {name:?} (there are: {known})")]
    UnknownPreset {
        /// What was named.
        name: String,
        /// The presets that there are.
        known: String,
    },
    /// Triggers are accepted, but no limit says from what.
    #[error("accept_retention_triggers needs max_content_retention_days beside it")]
    TriggersWithoutLimit,
    /// A list that is longer than a request can carry.
    #[error("{key} has {found} entries, at most {MAX_ENTRIES} are accepted")]
    TooMany {
        /// The key.
        key: &'static str,
        /// How many.
        found: usize,
    },
    /// A purpose that no table has.
    #[error("{0:?} is no purpose of this federation's table")]
    UnknownPurpose(String),
}

/// The keys of a requirements file. An allow-list that is present and empty allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequirementsTable {
    /// Presets that are merged in, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preset: Vec<String>,
    /// Why the caller asks.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub purposes: BTreeSet<String>,
    /// Where requests may be processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_processing_locations: Option<BTreeSet<PlaceOrBloc>>,
    /// Where they may not.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub forbidden_processing_locations: BTreeSet<PlaceOrBloc>,
    /// Where data may be stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_storage_locations: Option<BTreeSet<PlaceOrBloc>>,
    /// Where it may not.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub forbidden_storage_locations: BTreeSet<PlaceOrBloc>,
    /// From where people may reach the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_access_locations: Option<BTreeSet<PlaceOrBloc>>,
    /// From where they may not.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub forbidden_access_locations: BTreeSet<PlaceOrBloc>,
    /// Where the operator may be seated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_operator_seats: Option<BTreeSet<PlaceOrBloc>>,
    /// Where the operator's controllers may be seated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_controller_seats: Option<BTreeSet<PlaceOrBloc>>,
    /// Where they may not.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub forbidden_controller_seats: BTreeSet<PlaceOrBloc>,
    /// How long prompts and completions may be kept, in days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_content_retention_days: Option<u32>,
    /// Triggers that are accepted all the same.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub accept_retention_triggers: BTreeSet<RetentionTrigger>,
    /// Inputs must not be trained on.
    pub no_training: bool,
    /// Licences that are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_licences: Option<BTreeSet<String>>,
    /// The most that a million tokens may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_price: Option<Price>,
    /// What the model must be able to do.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub required_capabilities: BTreeSet<Capability>,
}

impl RequirementsFile {
    /// Reads a requirements file.
    ///
    /// # Errors
    /// Names the line and the key, the preset, or the purpose.
    pub fn from_toml(text: &str, tables: &Tables) -> Result<Self, RequirementsError> {
        let table: RequirementsTable =
            toml::from_str(text).map_err(|error| RequirementsError::Malformed(Box::new(error)))?;
        table.expand(tables)
    }

    /// Both: what either demands, for the purposes of either.
    #[must_use]
    pub fn meet(mut self, other: Self) -> Self {
        self.requirements = self.requirements.meet(other.requirements);
        self.purposes.extend(other.purposes);
        self
    }
}

impl RequirementsTable {
    /// Puts the presets in, and checks what the keys say together.
    ///
    /// # Errors
    /// Names the preset, the purpose, or the key that is missing.
    pub fn expand(self, tables: &Tables) -> Result<RequirementsFile, RequirementsError> {
        self.check_sizes()?;
        if let Some(unknown) = self.purposes.iter().find(|purpose| !tables.knows_purpose(purpose)) {
            return Err(RequirementsError::UnknownPurpose(unknown.clone()));
        }
        let mut file = RequirementsFile { purposes: self.purposes.clone(), ..Default::default() };
        for name in &self.preset {
            let known = || tables.presets().iter().map(|preset| preset.name.as_str()).collect::<Vec<_>>().join(", ");
            let unknown = || RequirementsError::UnknownPreset { name: name.clone(), known: known() };
            file = file.meet(tables.preset(name).ok_or_else(unknown)?);
        }
        file.requirements = file.requirements.meet(self.own()?);
        Ok(file)
    }

    /// Refuses lists that no request can carry.
    fn check_sizes(&self) -> Result<(), RequirementsError> {
        let places = |list: &Option<BTreeSet<PlaceOrBloc>>| list.as_ref().map_or(0, BTreeSet::len);
        let sizes = [
            ("purposes", self.purposes.len()),
            ("allowed_processing_locations", places(&self.allowed_processing_locations)),
            ("forbidden_processing_locations", self.forbidden_processing_locations.len()),
            ("allowed_storage_locations", places(&self.allowed_storage_locations)),
            ("forbidden_storage_locations", self.forbidden_storage_locations.len()),
            ("allowed_access_locations", places(&self.allowed_access_locations)),
            ("forbidden_access_locations", self.forbidden_access_locations.len()),
            ("allowed_operator_seats", places(&self.allowed_operator_seats)),
            ("allowed_controller_seats", places(&self.allowed_controller_seats)),
            ("forbidden_controller_seats", self.forbidden_controller_seats.len()),
            ("allowed_licences", self.allowed_licences.as_ref().map_or(0, BTreeSet::len)),
        ];
        match sizes.into_iter().find(|(_, found)| *found > MAX_ENTRIES) {
            Some((key, found)) => Err(RequirementsError::TooMany { key, found }),
            None => Ok(()),
        }
    }

    fn own(self) -> Result<Requirements, RequirementsError> {
        let limit = match (self.max_content_retention_days, self.accept_retention_triggers) {
            (Some(max_days), accept_triggers) => Some(RetentionLimit { max_days, accept_triggers }),
            (None, triggers) if triggers.is_empty() => None,
            (None, _) => return Err(RequirementsError::TriggersWithoutLimit),
        };
        let price = |price: Price| {
            let ceiling = PriceCeiling {
                input_micros: price.input_micros_per_million_tokens,
                output_micros: price.output_micros_per_million_tokens,
            };
            BTreeMap::from([(price.currency, ceiling)])
        };
        Ok(Requirements {
            allowed_processing_locations: lists(self.allowed_processing_locations),
            forbidden_processing_locations: self.forbidden_processing_locations,
            allowed_storage_locations: lists(self.allowed_storage_locations),
            forbidden_storage_locations: self.forbidden_storage_locations,
            allowed_access_locations: lists(self.allowed_access_locations),
            forbidden_access_locations: self.forbidden_access_locations,
            allowed_operator_seats: lists(self.allowed_operator_seats),
            allowed_controller_seats: lists(self.allowed_controller_seats),
            forbidden_controller_seats: self.forbidden_controller_seats,
            retention_limits: limit.into_iter().collect(),
            no_training: self.no_training,
            allowed_licences: lists(self.allowed_licences),
            max_prices: self.max_price.map(price).unwrap_or_default(),
            required_capabilities: self.required_capabilities,
        })
    }
}

fn lists<T: Ord>(list: Option<BTreeSet<T>>) -> AllowLists<T> {
    list.map(AllowLists::one).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RequirementsFile, String> {
        let error = |error: RequirementsError| match &error {
            RequirementsError::Malformed(source) => source.to_string(),
            RequirementsError::UnknownPreset { .. }
            | RequirementsError::TooMany { .. }
            | RequirementsError::TriggersWithoutLimit
            | RequirementsError::UnknownPurpose(_) => error.to_string(),
        };
        RequirementsFile::from_toml(text, Tables::builtin().unwrap()).map_err(error)
    }

    #[test]
    fn a_file_tightens_its_preset_and_cannot_loosen_it() {
        let file = read("preset = ['eu-processing']\nallowed_processing_locations = ['US', 'DE']").unwrap();
        assert_eq!(file.requirements.allowed_processing_locations.0.len(), 2, "both lists have to hold");
    }

    #[test]
    fn an_empty_list_is_kept_apart_from_none() {
        let file = read("allowed_processing_locations = []").unwrap();
        assert_eq!(file.requirements.allowed_processing_locations, AllowLists::one([]));
        assert!(read("").unwrap().requirements.allowed_processing_locations.is_unrestricted());
    }

    #[test]
    fn mistakes_name_the_line_the_key_and_what_would_be_right() {
        let error = read("no_training = true\nallowed_procesing_locations = ['EU']").unwrap_err();
        assert!(error.contains("line 2") && error.contains("allowed_procesing_locations"), "{error}");
        let error = read("allowed_processing_locations = ['UK']").unwrap_err();
        assert!(error.contains("line 1") && error.contains("the United Kingdom is GB"), "{error}");
        assert!(read("preset = ['eu-sovreign']").unwrap_err().contains("eu-sovereign"));
        assert!(read("accept_retention_triggers = ['routine']").unwrap_err().contains("max_content_retention_days"));
        assert!(read("purposes = ['dpv:Custommer']").unwrap_err().contains("dpv:Custommer"));
    }
}
