//! Public keys that sign statements, and whoever holds the private half.
//!
//! Two kinds, by their SubjectPublicKeyInfo (RFC 5280, section 4.1): ECDSA on P-256 with SHA-256, whose signatures
//! are ASN.1 DER (RFC 3279), and Ed25519 (RFC 8410).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::{Digest, Invalid};

/// What a key is known by: SHA-256 of its SubjectPublicKeyInfo.
pub type KeyId = Digest;

/// What comes before an uncompressed point of P-256 (id-ecPublicKey, prime256v1).
const P256_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// The coordinates of a point, in bytes.
const P256_COORDINATES: usize = 64;
/// What comes before an Ed25519 key (RFC 8410, section 4).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// An Ed25519 public key, in bytes.
pub const ED25519_BYTES: usize = 32;
/// What a text that is no key should have been.
const EXPECTED: &str = "a public key: base64 of an ECDSA P-256 or Ed25519 SubjectPublicKeyInfo in DER";

/// A public key of one of the two kinds, as SubjectPublicKeyInfo in DER; base64 as text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(Vec<u8>);

/// Something that signs with one key, which it keeps.
pub trait Signer {
    /// The public half.
    ///
    /// # Errors
    /// The key is of another kind than the two that sign statements.
    fn public_key(&self) -> Result<PublicKey, SigningError>;

    /// Signs exactly these bytes.
    ///
    /// # Errors
    /// The key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError>;
}

/// Why something is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The cryptographic library failed.
    #[error("the key cannot be used")]
    Unusable,
    /// Not an ECDSA P-256 or Ed25519 key.
    #[error("the key cannot sign statements (hint: it has to be ECDSA P-256 or Ed25519)")]
    OtherKind,
    /// Not a name that signs notes.
    #[error("a key that signs notes has a name without spaces and plus signs, of at most 255 bytes")]
    Name,
    /// Not a time that a cosignature can have.
    #[error("a cosignature's time is in seconds since 1970, from 1 to 2^63 - 1")]
    Time,
    /// A cosignature cannot commit to the checkpoint's origin.
    #[error("a cosignature commits to an origin of at most 255 bytes")]
    Origin,
    /// The checkpoint is of another log than the key.
    #[error("the checkpoint is of another log than the key")]
    OtherLog,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo. There is one encoding to a key, so that one key never counts as two.
    ///
    /// # Errors
    /// It is of another kind, or another encoding.
    pub fn from_spki(der: &[u8]) -> Result<Self, SigningError> {
        let p256 = der.strip_prefix(&P256_PREFIX).is_some_and(|point| point.len() == P256_COORDINATES);
        let ed25519 = der.strip_prefix(&ED25519_PREFIX).is_some_and(|key| key.len() == ED25519_BYTES);
        if p256 || ed25519 { Ok(Self(der.to_vec())) } else { Err(SigningError::OtherKind) }
    }

    /// An Ed25519 key by its 32 bytes.
    #[must_use]
    pub fn from_ed25519(key: &[u8; ED25519_BYTES]) -> Self {
        Self([&ED25519_PREFIX[..], key].concat())
    }

    /// The SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn as_spki(&self) -> &[u8] {
        &self.0
    }

    /// What it is known by.
    #[must_use]
    pub fn id(&self) -> KeyId {
        Digest::of(&self.0)
    }

    /// True if the private half signed exactly `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm =
            if self.0.starts_with(&P256_PREFIX) { &ECDSA_P256_SHA256_ASN1 } else { &ED25519 };
        UnparsedPublicKey::new(algorithm, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id().fingerprint())
    }
}

impl FromStr for PublicKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let der = STANDARD.decode(text).map_err(|_| Invalid::new(text, EXPECTED))?;
        Self::from_spki(&der).map_err(|_| Invalid::new(text, EXPECTED))
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestKey;

    #[test]
    fn both_kinds_of_key_verify_their_own_signatures_and_no_others() {
        for key in [TestKey::p256(), TestKey::ed25519()] {
            let (public, signature) = (key.public_key().unwrap(), key.sign(b"message").unwrap());
            assert!(public.verifies(b"message", &signature));
            assert!(!public.verifies(b"Message", &signature));
            assert!(!public.verifies(b"message", &signature[1..]));
            assert!(!TestKey::p256().public_key().unwrap().verifies(b"message", &signature));
            assert!(!TestKey::ed25519().public_key().unwrap().verifies(b"message", &signature));
        }
    }

    #[test]
    fn a_key_survives_its_text_and_has_one_encoding() {
        for key in [TestKey::p256().public(), TestKey::ed25519().public()] {
            assert_eq!(key.to_string().parse::<PublicKey>().as_ref(), Ok(&key));
            let longer = [key.as_spki(), &[0]].concat();
            for other in [&longer, &longer[1..], &longer[..longer.len() - 2]] {
                assert_eq!(PublicKey::from_spki(other), Err(SigningError::OtherKind));
            }
        }
        for text in ["", "AAAA", "no base64"] {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
    }
}
