//! Why a statement is neither in force nor a proposal.

use std::time::Duration;

use comity_membership::Refused;
use comity_types::{Digest, SpiffeId, TrustDomain};

use super::room::{MAX_BYTES_OF_ONE, MAX_PROPOSALS, MAX_PROPOSALS_BYTES, MAX_PROPOSALS_OF_ONE, MAX_TABLES_OF_ONE};
use crate::ledger::journal::JournalError;
use crate::registry::RegistryError;

/// Bytes of a mebibyte.
const MIB: usize = 1024 * 1024;

/// Why proposals cannot be kept, or a statement is neither in force nor one.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A frame of the journal is not an event.
    #[error("proposal event {position} cannot be read: {problem} (hint: restore proposals.journal from a copy)")]
    Damaged {
        /// Which, from 0.
        position: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The event cannot be made a frame.
    #[error("cannot encode a proposal")]
    Encode(#[from] serde_json::Error),
    /// There is none with this id.
    #[error("no proposal {id} waits (hint: comity proposal list shows those that do)")]
    Unknown {
        /// The id.
        id: Digest,
    },
    /// Whoever says no has no vote.
    #[error("{operator} has no vote on it")]
    NoVote {
        /// Who.
        operator: SpiffeId,
    },
    /// Nobody has signed whose signature counts now.
    #[error(
        "no operator in office has signed this, and it does not wait: {refused} (hint: one who governs now and is not suspended signs first; those who are to govern add theirs to what then waits)"
    )]
    NobodyInOffice {
        /// What it lacks.
        refused: Box<Refused>,
    },
    /// There are too many.
    #[error(
        "too much waits already: at most {MAX_PROPOSALS} proposals, of {} MiB together (hint: sign those that are right, and reject the others: comity proposal list; what is not signed ends after 30 days)",
        MAX_PROPOSALS_BYTES / MIB
    )]
    TooMany,
    /// One operator has proposed too much.
    #[error(
        "{operator} has signed as much as may wait of one operator: {MAX_PROPOSALS_OF_ONE} proposals, of {} MiB together, where several sign each its part (hint: have other operators sign or reject them, or take one's own back: comity proposal reject; what is not signed ends after 30 days)",
        MAX_BYTES_OF_ONE / MIB
    )]
    TooManyOfOne {
        /// Whose share is full.
        operator: SpiffeId,
    },
    /// An operator writes proposals more often than the broker keeps.
    #[error("{operator} has signed and taken back more proposals than the broker keeps of one operator (hint: try again in {} s)", retry_after.as_secs())]
    SignsTooOften {
        /// Who.
        operator: SpiffeId,
        /// When there is room, if nothing else comes before; whole seconds.
        retry_after: Duration,
    },
    /// An organisation signs more than the registry keeps.
    #[error("{organisation} has signed more than the registry keeps (hint: try again in {} s; some 200 suspensions of one's own are taken before that all the same)", retry_after.as_secs())]
    TooOften {
        /// Whose key signed.
        organisation: TrustDomain,
        /// When there is room, if nothing else comes before; whole seconds.
        retry_after: Duration,
    },
    /// An operator brakes more than the registry keeps of one.
    #[error("{operator} has braked more than the registry keeps of one operator (hint: try again in {} s; brake the organisation as a whole, or have other operators sign)", retry_after.as_secs())]
    TooManyBrakes {
        /// Whose key signed.
        operator: SpiffeId,
        /// When there is room, if nothing else comes before; whole seconds.
        retry_after: Duration,
    },
    /// It is too long.
    #[error("the statement has {bytes} bytes, and a proposal of its kind at most {most}")]
    TooLong {
        /// Its payload's length.
        bytes: usize,
        /// What a proposal of its kind may have.
        most: usize,
    },
    /// One operator has proposed tables already.
    #[error(
        "{operator} has signed {MAX_TABLES_OF_ONE} proposal of tables already, which waits (hint: take it back first: comity proposal reject; of all that wait only one can come into force)"
    )]
    TooManyOfTables {
        /// Who.
        operator: SpiffeId,
    },
    /// The registry does not take it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}
