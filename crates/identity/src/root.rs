//! The federation's root document: whom to trust and who governs at first, pinned by the SHA-256 of its exact bytes.

use std::collections::BTreeSet;

use comity_transparency::{Kind as KeyKind, NoteVerifier, PublicKey, Verifier};
use comity_types::{Digest, Invalid, SpiffeId, Timestamp, TrustDomain, ids::Kind};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::anchors::{AnchorError, OrganisationAnchors};
use crate::host::Address;

/// The form of root document that this program writes and reads.
pub const ROOT_VERSION: u32 = 3;
/// Largest root document, in bytes: room for many operators, far below a gRPC message.
pub const MAX_ROOT_BYTES: usize = 64 * 1024;

/// What a federation was founded with. JSON; nothing unknown is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// [`ROOT_VERSION`].
    pub version: u32,
    /// The federation's own trust domain.
    pub federation: TrustDomain,
    /// Whom to expect at the addresses.
    pub broker: SpiffeId,
    /// Where brokers listen, `host:port`.
    pub addresses: Vec<String>,
    /// The authorities of the federation's own trust domain; base64 of DER.
    #[serde(with = "base64_anchors")]
    pub anchors: Vec<CertificateDer<'static>>,
    /// The keys that checkpoints of the broker's decision log are signed by, as c2sp.org/signed-note has them (vkeys):
    /// Ed25519, then ML-DSA-44.
    #[serde(with = "vkeys")]
    pub decision_log: [Verifier; 2],
    /// The Ed25519 public key that checkpoints of the membership log are signed by; base64 of 32 bytes.
    #[serde(with = "base64_key")]
    pub log_key: [u8; 32],
    /// Who governs membership at first: operators of the federation's own trust domain.
    pub operators: Vec<RootOperator>,
    /// How many of them change who governs.
    pub root_threshold: u32,
    /// How many of them admit, suspend, lift and evict.
    pub membership_threshold: u32,
    /// When the federation was founded.
    pub founded_at: Timestamp,
}

/// An operator whom the root names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootOperator {
    /// Who.
    pub id: SpiffeId,
    /// The key that they sign statements with, and that their certificate is for.
    pub key: PublicKey,
}

/// Why a root document is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// Not the document that the invite or the identity pins.
    #[error("the root document's digest is {found} where {expected} is pinned")]
    Digest {
        /// What is pinned.
        expected: Digest,
        /// What was received.
        found: Digest,
    },
    /// Larger than [`MAX_ROOT_BYTES`].
    #[error("the root document has {bytes} bytes where at most {MAX_ROOT_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not the JSON of a root document.
    #[error("the root document cannot be read")]
    Json(#[from] serde_json::Error),
    /// Made by a newer program.
    #[error("the root document has version {found} where {ROOT_VERSION} is understood (hint: update this program)")]
    Version {
        /// Its version.
        found: u32,
    },
    /// The broker's ID is not a broker of the federation.
    #[error("field broker: {broker} is not a broker of {federation}")]
    Broker {
        /// The ID.
        broker: SpiffeId,
        /// The federation's domain.
        federation: TrustDomain,
    },
    /// The keys of the decision log are of other kinds, or of another log.
    #[error("field decision_log: expected an Ed25519 and an ML-DSA-44 key of the log {origin}")]
    DecisionLog {
        /// Which log it should be.
        origin: String,
    },
    /// An address is none, or there is none.
    #[error("field addresses")]
    Addresses(#[source] Invalid),
    /// The anchors are not the federation's.
    #[error("field anchors")]
    Anchors(#[from] AnchorError),
    /// Nobody governs.
    #[error("field operators is empty where at least one operator of the federation is needed")]
    NoOperators,
    /// Two operators have one ID, or one key.
    #[error("field operators: an ID or a key stands twice, and each counts once")]
    OperatorTwice,
    /// Nobody could ever meet it, or nobody has to.
    #[error("field {field} is {found} where 1 to {operators} is possible, as many as there are operators")]
    Threshold {
        /// Which.
        field: &'static str,
        /// What it is.
        found: u32,
        /// How many operators there are.
        operators: usize,
    },
    /// Somebody who would govern is no operator of the federation.
    #[error("field operators: {operator} is not an operator of {federation}")]
    Operator {
        /// The ID.
        operator: SpiffeId,
        /// The federation's domain.
        federation: TrustDomain,
    },
}

impl Root {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RootError> {
        if bytes.len() > MAX_ROOT_BYTES {
            return Err(RootError::TooLarge { bytes: bytes.len() });
        }
        let root: Self = serde_json::from_slice(bytes)?;
        root.check()?;
        Ok(root)
    }

    /// Reads a document only if it is the one that is pinned.
    ///
    /// # Errors
    /// It is another one, or wrong.
    pub fn pinned(bytes: &[u8], expected: Digest) -> Result<Self, RootError> {
        let found = Self::digest(bytes);
        if found == expected { Self::from_json(bytes) } else { Err(RootError::Digest { expected, found }) }
    }

    /// Checks and writes the document. Whoever founds a federation keeps these bytes: they are what is pinned.
    ///
    /// # Errors
    /// A field is wrong.
    pub fn to_json(&self) -> Result<Vec<u8>, RootError> {
        self.check()?;
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What invites and identities pin: SHA-256 of the exact bytes.
    #[must_use]
    pub fn digest(bytes: &[u8]) -> Digest {
        Digest::of(bytes)
    }

    /// The anchors to verify brokers with.
    ///
    /// # Errors
    /// One of them is not an anchor of the federation.
    pub fn organisation_anchors(&self) -> Result<OrganisationAnchors, AnchorError> {
        OrganisationAnchors::new(self.federation.clone(), &self.anchors)
    }

    /// What the broker's decision log is called in its checkpoints.
    #[must_use]
    pub fn decision_log_origin(&self) -> String {
        decision_log_origin(&self.broker)
    }

    /// What checks the checkpoints of the decision log, by Ed25519.
    #[must_use]
    pub fn decision_log_verifier(&self) -> NoteVerifier {
        let [plain, _] = &self.decision_log;
        NoteVerifier::of(plain)
    }

    /// What checks the checkpoints of the membership log.
    #[must_use]
    pub fn log_verifier(&self, origin: String) -> NoteVerifier {
        NoteVerifier::new(origin, self.log_key)
    }

    fn check(&self) -> Result<(), RootError> {
        if self.version != ROOT_VERSION {
            return Err(RootError::Version { found: self.version });
        }
        if self.broker.kind() != Kind::Broker || *self.broker.trust_domain() != self.federation {
            return Err(RootError::Broker { broker: self.broker.clone(), federation: self.federation.clone() });
        }
        if self.addresses.is_empty() {
            return Err(RootError::Addresses(Invalid::new("[]", "at least one address, host:port")));
        }
        for address in &self.addresses {
            address.parse::<Address>().map_err(RootError::Addresses)?;
        }
        self.organisation_anchors()?;
        let origin = self.decision_log_origin();
        let kinds = self.decision_log.each_ref().map(Verifier::kind);
        if kinds != [KeyKind::Note, KeyKind::MlDsa44Cosignature]
            || self.decision_log.iter().any(|key| key.name() != origin)
        {
            return Err(RootError::DecisionLog { origin });
        }
        self.check_operators()
    }

    fn check_operators(&self) -> Result<(), RootError> {
        let all = self.operators.len();
        if all == 0 {
            return Err(RootError::NoOperators);
        }
        let foreign = |id: &&SpiffeId| id.kind() != Kind::Operator || *id.trust_domain() != self.federation;
        if let Some(operator) = self.operators.iter().map(|operator| &operator.id).find(foreign) {
            return Err(RootError::Operator { operator: operator.clone(), federation: self.federation.clone() });
        }
        let ids: BTreeSet<_> = self.operators.iter().map(|operator| &operator.id).collect();
        let keys: BTreeSet<_> = self.operators.iter().map(|operator| &operator.key).collect();
        if ids.len() != all || keys.len() != all {
            return Err(RootError::OperatorTwice);
        }
        for (field, found) in
            [("root_threshold", self.root_threshold), ("membership_threshold", self.membership_threshold)]
        {
            if !usize::try_from(found).is_ok_and(|found| (1..=all).contains(&found)) {
                return Err(RootError::Threshold { field, found, operators: all });
            }
        }
        Ok(())
    }
}

/// What the decision log of a broker is called: one per broker.
#[must_use]
pub fn decision_log_origin(broker: &SpiffeId) -> String {
    format!("{}/decisions/{}", broker.trust_domain(), broker.name())
}

/// Keys of a log as text.
mod vkeys {
    use comity_transparency::Verifier;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(keys: &[Verifier; 2], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(keys.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[Verifier; 2], D::Error> {
        let keys = <[String; 2]>::deserialize(deserializer)?.map(|key| key.parse());
        let [plain, post_quantum] = keys;
        Ok([plain.map_err(D::Error::custom)?, post_quantum.map_err(D::Error::custom)?])
    }
}

/// Certificates as base64 of DER.
mod base64_anchors {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rustls_pki_types::CertificateDer;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        anchors: &[CertificateDer<'static>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(anchors.iter().map(|der| STANDARD.encode(der)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<CertificateDer<'static>>, D::Error> {
        let decode = |text: String| {
            STANDARD.decode(text).map(CertificateDer::from).map_err(|_| D::Error::custom("anchors must be base64"))
        };
        Vec::<String>::deserialize(deserializer)?.into_iter().map(decode).collect()
    }
}

/// An Ed25519 public key as base64.
mod base64_key {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(key: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(key))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let bytes = STANDARD.decode(String::deserialize(deserializer)?).ok();
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.ok_or_else(|| D::Error::custom("log_key must be base64 of 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use comity_transparency::LogKey;

    use super::*;
    use crate::testing::{Organisation, now};

    fn operator(id: &str, key: u8) -> RootOperator {
        RootOperator { id: id.parse().unwrap(), key: PublicKey::from_ed25519(&[key; 32]) }
    }

    fn root() -> Root {
        let federation = Organisation::new("federation.example");
        Root {
            version: ROOT_VERSION,
            federation: federation.authority.domain().clone(),
            broker: federation.id("broker", "b1"),
            addresses: vec![String::from("broker.example:7443")],
            anchors: vec![federation.authority.anchor()],
            decision_log: LogKey::generate("federation.example/decisions/b1").unwrap().verifiers().clone(),
            log_key: [8; 32],
            operators: vec![operator("spiffe://federation.example/operator/ada", 1)],
            root_threshold: 1,
            membership_threshold: 1,
            founded_at: now(),
        }
    }

    #[test]
    fn a_root_survives_its_json() {
        let root = root();
        let bytes = root.to_json().unwrap();
        assert_eq!(Root::from_json(&bytes).unwrap(), root);
        assert_eq!(Root::pinned(&bytes, Digest::of(&bytes)).unwrap(), root);
    }

    #[test]
    fn one_changed_byte_is_another_root() {
        let bytes = root().to_json().unwrap();
        let mut other = bytes.clone();
        other.push(b' ');
        assert!(matches!(Root::pinned(&other, Root::digest(&bytes)), Err(RootError::Digest { .. })));
    }

    #[test]
    fn unknown_fields_are_refused() {
        let mut json: serde_json::Value = serde_json::from_slice(&root().to_json().unwrap()).unwrap();
        json["thresholds"] = 2.into();
        let refused = Root::from_json(json.to_string().as_bytes()).unwrap_err();
        assert!(matches!(&refused, RootError::Json(error) if error.to_string().contains("thresholds")), "{refused:?}");
    }

    #[test]
    fn a_wrong_field_is_refused_by_its_name() {
        type Change = fn(&mut Root);
        let table: [(Change, &str); 16] = [
            (|root| root.decision_log.swap(0, 1), "field decision_log"),
            (
                |root| root.decision_log = LogKey::generate("other/decisions/b1").unwrap().verifiers().clone(),
                "field decision_log",
            ),
            (|root| root.version = 1, "version 1"),
            (|root| root.broker = "spiffe://org-a.example/broker/b1".parse().unwrap(), "field broker"),
            (|root| root.broker = "spiffe://federation.example/node/b1".parse().unwrap(), "field broker"),
            (|root| root.addresses.clear(), "field addresses"),
            (|root| root.addresses.push(String::from("broker.example")), "field addresses"),
            (|root| root.anchors = vec![Organisation::new("org-a.example").authority.anchor()], "field anchors"),
            (|root| root.operators.clear(), "field operators"),
            (|root| root.operators.push(operator("spiffe://org-a.example/node/n1", 2)), "field operators"),
            (|root| root.operators.push(operator("spiffe://federation.example/node/n1", 2)), "field operators"),
            (|root| root.operators.push(operator("spiffe://org-a.example/operator/eve", 2)), "field operators"),
            (|root| root.operators.push(operator("spiffe://federation.example/operator/bob", 1)), "stands twice"),
            (|root| root.operators.push(operator("spiffe://federation.example/operator/ada", 2)), "stands twice"),
            (|root| root.root_threshold = 0, "field root_threshold is 0 where 1 to 1"),
            (|root| root.membership_threshold = 2, "field membership_threshold is 2 where 1 to 1"),
        ];
        for (change, expected) in table {
            let mut root = root();
            change(&mut root);
            let written = root.to_json().unwrap_err().to_string();
            assert!(written.contains(expected), "{written}");
            let read = Root::from_json(&serde_json::to_vec(&root).unwrap()).unwrap_err().to_string();
            assert_eq!(read, written);
        }
    }
}
