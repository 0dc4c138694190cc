//! What a policy can have wrong.

use comity_types::Invalid;

use super::{MAX_POLICY_BYTES, Octets};

/// What is wrong, and in which line, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {fault}")]
pub struct PolicyError {
    /// The line; the last one for what the file lacks.
    pub line: usize,
    /// What is wrong.
    pub fault: PolicyFault,
}

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFault {
    /// Longer than [`MAX_POLICY_BYTES`].
    #[error("a policy has at most {MAX_POLICY_BYTES} bytes")]
    TooLong,
    /// A byte that no policy has.
    #[error("the byte 0x{0:02x} is not allowed (hint: of control characters only tabs and newlines are)")]
    Octet(u8),
    /// The last line has no newline.
    #[error("it does not end in a newline (hint: the file may have been cut off)")]
    Unterminated,
    /// Not a line of a policy.
    #[error("{0} begins no line of a policy (hint: log, witness, group or quorum)")]
    Keyword(Octets),
    /// Too few or too many items.
    #[error("expected `{0}`")]
    Shape(&'static str),
    /// Not a name or URL.
    #[error("not a name (hint: bytes without spaces and control characters)")]
    Name,
    /// Not a key.
    #[error("{0}")]
    Key(#[from] Invalid),
    /// A key of a kind that signs no checkpoints of logs.
    #[error("a log signs by Ed25519 (type 0x01) or ML-DSA-44 (type 0x06)")]
    NoLogKey,
    /// A key of a kind that cosigns nothing.
    #[error("a witness signs by Ed25519 cosignatures (type 0x04) or ML-DSA-44 (type 0x06)")]
    NoWitnessKey,
    /// Two logs with one key, under whatever names.
    #[error("the key of this log stands for the log {0} already")]
    SameLog(String),
    /// Two witnesses with one key, under whatever names.
    #[error("the key of this witness is the witness {0}'s already")]
    SameWitness(Octets),
    /// A log is made its own witness.
    #[error("{0} is a log's key or has a log's name, and so no witness (hint: no log vouches for itself)")]
    LogAsWitness(Octets),
    /// The name is taken.
    #[error("{0} is defined already")]
    Defined(Octets),
    /// Nothing can be called `none`, and nothing can contain it.
    #[error("`none` stands for no quorum, and for nothing else")]
    NoneIsReserved,
    /// Not defined in a line above.
    #[error("{0} is not defined above")]
    Undefined(Octets),
    /// A name is a member of a second group, or of one twice.
    #[error("{0} is a member already (hint: each name is a member once, of one group)")]
    MemberTwice(Octets),
    /// Not a number of members.
    #[error("expected all, any or a number from 1 to {members}, without zeros before it")]
    Threshold {
        /// How many members there are.
        members: usize,
    },
    /// A second quorum.
    #[error("a policy has one quorum, and this is the second")]
    SecondQuorum,
    /// No quorum.
    #[error("a policy has a quorum (hint: `quorum none` asks for no witness)")]
    NoQuorum,
    /// More than anybody needs.
    #[error("a policy has at most {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it may have.
        limit: usize,
    },
}
