//! Why something cannot be done with an invite.

use comity_types::{SpiffeId, Timestamp};

use super::{InviteId, MAX_LIVE, MAX_LIVE_OF_ONE};

/// Why something cannot be done with an invite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such invite, or not its secret: the two look alike, so that ids cannot be probed.
    #[error("no such invite, or not its secret (hint: copy the whole invite, or ask an operator for a new one)")]
    Unknown,
    /// It ended.
    #[error("the invite expired at {at} (hint: ask an operator for a new one)")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Another key presented the secret first.
    #[error(
        "the invite was taken up by another key, {bound} (hint: if that was not you, tell an operator, and ask for a new invite)"
    )]
    AnotherKey {
        /// The fingerprint of the first key.
        bound: String,
    },
    /// Not in a state where this can happen.
    #[error("enrolment {id} is {state}, not {expected}")]
    WrongState {
        /// The enrolment.
        id: InviteId,
        /// What it is.
        state: &'static str,
        /// What it would have to be.
        expected: &'static str,
    },
    /// No enrolment has the id.
    #[error("no enrolment {id} (hint: comity enrolment list shows those that are open or wait)")]
    NoEnrolment {
        /// The id.
        id: InviteId,
    },
    /// The member is invited already, and the invite still holds.
    #[error(
        "{member} is invited already, until {until}, by the invite {id} (hint: choose another name, or revoke that invite: comity reject {id} --reason \"a new one is made\")"
    )]
    AlreadyInvited {
        /// Who.
        member: SpiffeId,
        /// By which invite.
        id: InviteId,
        /// Until when.
        until: Timestamp,
    },
    /// Too many invites are unanswered.
    #[error(
        "{MAX_LIVE} invites are unanswered (hint: let some be taken up or end, or revoke some: comity enrolment list, comity reject)"
    )]
    TooMany,
    /// One operator has too many invites unanswered.
    #[error(
        "{MAX_LIVE_OF_ONE} invites of {operator} are unanswered (hint: let some be taken up or end, or revoke some: comity enrolment list, comity reject)"
    )]
    TooManyOfOne {
        /// Who.
        operator: SpiffeId,
    },
}
