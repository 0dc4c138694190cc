//! Laws that compel access to content, and whom they reach (VOCABULARY D11).

use std::collections::{BTreeMap, BTreeSet};

use comity_types::{Interval, Place, PlaceOrBloc};
use serde::{Deserialize, Serialize};

use super::sheet::{Provenance, TableError, read};

const TABLE: &str = "regimes";

/// The regimes, by id.
#[derive(Debug, Clone)]
pub struct Regimes(BTreeMap<String, Regime>);

/// A law that compels access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regime {
    /// Its name in requirements and reasons.
    pub id: String,
    /// When it is in force: within one of these.
    pub in_force: Vec<Interval>,
    /// The places whose law it is.
    pub places: BTreeSet<Place>,
    /// The same, as a set to look for places in.
    #[serde(skip)]
    pub(crate) law: BTreeSet<PlaceOrBloc>,
    /// By what it reaches a party.
    pub nexus: BTreeSet<Nexus>,
    /// Where the row comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// By what a law reaches a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nexus {
    /// Its legal seat.
    Seat,
    /// Where most of its business is done.
    PrincipalPlaceOfBusiness,
    /// A branch or an office.
    Establishment,
    /// Who controls it.
    Controller,
}

impl Regimes {
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            regime: Vec<Regime>,
        }
        let mut regimes = BTreeMap::new();
        for mut regime in read::<File>(TABLE, text)?.regime {
            regime.law = regime.places.iter().cloned().map(Into::into).collect();
            let id = regime.id.clone();
            if regime.places.is_empty() || regime.nexus.is_empty() {
                return Err(TableError::row(TABLE, id, "`places` and `nexus` must not be empty"));
            }
            if regime.in_force.is_empty() || regime.in_force.iter().any(Interval::is_empty) {
                return Err(TableError::row(TABLE, id, "`in_force` must hold at some time"));
            }
            if regimes.insert(id.clone(), regime).is_some() {
                return Err(TableError::row(TABLE, id, "`id` stands twice"));
            }
        }
        Ok(Self(regimes))
    }

    /// One regime.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Regime> {
        self.0.get(id)
    }

    /// Every regime.
    pub fn iter(&self) -> impl Iterator<Item = &Regime> {
        self.0.values()
    }
}
