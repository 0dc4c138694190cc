//! Invites and what became of them: a pure fold over events. [`store`] keeps the events.
//!
//! ```text
//! Open ──request──▶ Requested ──enough no's──▶ Rejected
//!   └──────────────────revoke──────────────────▲
//! ```
//! What operators approve is a statement in the log, and not an event here: whose key is admitted there gets its
//! certificate, whatever became of the invite. To reject an open invite is to revoke it: whoever presents it then
//! learns why. An invite belongs to the first key that presents its secret. These are the invites of operators; those
//! of organisations stand in the log.

mod refused;
pub mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub use comity_membership::InviteId;
use comity_transparency::{Envelope, PublicKey};
use comity_types::{Digest, SpiffeId, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::refused::Refused;

/// Invites that may be unanswered or wait at once: bounds memory and what operators can overlook.
pub const MAX_LIVE: usize = 10_000;
/// Of these, those of one operator at most: one alone leaves the others no less than nine tenths of the room.
pub const MAX_LIVE_OF_ONE: usize = MAX_LIVE / 10;
/// Other keys that are kept of an invite: that it leaked is known by the first, and whoever has it can make any number.
pub const MAX_OTHER_KEYS: usize = 8;
/// How long operators are shown what was turned down: a month in which they can ask each other why.
pub const REJECTED_SHOWN: Duration = Duration::from_secs(30 * 24 * 3600);
/// The newest of them: to invite and revoke takes one operator, and an answer has an end.
pub const MAX_REJECTED_SHOWN: usize = 256;

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
    /// The key that the invite now belongs to: the first member's of a new organisation, or the operator's.
    pub key: PublicKey,
    /// What a new organisation signed to become a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Box<Envelope>>,
    /// When it was asked for.
    pub at: Timestamp,
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
    /// Another key presented the secret after it.
    Contested {
        /// Which enrolment.
        id: InviteId,
        /// The SHA-256 of the other key.
        key: Digest,
        /// When.
        at: Timestamp,
    },
    /// An operator said no to it while it waits, which the others may outvote.
    Refused {
        /// Which enrolment.
        id: InviteId,
        /// Who.
        by: SpiffeId,
        /// Why, as the other operators see it.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// It was turned down, or revoked while it was open.
    Rejected {
        /// Which enrolment.
        id: InviteId,
        /// Whose no was the last one that it took.
        by: SpiffeId,
        /// Why, as the member sees it.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// Where an enrolment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody has presented the secret.
    Open,
    /// A key did; operators have to decide.
    Requested(Request),
    /// It was turned down, or revoked before anybody had asked.
    Rejected {
        /// What was asked for; nothing where the invite was open.
        request: Option<Request>,
        /// By whom, why and when.
        rejection: Rejection,
    },
}

/// The end of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Whose no was the last one that it took.
    pub by: SpiffeId,
    /// Why, as the member reads it.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl State {
    /// What was asked for, once somebody asked.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Open => None,
            Self::Requested(request) => Some(request),
            Self::Rejected { request, .. } => request.as_ref(),
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
    /// The operators who said no while it waited, each with their reason: their first one, as it was said once.
    pub refused_by: BTreeMap<SpiffeId, String>,
    /// Other keys that presented the secret once it belonged to one, by their SHA-256, and when each came first: at most
    /// [`MAX_OTHER_KEYS`].
    pub other_keys: BTreeMap<Digest, Timestamp>,
}

impl Enrolment {
    fn of(invite: Invite) -> Self {
        Self { invite, state: State::Open, refused_by: BTreeMap::new(), other_keys: BTreeMap::new() }
    }

    /// Whether it is worth keeping that this other key came: it is new, and there is room.
    #[must_use]
    pub fn is_news(&self, other: &Digest) -> bool {
        self.other_keys.len() < MAX_OTHER_KEYS && !self.other_keys.contains_key(other)
    }
}

/// What presenting an invite's secret comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim<'a> {
    /// The first time: the invite is now to be bound to the key.
    First(&'a Invite),
    /// The same key again, or any key where the invite was revoked before one had come.
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
            Event::Invited { invite, at } => self.add(invite, at),
            Event::Requested { id, request } => self.advance(&id, "open", |state| match state {
                State::Open => Some(State::Requested(request)),
                State::Requested(_) | State::Rejected { .. } => None,
            }),
            Event::Contested { id, key, at } => self.contest(&id, key, at),
            Event::Refused { id, by, reason, .. } => self.refuse(&id, by, reason),
            Event::Rejected { id, by, reason, at } => {
                let rejection = Rejection { by, reason, at };
                self.advance(&id, "open or waiting", |state| match state {
                    State::Open => Some(State::Rejected { request: None, rejection }),
                    State::Requested(request) => Some(State::Rejected { request: Some(request.clone()), rejection }),
                    State::Rejected { .. } => None,
                })
            }
        }
    }

    /// What a key that presents a secret gets.
    ///
    /// # Errors
    /// The invite does not exist, has another secret, belongs to another key, or was not taken up before it ended.
    pub fn claim(&self, id: &InviteId, secret: &Digest, key: &Digest, now: Timestamp) -> Result<Claim<'_>, Refused> {
        let enrolment =
            self.by_id.get(id).filter(|enrolment| enrolment.invite.secret_sha256 == *secret).ok_or(Refused::Unknown)?;
        let bound = enrolment.state.request().map(|request| request.key.id());
        if let Some(bound) = bound.filter(|bound| bound != key) {
            return Err(Refused::AnotherKey { bound: bound.fingerprint() });
        }
        let at = enrolment.invite.expires_at;
        match (&enrolment.state, bound) {
            // How it stands with what this key asked for in time: operators take as long as they take.
            (_, Some(_)) => Ok(Claim::Again(enrolment)),
            (_, None) if at <= now => Err(Refused::Expired { at }),
            (State::Open, None) => Ok(Claim::First(&enrolment.invite)),
            (State::Requested(_) | State::Rejected { .. }, None) => Ok(Claim::Again(enrolment)),
        }
    }

    /// The invite whose secret this is, as long as it holds, or a key has taken it up, which asks how that stands.
    ///
    /// # Errors
    /// There is none with the id, it has another secret, or it has ended before anybody took it up.
    pub fn invite_of(&self, id: &InviteId, secret: &Digest, now: Timestamp) -> Result<&Invite, Refused> {
        let enrolment =
            self.by_id.get(id).filter(|enrolment| enrolment.invite.secret_sha256 == *secret).ok_or(Refused::Unknown)?;
        let at = enrolment.invite.expires_at;
        let is_open = enrolment.state.request().is_none();
        if is_open && at <= now { Err(Refused::Expired { at }) } else { Ok(&enrolment.invite) }
    }

    /// One enrolment.
    ///
    /// # Errors
    /// There is none with the id.
    pub fn find(&self, id: &InviteId) -> Result<&Enrolment, Refused> {
        self.by_id.get(id).ok_or_else(|| Refused::NoEnrolment { id: id.clone() })
    }

    /// The enrolment that this key asked by, the newest where it asked by more than one invite.
    #[must_use]
    pub fn asked_by(&self, key: &Digest) -> Option<(&Enrolment, &Request)> {
        let asked = self.by_id.values().filter_map(|enrolment| Some((enrolment, enrolment.state.request()?)));
        asked.filter(|(_, request)| request.key.id() == *key).max_by_key(|(_, request)| request.at)
    }

    /// Those that operators can still answer: first those that wait for them, the oldest at the head, then the
    /// invites that are open at `now`, the one that ends first at the head.
    #[must_use]
    pub fn unanswered(&self, now: Timestamp) -> Vec<&Enrolment> {
        let place = |enrolment: &Enrolment| match &enrolment.state {
            State::Requested(request) => Some((false, request.at)),
            State::Open => Some((true, enrolment.invite.expires_at)).filter(|(_, end)| *end > now),
            State::Rejected { .. } => None,
        };
        let mut unanswered: Vec<_> = self.by_id.values().filter_map(|e| Some((place(e)?, e))).collect();
        unanswered.sort_by_key(|(place, _)| *place);
        unanswered.into_iter().map(|(_, enrolment)| enrolment).collect()
    }

    /// Those that were turned down within [`REJECTED_SHOWN`] before `now`, the newest at the head, [`MAX_REJECTED_SHOWN`] of
    /// them.
    #[must_use]
    pub fn rejected(&self, now: Timestamp) -> Vec<&Enrolment> {
        let at = |enrolment: &Enrolment| match &enrolment.state {
            State::Rejected { rejection, .. } => Some(rejection.at).filter(|at| at.plus(REJECTED_SHOWN) > now),
            State::Open | State::Requested(_) => None,
        };
        let mut rejected: Vec<_> = self.by_id.values().filter_map(|e| Some((at(e)?, e))).collect();
        rejected.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        rejected.into_iter().map(|(_, enrolment)| enrolment).take(MAX_REJECTED_SHOWN).collect()
    }

    /// Checks that an operator may invite one more. Not asked of what is in the journal: it was invited.
    ///
    /// # Errors
    /// Too many of theirs are unanswered.
    pub fn check_share(&self, by: &SpiffeId, at: Timestamp) -> Result<(), Refused> {
        let live = self.by_id.values().filter(|enrolment| is_live(enrolment, at) && enrolment.invite.by == *by);
        if live.count() < MAX_LIVE_OF_ONE { Ok(()) } else { Err(Refused::TooManyOfOne { operator: by.clone() }) }
    }

    fn add(&mut self, invite: Invite, at: Timestamp) -> Result<(), Refused> {
        let live = |enrolment: &&Enrolment| is_live(enrolment, at);
        if let Some(other) = self.by_id.values().filter(live).find(|enrolment| enrolment.invite.member == invite.member)
        {
            let (id, until) = (other.invite.id.clone(), other.invite.expires_at);
            return Err(Refused::AlreadyInvited { member: invite.member, id, until });
        }
        if self.by_id.values().filter(live).count() >= MAX_LIVE {
            return Err(Refused::TooMany);
        }
        self.by_id.insert(invite.id.clone(), Enrolment::of(invite));
        Ok(())
    }

    fn contest(&mut self, id: &InviteId, key: Digest, at: Timestamp) -> Result<(), Refused> {
        let enrolment = self.by_id.get_mut(id).ok_or_else(|| Refused::NoEnrolment { id: id.clone() })?;
        if enrolment.state.request().is_none_or(|request| request.key.id() == key) {
            let state = name(&enrolment.state);
            return Err(Refused::WrongState { id: id.clone(), state, expected: "taken up by another key" });
        }
        if enrolment.is_news(&key) {
            enrolment.other_keys.insert(key, at);
        }
        Ok(())
    }

    fn refuse(&mut self, id: &InviteId, by: SpiffeId, reason: String) -> Result<(), Refused> {
        let enrolment = self.by_id.get_mut(id).ok_or_else(|| Refused::NoEnrolment { id: id.clone() })?;
        let state = name(&enrolment.state);
        if !matches!(enrolment.state, State::Requested(_)) {
            return Err(Refused::WrongState { id: id.clone(), state, expected: "waiting" });
        }
        enrolment.refused_by.entry(by).or_insert(reason);
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

fn is_live(enrolment: &Enrolment, at: Timestamp) -> bool {
    match enrolment.state {
        State::Open | State::Requested(_) => enrolment.invite.expires_at > at,
        State::Rejected { .. } => false,
    }
}

const fn name(state: &State) -> &'static str {
    match state {
        State::Open => "open",
        State::Requested(_) => "waiting",
        State::Rejected { .. } => "rejected",
    }
}
