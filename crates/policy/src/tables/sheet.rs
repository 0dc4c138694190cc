//! What every table has in common: rows that say where they come from.

use std::collections::BTreeSet;

use comity_types::Timestamp;
use serde::{Deserialize, Serialize};

/// A table that cannot be used: which one, and which row.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not TOML of the table's form; the source names line and field.
    #[error("the table of {table} cannot be read")]
    Malformed {
        /// Which table.
        table: &'static str,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// A row contradicts itself or another one.
    #[error("the table of {table}: {row}: {problem}")]
    Row {
        /// Which table.
        table: &'static str,
        /// The row's name.
        row: String,
        /// What is wrong, with the field.
        problem: String,
    },
}

impl TableError {
    pub(super) fn row(table: &'static str, row: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Row { table, row: row.into(), problem: problem.into() }
    }
}

/// Where a row comes from, and whether somebody held it against its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The legal instrument or the document.
    pub instrument: String,
    /// Where the row was taken from.
    pub source: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Whether it was held against the instrument.
    pub verified: bool,
}

/// Names of levels or of editions: each is said, and once.
pub(super) fn names_once<'a>(
    table: &'static str,
    row: &str,
    field: &str,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<(), TableError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            return Err(TableError::row(table, row, format!("`{field}`: a name is empty")));
        }
        if !seen.insert(name) {
            return Err(TableError::row(table, row, format!("`{field}`: {name} stands twice")));
        }
    }
    Ok(())
}

/// A table's TOML.
pub(super) fn read<T: for<'de> Deserialize<'de>>(table: &'static str, text: &str) -> Result<T, TableError> {
    toml::from_str(text).map_err(|source| TableError::Malformed { table, source: Box::new(source) })
}
