//! Certification schemes: their levels in order, their editions, and how old a report may be (VOCABULARY D15).

use std::collections::BTreeMap;

use comity_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::sheet::{Provenance, TableError, names_once, read};

const TABLE: &str = "certifications";

/// The schemes, by name.
#[derive(Debug, Clone)]
pub struct Certifications(BTreeMap<String, CertificationScheme>);

/// A certification scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificationScheme {
    /// Its name in requirements and reasons.
    pub scheme: String,
    /// Its levels, lowest first; empty: it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
    /// The levels that are reports on a period: these end with the period's age, whatever end is written on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<String>,
    /// Every edition, those that are withdrawn or will be among them; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub editions: Vec<Edition>,
    /// For reports on a period: the most days since its end, where a requirement says nothing.
    pub max_age_days: u32,
    /// Where the row comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// An edition that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edition {
    /// Its name, such as `2013`.
    pub edition: String,
    /// The first instant at which no certificate of it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_from: Option<Timestamp>,
    /// Reports count only for periods that began before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub periods_before: Option<Timestamp>,
}

impl CertificationScheme {
    /// The place of a level, from 0; `None` if the scheme does not have it.
    #[must_use]
    pub fn rank(&self, level: &str) -> Option<usize> {
        self.levels.iter().position(|one| one == level)
    }

    /// What is said of an edition.
    #[must_use]
    pub fn edition(&self, name: &str) -> Option<&Edition> {
        self.editions.iter().find(|edition| edition.edition == name)
    }
}

impl Certifications {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            scheme: Vec<CertificationScheme>,
        }
        let mut schemes = BTreeMap::new();
        for row in read::<File>(TABLE, text)?.scheme {
            let name = row.scheme.clone();
            names_once(TABLE, &name, "levels", &row.levels)?;
            names_once(TABLE, &name, "editions", row.editions.iter().map(|one| &one.edition))?;
            if schemes.insert(name.clone(), row).is_some() {
                return Err(TableError::row(TABLE, name, "`scheme` stands twice"));
            }
        }
        Ok(Self(schemes))
    }

    /// One scheme.
    #[must_use]
    pub fn get(&self, scheme: &str) -> Option<&CertificationScheme> {
        self.0.get(scheme)
    }

    /// Every scheme.
    pub fn iter(&self) -> impl Iterator<Item = &CertificationScheme> {
        self.0.values()
    }
}
