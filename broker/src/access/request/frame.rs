//! The one gRPC frame of a request, `{ compressed u8, length u32 be, message }`, and the envelope in its message.

use bytes::{Buf, Bytes, BytesMut};
use comity_proto::convert::WireError;
use comity_proto::error::Failure;
use http_body_util::BodyExt as _;
use prost::encoding::{self, WireType};
use tonic::Code;
use tonic::body::Body;

/// The flag and the length before a message.
pub(super) const PREFIX_BYTES: usize = 5;
/// The numbers of the fields that every request of `Inference` has, and no other.
const ENVELOPE: u32 = 1;
const PAYLOAD: u32 = 2;

/// Reads exactly one frame, of a message of at most `most` bytes. The result holds the frame as it came.
pub(super) async fn read(mut body: Body, most: usize) -> Result<Bytes, Failure> {
    let mut bytes = BytesMut::new();
    let mut expected = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|status| cut(&format!("it ended early: {}", status.message())))?;
        let Ok(data) = frame.into_data() else { continue };
        bytes.extend_from_slice(&data);
        if expected.is_none() {
            expected = length(&bytes, most)?;
        }
        if expected.is_some_and(|expected| bytes.len() > expected) {
            return Err(invalid("MORE_THAN_ONE_MESSAGE", "one message makes a request, and more were sent"));
        }
    }
    match expected {
        Some(expected) if bytes.len() == expected => Ok(bytes.freeze()),
        Some(expected) => Err(cut(&format!("{} of {expected} bytes arrived", bytes.len()))),
        None => Err(cut("no message arrived")),
    }
}

/// How long the frame is, once its prefix is there. Refused before its bytes are taken in.
fn length(bytes: &[u8], most: usize) -> Result<Option<usize>, Failure> {
    let Some([compressed, length @ ..]) = bytes.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    match compressed {
        0 => {}
        1 => {
            return Err(Failure::new(
                Code::Unimplemented,
                "COMPRESSED",
                "compressed messages are not accepted (hint: send identity)",
            ));
        }
        _ => return Err(invalid("MALFORMED", "the message's frame has an unknown flag")),
    }
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > most {
        let message = format!("a request of {length} bytes, where at most {most} are accepted");
        return Err(Failure::new(Code::ResourceExhausted, "REQUEST_TOO_LARGE", message).with("limit_bytes", most));
    }
    Ok(Some(PREFIX_BYTES + length))
}

/// The bytes of the envelope in a request's message. The payload is stepped over.
pub(super) fn envelope(message: &Bytes) -> Result<Bytes, WireError> {
    let malformed = |_| WireError::new("", "the message is not well-formed protobuf");
    let mut rest = message.clone();
    let mut found = None;
    while rest.has_remaining() {
        let (field, wire_type) = encoding::decode_key(&mut rest).map_err(malformed)?;
        if !matches!(field, ENVELOPE | PAYLOAD) {
            return Err(WireError::new("", format!("a request has no field {field} in this version of the contract")));
        }
        if wire_type != WireType::LengthDelimited {
            return Err(WireError::new("", "the message is not well-formed protobuf"));
        }
        let length = encoding::decode_varint(&mut rest).map_err(malformed)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
        let value = rest.split_to(length.ok_or_else(|| WireError::new("", "the message is cut"))?);
        // Protobuf would merge two; a node's parser and ours must not see two different requests.
        if field == ENVELOPE && found.replace(value).is_some() {
            return Err(WireError::new("envelope", "stands twice"));
        }
    }
    found.ok_or_else(|| WireError::new("envelope", "must be set"))
}

fn cut(problem: &str) -> Failure {
    invalid("REQUEST_CUT", &format!("the request's message is not whole: {problem}"))
}

fn invalid(reason: &'static str, message: &str) -> Failure {
    Failure::new(Code::InvalidArgument, reason, message)
}
