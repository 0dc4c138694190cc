//! A statement with what binds it to one federation and one place, its signatures, and its place in the log.

use std::collections::BTreeMap;

use comity_policy::{Layers, Offer, Organisation};
use comity_transparency::{Envelope, EnvelopeError, PublicKey, Signer, SigningError};
use comity_types::{Digest, SpiffeId, Timestamp, TrustDomain};
use serde::{Deserialize, Serialize};

use crate::statement::{InviteId, Statement, Subject, TlsKey};

/// What an envelope around a statement says that it holds.
pub const STATEMENT_TYPE: &str = "application/vnd.comity.statement.v1+json";
/// What an envelope around an application says that it holds.
pub const APPLICATION_TYPE: &str = "application/vnd.comity.application.v1+json";

/// What is signed of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// SHA-256 of the root document of the federation that this is about: said in one, it is never said in another.
    pub federation: Digest,
    /// Its version in its scope: one more than the last.
    pub version: u64,
    /// When its first signer signed, by their clock.
    pub at: Timestamp,
    /// What is said.
    pub statement: Statement,
}

/// What an organisation signs to become a member: by each of its keys, and by the key of its first member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// SHA-256 of the root document of the federation that it applies to.
    pub federation: Digest,
    /// The invite that it was asked by.
    pub invite: InviteId,
    /// Its facts.
    pub organisation: Organisation,
    /// What it demands of its own requests.
    #[serde(default, skip_serializing_if = "Layers::is_empty")]
    pub layers: Layers,
    /// Its certificate authorities: DER in base64. They are valid for its trust domain alone.
    pub anchors: Vec<String>,
    /// The keys that sign for it.
    pub keys: Vec<PublicKey>,
    /// Its first member.
    pub member: SpiffeId,
    /// That member's key.
    pub member_key: PublicKey,
    /// Which key that member's certificates are for.
    pub tls_key: TlsKey,
    /// What that member means to publish once it is in, for operators to see before they sign: an intention, which binds
    /// nobody, since a node publishes by its own key (decision 32).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Offer>,
}

/// What a federation is founded with. Everyone knows it by the root document that they pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The federation's trust domain.
    pub federation: TrustDomain,
    /// SHA-256 of its root document.
    pub root_sha256: Digest,
    /// Its first operators, with the key of each.
    #[serde(deserialize_with = "crate::statement::once_each")]
    pub operators: BTreeMap<SpiffeId, PublicKey>,
    /// How many of them change who governs.
    pub root_threshold: u32,
    /// How many of them admit, suspend, lift and evict.
    pub membership_threshold: u32,
}

/// One statement at its place in the log: a leaf of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its place, from 1.
    pub epoch: u64,
    /// When it got its place, by the broker's clock; never before the entry before it.
    pub at: Timestamp,
    /// What it says.
    pub body: Body,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// The federation exists. Always the first, and only that; what proves it is the root document that everyone pins.
    Founded(Genesis),
    /// A brake was not ratified in time. Needs no signature: whoever folds the log sees that its time is over.
    Lapsed {
        /// Whose suspension ended.
        subject: Subject,
    },
    /// A statement: an envelope around a [`Payload`].
    Signed(Envelope),
}

/// Why bytes are no entry, or hold no statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// The envelope holds something else.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Not the JSON of it, or something in it is not known here.
    #[error("it cannot be read (hint: if others can, this program may need an update)")]
    Json(#[from] serde_json::Error),
}

impl Entry {
    /// The bytes that are stored and sent, and that are the leaf.
    ///
    /// # Errors
    /// Never for entries that came from [`Entry::from_json`] or were built from checked values.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads stored bytes. A kind of statement or a field that is not known is refused.
    ///
    /// # Errors
    /// Names what is wrong, with line and column.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// What it says, if somebody signed it. Not verified: that is for whoever folds.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn payload(&self) -> Result<Option<Payload>, Unreadable> {
        match &self.body {
            Body::Signed(envelope) => Payload::peek(envelope).map(Some),
            Body::Founded(_) | Body::Lapsed { .. } => Ok(None),
        }
    }
}

impl Payload {
    /// What is in an envelope, whoever signed it.
    ///
    /// # Errors
    /// It holds something else.
    pub fn peek(envelope: &Envelope) -> Result<Self, Unreadable> {
        envelope.check_type(STATEMENT_TYPE)?;
        Ok(serde_json::from_slice(&envelope.payload)?)
    }

    /// An envelope around it, which nobody has signed yet.
    ///
    /// # Errors
    /// Never for checked values.
    pub fn envelope(&self) -> Result<Envelope, serde_json::Error> {
        Ok(Envelope::new(STATEMENT_TYPE, serde_json::to_vec(self)?))
    }
}

impl Application {
    /// What is in an envelope, whoever signed it.
    ///
    /// # Errors
    /// It holds something else.
    pub fn peek(envelope: &Envelope) -> Result<Self, Unreadable> {
        envelope.check_type(APPLICATION_TYPE)?;
        Ok(serde_json::from_slice(&envelope.payload)?)
    }

    /// What is in an envelope that all signed who have to: every key of the organisation, and its first member's.
    ///
    /// # Errors
    /// It holds something else, or one of them did not sign.
    pub fn open(envelope: &Envelope) -> Result<Self, Unreadable> {
        let application = Self::peek(envelope)?;
        let signers = envelope.verify(APPLICATION_TYPE, application.signers())?;
        let all = application.signers().all(|key| signers.contains(&key.id()));
        if all && !application.keys.is_empty() { Ok(application) } else { Err(EnvelopeError::Unsigned.into()) }
    }

    /// An envelope around it that these signed.
    ///
    /// # Errors
    /// A key cannot be used.
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Envelope, SigningError> {
        // Checked values always have a JSON form; were they ever to lack one, nobody would believe the empty one.
        seal(APPLICATION_TYPE, serde_json::to_vec(self).unwrap_or_default(), signers)
    }

    fn signers(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().chain(std::iter::once(&self.member_key))
    }
}

/// A statement that these signed.
///
/// # Errors
/// A key cannot be used.
pub fn sign(payload: &Payload, signers: &[&dyn Signer]) -> Result<Envelope, SigningError> {
    seal(STATEMENT_TYPE, serde_json::to_vec(payload).unwrap_or_default(), signers)
}

fn seal(payload_type: &'static str, payload: Vec<u8>, signers: &[&dyn Signer]) -> Result<Envelope, SigningError> {
    let mut envelope = Envelope::new(payload_type, payload);
    signers.iter().try_for_each(|signer| envelope.sign(*signer))?;
    Ok(envelope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestFederation;

    #[test]
    fn what_is_signed_is_the_bytes_that_are_stored_and_they_are_never_written_anew() {
        let mut test = TestFederation::founded(&["alice"], 1);
        let subject = Subject::Organisation("org-a.example".parse().unwrap());
        let statement = Statement::Lifted { subject, by: crate::By::Federation };
        let mut envelope = test.signed(statement, &[]);
        // As another program may have written it: the same, with spaces.
        let spaced = String::from_utf8(envelope.payload).unwrap().replace(',', ", ").into_bytes();
        envelope.payload = spaced.clone();
        envelope.sign(test.key("alice")).unwrap();
        let entry = test.entry(Body::Signed(envelope.clone()));
        let Body::Signed(again) = Entry::from_json(&entry.to_json().unwrap()).unwrap().body else { panic!() };
        assert_eq!((&again.payload, again.payload_digest()), (&spaced, Digest::of(&spaced)));
        assert!(again.verify(STATEMENT_TYPE, &[test.key("alice").public()]).is_ok());
        assert_eq!(entry.payload().unwrap(), Some(Payload::peek(&envelope).unwrap()));
    }

    #[test]
    fn a_signature_of_one_kind_is_none_of_another() {
        let mut test = TestFederation::founded(&["alice"], 1);
        let mut envelope = test.application("org-a.example", "spiffe://org-a.example/node/n1");
        assert!(Application::open(&envelope).is_ok());
        envelope.payload_type = STATEMENT_TYPE.to_owned();
        assert!(matches!(Application::open(&envelope), Err(Unreadable::Envelope(EnvelopeError::OtherType { .. }))));
        let keys = [test.key("org-a.example").public(), test.key("spiffe://org-a.example/node/n1").public()];
        assert!(matches!(envelope.verify(STATEMENT_TYPE, &keys), Err(EnvelopeError::Forged(_))));
    }
}
