//! Bytes and the signatures over them: DSSE 1.0 (github.com/secure-systems-lab/dsse, `envelope.md`, `protocol.md`).
//!
//! What is signed are the payload's bytes as they stand, with their type before them, so that nothing is ever written
//! anew to be verified, and a signature of one kind is never one of another.

mod examined;

use std::collections::BTreeSet;

use comity_types::Digest;
use serde::{Deserialize, Serialize};

use crate::key::{KeyId, PublicKey, Signer, SigningError};

pub use self::examined::Examined;

/// Most signatures of one envelope: more operators than any federation has, and a bound on what verifying costs.
pub const MAX_SIGNATURES: usize = 64;

/// A payload with its signatures. As JSON it is DSSE's envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// What the payload is.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The bytes that are signed.
    #[serde(with = "base64_bytes")]
    pub payload: Vec<u8>,
    /// Who signed.
    pub signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// By which key.
    pub keyid: KeyId,
    /// The signature.
    #[serde(with = "base64_bytes")]
    pub sig: Vec<u8>,
}

/// Why an envelope proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The payload is of another kind.
    #[error("the envelope holds {found:?} where {expected:?} is expected")]
    OtherType {
        /// What it should be.
        expected: &'static str,
        /// What it is, cut to 80 characters.
        found: String,
    },
    /// Nobody signed.
    #[error("nobody has signed")]
    Unsigned,
    /// More than [`MAX_SIGNATURES`].
    #[error("{found} signatures where at most {MAX_SIGNATURES} are allowed")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// One key signed twice: each counts once.
    #[error("the key {} has signed twice", .0.fingerprint())]
    Twice(KeyId),
    /// A signature by a key that has no say here.
    #[error("the key {} has no say in this", .0.fingerprint())]
    Stranger(KeyId),
    /// A signature that is not over these bytes.
    #[error("the signature by the key {} is not over this", .0.fingerprint())]
    Forged(KeyId),
}

impl Envelope {
    /// Wraps a payload; nobody has signed it yet.
    #[must_use]
    pub fn new(payload_type: &'static str, payload: Vec<u8>) -> Self {
        Self { payload_type: payload_type.to_owned(), payload, signatures: Vec::new() }
    }

    /// Adds a signature; a key that has signed already signs no second time.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), SigningError> {
        let keyid = signer.public_key()?.id();
        if self.signatures.iter().any(|signature| signature.keyid == keyid) {
            return Ok(());
        }
        let sig = signer.sign(&self.message())?;
        self.signatures.push(Signature { keyid, sig });
        Ok(())
    }

    /// Takes over the signatures of another envelope around the same payload.
    pub fn merge(&mut self, other: &Self) {
        for signature in &other.signatures {
            if !self.signatures.iter().any(|own| own.keyid == signature.keyid) {
                self.signatures.push(signature.clone());
            }
        }
    }

    /// The keys that signed, of those in `keys`. All signatures have to hold: an envelope with a wrong one proves
    /// nothing, however many right ones stand beside it.
    ///
    /// # Errors
    /// It is of another type, has none or too many signatures, one by a key that is not in `keys`, one that is forged,
    /// or two by one key.
    pub fn verify<'a>(
        &self,
        payload_type: &'static str,
        keys: impl IntoIterator<Item = &'a PublicKey>,
    ) -> Result<BTreeSet<KeyId>, EnvelopeError> {
        let message = self.message();
        self.verify_by(payload_type, keys, |_, key, sig| key.verifies(&message, sig))
    }

    /// As [`verify`](Self::verify), where `holds` says whether the signature at a place is one by this key.
    fn verify_by<'a>(
        &self,
        payload_type: &'static str,
        keys: impl IntoIterator<Item = &'a PublicKey>,
        holds: impl Fn(usize, &PublicKey, &[u8]) -> bool,
    ) -> Result<BTreeSet<KeyId>, EnvelopeError> {
        self.check_type(payload_type)?;
        match self.signatures.len() {
            0 => return Err(EnvelopeError::Unsigned),
            found if found > MAX_SIGNATURES => return Err(EnvelopeError::TooMany { found }),
            _ => {}
        }
        let keys: Vec<_> = keys.into_iter().map(|key| (key.id(), key)).collect();
        let mut signers = BTreeSet::new();
        for (place, Signature { keyid, sig }) in self.signatures.iter().enumerate() {
            let known = keys.iter().find(|(id, _)| id == keyid);
            let (_, key) = known.ok_or(EnvelopeError::Stranger(*keyid))?;
            if !holds(place, key, sig) {
                return Err(EnvelopeError::Forged(*keyid));
            }
            if !signers.insert(*keyid) {
                return Err(EnvelopeError::Twice(*keyid));
            }
        }
        Ok(signers)
    }

    /// Checks what the payload is.
    ///
    /// # Errors
    /// It is of another type.
    pub fn check_type(&self, expected: &'static str) -> Result<(), EnvelopeError> {
        if self.payload_type == expected {
            return Ok(());
        }
        Err(EnvelopeError::OtherType { expected, found: self.payload_type.chars().take(80).collect() })
    }

    /// What the payload is known by.
    #[must_use]
    pub fn payload_digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// DSSE's pre-authentication encoding.
    fn message(&self) -> Vec<u8> {
        let head = format!("DSSEv1 {} {} {} ", self.payload_type.len(), self.payload_type, self.payload.len());
        [head.as_bytes(), &self.payload].concat()
    }
}

/// Bytes as base64.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(|_| D::Error::custom("expected base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestKey;

    const TYPE: &str = "application/vnd.comity.test+json";

    fn signed(keys: &[&TestKey]) -> Envelope {
        let mut envelope = Envelope::new(TYPE, b"{}".to_vec());
        keys.iter().for_each(|key| envelope.sign(*key).unwrap());
        envelope
    }

    #[test]
    fn what_is_signed_is_what_the_specification_says() {
        let envelope = Envelope::new("http://example.com/HelloWorld", b"hello world".to_vec());
        assert_eq!(envelope.message(), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn every_signature_counts_once_and_has_to_hold() {
        let (ada, bob, eve) = (TestKey::p256(), TestKey::ed25519(), TestKey::p256());
        let keys = [ada.public(), bob.public()];
        let both = BTreeSet::from([ada.public().id(), bob.public().id()]);
        assert_eq!(signed(&[&ada, &bob, &ada]).verify(TYPE, &keys), Ok(both));
        assert_eq!(signed(&[]).verify(TYPE, &keys), Err(EnvelopeError::Unsigned));
        assert_eq!(signed(&[&ada, &eve]).verify(TYPE, &keys), Err(EnvelopeError::Stranger(eve.public().id())));
        let mut twice = signed(&[&ada]);
        twice.signatures.push(signed(&[&ada]).signatures.remove(0));
        assert_eq!(twice.verify(TYPE, &keys), Err(EnvelopeError::Twice(ada.public().id())));
        let mut forged = signed(&[&ada, &bob]);
        forged.payload = b"[]".to_vec();
        assert_eq!(forged.verify(TYPE, &keys), Err(EnvelopeError::Forged(ada.public().id())));
        assert!(matches!(signed(&[&ada]).verify("other", &keys), Err(EnvelopeError::OtherType { .. })));
        let mut many = signed(&[&ada]);
        many.signatures = vec![many.signatures.remove(0); MAX_SIGNATURES + 1];
        assert_eq!(many.verify(TYPE, &keys), Err(EnvelopeError::TooMany { found: MAX_SIGNATURES + 1 }));
    }

    #[test]
    fn an_envelope_survives_its_json_and_takes_nothing_unknown() {
        let envelope = signed(&[&TestKey::p256()]);
        let json = serde_json::to_string(&envelope).unwrap();
        assert_eq!(serde_json::from_str::<Envelope>(&json).unwrap(), envelope);
        assert!(serde_json::from_str::<Envelope>(&json.replace("signatures", "signature")).is_err());
    }
}
