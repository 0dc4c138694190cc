//! Schemes of classified content: one chain of levels each, and which levels of two schemes are the same (VOCABULARY D18).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sheet::{Provenance, TableError, read};

const TABLE: &str = "classifications";

/// The schemes, by name.
#[derive(Debug, Clone)]
pub struct Classifications {
    schemes: BTreeMap<String, ClassificationScheme>,
    equivalences: Vec<Equivalence>,
}

/// A scheme of classified content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassificationScheme {
    /// Its name.
    pub scheme: String,
    /// Its levels, lowest first.
    pub levels: Vec<String>,
    /// Levels that only nodes of the caller's own organisation may have; set for schemes that are about sharing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_organisation_only: Option<Vec<String>>,
    /// Where the row comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// A level that another scheme has as well, in the words of an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivalence {
    /// The scheme of the content.
    pub scheme: String,
    /// Its level.
    pub level: String,
    /// The scheme of the ceiling.
    pub same_as_scheme: String,
    /// Its level.
    pub same_as_level: String,
    /// Where the row comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl ClassificationScheme {
    /// The place of a level, from 0; `None` if the scheme does not have it.
    #[must_use]
    pub fn rank(&self, level: &str) -> Option<usize> {
        self.levels.iter().position(|one| one == level)
    }
}

impl Classifications {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            scheme: Vec<ClassificationScheme>,
            #[serde(default)]
            equivalence: Vec<Equivalence>,
        }
        let File { scheme, equivalence: equivalences } = read(TABLE, text)?;
        let mut schemes = BTreeMap::new();
        for row in scheme {
            let name = row.scheme.clone();
            let restricted = row.own_organisation_only.iter().flatten();
            if let Some(level) = restricted.clone().find(|level| row.rank(level).is_none()) {
                return Err(TableError::row(
                    TABLE,
                    name,
                    format!("`own_organisation_only`: there is no level {level}"),
                ));
            }
            if schemes.insert(name.clone(), row).is_some() {
                return Err(TableError::row(TABLE, name, "`scheme` stands twice"));
            }
        }
        let all = Self { schemes, equivalences };
        for row in &all.equivalences {
            let ends = [(&row.scheme, &row.level), (&row.same_as_scheme, &row.same_as_level)];
            let known = |(scheme, level): (&String, &String)| all.get(scheme).is_some_and(|s| s.rank(level).is_some());
            if let Some((scheme, level)) = ends.into_iter().find(|end| !known(*end)) {
                return Err(TableError::row(
                    TABLE,
                    scheme,
                    format!("an equivalence names the level {level}, which is none"),
                ));
            }
        }
        Ok(all)
    }

    /// One scheme.
    #[must_use]
    pub fn get(&self, scheme: &str) -> Option<&ClassificationScheme> {
        self.schemes.get(scheme)
    }

    /// The level of `other` that is the same as `level` of `scheme`.
    #[must_use]
    pub fn same_in(&self, scheme: &str, level: &str, other: &str) -> Option<&str> {
        let row = self.equivalences.iter().find(|row| {
            (row.scheme.as_str(), row.level.as_str(), row.same_as_scheme.as_str()) == (scheme, level, other)
        })?;
        Some(&row.same_as_level)
    }

    /// Every scheme.
    pub fn iter(&self) -> impl Iterator<Item = &ClassificationScheme> {
        self.schemes.values()
    }

    /// Every equivalence.
    #[must_use]
    pub fn equivalences(&self) -> &[Equivalence] {
        &self.equivalences
    }
}
