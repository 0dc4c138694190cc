//! Invites and what became of them: a pure fold over events. [`store`] keeps the events.
//!
//! ```text
//! Open ──request──▶ Requested ──approve──▶ Approved ──issue──▶ Issued
//!                       └──────reject────▶ Rejected
//! ```
//! An invite for an organisation that takes part already skips the approval: its request is
//! approved by the invite. An invite belongs to the first key that presents its secret.

pub mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use comity_policy::Organisation;
use comity_types::{Digest, Invalid, SpiffeId, Timestamp};
use serde::{Deserialize, Serialize};

/// Invites that may be unanswered or wait at once: bounds memory and what operators can overlook.
pub const MAX_LIVE: usize = 10_000;

/// The id of an invite and of the enrolment that it becomes: 128 random bits, 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InviteId(String);

impl InviteId {
    /// Takes the 128 bits from whoever has randomness.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// The 32 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InviteId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let valid = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(text, "an enrolment id: 32 hexadecimal digits, lower case"))
        }
    }
}

impl TryFrom<String> for InviteId {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<InviteId> for String {
    fn from(id: InviteId) -> Self {
        id.0
    }
}

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What an operator offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// The digest of its secret; the secret itself is kept nowhere.
    pub secret_sha256: Digest,
    /// Who is invited.
    pub member: SpiffeId,
    /// The operator who invited.
    pub by: SpiffeId,
    /// The first instant at which it no longer holds.
    pub expires_at: Timestamp,
}

/// What was asked for with an invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The digest of the public key (SPKI) that the invite now belongs to.
    pub key_sha256: Digest,
    /// The facts of a new organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Organisation>,
    /// When it was asked for.
    pub at: Timestamp,
}

/// What was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The chain, leaf first, base64 of DER.
    pub chain: Vec<String>,
    /// When the leaf ends.
    pub not_after: Timestamp,
}

/// Something that happened to an invite. Serde's JSON of it is a journal frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// An operator invited.
    Invited {
        /// The invite.
        invite: Invite,
        /// When.
        at: Timestamp,
    },
    /// A key presented the secret.
    Requested {
        /// Which invite.
        id: InviteId,
        /// What it asked for.
        request: Request,
    },
    /// An operator let it in; `by` is the inviting one where no second approval is needed.
    Approved {
        /// Which enrolment.
        id: InviteId,
        /// Who.
        by: SpiffeId,
        /// When.
        at: Timestamp,
    },
    /// An operator turned it down.
    Rejected {
        /// Which enrolment.
        id: InviteId,
        /// Who.
        by: SpiffeId,
        /// Why, as the member sees it.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// The certificate was made.
    Issued {
        /// Which enrolment.
        id: InviteId,
        /// The certificate.
        certificate: Certificate,
    },
}

/// Where an enrolment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody has presented the secret.
    Open,
    /// A key did; operators have to decide.
    Requested(Request),
    /// It may have its certificate.
    Approved {
        /// What was asked for.
        request: Request,
        /// Who let it in.
        by: SpiffeId,
    },
    /// It has its certificate.
    Issued {
        /// What was asked for.
        request: Request,
        /// What it got.
        certificate: Certificate,
    },
    /// It was turned down.
    Rejected {
        /// What was asked for.
        request: Request,
        /// Why.
        reason: String,
    },
}

impl State {
    /// What was asked for, once somebody asked.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Open => None,
            Self::Requested(request)
            | Self::Approved { request, .. }
            | Self::Issued { request, .. }
            | Self::Rejected { request, .. } => Some(request),
        }
    }
}

/// An invite and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The invite.
    pub invite: Invite,
    /// Where it stands.
    pub state: State,
}

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
    #[error("no enrolment {id} (hint: list those that wait)")]
    NoEnrolment {
        /// The id.
        id: InviteId,
    },
    /// The member is invited already, and the invite still holds.
    #[error("{member} is invited already, until {until} (hint: choose another name, or wait until the invite ends)")]
    AlreadyInvited {
        /// Who.
        member: SpiffeId,
        /// Until when.
        until: Timestamp,
    },
    /// Too many invites are unanswered.
    #[error("{MAX_LIVE} invites are unanswered (hint: let some be taken up or end)")]
    TooMany,
}

/// What presenting an invite's secret comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim<'a> {
    /// The first time: the invite is now to be bound to the key.
    First(&'a Invite),
    /// The same key again.
    Again(&'a Enrolment),
}

/// Every enrolment: the fold of all events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enrolments {
    by_id: BTreeMap<InviteId, Enrolment>,
}

impl Enrolments {
    /// Adds an event.
    ///
    /// # Errors
    /// It cannot follow what is there; nothing is changed then.
    pub fn apply(&mut self, event: Event) -> Result<(), Refused> {
        match event {
            Event::Invited { invite, at } => self.invite(invite, at),
            Event::Requested { id, request } => self.advance(&id, "open", |state| match state {
                State::Open => Some(State::Requested(request)),
                State::Requested(_) | State::Approved { .. } | State::Issued { .. } | State::Rejected { .. } => None,
            }),
            Event::Approved { id, by, .. } => {
                self.advance(&id, "waiting", |state| requested(state).map(|request| State::Approved { request, by }))
            }
            Event::Rejected { id, reason, .. } => self
                .advance(&id, "waiting", |state| requested(state).map(|request| State::Rejected { request, reason })),
            Event::Issued { id, certificate } => self.advance(&id, "approved", |state| match state {
                State::Approved { request, .. } => Some(State::Issued { request: request.clone(), certificate }),
                State::Open | State::Requested(_) | State::Issued { .. } | State::Rejected { .. } => None,
            }),
        }
    }

    /// What a key that presents a secret gets.
    ///
    /// # Errors
    /// The invite does not exist, is over, has another secret, or belongs to another key.
    pub fn claim(&self, id: &InviteId, secret: &Digest, key: &Digest, now: Timestamp) -> Result<Claim<'_>, Refused> {
        let enrolment =
            self.by_id.get(id).filter(|enrolment| enrolment.invite.secret_sha256 == *secret).ok_or(Refused::Unknown)?;
        let bound = enrolment.state.request().map(|request| request.key_sha256);
        if let Some(bound) = bound.filter(|bound| bound != key) {
            return Err(Refused::AnotherKey { bound: bound.fingerprint() });
        }
        // What operators approved was acknowledged to them, and is not lost because its holder comes late.
        let approved = matches!(enrolment.state, State::Approved { .. });
        if !approved && enrolment.invite.expires_at <= now {
            return Err(Refused::Expired { at: enrolment.invite.expires_at });
        }
        Ok(if bound.is_some() { Claim::Again(enrolment) } else { Claim::First(&enrolment.invite) })
    }

    /// One enrolment.
    ///
    /// # Errors
    /// There is none with the id.
    pub fn find(&self, id: &InviteId) -> Result<&Enrolment, Refused> {
        self.by_id.get(id).ok_or_else(|| Refused::NoEnrolment { id: id.clone() })
    }

    /// Those that wait for operators, oldest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<(&Invite, &Request)> {
        let waits = |enrolment: &'_ Enrolment| matches!(enrolment.state, State::Requested(_));
        let mut waiting: Vec<_> =
            self.by_id.values().filter(|e| waits(e)).filter_map(|e| Some((&e.invite, e.state.request()?))).collect();
        waiting.sort_by_key(|(_, request)| request.at);
        waiting
    }

    fn invite(&mut self, invite: Invite, at: Timestamp) -> Result<(), Refused> {
        let live = |enrolment: &&Enrolment| match enrolment.state {
            State::Open | State::Requested(_) | State::Approved { .. } => enrolment.invite.expires_at > at,
            State::Issued { .. } | State::Rejected { .. } => false,
        };
        if let Some(other) = self.by_id.values().filter(live).find(|enrolment| enrolment.invite.member == invite.member)
        {
            return Err(Refused::AlreadyInvited { member: invite.member, until: other.invite.expires_at });
        }
        if self.by_id.values().filter(live).count() >= MAX_LIVE {
            return Err(Refused::TooMany);
        }
        self.by_id.insert(invite.id.clone(), Enrolment { invite, state: State::Open });
        Ok(())
    }

    fn advance(
        &mut self,
        id: &InviteId,
        expected: &'static str,
        next: impl FnOnce(&State) -> Option<State>,
    ) -> Result<(), Refused> {
        let enrolment = self.by_id.get_mut(id).ok_or_else(|| Refused::NoEnrolment { id: id.clone() })?;
        let wrong = Refused::WrongState { id: id.clone(), state: name(&enrolment.state), expected };
        enrolment.state = next(&enrolment.state).ok_or(wrong)?;
        Ok(())
    }
}

fn requested(state: &State) -> Option<Request> {
    match state {
        State::Requested(request) => Some(request.clone()),
        State::Open | State::Approved { .. } | State::Issued { .. } | State::Rejected { .. } => None,
    }
}

const fn name(state: &State) -> &'static str {
    match state {
        State::Open => "open",
        State::Requested(_) => "waiting",
        State::Approved { .. } => "approved",
        State::Issued { .. } => "issued",
        State::Rejected { .. } => "rejected",
    }
}
