//! Why a statement does not fit the state that it was made in.

use comity_types::{OfferName, SpiffeId};

use super::{MAX_OFFERS_PER_NODE, MAX_REASON_BYTES};
use crate::statement::Subject;

/// A statement that does not fit the state it was made in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The list has a gap, or a statement twice.
    #[error("statement {found} cannot follow statement {current}")]
    OutOfOrder {
        /// The state's epoch.
        current: u64,
        /// The statement's.
        found: u64,
    },
    /// A first statement that is not the founding, or a founding that is not the first.
    #[error("the founding is the first statement, and only that")]
    Founding,
    /// The subject is no member.
    #[error("{0} is not a member")]
    NotAMember(Subject),
    /// The subject is a member already.
    #[error("{0} is a member already")]
    AlreadyAMember(Subject),
    /// The member's kind cannot stand in its trust domain.
    #[error("{id} cannot be a member: {why}")]
    WrongDomain {
        /// Who.
        id: SpiffeId,
        /// Why not.
        why: &'static str,
    },
    /// The subject is suspended already.
    #[error("{0} is suspended already")]
    AlreadySuspended(Subject),
    /// The subject is not suspended.
    #[error("{0} is not suspended")]
    NotSuspended(Subject),
    /// The founding operators cannot all be suspended: nobody could lift it.
    #[error("{0} is the last operator that is not suspended, and nobody could lift it")]
    LastOperator(Subject),
    /// The reason is empty or too long.
    #[error("a reason has 1 to {MAX_REASON_BYTES} bytes, this one has {found}")]
    Reason {
        /// Its bytes.
        found: usize,
    },
    /// Too many offers on a node.
    #[error("a node has at most {MAX_OFFERS_PER_NODE} offers, {node} publishes {found}")]
    TooManyOffers {
        /// The node.
        node: SpiffeId,
        /// How many.
        found: usize,
    },
    /// An offer that is another node's, or two of one id.
    #[error("{node} cannot publish {offer}: {why}")]
    Offer {
        /// The node.
        node: SpiffeId,
        /// The offer.
        offer: Box<OfferName>,
        /// Why not.
        why: &'static str,
    },
}
