//! What can be said about a federation, and the bytes that say it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use comity_policy::{Layers, Offer, Organisation};
use comity_types::{Digest, Invalid, SpiffeId, Timestamp, TrustDomain};
use serde::{Deserialize, Serialize};

/// One statement at its place in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its place, from 1.
    pub epoch: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it; nobody for the founding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<SpiffeId>,
    /// What it says.
    pub statement: Statement,
}

/// A change of the federation's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Statement {
    /// The federation exists. Always the first statement, and only that.
    Founded {
        /// Its trust domain.
        federation: TrustDomain,
        /// SHA-256 of its root document, which every member pins.
        root_sha256: Digest,
        /// Its first operators.
        operators: BTreeSet<SpiffeId>,
    },
    /// An organisation is a member.
    OrganisationAdmitted {
        /// Its facts.
        organisation: Organisation,
        /// What it demands of its own requests.
        #[serde(default, skip_serializing_if = "Layers::is_empty")]
        layers: Layers,
        /// Its certificate authorities: DER in base64. They are valid for its trust domain alone.
        anchors: Vec<String>,
    },
    /// An organisation's facts and layers are these, and nothing else any more. Its trust domain and its anchors stay.
    OrganisationUpdated {
        /// Its facts; the trust domain says whose.
        organisation: Organisation,
        /// What it demands of its own requests.
        #[serde(default, skip_serializing_if = "Layers::is_empty")]
        layers: Layers,
    },
    /// A node or an app of an admitted organisation, or an operator of the federation, is a member.
    MemberAdmitted {
        /// Its identity.
        id: SpiffeId,
        /// SHA-256 of its public key (SubjectPublicKeyInfo).
        key_sha256: Digest,
    },
    /// A member is refused until it is lifted.
    Suspended {
        /// Who.
        subject: Subject,
        /// Why.
        reason: String,
    },
    /// A suspension has ended.
    Lifted {
        /// Whose.
        subject: Subject,
    },
    /// A node offers this, and nothing else any more.
    OffersPublished {
        /// The node.
        node: SpiffeId,
        /// Where the broker reaches it, `host:port`.
        address: String,
        /// All its offers.
        offers: Vec<Offer>,
    },
}

/// Whom a suspension is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An organisation, with all its members.
    Organisation(TrustDomain),
    /// One member.
    Member(SpiffeId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(domain) => domain.fmt(f),
            Self::Member(id) => id.fmt(f),
        }
    }
}

impl FromStr for Subject {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let member = || text.parse().map(Self::Member);
        let organisation = || text.parse().map(Self::Organisation);
        if text.starts_with("spiffe:") { member() } else { organisation() }.map_err(|_| {
            Invalid::new(text, "an organisation (org-a.example) or a member (spiffe://org-a.example/node/n1)")
        })
    }
}

impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Entry {
    /// The bytes that are stored and sent.
    ///
    /// # Errors
    /// Never for entries that came from [`Entry::from_json`] or were built from checked values.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads stored bytes. A kind of statement or a field that is not known is refused.
    ///
    /// # Errors
    /// Names what is wrong, with line and column.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// The digest that a permit names an offer by: SHA-256 of the offer's JSON form, whose field order is fixed.
#[must_use]
pub fn offer_digest(offer: &Offer) -> Digest {
    // An offer holds no map with non-string keys and no float, so that it always has a JSON form; were
    // it ever to lack one, the empty digest matches no offer, and the node refuses.
    Digest::of(&serde_json::to_vec(offer).unwrap_or_default())
}
