//! Whom a suspension is about.

use std::fmt;
use std::str::FromStr;

use comity_types::{Digest, Invalid, SpiffeId, TrustDomain};
use serde::{Deserialize, Serialize};

/// What comes between a member and the digest of one of its certificates.
const CERTIFICATE_MARK: &str = "#sha256=";

/// Whom a suspension is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An organisation, with all its members.
    Organisation(TrustDomain),
    /// One member.
    Member(SpiffeId),
    /// One certificate of a member, which goes on with others.
    Certificate {
        /// Whose.
        member: SpiffeId,
        /// SHA-256 of its DER.
        sha256: Digest,
    },
}

impl Subject {
    /// The organisation, or the federation, that it belongs to.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        match self {
            Self::Organisation(domain) => domain,
            Self::Member(id) | Self::Certificate { member: id, .. } => id.trust_domain(),
        }
    }

    /// The member that it is, or whose it is.
    #[must_use]
    pub const fn member(&self) -> Option<&SpiffeId> {
        match self {
            Self::Organisation(_) => None,
            Self::Member(id) | Self::Certificate { member: id, .. } => Some(id),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(domain) => domain.fmt(f),
            Self::Member(id) => id.fmt(f),
            Self::Certificate { member, sha256 } => write!(f, "{member}{CERTIFICATE_MARK}{sha256}"),
        }
    }
}

impl FromStr for Subject {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = || {
            if let Some((member, sha256)) = text.split_once(CERTIFICATE_MARK) {
                return Some(Self::Certificate { member: member.parse().ok()?, sha256: sha256.parse().ok()? });
            }
            if text.starts_with("spiffe:") {
                return text.parse().ok().map(Self::Member);
            }
            text.parse().ok().map(Self::Organisation)
        };
        read().ok_or_else(|| {
            Invalid::new(
                text,
                "an organisation (org-a.example), a member (spiffe://org-a.example/node/n1) or a member's certificate (spiffe://org-a.example/node/n1#sha256=...)",
            )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_survives_its_text() {
        let digest = Digest::of(b"");
        for text in [
            "org-a.example",
            "spiffe://org-a.example/node/n1",
            &format!("spiffe://org-a.example/node/n1#sha256={digest}"),
        ] {
            let subject: Subject = text.parse().unwrap();
            assert_eq!((subject.to_string().as_str(), subject.trust_domain().as_str()), (text, "org-a.example"));
        }
        for text in ["", "Org", "spiffe://org-a.example", "org-a.example#sha256=00", "spiffe://a/node/n#sha256=1"] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
