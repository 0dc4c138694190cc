//! Keys for tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to fall")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use comity_types::Digest;

use crate::key::{PublicKey, Signer, SigningError};
use crate::proof::Nodes;
use crate::tree::Tree;

/// A key that lives as long as its test.
#[derive(Debug)]
pub enum TestKey {
    /// ECDSA on P-256.
    P256(EcdsaKeyPair),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
}

impl TestKey {
    /// A new ECDSA key.
    ///
    /// # Panics
    /// There is no randomness.
    #[must_use]
    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    /// A new Ed25519 key.
    ///
    /// # Panics
    /// There is no randomness.
    #[must_use]
    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// The Ed25519 key of this seed, which signs the same bytes alike each time: for what is written down.
    ///
    /// # Panics
    /// Never: every seed is one of a key.
    #[must_use]
    pub fn of_seed(seed: &Digest) -> Self {
        Self::Ed25519(Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).unwrap())
    }

    /// The public half.
    ///
    /// # Panics
    /// Never: both kinds sign statements.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public_key().unwrap()
    }
}

impl Signer for TestKey {
    fn public_key(&self) -> Result<PublicKey, SigningError> {
        use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
        let der: PublicKeyX509Der<'_> = match self {
            Self::P256(key) => key.public_key().as_der(),
            Self::Ed25519(key) => key.public_key().as_der(),
        }
        .map_err(|_| SigningError::Unusable)?;
        PublicKey::from_spki(der.as_ref())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        match self {
            Self::P256(key) => {
                key.sign(&SystemRandom::new(), message).map(|s| s.as_ref().to_vec()).map_err(|_| SigningError::Unusable)
            }
            Self::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

/// A log by the hashes of all its leaves: what proofs are made from, in tests.
#[derive(Debug, Clone, Default)]
pub struct Leaves(pub Vec<Digest>);

impl Leaves {
    /// The root of all of them.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut tree = Tree::default();
        self.0.iter().for_each(|leaf| tree.push_hash(*leaf));
        tree.root()
    }

    /// The first `size` of them.
    ///
    /// # Panics
    /// There are fewer.
    #[must_use]
    pub fn first(&self, size: u64) -> Self {
        Self(self.0.get(..usize::try_from(size).unwrap()).unwrap().to_vec())
    }
}

impl Nodes for Leaves {
    type Error = std::convert::Infallible;

    fn node(&self, height: u32, index: u64) -> Result<Digest, Self::Error> {
        let (start, end) = (index << height, (index + 1) << height);
        let leaves = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
        Ok(Self(self.0.get(leaves).unwrap().to_vec()).root())
    }
}
