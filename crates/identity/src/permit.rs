//! Signing and checking permits: Ed25519 (RFC 8032) by the key whose public half stands in the root.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use comity_types::Secret;

/// What is signed before the grant's bytes, so that a signature can never be taken for one of another kind.
pub const PERMIT_CONTEXT: &[u8] = b"comity permit v1\n";
/// An Ed25519 public key, in bytes.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// An Ed25519 signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// Signs permits; only a broker has it.
pub struct PermitKey(Ed25519KeyPair);

/// Why a permit key cannot be had, or a permit is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermitError {
    /// The cryptographic library failed.
    #[error("the permit key cannot be made or used")]
    Unusable,
    /// Not an Ed25519 key in PKCS #8.
    #[error("the permit key is not Ed25519 in PKCS #8")]
    Malformed,
    /// The signature is not the broker's over these bytes.
    #[error("the permit is not signed by the federation's permit key")]
    Signature,
}

impl PermitKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn generate() -> Result<Self, PermitError> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| PermitError::Unusable)
    }

    /// Reads PKCS #8 in DER.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_pkcs8(der: &Secret<Vec<u8>>) -> Result<Self, PermitError> {
        Ed25519KeyPair::from_pkcs8(der.reveal()).map(Self).map_err(|_| PermitError::Malformed)
    }

    /// PKCS #8 in DER, to be stored.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, PermitError> {
        self.0.to_pkcs8().map(|document| Secret::new(document.as_ref().to_vec())).map_err(|_| PermitError::Unusable)
    }

    /// Signs a grant's bytes.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn sign(&self, grant: &[u8]) -> Result<[u8; SIGNATURE_BYTES], PermitError> {
        let signature = self.0.try_sign(&message(grant)).map_err(|_| PermitError::Unusable)?;
        signature.as_ref().try_into().map_err(|_| PermitError::Unusable)
    }

    /// The public key, for the root document.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn public(&self) -> Result<[u8; PUBLIC_KEY_BYTES], PermitError> {
        self.0.public_key().as_ref().try_into().map_err(|_| PermitError::Unusable)
    }
}

impl std::fmt::Debug for PermitKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PermitKey")
    }
}

/// Checks permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitVerifier([u8; PUBLIC_KEY_BYTES]);

impl PermitVerifier {
    /// Takes the public key that the root document names.
    #[must_use]
    pub const fn new(public: [u8; PUBLIC_KEY_BYTES]) -> Self {
        Self(public)
    }

    /// Checks that the broker signed exactly these bytes.
    ///
    /// # Errors
    /// It did not.
    pub fn verify(&self, grant: &[u8], signature: &[u8]) -> Result<(), PermitError> {
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        key.verify(&message(grant), signature).map_err(|_| PermitError::Signature)
    }
}

fn message(grant: &[u8]) -> Vec<u8> {
    [PERMIT_CONTEXT, grant].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_verifies_for_its_own_bytes_and_key_alone() {
        let key = PermitKey::generate().unwrap();
        let verifier = PermitVerifier::new(key.public().unwrap());
        let signature = key.sign(b"grant").unwrap();
        assert_eq!(verifier.verify(b"grant", &signature), Ok(()));
        assert_eq!(verifier.verify(b"Grant", &signature), Err(PermitError::Signature));
        assert_eq!(verifier.verify(b"grant", &signature[1..]), Err(PermitError::Signature));
        let other = PermitVerifier::new(PermitKey::generate().unwrap().public().unwrap());
        assert_eq!(other.verify(b"grant", &signature), Err(PermitError::Signature));
    }

    #[test]
    fn the_signed_message_is_that_of_the_contract() {
        let key = PermitKey::generate().unwrap();
        let signature = key.sign(b"grant").unwrap();
        let plain = UnparsedPublicKey::new(&ED25519, key.public().unwrap());
        assert!(plain.verify(b"comity permit v1\ngrant", &signature).is_ok());
        assert!(plain.verify(b"grant", &signature).is_err());
    }

    #[test]
    fn a_key_survives_pkcs8_and_does_not_print() {
        let key = PermitKey::generate().unwrap();
        let again = PermitKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(format!("{key:?}"), "PermitKey");
        assert_eq!(PermitKey::from_pkcs8(&Secret::new(vec![1, 2, 3])).unwrap_err(), PermitError::Malformed);
    }
}
