//! Nodes, apps and operators of organisations, and invites to become one.

use std::sync::Arc;

use comity_transparency::PublicKey;
use comity_types::ids::Kind;
use comity_types::{SpiffeId, Timestamp, TrustDomain};

use super::organisations::check_kind;
use super::{Departure, Federation, MemberState, Refused, Suspensions};
use crate::statement::{InviteId, Subject, TlsKey};

/// Most invites of one organisation that are open at once: bounds what nobody looks at any more.
pub const MAX_OPEN_INVITES: usize = 1_000;

/// Most members of one organisation: more belong to more organisations, and everybody keeps all of them.
pub const MAX_MEMBERS: usize = 10_000;

/// An invite as its organisation gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenInvite {
    /// Whom it is for.
    pub member: SpiffeId,
    /// The key that it carries.
    pub key: PublicKey,
    /// The first instant at which it no longer holds.
    pub expires_at: Timestamp,
}

impl Federation {
    pub(super) fn invite_member(&mut self, id: &InviteId, invite: OpenInvite, now: Timestamp) -> Result<(), Refused> {
        let member = invite.member.clone();
        self.check_new(&member)?;
        if invite.expires_at <= now {
            return Err(Refused::InviteExpired { invite: id.clone(), at: invite.expires_at });
        }
        // What has ended is in nobody's way: neither of a second invite, nor of the bound.
        if self.invites.get(id).is_some_and(|open| open.expires_at > now) {
            return Err(Refused::InviteTaken(id.clone()));
        }
        let open = || self.invites.values().filter(|open| open.expires_at > now).map(|open| &open.member);
        if open().any(|other| *other == member) {
            return Err(Refused::AlreadyInvited(member));
        }
        if open().filter(|other| other.trust_domain() == member.trust_domain()).count() >= MAX_OPEN_INVITES {
            return Err(Refused::TooManyInvites(member.trust_domain().clone()));
        }
        self.invites.retain(|_, open| open.expires_at > now);
        self.invites.insert(id.clone(), invite);
        Ok(())
    }

    pub(super) fn revoke_invite(&mut self, domain: &TrustDomain, id: &InviteId) -> Result<(), Refused> {
        match self.invites.get(id) {
            Some(open) if open.member.trust_domain() == domain => {}
            _ => return Err(Refused::NoInvite(id.clone())),
        }
        self.invites.remove(id);
        Ok(())
    }

    pub(super) fn admit_member(
        &mut self,
        id: &SpiffeId,
        key: &PublicKey,
        tls_key: TlsKey,
        invite: Option<&InviteId>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        self.check_new(id)?;
        if let Some(invite) = invite {
            let open = self.invites.get(invite).filter(|open| open.member == *id);
            let open = open.ok_or_else(|| Refused::NoInvite(invite.clone()))?;
            if open.expires_at <= now {
                return Err(Refused::InviteExpired { invite: invite.clone(), at: open.expires_at });
            }
        }
        let domain = id.trust_domain();
        if self.members.keys().filter(|member| member.trust_domain() == domain).count() >= MAX_MEMBERS {
            return Err(Refused::TooManyMembers(domain.clone()));
        }
        if let Some((invite, used)) = invite.and_then(|id| Some((id, self.invites.get(id)?.clone()))) {
            self.used_invites.insert(invite.clone(), used);
        }
        // It is used up, and so is one that was not used: another key could take it up.
        self.invites.retain(|_, open| open.member != *id);
        self.seat_member(id, key, tls_key);
        Ok(())
    }

    pub(super) fn withdraw_member(&mut self, id: &SpiffeId, reason: &str, epoch: u64) -> Result<(), Refused> {
        if reason.len() > super::MAX_REASON_BYTES {
            return Err(Refused::Reason { found: reason.len() });
        }
        let subject = Subject::Member(id.clone());
        if self.name() == Some(id.trust_domain()) || !self.members.contains_key(id) {
            return Err(Refused::NotAMember(subject));
        }
        // It could come back at once, and be rid of what operators said of it.
        if let Some(held) = self.held_by_operators(id) {
            return Err(Refused::Held(held));
        }
        let key = self.member(id).map(|member| member.key.id());
        self.former.extend(key.map(|key| (key, id.clone())));
        self.members.remove(id);
        self.used_invites.retain(|_, used| used.member != *id);
        self.nodes.remove(id);
        self.end_audits_of_offers(id, &[]);
        self.certificates.retain(|(member, _), _| member != id);
        self.brakes.retain(|(_, braked), _| braked.member() != Some(id));
        self.departed
            .insert(subject, Departure { evicted: false, reason: reason.to_owned(), epoch, held: Arc::default() });
        Ok(())
    }

    pub(super) fn seat_member(&mut self, id: &SpiffeId, key: &PublicKey, tls_key: TlsKey) {
        if id.kind() == Kind::Node {
            self.nodes.insert(id.clone(), Arc::default());
        }
        self.departed.remove(&Subject::Member(id.clone()));
        self.former.remove(&key.id());
        let member = MemberState { key: key.clone(), tls_key, suspensions: Suspensions::default() };
        self.members.insert(id.clone(), Arc::new(member));
    }

    /// Checks that somebody can become a member of an organisation that is there.
    fn check_new(&self, id: &SpiffeId) -> Result<(), Refused> {
        if self.members.contains_key(id) {
            return Err(Refused::AlreadyAMember(Subject::Member(id.clone())));
        }
        if self.name() == Some(id.trust_domain()) {
            let why = "the federation's own members are its operators, whom the root names";
            return Err(Refused::WrongDomain { id: id.clone(), why });
        }
        check_kind(id)?;
        let domain = id.trust_domain();
        let there = self.organisations.contains_key(domain);
        there.then_some(()).ok_or_else(|| Refused::NotAMember(Subject::Organisation(domain.clone())))
    }
}
