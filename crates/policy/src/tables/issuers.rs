//! Whose word counts for more than a declaration: registers, auditors, verifiers of attestations.

use std::collections::BTreeMap;

use comity_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::sheet::{Provenance, TableError, read};
use crate::claim::Assurance;

const TABLE: &str = "issuers";

/// The issuers, by name.
#[derive(Debug, Clone)]
pub struct Issuers(BTreeMap<String, Issuer>);

/// Somebody whose word counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its name in statements.
    pub id: String,
    /// What it is, in a phrase.
    pub about: String,
    /// The highest level that its word has.
    pub up_to: Assurance,
    /// Where the row comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl Issuers {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            issuer: Vec<Issuer>,
        }
        let mut issuers = BTreeMap::new();
        for row in read::<File>(TABLE, text)?.issuer {
            let id = row.id.clone();
            if issuers.insert(id.clone(), row).is_some() {
                return Err(TableError::row(TABLE, id, "`id` stands twice"));
            }
        }
        Ok(Self(issuers))
    }

    /// Adds somebody whose word counts, as a case may.
    pub(crate) fn trust(&mut self, id: &str, up_to: Assurance, recorded_at: Timestamp) {
        let (instrument, source) = ("none".to_owned(), "a case file".to_owned());
        let provenance = Provenance { instrument, source, recorded_at, verified: false };
        let issuer = Issuer { id: id.to_owned(), about: String::new(), up_to, provenance };
        self.0.insert(id.to_owned(), issuer);
    }

    /// True if the issuer's word has this level.
    #[must_use]
    pub fn trusts(&self, issuer: &str, level: Assurance) -> bool {
        self.0.get(issuer).is_some_and(|issuer| level <= issuer.up_to)
    }

    /// Every issuer.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.0.values()
    }
}
