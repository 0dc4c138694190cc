//! What the licences of models demand of operators and callers (VOCABULARY D14).

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Interval, PlaceOrBloc};
use serde::{Deserialize, Serialize};

use super::sheet::{Provenance, TableError, read};
use crate::offer::Modality;
use crate::organisation::{ActiveUsers, OrganisationType};

const TABLE: &str = "licences";

/// The licences that are known.
#[derive(Debug, Clone)]
pub struct Licences {
    rules: BTreeMap<String, LicenceRule>,
    unconditional: Unconditional,
}

/// Licences that demand nothing that a request could be held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unconditional {
    /// Their SPDX identifiers, or `LicenseRef-...`.
    pub licences: BTreeSet<String>,
    /// Where the list comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// What a licence demands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceRule {
    /// The SPDX identifier, or `LicenseRef-...`.
    pub licence: String,
    /// Whom its use rules bind.
    pub binds: Binds,
    /// Where the rights are not granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub territory: Option<Territory>,
    /// From what size on a separate licence is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Purposes that are excluded, with everything below them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excluded_purposes: BTreeSet<String>,
    /// What the licensor granted besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// Where the row comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// Whom the use rules of a licence bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binds {
    /// Who runs the model.
    Operator,
    /// Who runs it and who calls it, because the rules flow down.
    OperatorAndCaller,
}

/// Where the rights are not granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Territory {
    /// Where the operator's principal place of business may not be.
    pub excluded: BTreeSet<PlaceOrBloc>,
    /// Only for models with one of these; empty: for all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub modalities: BTreeSet<Modality>,
}

/// From what size on a separate licence is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// More monthly active users than this, of the operator and its affiliates.
    pub more_than: u64,
    /// In the calendar month before the model's release, as `YYYY-MM`.
    pub month: String,
    /// What counts where the operator states no number.
    pub unstated: Unstated,
}

/// What counts where an operator does not state its size: contestable, hence a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unstated {
    /// It is below the threshold, as nearly everybody is.
    Below,
    /// It is unknown, and refuses.
    Unknown,
}

/// What a licensor granted besides the licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What it is called.
    pub id: String,
    /// To callers seated in one of these.
    pub seats: BTreeSet<PlaceOrBloc>,
    /// Of one of these kinds.
    pub organisation_types: BTreeSet<OrganisationType>,
    /// The purposes that it gives back.
    pub purposes: BTreeSet<String>,
    /// When it holds.
    #[serde(default)]
    pub in_force: Interval,
}

impl Licences {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            unconditional: Unconditional,
            rule: Vec<LicenceRule>,
        }
        let mut rules = BTreeMap::new();
        let File { unconditional, rule: all } = read(TABLE, text)?;
        for rule in all {
            let licence = rule.licence.clone();
            if unconditional.licences.contains(&licence) {
                return Err(TableError::row(TABLE, licence, "`licence` is among `unconditional.licences` as well"));
            }
            if rule.grants.iter().any(|grant| grant.in_force.is_empty()) {
                return Err(TableError::row(TABLE, licence, "`grants.in_force`: `from` must be before `until`"));
            }
            if let Some(Err(error)) = rule.scale.as_ref().map(|scale| ActiveUsers::month(&scale.month)) {
                return Err(TableError::row(TABLE, licence, format!("`scale.month`: {error}")));
            }
            if rules.insert(licence.clone(), rule).is_some() {
                return Err(TableError::row(TABLE, licence, "`licence` stands twice"));
            }
        }
        Ok(Self { rules, unconditional })
    }

    /// What a licence demands.
    #[must_use]
    pub fn get(&self, licence: &str) -> Option<&LicenceRule> {
        self.rules.get(licence)
    }

    /// True if the licence is known to demand nothing that could be asked.
    #[must_use]
    pub fn is_unconditional(&self, licence: &str) -> bool {
        self.unconditional.licences.contains(licence)
    }

    /// True if the licence is known.
    #[must_use]
    pub fn knows(&self, licence: &str) -> bool {
        self.rules.contains_key(licence) || self.is_unconditional(licence)
    }

    /// The licences that demand nothing.
    #[must_use]
    pub const fn unconditional(&self) -> &Unconditional {
        &self.unconditional
    }

    /// Every rule.
    pub fn iter(&self) -> impl Iterator<Item = &LicenceRule> {
        self.rules.values()
    }
}
