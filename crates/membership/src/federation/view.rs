//! What is asked of the state.

use std::sync::Arc;

use comity_policy::Offer;
use comity_transparency::KeyId;
use comity_types::{Digest, OfferName, SpiffeId, Timestamp, TrustDomain};

use super::{Departure, Federation, Governance, MemberState, NodeState, OpenInvite, OrganisationState, Refused};
use crate::statement::{InviteId, Scope, Subject};

impl Federation {
    /// The version that the next statement of a scope has.
    #[must_use]
    pub fn next_version(&self, scope: &Scope) -> u64 {
        self.versions.get(scope).map_or(1, |said| said.last().saturating_add(1))
    }

    /// The number of entries that were taken in.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When the last entry got its place.
    #[must_use]
    pub const fn at(&self) -> Option<Timestamp> {
        self.at
    }

    /// The federation's trust domain, once it is founded.
    #[must_use]
    pub const fn name(&self) -> Option<&TrustDomain> {
        self.name.as_ref()
    }

    /// SHA-256 of the root document, once the federation is founded.
    #[must_use]
    pub const fn root_sha256(&self) -> Option<Digest> {
        self.root_sha256
    }

    /// Who governs, once the federation is founded.
    #[must_use]
    pub fn governance(&self) -> Option<&Governance> {
        self.governance.as_deref()
    }

    /// The organisations, sorted.
    pub fn organisations(&self) -> impl Iterator<Item = &OrganisationState> {
        self.organisations.values().map(Arc::as_ref)
    }

    /// One organisation.
    #[must_use]
    pub fn organisation(&self, domain: &TrustDomain) -> Option<&OrganisationState> {
        self.organisations.get(domain).map(Arc::as_ref)
    }

    /// Nodes, apps and operators, sorted.
    pub fn members(&self) -> impl Iterator<Item = (&SpiffeId, &MemberState)> {
        self.members.iter().map(|(id, state)| (id, state.as_ref()))
    }

    /// One member.
    #[must_use]
    pub fn member(&self, id: &SpiffeId) -> Option<&MemberState> {
        self.members.get(id).map(Arc::as_ref)
    }

    /// The nodes, sorted.
    pub fn nodes(&self) -> impl Iterator<Item = (&SpiffeId, &NodeState)> {
        self.nodes.iter().map(|(id, state)| (id, state.as_ref()))
    }

    /// One node.
    #[must_use]
    pub fn node(&self, id: &SpiffeId) -> Option<&NodeState> {
        self.nodes.get(id).map(Arc::as_ref)
    }

    /// One offer.
    #[must_use]
    pub fn offer(&self, name: &OfferName) -> Option<&Offer> {
        self.node(name.node())?.offers.iter().find(|offer| offer.id == *name.id())
    }

    /// What an offer is known by in records: its [`offer_digest`](crate::offer_digest).
    #[must_use]
    pub fn offer_sha256(&self, name: &OfferName) -> Option<Digest> {
        let node = self.node(name.node())?;
        let place = node.offers.iter().position(|offer| offer.id == *name.id())?;
        node.digests.get(place).copied()
    }

    /// The invites of organisations that nobody has taken up, expired or not.
    pub fn invites(&self) -> impl Iterator<Item = (&InviteId, &OpenInvite)> {
        self.invites.iter()
    }

    /// One open invite.
    #[must_use]
    pub fn invite(&self, id: &InviteId) -> Option<&OpenInvite> {
        self.invites.get(id)
    }

    /// One invite that was used up by a member who is there: whoever shows it again has a copy.
    #[must_use]
    pub fn used_invite(&self, id: &InviteId) -> Option<&OpenInvite> {
        self.used_invites.get(id)
    }

    /// How somebody left who is not there any more.
    #[must_use]
    pub fn departure(&self, subject: &Subject) -> Option<&Departure> {
        self.departed.get(subject)
    }

    /// Whose key this was, of those who left and have not come back.
    #[must_use]
    pub fn former(&self, key: &KeyId) -> Option<&SpiffeId> {
        self.former.get(key)
    }

    /// Who has this key: an organisation, a member or an operator, as they are written.
    pub(crate) fn holder(&self, key: &KeyId) -> Option<String> {
        let organisation = self.organisations().find(|state| state.keys.iter().any(|own| own.id() == *key));
        let organisation = organisation.map(|state| state.organisation.trust_domain.to_string());
        let member = || self.members().find(|(_, state)| state.key.id() == *key).map(|(id, _)| id.to_string());
        organisation.or_else(member)
    }

    /// Whether an operator had this key who was removed since, or has another key.
    #[must_use]
    pub fn was_unseated(&self, key: &KeyId) -> bool {
        self.unseated.contains_key(key)
    }

    /// Everyone who left and has not come back, sorted.
    pub fn departures(&self) -> impl Iterator<Item = (&Subject, &Departure)> {
        self.departed.iter()
    }

    /// The refusal of a statement about somebody who is not there.
    pub(crate) fn stranger(&self, subject: &Subject) -> Refused {
        Refused::NotAMember(subject.clone())
    }
}
