//! Schemes of classified content: one chain of levels each, and which levels of two schemes are the same (VOCABULARY D18).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sheet::{Provenance, TableError, names_once, read};

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

impl Equivalence {
    /// What tells it from others.
    fn name(&self) -> String {
        [&self.scheme, &self.level, &self.same_as_scheme, &self.same_as_level].map(String::as_str).join(" ")
    }
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
            if row.levels.is_empty() {
                return Err(TableError::row(TABLE, name, "`levels` must not be empty"));
            }
            names_once(TABLE, &name, "levels", &row.levels)?;
            names_once(TABLE, &name, "own_organisation_only", row.own_organisation_only.iter().flatten())?;
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
        for (index, row) in all.equivalences.iter().enumerate() {
            let before = all.equivalences.iter().take(index);
            if let Some(problem) = all.problem(row, before) {
                return Err(TableError::row(TABLE, row.name(), problem));
            }
        }
        Ok(all)
    }

    /// What is wrong with an equivalence, beside those before it.
    fn problem<'a>(&self, row: &Equivalence, before: impl Iterator<Item = &'a Equivalence>) -> Option<String> {
        let ends = [
            ("scheme", &row.scheme, "level", &row.level),
            ("same_as_scheme", &row.same_as_scheme, "same_as_level", &row.same_as_level),
        ];
        for (scheme_field, scheme, level_field, level) in ends {
            let Some(found) = self.get(scheme) else {
                return Some(format!("`{scheme_field}`: there is no scheme {scheme}"));
            };
            if found.rank(level).is_none() {
                return Some(format!("`{level_field}`: {level} is no level of {scheme}"));
            }
        }
        let key = |row: &Equivalence| (row.scheme.clone(), row.level.clone(), row.same_as_scheme.clone());
        let is_said = before.into_iter().any(|other| key(other) == key(row));
        is_said.then(|| "`same_as_scheme`: another row says which of its levels is the same".to_owned())
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
