//! The keys of one log: Ed25519 for every checkpoint, and ML-DSA-44 for those that are published.
//!
//! Both sign under the log's origin (tlog-checkpoint, "Signatures": the key's name should be the origin; logs should
//! sign by ML-DSA-44 cosignatures). An Ed25519 signature is quick and understood by every tool; the other one holds
//! against quantum computers and costs 3,300 bytes.

use comity_types::Secret;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::cosignature::{CosignatureKind, CosigningKey};
use crate::key::SigningError;
use crate::note::{Note, NoteKey};
use crate::verifier::{Kind, Verifier};

/// What signs a log's checkpoints.
#[derive(Debug)]
pub struct LogKey {
    plain: NoteKey,
    post_quantum: CosigningKey,
    verifiers: [Verifier; 2],
}

impl LogKey {
    /// Makes the keys of the log `origin`: without spaces and plus signs, of at most 255 bytes.
    ///
    /// # Errors
    /// The origin is another, or the cryptographic library failed.
    pub fn generate(origin: &str) -> Result<Self, SigningError> {
        Self::new(NoteKey::generate(origin.to_owned())?, CosigningKey::generate(origin, CosignatureKind::MlDsa44)?)
    }

    /// Takes up the keys again: both as PKCS #8 in DER.
    ///
    /// # Errors
    /// One is something else, or the origin is none.
    pub fn from_pkcs8(
        origin: &str,
        ed25519: &Secret<Vec<u8>>,
        ml_dsa_44: &Secret<Vec<u8>>,
    ) -> Result<Self, SigningError> {
        let post_quantum = CosigningKey::from_pkcs8(origin, CosignatureKind::MlDsa44, ml_dsa_44)?;
        Self::new(NoteKey::from_pkcs8(origin.to_owned(), ed25519)?, post_quantum)
    }

    fn new(plain: NoteKey, post_quantum: CosigningKey) -> Result<Self, SigningError> {
        let verifier = Verifier::new(plain.name(), Kind::Note, &plain.public()?).map_err(|_| SigningError::Name)?;
        let verifiers = [verifier, post_quantum.verifier().clone()];
        Ok(Self { plain, post_quantum, verifiers })
    }

    /// Both private keys as PKCS #8 in DER, to be stored: Ed25519, then ML-DSA-44.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn to_pkcs8(&self) -> Result<[Secret<Vec<u8>>; 2], SigningError> {
        Ok([self.plain.to_pkcs8()?, self.post_quantum.to_pkcs8()?])
    }

    /// Which log's checkpoints it signs.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.plain.name()
    }

    /// Who verifies them: Ed25519, then ML-DSA-44. Either is the log's word.
    #[must_use]
    pub const fn verifiers(&self) -> &[Verifier; 2] {
        &self.verifiers
    }

    /// Signs a checkpoint by Ed25519, and by ML-DSA-44 too if a time is given, in seconds since 1970.
    ///
    /// The caller sees to it that the log never signs two checkpoints that contradict each other.
    ///
    /// # Errors
    /// The checkpoint is another log's or none, the time none, or the cryptographic library failed.
    pub fn sign(&self, checkpoint: &Checkpoint, with_post_quantum: Option<u64>) -> Result<String, SigningError> {
        let text = checkpoint.text();
        let whole = Checkpoint::parse(&text).as_ref() == Ok::<_, &CheckpointError>(checkpoint);
        if checkpoint.origin != self.origin() || !whole {
            return Err(SigningError::OtherLog);
        }
        let note = self.plain.sign(&text)?;
        let Some(time) = with_post_quantum else { return Ok(note) };
        let mut note = Note::parse(&note).map_err(|_| SigningError::OtherLog)?;
        let line = self.post_quantum.cosign_text(&text, checkpoint, time)?;
        note.append(line).map_err(|_| SigningError::OtherLog)?;
        Ok(note.to_string())
    }
}
