//! An organisation's facts, as its `organisation.toml` states them: who it is, where it is, and who owns it.

mod file;

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Invalid, Lei, Place, TrustDomain};
use serde::{Deserialize, Serialize};

pub use file::{LayerError, OrganisationFile, OrganisationTable};

use crate::Claim;
use crate::claim::Merge;
use crate::claim::merge::same_or_conflict;
use crate::ownership::Ownership;
use crate::terms::Disclosure;

/// A member of the federation, as far as policy reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// Its SPIFFE trust domain, which identifies it.
    pub trust_domain: TrustDomain,
    /// Its name for people.
    pub name: String,
    /// Its legal entity identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lei: Option<Lei>,
    /// Its numbers in registers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registration_numbers: Vec<RegistrationNumber>,
    /// Its legal seat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<Claim<Place>>,
    /// Where its headquarters are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headquarters: Option<Claim<Place>>,
    /// Where most of its business is done: what some licences ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_place_of_business: Option<Claim<Place>>,
    /// Where it has branches and offices: what makes it reachable for the law of a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub establishments: Option<Claim<BTreeSet<Place>>>,
    /// Who owns it, as far up as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Claim<Ownership>>,
    /// Who controls it by decisive influence, whatever the shares; empty: nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ultimate_controllers: Option<Claim<BTreeSet<Controller>>>,
    /// What kind of organisation it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation_type: Option<Claim<OrganisationType>>,
    /// Its sector: a section of NACE Rev. 2.1 such as "P", a division such as "84", or what is below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector: Option<Claim<String>>,
    /// The lists of restricted parties that it stands on; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restricted_party_lists: Option<Claim<BTreeSet<String>>>,
    /// How many people used its products and those of its affiliates, by calendar month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_active_users: Option<Claim<ActiveUsers>>,
    /// Whether it takes part in the EU-US Data Privacy Framework (Decision (EU) 2023/1795).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpf_participation: Option<Claim<Membership>>,
    /// Whether it is a commercial organisation in the sense of a scoped adequacy decision (Canada's PIPEDA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commercial_organisation: Option<Claim<Membership>>,
    /// The versions of other organisations' terms that it accepted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted_terms: BTreeMap<TrustDomain, u32>,
    /// What it told other organisations about training on its inputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub training_choices: BTreeMap<TrustDomain, TrainingChoice>,
    /// Whether other organisations are shown who owns and controls it.
    #[serde(default, skip_serializing_if = "Disclosure::is_full")]
    pub disclosure: Disclosure,
}

/// A number in a register (Gaia-X `registrationNumber`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationNumber {
    /// Which register.
    pub scheme: RegistrationScheme,
    /// The number.
    pub number: String,
}

/// Registers that number organisations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationScheme {
    /// A national or local register.
    Local,
    /// The European Unique Identifier of company registers.
    Euid,
    /// The customs number of the European Union.
    Eori,
    /// A number for value added tax.
    VatId,
}

/// A person or organisation with decisive influence on another one (Regulation (EU) 2021/697, Art. 2(6)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Where it has its seat.
    pub seat: Place,
}

/// What kind of organisation it is (DPV organisation types).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrganisationType {
    /// Part of a state.
    Governmental,
    /// Police, prosecution, customs.
    LawEnforcement,
    /// Armed forces and what belongs to them.
    Military,
    /// Intelligence services.
    Intelligence,
    /// Universities and research.
    AcademicScientific,
    /// Companies.
    Commercial,
    /// Charities and the like.
    NonProfit,
    /// Bodies of states together.
    International,
}

impl OrganisationType {
    /// Its name in files and reasons.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Governmental => "governmental",
            Self::LawEnforcement => "law-enforcement",
            Self::Military => "military",
            Self::Intelligence => "intelligence",
            Self::AcademicScientific => "academic-scientific",
            Self::Commercial => "commercial",
            Self::NonProfit => "non-profit",
            Self::International => "international",
        }
    }
}

/// Active users of a calendar month.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveUsers {
    /// People.
    pub count: u64,
    /// The month, as `YYYY-MM`.
    #[serde(deserialize_with = "month")]
    pub month: String,
}

impl ActiveUsers {
    /// Checks a calendar month.
    ///
    /// # Errors
    /// It is not `YYYY-MM`.
    pub fn month(text: &str) -> Result<String, Invalid> {
        let digits = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
        let is_month = |(year, month): (&str, &str)| {
            digits(year, 4) && digits(month, 2) && (1..=12).contains(&month.parse::<u8>().unwrap_or(0))
        };
        if text.split_once('-').is_some_and(is_month) {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(text, "a calendar month such as 2025-03"))
        }
    }
}

fn month<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    ActiveUsers::month(&text).map_err(serde::de::Error::custom)
}

/// Whether an organisation is inside a scheme: a bool whose worse reading is "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Membership(pub bool);

/// What an organisation told an operator about training on its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainingChoice {
    /// It agreed.
    OptedIn,
    /// It objected.
    OptedOut,
}

same_or_conflict!(OrganisationType);

impl Merge for Membership {
    fn merge(&self, other: &Self) -> Option<Self> {
        Some(Self(self.0 && other.0))
    }
}

impl Merge for ActiveUsers {
    fn merge(&self, other: &Self) -> Option<Self> {
        let larger = self.count.max(other.count);
        (self.month == other.month).then(|| Self { count: larger, month: self.month.clone() })
    }
}

#[cfg(test)]
mod tests;
