//! Named requirements: rows that expand to the keys of a requirements file, and merge by tightening.

use serde::{Deserialize, Serialize};

use super::sheet::{Provenance, TableError, read};
use crate::requirements::RequirementsTable;

const TABLE: &str = "presets";

/// A named set of requirements.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// What it expands to.
    pub requirements: RequirementsTable,
    /// Where the row comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

pub(super) fn parse(text: &str) -> Result<Vec<Preset>, TableError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        preset: Vec<Preset>,
    }
    let presets = read::<File>(TABLE, text)?.preset;
    for (index, preset) in presets.iter().enumerate() {
        if presets.iter().take(index).any(|other| other.name == preset.name) {
            return Err(TableError::row(TABLE, &preset.name, "`name` stands twice"));
        }
        if !preset.requirements.preset.is_empty() {
            return Err(TableError::row(TABLE, &preset.name, "`requirements.preset`: a preset names no preset"));
        }
    }
    Ok(presets)
}
