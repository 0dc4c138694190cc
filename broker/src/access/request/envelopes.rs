//! Envelopes that were read before: callers send the same again and again, and what bytes say never changes.

use std::sync::Arc;

use bytes::Bytes;
use comity_proto::convert::{Envelope, WireError};
use comity_proto::{inference, strict};
use comity_types::Digest;
use prost::Message as _;

use crate::memory::Memory;

/// Most bytes of a generation: a thousand envelopes with a few demands each.
const GENERATION_BYTES: usize = 4 << 20;
/// Bytes that an envelope takes for each byte that it came in: its texts stand in it twice, in trees. Rather too many.
const BYTES_PER_BYTE: usize = 8;
/// Bytes that an entry takes beside that. Rather too many.
const ENTRY_BYTES: usize = 2 << 10;

/// An envelope that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) envelope: Arc<Envelope>,
    /// In canonical encoding.
    pub(super) bytes: Bytes,
    /// The digest of that.
    pub(super) sha256: Digest,
}

/// Those that were read before, by the bytes that they came in.
#[derive(Debug)]
pub struct Envelopes(Memory<Bytes, Read>);

impl Default for Envelopes {
    fn default() -> Self {
        Self(Memory::of(GENERATION_BYTES))
    }
}

impl Envelopes {
    /// Reads an envelope, in which there is no field that this version does not know.
    ///
    /// # Errors
    /// It is none. That is not remembered.
    pub(super) fn read(&self, raw: &Bytes) -> Result<Arc<Read>, WireError> {
        if let Some(read) = self.0.get(raw, |_| true) {
            return Ok(read);
        }
        let wire: inference::Envelope =
            strict::decode(raw.clone()).map_err(|error| WireError::new("envelope", error.to_string()))?;
        let bytes = Bytes::from(wire.encode_to_vec());
        let envelope = Envelope::try_from(wire).map_err(|error| error.within("envelope"))?;
        let read = Arc::new(Read { envelope: Arc::new(envelope), sha256: Digest::of(&bytes), bytes });
        // A copy: the request's own bytes have its payload with them.
        let taken = raw.len().saturating_mul(BYTES_PER_BYTE).saturating_add(ENTRY_BYTES);
        self.0.keep(Bytes::copy_from_slice(raw), &read, taken);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use comity_proto::policy;

    use super::*;

    fn envelope(model: &str) -> inference::Envelope {
        let requirements = Some(policy::Requirements { no_training: true, ..Default::default() });
        inference::Envelope { model: model.to_owned(), requirements, ..Default::default() }
    }

    #[test]
    fn the_same_bytes_are_the_same_envelope_and_others_are_another() {
        let envelopes = Envelopes::default();
        let (one, other) = (Bytes::from(envelope("a").encode_to_vec()), Bytes::from(envelope("b").encode_to_vec()));
        let first = envelopes.read(&one).unwrap();
        assert!(Arc::ptr_eq(&first, &envelopes.read(&Bytes::copy_from_slice(&one)).unwrap()));
        assert_eq!((first.envelope.model.as_str(), first.sha256), ("a", Digest::of(&one)));
        assert!(first.envelope.requirements.no_training);
        assert_eq!(envelopes.read(&other).unwrap().envelope.model.as_str(), "b");
    }

    #[test]
    fn what_is_the_same_in_another_encoding_has_the_same_digest() {
        let (envelopes, wire) = (Envelopes::default(), envelope("a"));
        let canonical = wire.encode_to_vec();
        let requirements = inference::Envelope { model: String::new(), ..wire.clone() }.encode_to_vec();
        let model = inference::Envelope { requirements: None, ..wire }.encode_to_vec();
        let turned = Bytes::from([requirements, model].concat());
        assert_ne!(turned, canonical);
        let read = envelopes.read(&turned).unwrap();
        assert_eq!((read.sha256, &read.bytes[..]), (Digest::of(&canonical), &canonical[..]));
    }

    #[test]
    fn what_is_no_envelope_is_refused_each_time() {
        let envelopes = Envelopes::default();
        // A field that this version does not know, and a model without a name.
        for raw in [Bytes::from_static(&[0xf2, 0x3f, 0]), Bytes::new()] {
            let refused = [envelopes.read(&raw).unwrap_err(), envelopes.read(&raw).unwrap_err()];
            assert_eq!(refused[0].to_string(), refused[1].to_string());
        }
    }
}
