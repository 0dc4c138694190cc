//! What makes a request unlike every other: random bytes in its envelope. The log is committed to the envelope's digest, so that
//! no broker has a receipt of them before they were sent.

use bytes::{BufMut as _, Bytes, BytesMut};
use comity_proto::error::Failure;
use comity_proto::{inference, strict};
use comity_types::Digest;
use prost::Message as _;
use tonic::Status;

use super::most;

/// How many bytes a nonce has: never met twice by chance.
const NONCE_BYTES: usize = 16;
/// The flag and the length before a message on the wire.
const PREFIX_BYTES: usize = 5;

/// Any request of `Inference`, its parts as they were encoded.
#[derive(Clone, PartialEq, prost::Message)]
struct AnyRequest {
    #[prost(bytes = "bytes", optional, tag = "1")]
    envelope: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    payload: Option<Bytes>,
}

/// A fresh one, for an [`Envelope`](inference::Envelope) that goes over a connection without receipts, or whose receipt is to
/// be read by [`of_trailers`](super::of_trailers). Every request needs its own.
///
/// # Errors
/// This machine has no randomness.
pub fn nonce() -> Result<Bytes, Status> {
    let mut nonce = [0; NONCE_BYTES];
    let filled = aws_lc_rs::rand::fill(&mut nonce);
    filled.map_err(|_| Status::internal("this machine has no randomness, without which no answer can be proven"))?;
    Ok(Bytes::copy_from_slice(&nonce))
}

/// A framed request of the method of this path, whose envelope has a nonce and says as the payload does how many tokens the answer
/// may have; and the digest of the envelope. One that came with a nonce stays as it is: whoever made it may hold its receipt against
/// it. What is no request of this contract is left for the broker to refuse, and without a digest, since nothing proves it.
///
/// # Errors
/// The envelope has a field that this version does not know, and would drop, or this machine has no randomness.
pub(crate) fn unlike_any_other(path: &str, framed: Bytes) -> Result<(Bytes, Option<Digest>), Status> {
    let message = if framed.len() < PREFIX_BYTES { Bytes::new() } else { framed.slice(PREFIX_BYTES..) };
    let length = message.len();
    let whole = AnyRequest::decode(message).ok().filter(|request| request.encoded_len() == length);
    let Some(AnyRequest { envelope: Some(envelope), payload }) = whole else { return Ok((framed, None)) };
    let mut envelope: inference::Envelope = strict::decode(envelope).map_err(Failure::from)?;
    if !envelope.nonce.is_empty() {
        return Ok((framed, Some(Digest::of(&envelope.encode_to_vec()))));
    }
    envelope.nonce = nonce()?;
    envelope.max_output_tokens = envelope.max_output_tokens.or_else(|| most::of_payload(path, payload.as_ref()));
    let envelope = Bytes::from(envelope.encode_to_vec());
    let digest = Digest::of(&envelope);
    Ok((frame(&AnyRequest { envelope: Some(envelope), payload })?, Some(digest)))
}

fn frame(request: &AnyRequest) -> Result<Bytes, Status> {
    let length = request.encoded_len();
    let stated = u32::try_from(length).map_err(|_| Status::resource_exhausted("the request has more than 4 GiB"))?;
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + length);
    framed.put_u8(0);
    framed.put_u32(stated);
    let encoded = request.encode(&mut framed);
    encoded.map_err(|error| Status::internal(format!("the request cannot be encoded: {error}")))?;
    Ok(framed.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "/comity.inference.v1.Inference/Chat";

    fn framed(nonce: &'static [u8]) -> Bytes {
        let nonce = Bytes::from_static(nonce);
        let envelope = inference::Envelope { model: "tiny".into(), nonce, ..inference::Envelope::default() };
        of(envelope.encode_to_vec())
    }

    fn of(envelope: Vec<u8>) -> Bytes {
        with_payload(envelope, b"\x08\x01")
    }

    fn with_payload(envelope: Vec<u8>, payload: &'static [u8]) -> Bytes {
        let payload = Some(Bytes::from_static(payload));
        frame(&AnyRequest { envelope: Some(envelope.into()), payload }).unwrap()
    }

    fn envelope(framed: &Bytes) -> inference::Envelope {
        let request = AnyRequest::decode(&framed[PREFIX_BYTES..]).unwrap();
        inference::Envelope::decode(request.envelope.unwrap()).unwrap()
    }

    #[test]
    fn every_request_gets_a_nonce_and_nothing_else_of_it_changes() {
        let asked = framed(b"");
        let [(one, digest), (other, _)] = [(); 2].map(|()| unlike_any_other(CHAT, asked.clone()).unwrap());
        let [one, other] = [one, other].map(|sent| envelope(&sent));
        assert_eq!((one.nonce.len(), one.nonce == other.nonce), (NONCE_BYTES, false));
        assert_eq!(digest, Some(Digest::of(&one.encode_to_vec())));
        assert_eq!(of(inference::Envelope { nonce: Bytes::new(), ..one }.encode_to_vec()), asked);
    }

    #[test]
    fn an_envelope_says_how_long_an_answer_may_be_as_its_payload_does_unless_the_caller_has_said_it() {
        // `ChatPayload.max_output_tokens`, which is field 3.
        const SIXTEEN: &[u8] = b"\x18\x10";
        let sent = |path: &str, own: Option<u32>, nonce: &'static [u8]| {
            let (max_output_tokens, nonce) = (own, Bytes::from_static(nonce));
            let asked = inference::Envelope { nonce, max_output_tokens, ..inference::Envelope::default() };
            let (sent, digest) = unlike_any_other(path, with_payload(asked.encode_to_vec(), SIXTEEN)).unwrap();
            assert_eq!(digest, Some(Digest::of(&envelope(&sent).encode_to_vec())));
            envelope(&sent).max_output_tokens
        };
        assert_eq!(sent(CHAT, None, b""), Some(16));
        assert_eq!(sent(CHAT, Some(99), b""), Some(99));
        assert_eq!(sent("/comity.inference.v1.Inference/Forward", None, b""), None);
        assert_eq!(
            sent(CHAT, None, b"0123456789abcdef"),
            None,
            "whoever brings a nonce has made the envelope that counts"
        );
    }

    #[test]
    fn a_nonce_that_is_there_stays_and_what_is_no_request_is_sent_as_it_is() {
        let own = framed(b"0123456789abcdef");
        let (sent, digest) = unlike_any_other(CHAT, own.clone()).unwrap();
        assert_eq!((&sent, digest), (&own, Some(Digest::of(&envelope(&own).encode_to_vec()))));
        let later = [&b"\0\0\0\0\x04"[..], b"\x0a\0\x18\x01"].concat();
        for none in [&b""[..], b"\0\0", b"\0\0\0\0\0", b"\x01\0\0\0\x02\xff\xff", &later] {
            let sent = unlike_any_other(CHAT, Bytes::copy_from_slice(none)).unwrap();
            assert_eq!(sent, (Bytes::copy_from_slice(none), None));
        }
    }

    #[test]
    fn a_constraint_that_this_version_does_not_know_is_refused_and_not_dropped() {
        let mut newer = envelope(&framed(b"")).encode_to_vec();
        newer.extend_from_slice(b"\x98\x06\x01");
        let refused = unlike_any_other(CHAT, of(newer)).unwrap_err();
        assert!(refused.message().contains("Envelope has no field 99"), "{refused:?}");
    }
}
