//! Requirements as people write them: flat keys in TOML, presets by name.

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Distinct, Money, Place, PlaceOrBloc, Price};
use serde::{Deserialize, Serialize};

use super::check::check;
use super::{
    AllowLists, ForeignOwnership, NoExposure, PriceCeiling, RequiredCertification, Requirements, RetentionLimit,
};
use crate::Tables;
use crate::check::too_many;
use crate::claim::Assurance;
use crate::limits::MAX_PRESETS;
use crate::offer::{Capability, Objective, SafetyGrade};
use crate::rank::Preferences;
use crate::request::{Classification, Declared};
use crate::terms::{RetentionTrigger, Support};

/// What a requirements file says, expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequirementsFile {
    /// What is demanded.
    pub requirements: Requirements,
    /// What is declared of the requests.
    pub declared: Declared,
    /// What is better among offers that are eligible.
    pub prefer: Preferences,
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
    /// Two keys that need each other.
    #[error("{key} needs {other} beside it")]
    Needs {
        /// The key.
        key: &'static str,
        /// What is missing.
        other: &'static str,
    },
    /// Something that cannot be held against an offer.
    #[error("{path}: {problem}")]
    Field {
        /// The key, and the entry.
        path: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// The keys of a requirements file. An allow-list that is present and empty allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequirementsTable {
    /// Presets that are merged in, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preset: Vec<String>,
    /// Why the caller asks: purposes of the table.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub purposes: BTreeSet<String>,
    /// Uses that the AI Act names: tags of the table of statutes.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ai_act_tags: BTreeSet<String>,
    /// Exceptions of a statute that are claimed.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub exceptions: BTreeSet<String>,
    /// Where calls come from, besides the caller's seat.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub access_origins: BTreeSet<Place>,
    /// Where answers are used.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub output_used_in: BTreeSet<Place>,
    /// How the content is classified.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub classifications: BTreeSet<Classification>,
    /// Categories of personal data in it (DPV `pd`).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub data_categories: BTreeSet<String>,
    /// What is better among offers that are eligible; never decides whether one is.
    #[serde(skip_serializing_if = "Preferences::is_default")]
    pub prefer: Preferences,
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
    /// Where those may be seated who control the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_controller_seats: Option<BTreeSet<PlaceOrBloc>>,
    /// Where they may not.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub forbidden_controller_seats: BTreeSet<PlaceOrBloc>,
    /// Laws that may not reach anybody who can read content: regimes of the table.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub no_exposure: BTreeSet<String>,
    /// Runtimes that keep content from everybody, if hardware attests them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub accept_attested_runtimes: BTreeSet<String>,
    /// How much of the operator may belong to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign_ownership: Option<ForeignOwnership>,
    /// Sub-processors that may not take part, by id.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub forbidden_sub_processors: BTreeSet<String>,
    /// Where content leaves these, a ground of GDPR's chapter V is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_basis_outside: Option<BTreeSet<PlaceOrBloc>>,
    /// How long prompts and completions may be kept, in days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_content_retention_days: Option<u32>,
    /// Triggers that are accepted all the same.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub accept_retention_triggers: BTreeSet<RetentionTrigger>,
    /// Inputs must not be trained on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_training: bool,
    /// Nobody may read content.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_human_review: bool,
    /// Content must not be logged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_content_logging: bool,
    /// Certificates that have to be held.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_certifications: Vec<RequiredCertification>,
    /// The lowest sovereignty rating, 0 to 4, by objective.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub min_seal: BTreeMap<Objective, u8>,
    /// The lowest CADA level, 1 to 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_cada_level: Option<u8>,
    /// The lowest Gaia-X label, 1 to 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_gaiax_label: Option<u8>,
    /// The lowest safety grade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_safety_grade: Option<SafetyGrade>,
    /// How far somebody has to stand behind a claim, by its path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub min_assurance: BTreeMap<String, Assurance>,
    /// Licences that are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_licences: Option<BTreeSet<String>>,
    /// Whose law may be the contract's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_governing_laws: Option<BTreeSet<PlaceOrBloc>>,
    /// The least that the operator has to be liable for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_liability_cap: Option<Money>,
    /// The least support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_support: Option<Support>,
    /// The lowest availability, in hundredths of a percent of a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_availability_bp: Option<u32>,
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
        let malformed = |error| RequirementsError::Malformed(Box::new(error));
        let table: RequirementsTable = toml::from_str(text).map_err(malformed)?;
        toml::from_str::<Distinct>(text).map_err(malformed)?;
        table.expand(tables)
    }

    /// Both: what either demands, with what either declares.
    #[must_use]
    pub fn meet(mut self, other: Self) -> Self {
        self.requirements = self.requirements.meet(other.requirements);
        self.declared = self.declared.and(other.declared);
        self.prefer = self.prefer.or(other.prefer);
        self
    }
}

impl RequirementsTable {
    /// Puts the presets in, and checks what the keys say together.
    ///
    /// # Errors
    /// Names the preset, the code that no table has, or the key that is missing.
    pub fn expand(self, tables: &Tables) -> Result<RequirementsFile, RequirementsError> {
        let field = |(path, problem)| RequirementsError::Field { path, problem };
        if let Some(problem) = too_many(self.preset.len(), MAX_PRESETS) {
            return Err(field(("preset".to_owned(), problem)));
        }
        let mut file = RequirementsFile::default();
        for name in &self.preset {
            let known = || tables.presets.iter().map(|preset| preset.name.as_str()).collect::<Vec<_>>().join(", ");
            let unknown = || RequirementsError::UnknownPreset { name: name.clone(), known: known() };
            file = file.meet(tables.preset(name).ok_or_else(unknown)?);
        }
        // Together, because a broker gets them together.
        let file = file.meet(self.own()?);
        check(&file, tables).map_err(field)?;
        Ok(file)
    }

    fn own(self) -> Result<RequirementsFile, RequirementsError> {
        let limit = match (self.max_content_retention_days, self.accept_retention_triggers) {
            (Some(max_days), accept_triggers) => Some(RetentionLimit { max_days, accept_triggers }),
            (None, triggers) if triggers.is_empty() => None,
            (None, _) => {
                let (key, other) = ("accept_retention_triggers", "max_content_retention_days");
                return Err(RequirementsError::Needs { key, other });
            }
        };
        if self.no_exposure.is_empty() && !self.accept_attested_runtimes.is_empty() {
            return Err(RequirementsError::Needs { key: "accept_attested_runtimes", other: "no_exposure" });
        }
        let runtimes = self.accept_attested_runtimes;
        let freedom = |regime| NoExposure { regime, accept_attested_runtimes: runtimes.clone() };
        let price = |price: Price| {
            let ceiling = PriceCeiling {
                input_micros: price.input_micros_per_million_tokens,
                output_micros: price.output_micros_per_million_tokens,
            };
            BTreeMap::from([(price.currency, ceiling)])
        };
        let requirements = Requirements {
            allowed_processing_locations: lists(self.allowed_processing_locations),
            forbidden_processing_locations: self.forbidden_processing_locations,
            allowed_storage_locations: lists(self.allowed_storage_locations),
            forbidden_storage_locations: self.forbidden_storage_locations,
            allowed_access_locations: lists(self.allowed_access_locations),
            forbidden_access_locations: self.forbidden_access_locations,
            allowed_operator_seats: lists(self.allowed_operator_seats),
            allowed_controller_seats: lists(self.allowed_controller_seats),
            forbidden_controller_seats: self.forbidden_controller_seats,
            no_exposure: self.no_exposure.into_iter().map(freedom).collect(),
            foreign_ownership: self.foreign_ownership.into_iter().collect(),
            forbidden_sub_processors: self.forbidden_sub_processors,
            transfer_basis_outside: lists(self.transfer_basis_outside),
            retention_limits: limit.into_iter().collect(),
            no_training: self.no_training,
            no_human_review: self.no_human_review,
            no_content_logging: self.no_content_logging,
            required_certifications: self.required_certifications.into_iter().collect(),
            min_seal: self.min_seal,
            min_cada_level: self.min_cada_level,
            min_gaiax_label: self.min_gaiax_label,
            min_safety_grade: self.min_safety_grade,
            min_assurance: self.min_assurance,
            allowed_licences: lists(self.allowed_licences),
            allowed_governing_laws: lists(self.allowed_governing_laws),
            min_liability_caps: self.min_liability_cap.map(|cap| (cap.currency, cap.micros)).into_iter().collect(),
            min_support: self.min_support,
            min_availability_bp: self.min_availability_bp,
            max_prices: self.max_price.map(price).unwrap_or_default(),
            required_capabilities: self.required_capabilities,
        };
        let declared = Declared {
            purposes: self.purposes,
            ai_act_tags: self.ai_act_tags,
            exceptions: self.exceptions,
            access_origins: self.access_origins,
            output_used_in: self.output_used_in,
            classifications: self.classifications,
            data_categories: self.data_categories,
        };
        Ok(RequirementsFile { requirements, declared, prefer: self.prefer })
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
            | RequirementsError::Needs { .. }
            | RequirementsError::Field { .. } => error.to_string(),
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
    fn what_is_not_said_is_not_written() {
        assert_eq!(toml::to_string(&RequirementsTable::default()).unwrap(), "");
        assert_eq!(serde_json::to_string(&Requirements::default()).unwrap(), "{}");
        let (session, hedge) =
            (Some(comity_types::Digest::of(b"talk")), Some(crate::rank::Hedge { after_ms: Some(300) }));
        let prefer = Preferences { price: 1, session, hedge, ..Preferences::default() };
        let written = toml::to_string(&RequirementsTable { prefer: prefer.clone(), ..Default::default() }).unwrap();
        assert_eq!(toml::from_str::<RequirementsTable>(&written).unwrap().prefer, prefer);
    }

    #[test]
    fn mistakes_name_the_line_the_key_and_what_would_be_right() {
        let error = read("no_training = true\nallowed_procesing_locations = ['EU']").unwrap_err();
        assert!(error.contains("line 2") && error.contains("allowed_procesing_locations"), "{error}");
        let error = read("allowed_processing_locations = ['uk']").unwrap_err();
        assert!(error.contains("line 1") && error.contains("the United Kingdom is GB"), "{error}");
        let error = read("allowed_processing_locations = ['DE', 'UK']").unwrap_err();
        assert!(error.contains("allowed_processing_locations: \"UK\"") && error.contains("GB"), "{error}");
        assert!(read("preset = ['eu-sovreign']").unwrap_err().contains("eu-sovereign"));
        assert!(read("accept_retention_triggers = ['routine']").unwrap_err().contains("max_content_retention_days"));
        assert!(read("accept_attested_runtimes = ['tdx']").unwrap_err().contains("needs no_exposure beside it"));
        assert!(read("purposes = ['dpv:Custommer']").unwrap_err().contains("dpv:Custommer"));
    }
}
