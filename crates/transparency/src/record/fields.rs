//! Which field has which place. A place is never given to another field: a new meaning is a new kind of record.

use super::FIELDS;

/// Whether a record is of a decision or of its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Of a decision.
    Decision,
    /// Of what became of it.
    Outcome,
}

/// A place of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(RecordKind, u8);

/// Names of a decision's fields, by place.
const DECISION: [&str; FIELDS] = [
    "caller",
    "method",
    "model",
    "envelope_sha256",
    "envelope",
    "considered",
    "eligible",
    "refused",
    "candidate_1",
    "candidate_2",
    "candidate_3",
    "candidate_4",
    "candidate_5",
    "candidate_6",
    "candidate_7",
    "candidate_8",
];

/// Names of an outcome's fields, by place; places without a name are never taken.
const OUTCOME: [&str; FIELDS] = [
    "offer",
    "offer_sha256",
    "operator",
    "jurisdiction",
    "governing_law",
    "attempt",
    "tries",
    "status",
    "usage",
    "node_outcome",
    "bytes_out",
    "duration_ms",
    "cancelled",
    "",
    "",
    "",
];

/// How many offers of a decision have a place of their own, and so may be tried.
pub const CANDIDATES: usize = 8;
/// Most tries of one decision: the first, and two more; beyond, a caller is better served by an error. Nodes refuse others,
/// or one logged decision would run as often as a broker likes.
pub const MAX_TRIES: u32 = 3;

impl RecordKind {
    /// As it is kept.
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Decision => 1,
            Self::Outcome => 2,
        }
    }

    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Decision),
            2 => Some(Self::Outcome),
            _ => None,
        }
    }

    const fn names(self) -> &'static [&'static str; FIELDS] {
        match self {
            Self::Decision => &DECISION,
            Self::Outcome => &OUTCOME,
        }
    }

    /// Its fields, by place.
    pub fn fields(self) -> impl Iterator<Item = Field> {
        (0..FIELDS).filter_map(move |place| Field::at(self, place))
    }
}

impl Field {
    /// The app that called: its SPIFFE ID.
    pub const CALLER: Self = Self(RecordKind::Decision, 0);
    /// The gRPC method, such as `Chat`.
    pub const METHOD: Self = Self(RecordKind::Decision, 1);
    /// The model that was asked for.
    pub const MODEL: Self = Self(RecordKind::Decision, 2);
    /// SHA-256 of the request's envelope in canonical encoding: 32 bytes.
    pub const ENVELOPE_SHA256: Self = Self(RecordKind::Decision, 3);
    /// The envelope itself, `comity.inference.v1.Envelope` in canonical encoding: what was required, and no prompt.
    pub const ENVELOPE: Self = Self(RecordKind::Decision, 4);
    /// How many offers were judged: decimal.
    pub const CONSIDERED: Self = Self(RecordKind::Decision, 5);
    /// The names of all eligible offers, the one that is preferred first: a JSON array.
    pub const ELIGIBLE: Self = Self(RecordKind::Decision, 6);
    /// Where nothing was eligible, every offer with the reasons against it: a JSON array.
    pub const REFUSED: Self = Self(RecordKind::Decision, 7);
    /// The offer that answered, or the last one that was tried.
    pub const OFFER: Self = Self(RecordKind::Outcome, 0);
    /// SHA-256 of that offer's stored form: 64 hexadecimal digits.
    pub const OFFER_SHA256: Self = Self(RecordKind::Outcome, 1);
    /// The trust domain of the organisation that operates the node.
    pub const OPERATOR: Self = Self(RecordKind::Outcome, 2);
    /// Where the offer says that it is processed: a JSON array of places.
    pub const JURISDICTION: Self = Self(RecordKind::Outcome, 3);
    /// The law that the offer's terms are under: a place.
    pub const GOVERNING_LAW: Self = Self(RecordKind::Outcome, 4);
    /// Which try that was, from 1: decimal.
    pub const ATTEMPT: Self = Self(RecordKind::Outcome, 5);
    /// Every try with what became of it: a JSON array.
    pub const TRIES: Self = Self(RecordKind::Outcome, 6);
    /// The gRPC status that the caller got: decimal.
    pub const STATUS: Self = Self(RecordKind::Outcome, 7);
    /// What the node says that it used: JSON, `{"input_tokens":1,"output_tokens":2}`.
    pub const USAGE: Self = Self(RecordKind::Outcome, 8);
    /// What the node signed of it: `comity.permit.v1.NodeOutcome`.
    pub const NODE_OUTCOME: Self = Self(RecordKind::Outcome, 9);
    /// Bytes of messages that went to the caller: decimal.
    pub const BYTES_OUT: Self = Self(RecordKind::Outcome, 10);
    /// From the request's arrival to its end, in milliseconds: decimal.
    pub const DURATION_MS: Self = Self(RecordKind::Outcome, 11);
    /// Whether the caller left before the end: `true` or `false`.
    pub const CANCELLED: Self = Self(RecordKind::Outcome, 12);

    /// The offer that comes `rank`-th in the order of preference, from 0, with its digest and when its permit ends: JSON,
    /// `{"offer":"…","offer_sha256":"…","expires_at":1795000000123}`. None beyond [`CANDIDATES`].
    #[must_use]
    pub fn candidate(rank: usize) -> Option<Self> {
        let place = u8::try_from(rank).ok().filter(|rank| usize::from(*rank) < CANDIDATES)?;
        Some(Self(RecordKind::Decision, place + 8))
    }

    /// The field at a place of a record of this kind, if it has one.
    #[must_use]
    pub fn at(kind: RecordKind, place: usize) -> Option<Self> {
        let name = kind.names().get(place)?;
        u8::try_from(place).ok().filter(|_| !name.is_empty()).map(|place| Self(kind, place))
    }

    /// The field of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [RecordKind::Decision, RecordKind::Outcome].into_iter().flat_map(RecordKind::fields).find(|f| f.name() == name)
    }

    /// What people and files call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.names().get(self.place()).copied().unwrap_or_default()
    }

    /// Of which kind of record it is.
    #[must_use]
    pub const fn kind(self) -> RecordKind {
        self.0
    }

    /// Its place.
    #[must_use]
    pub const fn place(self) -> usize {
        self.1 as usize
    }
}
