//! Identifiers: SPIFFE trust domains and IDs (SPIFFE-ID.md, sections 2 and 2.3),
//! the names below an organisation, and the ids of decisions.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::Invalid;
use crate::text::{checked_text, text_traits};

/// Longest trust domain, in bytes (SPIFFE-ID section 2.1).
pub const MAX_TRUST_DOMAIN_BYTES: usize = 255;
/// Longest SPIFFE ID, in bytes (SPIFFE-ID section 2.3).
pub const MAX_SPIFFE_ID_BYTES: usize = 2048;
/// Longest [`Name`], in bytes: fits a DNS label's neighbourhood and a table's column.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest [`ModelName`], in bytes.
pub const MAX_MODEL_NAME_BYTES: usize = 128;

checked_text!(
    /// A SPIFFE trust domain, which is the identifier of an organisation. Narrower than SPIFFE, which
    /// allows empty labels: `..` is a name of files, and `org.` is no other organisation than `org`.
    TrustDomain,
    |text| text.len() <= MAX_TRUST_DOMAIN_BYTES
        && text.split('.').all(|label| !label.is_empty())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')),
    "a trust domain: 1 to 255 bytes of a-z 0-9 . - _, no label empty, such as org-a.example"
);

checked_text!(
    /// The name of a node, an app, an operator or an offer, below its owner.
    Name,
    |text| !text.is_empty()
        && text.len() <= MAX_NAME_BYTES
        && text != "."
        && text != ".."
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')),
    "a name: 1 to 64 bytes of a-z 0-9 . - _"
);

checked_text!(
    /// A model's public name: what a caller asks for, such as `smollm2-135m-instruct` or `meta/llama-3.3:70b`.
    ModelName,
    |text| !text.is_empty()
        && text.len() <= MAX_MODEL_NAME_BYTES
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b':' | b'/' | b'@')),
    "a model name: 1 to 128 bytes of a-z A-Z 0-9 . - _ : / @"
);

/// What kind of member a SPIFFE ID names, by the first segment of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A replica of the broker; only in the federation's own trust domain.
    Broker,
    /// A program that serves models.
    Node,
    /// A client program.
    App,
    /// A person's key with a vote on membership.
    Operator,
}

impl Kind {
    /// The path segment that stands for it.
    #[must_use]
    pub const fn segment(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Node => "node",
            Self::App => "app",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.segment())
    }
}

/// `spiffe://<trust domain>/<kind>/<name>`: the only form of SPIFFE ID that a federation issues or accepts.
/// Copies share one: requests have many made of the IDs that take part in them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpiffeId(Arc<SpiffeParts>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SpiffeParts {
    text: Box<str>,
    domain: TrustDomain,
    kind: Kind,
    name: Name,
}

impl SpiffeId {
    /// Puts an ID together from parts that were checked before.
    #[must_use]
    pub fn new(domain: TrustDomain, kind: Kind, name: Name) -> Self {
        let text = format!("spiffe://{domain}/{kind}/{name}").into();
        Self(Arc::new(SpiffeParts { text, domain, kind, name }))
    }

    /// The whole ID.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The organisation, or the federation, that the ID belongs to.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.0.domain
    }

    /// What kind of member it names.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The member's name below the organisation.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.0.name
    }
}

impl Hash for SpiffeId {
    /// The text holds all of it.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl FromStr for SpiffeId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts = || {
            if text.len() > MAX_SPIFFE_ID_BYTES {
                return None;
            }
            let mut parts = text.strip_prefix("spiffe://")?.split('/');
            let (domain, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
            let kind = match kind {
                "broker" => Kind::Broker,
                "node" => Kind::Node,
                "app" => Kind::App,
                "operator" => Kind::Operator,
                _ => return None,
            };
            let end = parts.next().is_none();
            end.then_some(Self::new(domain.parse().ok()?, kind, name.parse().ok()?))
        };
        parts().ok_or_else(|| {
            Invalid::new(text, "a SPIFFE ID such as spiffe://org-a.example/node/n1 (broker, node, app or operator)")
        })
    }
}

text_traits!(SpiffeId, "a SPIFFE ID such as spiffe://org-a.example/node/n1");

/// An offer's name in the federation: `<organisation>/<node>/<offer>`.
/// Copies share one, as those of IDs do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfferName(Arc<OfferParts>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct OfferParts {
    text: Box<str>,
    node: SpiffeId,
    id: Name,
}

impl OfferName {
    /// The offer `id` of `node`.
    #[must_use]
    pub fn new(node: &SpiffeId, id: &Name) -> Self {
        let text = format!("{}/{}/{id}", node.trust_domain(), node.name()).into();
        Self(Arc::new(OfferParts { text, node: node.clone(), id: id.clone() }))
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The node that makes the offer.
    #[must_use]
    pub fn node(&self) -> &SpiffeId {
        &self.0.node
    }

    /// The offer's id on its node.
    #[must_use]
    pub fn id(&self) -> &Name {
        &self.0.id
    }
}

impl Hash for OfferName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl FromStr for OfferName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts = || {
            let mut parts = text.split('/');
            let (domain, node, id) = (parts.next()?, parts.next()?, parts.next()?);
            let node = SpiffeId::new(domain.parse().ok()?, Kind::Node, node.parse().ok()?);
            let end = parts.next().is_none();
            end.then_some(Self::new(&node, &id.parse().ok()?))
        };
        parts().ok_or_else(|| Invalid::new(text, "an offer such as org-a.example/n1/chat"))
    }
}

text_traits!(OfferName, "an offer such as org-a.example/n1/chat");

/// The id of a decision: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId([u8; 16]);

impl DecisionId {
    /// Takes the 128 bits from whoever has randomness.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 128 bits.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::digest::write_hex(&self.0, f)
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for DecisionId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        crate::digest::bytes_from_hex(text)
            .map(Self)
            .ok_or_else(|| Invalid::new(text, "a decision id: 32 hexadecimal digits"))
    }
}

impl serde::Serialize for DecisionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for DecisionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiffe_id_is_taken_apart_and_printed_as_it_was() {
        let id: SpiffeId = "spiffe://org-a.example/node/gpu-1".parse().unwrap();
        assert_eq!((id.trust_domain().as_str(), id.kind(), id.name().as_str()), ("org-a.example", Kind::Node, "gpu-1"));
        assert_eq!(id.to_string(), "spiffe://org-a.example/node/gpu-1");
    }

    #[test]
    fn ids_outside_the_grammar_are_refused() {
        for text in [
            "",
            "spiffe://",
            "spiffe://org",
            "spiffe://org/",
            "spiffe://org/node",
            "spiffe://org/node/",
            "spiffe://org/node/a/b",
            "spiffe://Org/node/a",
            "spiffe://org:1/node/a",
            "spiffe://u@org/node/a",
            "spiffe://org/node/a%20b",
            "spiffe://org/node/..",
            "spiffe://org/node/a?q",
            "spiffe://org/node/a#f",
            "spiffe://org/thing/a",
            "https://org/node/a",
            "spiffe://org//a",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text} was accepted");
        }
        let long = format!("spiffe://{}/node/a", "a".repeat(MAX_TRUST_DOMAIN_BYTES + 1));
        assert!(long.parse::<SpiffeId>().is_err());
    }

    #[test]
    fn what_is_no_domain_is_no_trust_domain() {
        for text in ["org", "org-a.example", "a_b.example", "10.0.0.1", "1.x--y"] {
            assert!(text.parse::<TrustDomain>().is_ok(), "{text} was refused");
        }
        for text in ["", ".", "..", "...", ".org", "org.", "org..example", "Org.example", "org/a", "\u{f6}rg.example"] {
            assert!(text.parse::<TrustDomain>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn an_offer_name_survives_its_text() {
        let name: OfferName = "org-a.example/n1/chat".parse().unwrap();
        assert_eq!(name.node().as_str(), "spiffe://org-a.example/node/n1");
        assert_eq!(name.id().as_str(), "chat");
    }

    #[test]
    fn a_decision_id_survives_its_text() {
        let id = DecisionId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse::<DecisionId>(), Ok(id));
        assert!("xyz".parse::<DecisionId>().is_err());
    }
}
