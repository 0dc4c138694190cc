//! Who may have signed a checkpoint: a name, a kind of signature and a public key, as one `vkey`
//! (signed-note, "Verifier keys"; tlog-cosignature, "Format").

mod weak;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, ML_DSA_44, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::Invalid;

use crate::checkpoint::CheckpointNote;
use crate::cosignature::{
    ED25519_MESSAGE_TYPE, MAX_TIME, ML_DSA_44_MESSAGE_TYPE, TIME_BYTES, ed25519_message, subtree_message,
};
use crate::key::ED25519_BYTES;
use crate::note::{ED25519_TYPE, KEY_ID_BYTES, NoteError, SignatureLine, is_name, key_id};

/// An ML-DSA-44 public key, in bytes (FIPS 204, table 2).
pub const ML_DSA_44_BYTES: usize = 1312;
/// Longest `vkey`, in bytes: a name, an id and an ML-DSA-44 key in base64.
pub const MAX_VKEY_BYTES: usize = 2048;
/// What a text that is no `vkey` should have been.
const EXPECTED: &str = "a verifier key: <name>+<id>+<base64>, of Ed25519 (0x01), an Ed25519 cosigner (0x04) or an \
                        ML-DSA-44 cosigner (0x06)";

/// What kind of signature a key makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 0x01: Ed25519 over the note's text. Logs sign so.
    Note,
    /// 0x04: Ed25519 over the text and a time. Witnesses sign so.
    Ed25519Cosignature,
    /// 0x06: ML-DSA-44 over names, origin, size, root and a time. Logs and witnesses sign so.
    MlDsa44Cosignature,
}

/// A key whose signatures are looked for. As text: its `vkey`, in one spelling.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Verifier {
    name: String,
    kind: Kind,
    public: Vec<u8>,
    id: [u8; KEY_ID_BYTES],
}

/// That a key signed a checkpoint. The later one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signed {
    /// When, in seconds since 1970. A plain signature has no time, and one that says nothing of it has none either.
    pub time: Option<u64>,
}

impl Kind {
    /// The byte of the kind (signed-note, "Signature types").
    const fn byte(self) -> u8 {
        match self {
            Self::Note => ED25519_TYPE,
            Self::Ed25519Cosignature => ED25519_MESSAGE_TYPE,
            Self::MlDsa44Cosignature => ML_DSA_44_MESSAGE_TYPE,
        }
    }

    const fn public_bytes(self) -> usize {
        match self {
            Self::Note | Self::Ed25519Cosignature => ED25519_BYTES,
            Self::MlDsa44Cosignature => ML_DSA_44_BYTES,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Note, Self::Ed25519Cosignature, Self::MlDsa44Cosignature].into_iter().find(|kind| kind.byte() == byte)
    }
}

impl Verifier {
    /// The key that signs under `name`.
    ///
    /// # Errors
    /// The name is none, the key has another length, or it is an Ed25519 key for which anybody can sign.
    pub fn new(name: &str, kind: Kind, public: &[u8]) -> Result<Self, Invalid> {
        if !is_name(name) || public.len() != kind.public_bytes() {
            return Err(Invalid::new(name, EXPECTED));
        }
        if kind != Kind::MlDsa44Cosignature && weak::is_weak(public) {
            return Err(Invalid::new(name, "the name of an Ed25519 key that one holder alone can sign with"));
        }
        Ok(Self { name: name.to_owned(), kind, public: public.to_vec(), id: key_id(name, kind.byte(), public) })
    }

    /// The name that it signs under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The raw public key: 32 bytes of Ed25519, or 1,312 of ML-DSA-44.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// What its signatures are.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// True if both are one key, under whatever names and as whatever kinds (tlog-policy, "Public key representation").
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.public == other.public
    }

    /// True if the line says that it is by this key.
    #[must_use]
    pub fn names(&self, line: &SignatureLine) -> bool {
        line.name == self.name && line.id == self.id
    }

    /// A line of this key.
    pub(crate) fn line(&self, signature: Vec<u8>) -> SignatureLine {
        SignatureLine { name: self.name.clone(), id: self.id, signature }
    }

    /// Verifies a line that [names](Self::names) the key.
    ///
    /// # Errors
    /// The key did not sign this.
    pub fn verify(&self, note: &CheckpointNote, line: &SignatureLine) -> Result<Signed, NoteError> {
        let verified = match self.kind {
            Kind::Note => {
                let text = note.note().text().as_bytes();
                UnparsedPublicKey::new(&ED25519, &self.public).verify(text, &line.signature).ok().map(|()| 0)
            }
            Kind::Ed25519Cosignature | Kind::MlDsa44Cosignature => self.verify_timed(note, line),
        };
        let time = verified.filter(|_| self.names(line)).ok_or(NoteError::Forged)?;
        Ok(Signed { time: (time != 0).then_some(time) })
    }

    /// The time of a `timestamped_signature` that holds (tlog-cosignature, "Format").
    fn verify_timed(&self, note: &CheckpointNote, line: &SignatureLine) -> Option<u64> {
        let (time, signature) = line.signature.split_first_chunk::<TIME_BYTES>()?;
        let time = u64::from_be_bytes(*time);
        if time > MAX_TIME {
            return None;
        }
        if self.kind == Kind::Ed25519Cosignature {
            let message = ed25519_message(note.note().text(), time);
            UnparsedPublicKey::new(&ED25519, &self.public).verify(message.as_bytes(), signature).ok()?;
        } else {
            let message = subtree_message(&self.name, note.checkpoint(), time)?;
            UnparsedPublicKey::new(&ML_DSA_44, &self.public).verify(&message, signature).ok()?;
        }
        Some(time)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[self.kind.byte()], &self.public[..]].concat());
        write!(f, "{}+{:08x}+{key}", self.name, u32::from_be_bytes(self.id))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({}+{:08x}, {:?})", self.name, u32::from_be_bytes(self.id), self.kind)
    }
}

impl FromStr for Verifier {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts = || {
            let (name, rest) = text.split_once('+').filter(|_| text.len() <= MAX_VKEY_BYTES)?;
            let key = STANDARD.decode(rest.split_once('+')?.1).ok()?;
            let (kind, public) = key.split_first()?;
            Some((name, Kind::of(*kind)?, public.to_vec()))
        };
        let (name, kind, public) = parts().ok_or_else(|| Invalid::new(text, EXPECTED))?;
        let verifier = Self::new(name, kind, &public)?;
        // The id, and one spelling of all of it.
        if verifier.to_string() == text { Ok(verifier) } else { Err(Invalid::new(text, EXPECTED)) }
    }
}
