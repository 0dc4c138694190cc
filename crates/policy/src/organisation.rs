//! An organisation's facts, as its `organisation.toml` states them.

use comity_types::{Place, TrustDomain};
use serde::{Deserialize, Serialize};

use crate::Claim;

/// A member of the federation, as far as policy reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// Its SPIFFE trust domain, which identifies it.
    pub trust_domain: TrustDomain,
    /// Its name for people.
    pub name: String,
    /// Its legal seat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<Claim<Place>>,
    /// Who ultimately controls it; empty: nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ultimate_controllers: Option<Claim<Vec<Controller>>>,
}

/// A person or organisation with decisive influence on another one (Regulation (EU) 2021/697, Art. 2(6)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Where it has its seat.
    pub seat: Place,
}
