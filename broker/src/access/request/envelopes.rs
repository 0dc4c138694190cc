//! Envelopes that were read before: callers send the same again and again, but for the nonce, and what bytes say never changes.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use comity_proto::convert::{Envelope, WireError, check_nonce};
use comity_proto::{inference, strict};
use comity_types::Digest;
use prost::Message as _;
use prost::encoding::{self, DecodeContext, WireType};

use crate::memory::Memory;

/// The number of `Envelope.nonce`.
const NONCE: u32 = 11;
/// That of `Envelope.max_output_tokens`, the one field that stands behind it.
const MAX_OUTPUT_TOKENS: u32 = 12;
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
    /// The encoding without the nonce.
    pub(super) asked: Bytes,
}

/// What an envelope asks.
#[derive(Debug)]
struct Asked {
    envelope: Arc<Envelope>,
    /// In canonical encoding, without the nonce.
    bytes: Bytes,
    /// Where in that the nonce has its place.
    nonce_at: usize,
    /// The digest of that.
    sha256: Digest,
}

/// Those that were read before, by the bytes that they came in, without the nonce.
#[derive(Debug)]
pub struct Envelopes(Memory<Bytes, Asked>);

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
    pub(super) fn read(&self, raw: &Bytes) -> Result<Read, WireError> {
        // One whose nonce stands twice is read whole each time.
        let (raw, nonce) = apart(raw).unwrap_or_else(|| (raw.clone(), Bytes::new()));
        check_nonce(&nonce).map_err(|error| error.within("envelope"))?;
        let asked = match self.0.get(&raw, |_| true) {
            Some(asked) => asked,
            None => self.learn(&raw)?,
        };
        let (envelope, bytes) = (Arc::clone(&asked.envelope), asked.bytes.clone());
        if nonce.is_empty() {
            return Ok(Read { envelope, sha256: asked.sha256, asked: bytes.clone(), bytes });
        }
        let mut whole = BytesMut::with_capacity(bytes.len() + encoding::bytes::encoded_len(NONCE, &nonce));
        let (before, behind) = bytes.split_at(asked.nonce_at.min(bytes.len()));
        whole.extend_from_slice(before);
        encoding::bytes::encode(NONCE, &nonce, &mut whole);
        whole.extend_from_slice(behind);
        Ok(Read { envelope, sha256: Digest::of(&whole), asked: bytes, bytes: whole.freeze() })
    }

    fn learn(&self, raw: &Bytes) -> Result<Arc<Asked>, WireError> {
        let wire: inference::Envelope =
            strict::decode(raw.clone()).map_err(|error| WireError::new("envelope", error.to_string()))?;
        let bytes = Bytes::from(wire.encode_to_vec());
        let behind = wire.max_output_tokens.map_or(0, |most| encoding::uint32::encoded_len(MAX_OUTPUT_TOKENS, &most));
        let nonce_at = bytes.len().saturating_sub(behind);
        let envelope = Envelope::try_from(wire).map_err(|error| error.within("envelope"))?;
        let asked = Arc::new(Asked { envelope: Arc::new(envelope), nonce_at, sha256: Digest::of(&bytes), bytes });
        // A copy: the request's own bytes have its payload with them.
        let taken = raw.len().saturating_mul(BYTES_PER_BYTE).saturating_add(ENTRY_BYTES);
        self.0.keep(Bytes::copy_from_slice(raw), &asked, taken);
        Ok(asked)
    }
}

/// What stands around the nonce, and the nonce; nothing where it stands twice, or where the bytes are no message.
fn apart(raw: &Bytes) -> Option<(Bytes, Bytes)> {
    let mut rest = raw.clone();
    while rest.has_remaining() {
        let before = raw.slice(..raw.len() - rest.len());
        let (field, wire_type) = encoding::decode_key(&mut rest).ok()?;
        if field == NONCE {
            let length = encoding::decode_varint(&mut rest).ok().filter(|_| wire_type == WireType::LengthDelimited)?;
            let length = usize::try_from(length).ok().filter(|length| *length <= rest.len())?;
            let nonce = rest.split_to(length);
            return Some((around(before, &rest)?, nonce));
        }
        encoding::skip_field(wire_type, field, &mut rest, DecodeContext::default()).ok()?;
    }
    Some((raw.clone(), Bytes::new()))
}

/// What stands before a nonce and behind it, where there is no other.
fn around(before: Bytes, behind: &Bytes) -> Option<Bytes> {
    let mut rest = behind.clone();
    while rest.has_remaining() {
        let (field, wire_type) = encoding::decode_key(&mut rest).ok().filter(|(field, _)| *field != NONCE)?;
        encoding::skip_field(wire_type, field, &mut rest, DecodeContext::default()).ok()?;
    }
    Some(if behind.is_empty() { before } else { [before, behind.clone()].concat().into() })
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
        let again = envelopes.read(&Bytes::copy_from_slice(&one)).unwrap();
        assert!(Arc::ptr_eq(&first.envelope, &again.envelope));
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

    #[test]
    fn the_same_with_another_nonce_is_not_read_again_and_has_another_digest() {
        let envelopes = Envelopes::default();
        for max_output_tokens in [None, Some(16)] {
            let [one, other, none] = [&[7; 16][..], &[9; 32], &[]].map(|nonce| {
                let wire = inference::Envelope { nonce: Bytes::from_static(nonce), max_output_tokens, ..envelope("a") };
                let raw = Bytes::from(wire.encode_to_vec());
                let read = envelopes.read(&raw).unwrap();
                assert_eq!((&read.bytes, read.sha256), (&raw, Digest::of(&raw)), "as whoever decodes it whole has it");
                assert_eq!(read.envelope.max_output_tokens, max_output_tokens);
                read
            });
            for read in [&one, &other] {
                assert!(Arc::ptr_eq(&read.envelope, &none.envelope));
                assert_eq!(read.asked, none.bytes);
            }
            assert_eq!(none.asked, none.bytes);
        }
    }

    #[test]
    fn a_nonce_is_held_to_its_bounds_and_read_wherever_it_stands() {
        let envelopes = Envelopes::default();
        let of = |nonce: Vec<u8>| inference::Envelope { nonce: nonce.into(), ..Default::default() }.encode_to_vec();
        let (model, nonce) = (envelope("a").encode_to_vec(), of(vec![7; 16]));
        let read = |parts: &[&[u8]]| envelopes.read(&Bytes::from(parts.concat()));
        let whole = read(&[&model, &nonce]).unwrap();
        for turned in [[&nonce, &model[..], &[]], [&of(vec![9; 16]), &model, &nonce]] {
            let turned = read(&turned).unwrap();
            assert_eq!((turned.sha256, turned.bytes), (whole.sha256, whole.bytes.clone()));
        }
        for (one, refused) in [of(vec![7; 15]), of(vec![7; 33])]
            .iter()
            .flat_map(|nonce| [[&model[..], nonce], [nonce, &model]].map(|parts| (parts, read(&parts).unwrap_err())))
        {
            assert_eq!(refused.path, "envelope.nonce", "{one:?}");
        }
        assert!(read(&[&model, &nonce[..9]]).is_err(), "it is cut");
    }
}
