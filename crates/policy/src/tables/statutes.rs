//! Uses that a law forbids, or calls high-risk: the AI Act's Article 5 and Annex III (VOCABULARY D13).

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Interval, PlaceOrBloc};
use serde::{Deserialize, Serialize};

use super::sheet::{Provenance, TableError, read};

const TABLE: &str = "statutes";

/// The uses, by tag.
#[derive(Debug, Clone)]
pub struct Statutes(BTreeMap<String, Use>);

/// A use that a law speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// How a request declares it, such as `eu-aiact:A5-1-c`.
    pub tag: String,
    /// What it is, in a phrase.
    pub about: String,
    /// What the law makes of it.
    pub effect: Effect,
    /// Where the law holds: any of the caller, its access and the use of the answer.
    pub territory: BTreeSet<PlaceOrBloc>,
    /// When it is in force.
    pub in_force: Interval,
    /// Exceptions that a request may claim.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exceptions: BTreeSet<String>,
    /// Where the row comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// What a law makes of a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It forbids it.
    Prohibited,
    /// It calls it high-risk; the node's terms decide.
    HighRisk,
}

impl Statutes {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            r#use: Vec<Use>,
        }
        let mut uses = BTreeMap::new();
        for row in read::<File>(TABLE, text)?.r#use {
            let tag = row.tag.clone();
            if row.in_force.is_empty() {
                return Err(TableError::row(TABLE, tag, "`in_force`: `from` must be before `until`"));
            }
            if row.territory.is_empty() {
                return Err(TableError::row(TABLE, tag, "`territory` must not be empty"));
            }
            if uses.insert(tag.clone(), row).is_some() {
                return Err(TableError::row(TABLE, tag, "`tag` stands twice"));
            }
        }
        Ok(Self(uses))
    }

    /// One use.
    #[must_use]
    pub fn get(&self, tag: &str) -> Option<&Use> {
        self.0.get(tag)
    }

    /// Every use.
    pub fn iter(&self) -> impl Iterator<Item = &Use> {
        self.0.values()
    }
}
