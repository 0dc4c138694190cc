//! Signed checkpoints with a time: C2SP tlog-cosignature, whose two kinds are Ed25519 `cosignature/v1` (type 0x04) and
//! ML-DSA-44 `subtree/v1` (type 0x06).
//!
//! Witnesses sign so, and so do logs beside their plain signature, that a signature holds against quantum computers
//! (tlog-checkpoint, "Signatures"). An ML-DSA-44 signature covers names, origin, size and root, but no extension lines.
//! ML-DSA signatures are randomised: two of one checkpoint differ.

#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, ML_DSA_44_SIGNING, PqdsaKeyPair};
use comity_types::Secret;

use crate::checkpoint::{Checkpoint, CheckpointNote};
use crate::key::SigningError;
use crate::note::{MAX_NAME_BYTES, SignatureLine};
use crate::verifier::{Kind, Verifier};

/// The byte of Ed25519 cosignatures (signed-note, "Signature types").
pub(crate) const ED25519_MESSAGE_TYPE: u8 = 4;
/// The byte of ML-DSA-44 cosignatures.
pub(crate) const ML_DSA_44_MESSAGE_TYPE: u8 = 6;
/// Bytes of the time in front of a signature.
pub(crate) const TIME_BYTES: usize = 8;
/// The latest time (tlog-cosignature, "Format"), in seconds since 1970.
pub const MAX_TIME: u64 = i64::MAX.unsigned_abs();
/// What an ML-DSA-44 message begins with.
const SUBTREE_LABEL: &[u8; 12] = b"subtree/v1\n\0";

/// A key that cosigns under a name. One key has one name: an Ed25519 cosignature does not say whose it is, so a witness
/// that signs under two names needs two keys (tlog-cosignature, "Ed25519 signed message").
pub struct CosigningKey {
    pair: Pair,
    verifier: Verifier,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    MlDsa44(PqdsaKeyPair),
}

/// The two kinds of cosignatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CosignatureKind {
    /// 0x04.
    Ed25519,
    /// 0x06, which new deployments should use.
    MlDsa44,
}

impl CosigningKey {
    /// Makes a new key: a name without spaces and plus signs, of at most 255 bytes.
    ///
    /// # Errors
    /// The name is another, or the cryptographic library failed.
    pub fn generate(name: &str, kind: CosignatureKind) -> Result<Self, SigningError> {
        let unusable = |_| SigningError::Unusable;
        let pair = match kind {
            CosignatureKind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(unusable)?),
            CosignatureKind::MlDsa44 => Pair::MlDsa44(PqdsaKeyPair::generate(&ML_DSA_44_SIGNING).map_err(unusable)?),
        };
        Self::new(name, pair)
    }

    /// Takes up a key again: PKCS #8 in DER.
    ///
    /// # Errors
    /// It is something else or of the other kind, or the name is none.
    pub fn from_pkcs8(name: &str, kind: CosignatureKind, der: &Secret<Vec<u8>>) -> Result<Self, SigningError> {
        let other = |_| SigningError::OtherKind;
        let pair = match kind {
            CosignatureKind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der.reveal()).map_err(other)?),
            CosignatureKind::MlDsa44 => {
                Pair::MlDsa44(PqdsaKeyPair::from_pkcs8(&ML_DSA_44_SIGNING, der.reveal()).map_err(other)?)
            }
        };
        Self::new(name, pair)
    }

    fn new(name: &str, pair: Pair) -> Result<Self, SigningError> {
        let (kind, public) = match &pair {
            Pair::Ed25519(pair) => (Kind::Ed25519Cosignature, pair.public_key().as_ref()),
            Pair::MlDsa44(pair) => (Kind::MlDsa44Cosignature, pair.public_key().as_ref()),
        };
        let verifier = Verifier::new(name, kind, public).map_err(|_| SigningError::Name)?;
        Ok(Self { pair, verifier })
    }

    /// PKCS #8 in DER, to be stored; of an ML-DSA-44 key its seed (RFC 9881, section 6).
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, SigningError> {
        let der = match &self.pair {
            Pair::Ed25519(pair) => pair.to_pkcs8().map(|der| der.as_ref().to_vec()),
            Pair::MlDsa44(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
        };
        der.map(Secret::new).map_err(|_| SigningError::Unusable)
    }

    /// Who verifies it; its text is the `vkey`.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The name that it signs under.
    #[must_use]
    pub fn name(&self) -> &str {
        self.verifier.name()
    }

    /// Cosigns a checkpoint: says that it is the largest one of its log that was consistent with all that this key saw,
    /// `time` seconds after 1970 began.
    ///
    /// Who may sign is for the caller to know: a witness signs through [`crate::witness`] alone.
    ///
    /// # Errors
    /// The time is 0 or above [`MAX_TIME`], the origin too long, or the cryptographic library failed.
    pub(crate) fn cosign(&self, note: &CheckpointNote, time: u64) -> Result<SignatureLine, SigningError> {
        self.cosign_text(note.note().text(), note.checkpoint(), time)
    }

    /// [`cosign`](Self::cosign), by the text and what it says.
    pub(crate) fn cosign_text(
        &self,
        text: &str,
        checkpoint: &Checkpoint,
        time: u64,
    ) -> Result<SignatureLine, SigningError> {
        if time == 0 || time > MAX_TIME {
            return Err(SigningError::Time);
        }
        let signature = match &self.pair {
            Pair::Ed25519(pair) => {
                let message = ed25519_message(text, time);
                pair.try_sign(message.as_bytes()).map_err(|_| SigningError::Unusable)?.as_ref().to_vec()
            }
            Pair::MlDsa44(pair) => {
                let message = subtree_message(self.name(), checkpoint, time).ok_or(SigningError::Origin)?;
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(&message, &mut signature).map_err(|_| SigningError::Unusable)?;
                signature
            }
        };
        Ok(self.verifier.line([&time.to_be_bytes()[..], &signature].concat()))
    }
}

impl fmt::Debug for CosigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosigningKey({})", self.name())
    }
}

/// What an Ed25519 cosigner signs (tlog-cosignature, "Ed25519 signed message").
pub(crate) fn ed25519_message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// What an ML-DSA-44 cosigner signs of a whole tree: `cosigned_message` (tlog-cosignature, "ML-DSA-44 signed message").
/// Nothing if a name does not fit.
pub(crate) fn subtree_message(cosigner: &str, checkpoint: &Checkpoint, time: u64) -> Option<Vec<u8>> {
    /// The first leaf of a whole tree.
    const START: u64 = 0;
    let mut message = SUBTREE_LABEL.to_vec();
    message.extend(opaque(cosigner)?);
    message.extend(time.to_be_bytes());
    message.extend(opaque(&checkpoint.origin)?);
    message.extend(START.to_be_bytes());
    message.extend(checkpoint.size.to_be_bytes());
    message.extend(checkpoint.root.as_bytes());
    Some(message)
}

/// `opaque<1..2^8-1>` (RFC 8446, section 3.4).
fn opaque(text: &str) -> Option<Vec<u8>> {
    let length = u8::try_from(text.len()).ok().filter(|length| (1..=MAX_NAME_BYTES).contains(&usize::from(*length)))?;
    Some([&[length], text.as_bytes()].concat())
}
