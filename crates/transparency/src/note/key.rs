//! The keys of plain notes: Ed25519, type 0x01 (signed-note, "Ed25519 signatures").

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_types::{Invalid, Secret};

use super::{KEY_ID_BYTES, NoteError, SignatureLine, is_name, key_id, split};
use crate::key::{ED25519_BYTES, SigningError};
use crate::verifier::Verifier;

/// The algorithm's byte (signed-note, "Signature types").
pub(crate) const ED25519_TYPE: u8 = 1;

/// A key that signs notes under a name.
pub struct NoteKey {
    name: String,
    key: Ed25519KeyPair,
    id: [u8; KEY_ID_BYTES],
}

impl NoteKey {
    /// Makes a new key for notes under `name`: not empty, without spaces and plus signs.
    ///
    /// # Errors
    /// The name is another, or the cryptographic library failed.
    pub fn generate(name: String) -> Result<Self, SigningError> {
        Self::new(name, Ed25519KeyPair::generate().map_err(|_| SigningError::Unusable)?)
    }

    /// Takes up a key again: PKCS #8 in DER.
    ///
    /// # Errors
    /// It is something else, or the name is none.
    pub fn from_pkcs8(name: String, der: &Secret<Vec<u8>>) -> Result<Self, SigningError> {
        Self::new(name, Ed25519KeyPair::from_pkcs8(der.reveal()).map_err(|_| SigningError::OtherKind)?)
    }

    fn new(name: String, key: Ed25519KeyPair) -> Result<Self, SigningError> {
        if !is_name(&name) {
            return Err(SigningError::Name);
        }
        let public: [u8; ED25519_BYTES] = key.public_key().as_ref().try_into().map_err(|_| SigningError::Unusable)?;
        let id = key_id(&name, ED25519_TYPE, &public);
        Ok(Self { name, key, id })
    }

    /// PKCS #8 in DER, to be stored.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, SigningError> {
        self.key.to_pkcs8().map(|der| Secret::new(der.as_ref().to_vec())).map_err(|_| SigningError::Unusable)
    }

    /// The public half.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn public(&self) -> Result<[u8; ED25519_BYTES], SigningError> {
        self.key.public_key().as_ref().try_into().map_err(|_| SigningError::Unusable)
    }

    /// The name that it signs under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs a text, which has to end in a newline.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn sign(&self, text: &str) -> Result<String, SigningError> {
        Ok(format!("{text}\n{}\n", self.signature(text)?))
    }

    /// The line of its signature over a text.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn signature(&self, text: &str) -> Result<SignatureLine, SigningError> {
        let signature = self.key.try_sign(text.as_bytes()).map_err(|_| SigningError::Unusable)?;
        Ok(SignatureLine { name: self.name.clone(), id: self.id, signature: signature.as_ref().to_vec() })
    }
}

impl std::fmt::Debug for NoteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NoteKey({})", self.name)
    }
}

/// Knows a key that signs notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    public: [u8; ED25519_BYTES],
    id: [u8; KEY_ID_BYTES],
}

impl NoteVerifier {
    /// The key that signs under `name`.
    #[must_use]
    pub fn new(name: String, public: [u8; ED25519_BYTES]) -> Self {
        let id = key_id(&name, ED25519_TYPE, &public);
        Self { name, public, id }
    }

    /// The Ed25519 key of `verifier`; of another kind, it verifies nothing.
    #[must_use]
    pub fn of(verifier: &Verifier) -> Self {
        let public = verifier.public().try_into().unwrap_or([0; ED25519_BYTES]);
        Self::new(verifier.name().to_owned(), public)
    }

    /// The text of a note that the key signed. Signatures by others are left alone, as the specification says.
    ///
    /// # Errors
    /// It is no note, or the key did not sign it.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let (text, signatures) = split(note)?;
        let mut signed = false;
        for line in signatures {
            if line.name == self.name && line.id == self.id {
                let key = UnparsedPublicKey::new(&ED25519, self.public);
                key.verify(text.as_bytes(), &line.signature).map_err(|_| NoteError::Forged)?;
                signed = true;
            }
        }
        if signed { Ok(text) } else { Err(NoteError::Unsigned) }
    }

    /// The key as the specification's tools take it: `<name>+<id>+<base64 of type and key>`.
    #[must_use]
    pub fn vkey(&self) -> String {
        let id = u32::from_be_bytes(self.id);
        format!("{}+{id:08x}+{}", self.name, STANDARD.encode([&[ED25519_TYPE], &self.public[..]].concat()))
    }
}

impl std::str::FromStr for NoteVerifier {
    type Err = Invalid;

    /// Reads a [`vkey`](Self::vkey).
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = || {
            let (name, rest) = text.split_once('+')?;
            let (_, key) = rest.split_once('+')?;
            let key = STANDARD.decode(key).ok()?;
            let public: [u8; ED25519_BYTES] = key.strip_prefix(&[ED25519_TYPE])?.try_into().ok()?;
            let verifier = Self::new(name.to_owned(), public);
            // The id, and one spelling of all of it.
            (is_name(name) && verifier.vkey() == text).then_some(verifier)
        };
        read().ok_or_else(|| Invalid::new(text, "a verifier key: <name>+<id>+<base64>"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::MAX_NOTE_BYTES;

    fn key(name: &str) -> (NoteKey, NoteVerifier) {
        let key = NoteKey::generate(name.into()).unwrap();
        let verifier = NoteVerifier::new(name.into(), key.public().unwrap());
        (key, verifier)
    }

    #[test]
    fn a_note_opens_for_the_key_that_signed_it_alone() {
        let (signer, verifier) = key("fed.example/membership");
        let note = signer.sign("origin\n1\n").unwrap();
        assert_eq!(verifier.open(&note), Ok("origin\n1\n"));
        assert_eq!(key("fed.example/membership").1.open(&note), Err(NoteError::Unsigned));
        assert_eq!(verifier.open(&note.replace("1\n", "2\n")), Err(NoteError::Forged));
        assert_eq!(verifier.open("origin\n1\n"), Err(NoteError::Malformed));
        assert_eq!(verifier.open(note.trim_end()), Err(NoteError::Malformed));
        assert_eq!(verifier.open(&"\n".repeat(MAX_NOTE_BYTES + 1)), Err(NoteError::TooLong));
    }

    #[test]
    fn signatures_of_others_stand_beside_it() {
        let ((ours, verifier), (theirs, other)) = (key("a"), key("b"));
        let (one, two) = (ours.sign("x\n").unwrap(), theirs.sign("x\n").unwrap());
        let both = format!("{one}{}\n", two.trim_end().rsplit('\n').next().unwrap());
        assert_eq!((verifier.open(&both), other.open(&both)), (Ok("x\n"), Ok("x\n")));
    }

    #[test]
    fn the_example_of_the_specification_holds() {
        // golang.org/x/mod/sumdb/note, package documentation.
        let verifier: NoteVerifier =
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let text =
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let signed = "\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert_eq!(verifier.open(&format!("{text}{signed}")), Ok(text));
        assert_eq!(verifier.vkey().parse::<NoteVerifier>(), Ok(verifier));
    }

    #[test]
    fn a_verifier_key_has_one_spelling_and_a_name() {
        let (_, verifier) = key("a");
        let vkey = verifier.vkey();
        assert_eq!(vkey.parse::<NoteVerifier>(), Ok(verifier));
        let (id, rest) = (&vkey[2..10], &vkey[11..]);
        assert!(vkey.replacen(id, "00000000", 1).parse::<NoteVerifier>().is_err());
        assert!(format!("a++{}+{rest}", &id[1..]).parse::<NoteVerifier>().is_err());
        for name in ["", "a b", "a+b", "a\tb"] {
            let named = NoteVerifier::new(name.into(), [7; ED25519_BYTES]).vkey();
            assert!(named.parse::<NoteVerifier>().is_err(), "{named}");
            assert_eq!(NoteKey::generate(name.into()).err(), Some(SigningError::Name));
        }
    }

    #[test]
    fn a_key_survives_pkcs8_and_does_not_print() {
        let (signer, verifier) = key("a");
        let again = NoteKey::from_pkcs8("a".into(), &signer.to_pkcs8().unwrap()).unwrap();
        assert!(verifier.open(&again.sign("x\n").unwrap()).is_ok());
        assert_eq!(format!("{signer:?}"), "NoteKey(a)");
        assert!(NoteKey::from_pkcs8("a".into(), &Secret::new(vec![1])).is_err());
    }
}
