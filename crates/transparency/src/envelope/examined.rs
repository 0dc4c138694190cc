//! An envelope whose signatures were verified before it is known whose count.

use std::collections::BTreeSet;

use super::{Envelope, EnvelopeError, MAX_SIGNATURES};
use crate::key::{KeyId, PublicKey};

/// An envelope with what was found of its signatures by some keys: the costly part of [`Envelope::verify`], done where
/// nobody waits for it. Whose signatures count is asked later, and a key that nobody thought of is looked at then.
///
/// What was found cannot become wrong: a key is known by its digest, and the envelope does not change any more.
#[derive(Debug, Clone)]
pub struct Examined {
    envelope: Envelope,
    /// By the place of the signature: whether it holds, if its key was there.
    found: Vec<Option<bool>>,
}

impl Examined {
    /// Verifies the signatures that are by one of these keys.
    #[must_use]
    pub fn new<'a>(envelope: Envelope, keys: impl IntoIterator<Item = &'a PublicKey>) -> Self {
        let keys: Vec<_> = keys.into_iter().map(|key| (key.id(), key)).collect();
        let message = envelope.message();
        // Beyond, the envelope proves nothing anyway.
        let signatures = envelope.signatures.iter().take(MAX_SIGNATURES);
        let found = signatures
            .map(|signature| {
                let (_, key) = keys.iter().find(|(id, _)| *id == signature.keyid)?;
                Some(key.verifies(&message, &signature.sig))
            })
            .collect();
        Self { envelope, found }
    }

    /// The envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The envelope, without what was found.
    #[must_use]
    pub fn into_envelope(self) -> Envelope {
        self.envelope
    }

    /// As [`Envelope::verify`], with the same answer.
    ///
    /// # Errors
    /// Those of [`Envelope::verify`].
    pub fn verify<'a>(
        &self,
        payload_type: &'static str,
        keys: impl IntoIterator<Item = &'a PublicKey>,
    ) -> Result<BTreeSet<KeyId>, EnvelopeError> {
        self.envelope.verify_by(payload_type, keys, |place, key, sig| {
            let found = self.found.get(place).copied().flatten();
            found.unwrap_or_else(|| key.verifies(&self.envelope.message(), sig))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestKey;

    const TYPE: &str = "application/vnd.comity.test+json";

    #[test]
    fn whatever_was_looked_at_before_the_answer_is_that_of_the_envelope() {
        let (ada, bob, eve) = (TestKey::p256(), TestKey::ed25519(), TestKey::p256());
        let signed = |keys: &[&TestKey]| {
            let mut envelope = Envelope::new(TYPE, b"{}".to_vec());
            keys.iter().for_each(|key| envelope.sign(*key).unwrap());
            envelope
        };
        let mut forged = signed(&[&ada, &bob]);
        forged.payload = b"[]".to_vec();
        let mut twice = signed(&[&ada]);
        twice.signatures.push(signed(&[&ada]).signatures.remove(0));
        let mut second_forged = twice.clone();
        second_forged.signatures[1].sig[10] ^= 1;
        let mut many = signed(&[&ada]);
        many.signatures = vec![many.signatures.remove(0); MAX_SIGNATURES + 1];
        let envelopes =
            [signed(&[]), signed(&[&ada]), signed(&[&ada, &bob]), signed(&[&eve]), forged, twice, second_forged, many];
        let sets = [vec![], vec![ada.public()], vec![ada.public(), bob.public()], vec![eve.public()]];
        for envelope in &envelopes {
            for looked_at in &sets {
                for count in &sets {
                    let examined = Examined::new(envelope.clone(), looked_at);
                    assert_eq!(examined.verify(TYPE, count), envelope.verify(TYPE, count));
                    assert_eq!(examined.verify("other", count), envelope.verify("other", count));
                }
            }
        }
    }

    #[test]
    fn a_signature_that_was_found_to_hold_is_not_verified_again() {
        let (ada, eve) = (TestKey::p256(), TestKey::p256());
        let mut envelope = Envelope::new(TYPE, b"{}".to_vec());
        envelope.sign(&ada).unwrap();
        let mut examined = Examined::new(envelope, &[ada.public(), eve.public()]);
        // Only what was found can say so: no envelope with this payload was signed.
        examined.envelope.payload = b"[]".to_vec();
        assert!(examined.verify(TYPE, &[ada.public()]).is_ok());
    }
}
