//! What is asked: the cases, and the messages of each.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use comity_proto::inference::{
    ChatPayload, ChatRequest, ChatStreamRequest, ContentPart, Envelope, Message, Role, content_part,
};
use comity_proto::policy::{PlaceSet, Price, Requirements};
use prost::Message as _;

/// Bytes before a message in gRPC: whether it is compressed, and its length.
pub(crate) const PREFIX: usize = 5;
/// Messages of a burst.
pub(crate) const BURST: u32 = 100;
/// Messages of a paced stream.
pub(crate) const PACED: u32 = 40;
/// Between two of them: 20 a second.
pub(crate) const PACE: Duration = Duration::from_millis(50);
/// Bytes of a message of a stream: a token with what stands around it.
pub(crate) const TOKEN: usize = 40;
/// What is asked for.
pub(crate) const MODEL: &str = "mistral-small-3-0";
/// What a paced stream is asked for by.
pub(crate) const PACED_TEXT: &str = "paced";

/// A case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Unary1,
    Unary64,
    Unary16k,
    Streams1,
    Streams32,
    Paced,
}

impl Case {
    /// All, in the report's order.
    pub(crate) const ALL: [Self; 6] =
        [Self::Unary1, Self::Unary64, Self::Unary16k, Self::Streams1, Self::Streams32, Self::Paced];

    /// As `--only` takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unary1 => "unary-1",
            Self::Unary64 => "unary-64",
            Self::Unary16k => "unary-16k",
            Self::Streams1 => "streams-1",
            Self::Streams32 => "streams-32",
            Self::Paced => "paced",
        }
    }

    /// As the report calls it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Unary1 => "unary, 1 KiB there and back, 1 in flight",
            Self::Unary64 => "unary, 1 KiB there and back, 64 in flight",
            Self::Unary16k => "unary, 16 KiB there and back, 64 in flight",
            Self::Streams1 => "streams of 100 messages of 40 bytes, 1 in flight",
            Self::Streams32 => "streams of 100 messages of 40 bytes, 32 in flight",
            Self::Paced => "256 paced streams of 40 messages of 40 bytes, 20 messages a second each",
        }
    }

    /// Calls in flight.
    pub(crate) const fn in_flight(self) -> usize {
        match self {
            Self::Unary1 | Self::Streams1 => 1,
            Self::Unary64 | Self::Unary16k => 64,
            Self::Streams32 => 32,
            Self::Paced => 256,
        }
    }

    /// What one of what is counted is called.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Unary1 | Self::Unary64 | Self::Unary16k => "request",
            Self::Streams1 | Self::Streams32 | Self::Paced => "stream",
        }
    }

    /// What the latency is of.
    pub(crate) const fn timed(self) -> &'static str {
        match self {
            Self::Paced => "message",
            Self::Unary1 | Self::Unary64 | Self::Unary16k | Self::Streams1 | Self::Streams32 => self.unit(),
        }
    }

    /// How many messages an answer has, and how long each is.
    pub(crate) const fn answer(self) -> (u32, usize) {
        match self {
            Self::Unary1 | Self::Unary64 => (1, 1024),
            Self::Unary16k => (1, 16 * 1024),
            Self::Streams1 | Self::Streams32 => (BURST, TOKEN),
            Self::Paced => (PACED, TOKEN),
        }
    }

    /// The method that is called.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Unary1 | Self::Unary64 | Self::Unary16k => "/comity.inference.v1.Inference/Chat",
            Self::Streams1 | Self::Streams32 | Self::Paced => "/comity.inference.v1.Inference/ChatStream",
        }
    }

    /// The request, in its frame.
    pub(crate) fn request(self) -> Bytes {
        match self {
            Self::Unary1 | Self::Unary64 | Self::Unary16k => framed(&padded(self.answer().1)),
            Self::Streams1 | Self::Streams32 => framed(&stream("burst")),
            Self::Paced => framed(&stream(PACED_TEXT)),
        }
    }
}

/// What the caller demands: nothing unusual of a body of the EU, and a price in euro, so that all that is eligible is in one
/// currency and the cheapest is preferred.
pub(crate) fn envelope() -> Envelope {
    let nearby = PlaceSet { places: ["EEA", "CH", "GB"].map(String::from).into() };
    let price = Price {
        currency: "EUR".into(),
        input_micros_per_million_tokens: 4_000_000,
        output_micros_per_million_tokens: 12_000_000,
    };
    let requirements = Requirements {
        allowed_processing_locations: vec![nearby],
        no_training: true,
        max_prices: vec![price],
        ..Default::default()
    };
    Envelope {
        model: MODEL.into(),
        purposes: vec!["dpv:CustomerCare".into()],
        requirements: Some(requirements),
        // As requests of the SDK have one. What is always the same costs the broker what a fresh one does.
        nonce: Bytes::from_static(&[7; 16]),
        ..Default::default()
    }
}

/// A message in its frame.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

fn payload(text: &str) -> ChatPayload {
    let text = ContentPart { part: Some(content_part::Part::Text(text.into())) };
    let message = Message { role: Role::User.into(), content: vec![text], ..Default::default() };
    ChatPayload { messages: vec![message], ..Default::default() }
}

fn stream(text: &str) -> Vec<u8> {
    ChatStreamRequest { envelope: Some(envelope()), payload: Some(payload(text)) }.encode_to_vec()
}

/// A request of exactly so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let of = |text: usize| ChatRequest { envelope: Some(envelope()), payload: Some(payload(&"x".repeat(text))) };
    let around = of(bytes).encoded_len() - bytes;
    let found = (bytes - around..bytes).map(of).find(|request| request.encoded_len() == bytes);
    found.unwrap().encode_to_vec()
}
