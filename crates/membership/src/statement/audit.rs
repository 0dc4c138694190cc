//! What an auditor stands behind.

use std::fmt;
use std::str::FromStr;

use comity_policy::claim::{Assurance, ClaimPath};
use comity_types::{Digest, Invalid, OfferName, Timestamp, TrustDomain};
use serde::{Deserialize, Serialize};

/// Who claims something: an organisation of itself, or one of its offers. `org-a.example`, or `org-a.example/n1/chat`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claimant {
    /// An organisation.
    Organisation(TrustDomain),
    /// An offer.
    Offer(OfferName),
}

/// That an auditor stands behind one value of one claim, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Whose claim.
    pub about: Claimant,
    /// Which.
    pub path: ClaimPath,
    /// The [digest](comity_policy::claim::value_digest) of the value, exactly as it is stated.
    pub value: Digest,
    /// How far: above self-declared.
    pub level: Assurance,
    /// SHA-256 of what the auditor keeps of its work, and can show.
    pub evidence: Digest,
    /// From when on it holds.
    pub from: Timestamp,
    /// The first instant at which it no longer does.
    pub until: Timestamp,
}

impl Claimant {
    /// The organisation that answers for the claim.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        match self {
            Self::Organisation(domain) => domain,
            Self::Offer(offer) => offer.node().trust_domain(),
        }
    }
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(domain) => domain.fmt(f),
            Self::Offer(offer) => offer.fmt(f),
        }
    }
}

impl FromStr for Claimant {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.contains('/') {
            return text.parse().map(Self::Offer);
        }
        text.parse().map(Self::Organisation)
    }
}

impl Serialize for Claimant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Claimant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimant_is_an_organisation_or_an_offer_and_has_one_spelling() {
        for text in ["org-a.example", "org-a.example/n1/chat"] {
            let claimant: Claimant = text.parse().unwrap();
            assert_eq!((claimant.to_string().as_str(), claimant.trust_domain().as_str()), (text, "org-a.example"));
        }
        for text in ["", "org-a.example/", "org-a.example/n1", "org-a.example/n1/chat/", "spiffe://org-a.example"] {
            assert!(text.parse::<Claimant>().is_err(), "{text}");
        }
    }
}
