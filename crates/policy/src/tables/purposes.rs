//! Why somebody asks: a directed graph of purposes, broader above narrower (DPV), with extensions of the federation.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::sheet::{Provenance, TableError, read};

const TABLE: &str = "purposes";

/// The purposes, each with every one that is above it.
#[derive(Debug, Clone)]
pub struct Purposes {
    /// Where the rows come from.
    pub provenance: Provenance,
    broader: BTreeMap<String, BTreeSet<String>>,
    ancestors: BTreeMap<String, BTreeSet<String>>,
}

impl Purposes {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            provenance: Provenance,
            purpose: Vec<Row>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            id: String,
            broader: BTreeSet<String>,
        }
        let File { provenance, purpose } = read(TABLE, text)?;
        let mut broader = BTreeMap::new();
        for Row { id, broader: parents } in purpose {
            if broader.insert(id.clone(), parents).is_some() {
                return Err(TableError::row(TABLE, id, "`id` stands twice"));
            }
        }
        let ancestors = ancestors(&broader)?;
        Ok(Self { provenance, broader, ancestors })
    }

    /// True if the table has the purpose.
    #[must_use]
    pub fn knows(&self, purpose: &str) -> bool {
        self.broader.contains_key(purpose)
    }

    /// True if `purpose` is `ancestor` or below it, on any way up.
    #[must_use]
    pub fn is_within(&self, purpose: &str, ancestor: &str) -> bool {
        purpose == ancestor || self.ancestors.get(purpose).is_some_and(|above| above.contains(ancestor))
    }

    /// Every purpose with those right above it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.broader.iter().map(|(id, broader)| (id.as_str(), broader))
    }
}

/// Everything above each purpose: every parent exists, and nothing is its own ancestor.
fn ancestors(broader: &BTreeMap<String, BTreeSet<String>>) -> Result<BTreeMap<String, BTreeSet<String>>, TableError> {
    let mut all = BTreeMap::new();
    for (id, parents) in broader {
        if let Some(unknown) = parents.iter().find(|parent| !broader.contains_key(*parent)) {
            return Err(TableError::row(TABLE, id, format!("`broader`: {unknown} has no row")));
        }
        let mut above = parents.clone();
        loop {
            let more: BTreeSet<_> = above.iter().filter_map(|one| broader.get(one)).flatten().cloned().collect();
            let size = above.len();
            above.extend(more);
            if above.contains(id) {
                return Err(TableError::row(TABLE, id, "`broader`: it is its own ancestor"));
            }
            if above.len() == size {
                break;
            }
        }
        all.insert(id.clone(), above);
    }
    Ok(all)
}
