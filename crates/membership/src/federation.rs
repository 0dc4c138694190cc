//! The state of a federation: a fold over its entries.
//!
//! | module | holds |
//! |---|---|
//! | `governance` | the founding, and who governs |
//! | `organisations` | admitted, updated, gone |
//! | `members` | nodes, apps and operators, and invites to become one |
//! | `offers` | what nodes publish |
//! | `terms` | whose terms an organisation accepts |
//! | `audits` | whose word counts on what others claim, and what they signed |
//! | `weighing` | what the policy is handed: facts and offers with what was signed of them |
//! | `tables` | by which tables the federation decides |
//! | `suspensions` | who is refused, by whom and for how long |
//! | `bounds` | how long a statement may be, and how old |
//! | `positions` | what was said at each version of a scope |
//! | `view` | what is asked of the state |
//! | `refused` | why an entry does not fit |
//! | `map` | what a state is made of, so that it is copied in an instant |

mod audits;
mod bounds;
mod governance;
mod map;
mod members;
mod offers;
mod organisations;
mod positions;
mod refused;
mod suspensions;
mod tables;
mod terms;
#[cfg(test)]
mod tests;
mod view;
mod weighing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_policy::claim::ClaimPath;
use comity_policy::{Layers, Offer, Organisation};
use comity_transparency::{Envelope, EnvelopeError, KeyId, PublicKey};
use comity_types::{Digest, SpiffeId, Timestamp, TrustDomain};

pub use self::audits::{AuditState, Auditor, MAX_AUDITORS, MAX_AUDITS};
pub use self::bounds::{
    MAX_ACCEPTANCE_BYTES, MAX_AGE, MAX_AGE_OF_OPERATORS, MAX_AHEAD, MAX_REASON_BYTES, MAX_STATEMENT_BYTES,
};
pub use self::governance::{Governance, MAX_OPERATORS};
pub use self::members::{MAX_MEMBERS, MAX_OPEN_INVITES, OpenInvite};
pub use self::offers::{MAX_APPLIED_OFFERS_BYTES, MAX_OFFERS_PER_NODE, check_offers};
pub use self::organisations::{MAX_ANCHORS, MAX_KEYS};
pub use self::positions::Position;
pub use self::refused::Refused;
pub use self::suspensions::{BRAKE, MAX_CERTIFICATES, Standing, Suspension, Suspensions};
pub use self::tables::{Adopted, MAX_TABLES_BYTES};
pub use self::terms::{Acceptance, MAX_ACCEPTED, MAX_TERMS};

use self::bounds::{check_age, check_length, check_reason};
use self::map::Map;
use self::positions::Positions;
use crate::authority::Authority;
use crate::prepared::Prepared;
use crate::signed::{Body, Entry, Payload, STATEMENT_TYPE};
use crate::statement::{Claimant, InviteId, Scope, Statement, Subject, TlsKey};

/// Who belongs to the federation, what they offer, and who is suspended, at one epoch.
#[derive(Debug, Clone, Default)]
pub struct Federation {
    epoch: u64,
    at: Option<Timestamp>,
    name: Option<TrustDomain>,
    root_sha256: Option<Digest>,
    governance: Option<Arc<Governance>>,
    organisations: Map<TrustDomain, Arc<OrganisationState>>,
    members: Map<SpiffeId, Arc<MemberState>>,
    nodes: Map<SpiffeId, Arc<NodeState>>,
    invites: Map<InviteId, OpenInvite>,
    /// Invites by which those came who are members now: at most one to a member.
    used_invites: Map<InviteId, OpenInvite>,
    certificates: Map<(SpiffeId, Digest), Suspensions>,
    /// Operators who have braked a subject, and may not again until the threshold has spoken; with the epoch at which.
    brakes: Map<(SpiffeId, Subject), u64>,
    /// Applications that were admitted once, and bring nobody back.
    applications: Map<Digest, ()>,
    departed: Map<Subject, Departure>,
    /// The keys of members who left, and whose they were.
    former: Map<KeyId, SpiffeId>,
    auditors: Arc<BTreeMap<TrustDomain, Auditor>>,
    /// By whose claim, then by its path and the auditor.
    audits: Arc<BTreeMap<Claimant, Audits>>,
    /// `None`: those of whoever reads this.
    adopted: Option<Arc<Adopted>>,
    unseated: Map<KeyId, ()>,
    versions: Map<Scope, Positions>,
}

/// What was signed of one claimant's claims, by path and auditor.
type Audits = BTreeMap<(ClaimPath, TrustDomain), AuditState>;

/// The place that an entry has, or would have.
#[derive(Debug, Clone, Copy)]
struct Place {
    epoch: u64,
    at: Timestamp,
}

/// A statement as it was read: what is signed, how many bytes that has, and their digest.
#[derive(Debug, Clone, Copy)]
struct Read<'a> {
    payload: &'a Payload,
    bytes: usize,
    digest: Digest,
}

/// An admitted organisation.
#[derive(Debug, Clone)]
pub struct OrganisationState {
    /// Its facts, as it states them.
    pub organisation: Organisation,
    /// Its facts, as they count: with the terms that it accepted, and with what auditors have signed.
    pub facts: Arc<Organisation>,
    /// Whose terms it accepts.
    pub accepted: BTreeMap<TrustDomain, Acceptance>,
    /// What it demands of its own requests.
    pub layers: Layers,
    /// Its certificate authorities: DER in base64.
    pub anchors: Vec<String>,
    /// The epoch at which its anchors last changed.
    pub anchors_epoch: u64,
    /// The keys that sign for it.
    pub keys: Vec<PublicKey>,
    /// Who refuses it.
    pub suspensions: Suspensions,
}

impl OrganisationState {
    /// Its facts as it says them, by its file and by what it accepts: for whoever shows them.
    #[must_use]
    pub fn as_stated(&self) -> Organisation {
        Organisation { accepted_terms: self.facts.accepted_terms.clone(), ..self.organisation.clone() }
    }
}

/// An admitted node, app or operator.
#[derive(Debug, Clone)]
pub struct MemberState {
    /// The key that it signs with.
    pub key: PublicKey,
    /// Which key its certificates are for.
    pub tls_key: TlsKey,
    /// Who refuses it.
    pub suspensions: Suspensions,
}

impl MemberState {
    /// SHA-256 of the key that its certificates have to be for, if it is one alone.
    #[must_use]
    pub fn pinned_key(&self) -> Option<Digest> {
        (self.tls_key == TlsKey::Admitted).then(|| self.key.id())
    }
}

/// What a node published; nothing until it has run.
#[derive(Debug, Clone, Default)]
pub struct NodeState {
    /// Where the broker reaches it.
    pub address: Option<String>,
    /// Its offers, as it states them.
    pub offers: Vec<Offer>,
    /// What each of them is known by, in their order: made when they are published, since every request names some.
    pub(crate) digests: Vec<Digest>,
    /// Its offers, as they count: with what auditors have signed.
    pub weighed: Arc<[Offer]>,
}

/// How somebody left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// True if operators put it out, and false if it left by itself.
    pub evicted: bool,
    /// Why.
    pub reason: String,
    /// The epoch at which it left.
    pub epoch: u64,
    /// What operators had said against it or its members, and not lifted: whoever lets it in again has to know.
    pub held: Arc<[(Subject, Suspension)]>,
}

impl Federation {
    /// Takes the next entry in: checks its place, that those signed who have to, and that it fits.
    ///
    /// # Errors
    /// It is refused, and then nothing has changed.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Refused> {
        self.apply_as(entry, |envelope, authority| envelope.verify(STATEMENT_TYPE, authority.keys()))
    }

    /// Takes an entry in again whose signatures this reader has checked before, and which it knows to be the same by the
    /// root of a tree: everything is checked but the signatures themselves, which cost most.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub fn apply_again(&mut self, entry: &Entry) -> Result<(), Refused> {
        self.apply_as(entry, |envelope, _| Ok(envelope.signatures.iter().map(|signature| signature.keyid).collect()))
    }

    fn apply_as(
        &mut self,
        entry: &Entry,
        verify: impl FnOnce(&Envelope, &Authority<'_>) -> Result<BTreeSet<KeyId>, EnvelopeError>,
    ) -> Result<(), Refused> {
        let place = Place { epoch: entry.epoch, at: entry.at };
        self.check_place(place, &entry.body)?;
        match &entry.body {
            Body::Founded(genesis) => self.found(genesis)?,
            Body::Lapsed { subject } => self.lapse(subject, entry.at)?,
            Body::Signed(envelope) => {
                let payload = Payload::peek(envelope).map_err(|error| Refused::Unreadable(error.to_string()))?;
                let read = Read { payload: &payload, bytes: envelope.payload.len(), digest: envelope.payload_digest() };
                self.enter(read, place, |authority| verify(envelope, authority))?;
            }
        }
        (self.epoch, self.at) = (place.epoch, Some(place.at));
        Ok(())
    }

    /// Takes a statement in as the next entry, at this instant: as [`apply`](Self::apply), without reading and verifying
    /// what was read and verified before.
    ///
    /// # Errors
    /// It is refused, and then nothing has changed.
    pub fn apply_prepared(&mut self, prepared: &Prepared, at: Timestamp) -> Result<(), Refused> {
        let place = Place { epoch: self.epoch.saturating_add(1), at };
        if let Some(last) = self.at.filter(|last| at < *last) {
            return Err(Refused::BackInTime { last, found: at });
        }
        if self.governance.is_none() {
            return Err(Refused::Founding);
        }
        let verify = |authority: &Authority<'_>| prepared.examined.verify(STATEMENT_TYPE, authority.keys());
        self.enter(prepared.into(), place, verify)?;
        (self.epoch, self.at) = (place.epoch, Some(place.at));
        Ok(())
    }

    fn check_place(&self, place: Place, body: &Body) -> Result<(), Refused> {
        if place.epoch != self.epoch.saturating_add(1) {
            return Err(Refused::OutOfOrder { current: self.epoch, found: place.epoch });
        }
        if let Some(last) = self.at.filter(|last| place.at < *last) {
            return Err(Refused::BackInTime { last, found: place.at });
        }
        if matches!(body, Body::Founded(_)) != self.governance.is_none() {
            return Err(Refused::Founding);
        }
        Ok(())
    }

    fn enter(
        &mut self,
        read: Read<'_>,
        place: Place,
        verify: impl FnOnce(&Authority<'_>) -> Result<BTreeSet<KeyId>, EnvelopeError>,
    ) -> Result<(), Refused> {
        let scope = self.place(read)?;
        let Read { payload, digest, .. } = read;
        check_age(payload, &scope, place.at)?;
        self.check_seen(payload)?;
        let signers = self.signers(&payload.statement, verify)?;
        self.take_in(&payload.statement, place, &signers)?;
        let said = Position { payload: digest, epoch: place.epoch };
        let positions = self
            .versions
            .get(&scope)
            .map_or_else(|| Positions::default().and(said), |said_so_far| said_so_far.and(said));
        self.versions.insert(scope, positions);
        Ok(())
    }

    /// The keys that signed a statement, if all hold and they are enough.
    fn signers(
        &self,
        statement: &Statement,
        verify: impl FnOnce(&Authority<'_>) -> Result<BTreeSet<KeyId>, EnvelopeError>,
    ) -> Result<BTreeSet<KeyId>, Refused> {
        let authority = Authority::of(statement, self)?;
        let signers = verify(&authority).map_err(Refused::Signatures)?;
        authority.check(&signers)?;
        Ok(signers)
    }

    /// The keys that signed a statement, if they are those who have to sign it in this state: whatever its place.
    pub(crate) fn signers_then(&self, statement: &Statement, envelope: &Envelope) -> Result<BTreeSet<KeyId>, Refused> {
        self.signers(statement, |authority| envelope.verify(STATEMENT_TYPE, authority.keys()))
    }

    /// The keys that have signed a statement that would stand next in its scope, whether they are enough or not.
    ///
    /// # Errors
    /// It is for another place or federation, or a signature does not hold.
    pub fn endorsed(&self, envelope: &Envelope) -> Result<BTreeSet<KeyId>, Refused> {
        let prepared = self.prepare(envelope.clone()).map_err(|error| Refused::Unreadable(error.to_string()))?;
        self.endorsers(&prepared)
    }

    /// As [`endorsed`](Self::endorsed), of what was read and verified.
    ///
    /// # Errors
    /// Those of [`endorsed`](Self::endorsed).
    pub fn endorsers(&self, prepared: &Prepared) -> Result<BTreeSet<KeyId>, Refused> {
        self.place(prepared.into())?;
        let authority = Authority::of(&prepared.payload.statement, self)?;
        prepared.examined.verify(STATEMENT_TYPE, authority.keys()).map_err(Refused::Signatures)
    }

    /// Whether everyone has signed who has to, for a statement that would stand next in its scope.
    ///
    /// # Errors
    /// As [`endorsers`](Self::endorsers), or there are too few.
    pub fn check_signed(&self, prepared: &Prepared) -> Result<(), Refused> {
        self.place(prepared.into())?;
        let verify = |authority: &Authority<'_>| prepared.examined.verify(STATEMENT_TYPE, authority.keys());
        self.signers(&prepared.payload.statement, verify).map(drop)
    }

    /// Whether everyone has signed who has to, whatever else there is to be said of the statement: its version may be an old
    /// one.
    #[must_use]
    pub fn is_signed(&self, prepared: &Prepared) -> bool {
        let verify = |authority: &Authority<'_>| prepared.examined.verify(STATEMENT_TYPE, authority.keys());
        self.signers(&prepared.payload.statement, verify).is_ok()
    }

    /// Whether a statement could come into force at `at` if enough signed it: what it says, not who says it.
    ///
    /// # Errors
    /// It is for another place or federation, a signature does not hold, or it does not follow from the state.
    pub fn check_proposed(&self, prepared: &Prepared, at: Timestamp) -> Result<(), Refused> {
        let scope = self.place(prepared.into())?;
        check_age(&prepared.payload, &scope, at)?;
        self.check_seen(&prepared.payload)?;
        let signers = self.endorsers(prepared)?;
        let place = Place { epoch: self.epoch.saturating_add(1), at };
        self.clone().take_in(&prepared.payload.statement, place, &signers)
    }

    /// Whether what a statement says could be said at `at` by these keys, as the next one of its scope: for whoever asks
    /// before they sign. Whether they are enough is not asked.
    ///
    /// # Errors
    /// It does not follow from the state.
    pub fn check_said(&self, statement: &Statement, signers: &BTreeSet<KeyId>, at: Timestamp) -> Result<(), Refused> {
        let place = Place { epoch: self.epoch.saturating_add(1), at: self.at.map_or(at, |last| last.max(at)) };
        self.clone().take_in(statement, place, signers)
    }

    /// Whether a statement would come into force now: on a copy, which is had in an instant.
    ///
    /// # Errors
    /// It would be refused.
    pub fn check_next(&self, prepared: &Prepared, at: Timestamp) -> Result<(), Refused> {
        self.clone().apply_prepared(prepared, self.at.map_or(at, |last| last.max(at)))
    }

    /// The scope of a statement, if it is about this federation, no longer than its kind has to be, and its version is
    /// the next one there.
    fn place(&self, Read { payload, bytes, digest }: Read<'_>) -> Result<Scope, Refused> {
        check_length(&payload.statement, bytes)?;
        if Some(payload.federation) != self.root_sha256 {
            return Err(Refused::OtherFederation);
        }
        let scope =
            payload.statement.scope().ok_or_else(|| Refused::Unreadable("the application cannot be read".into()))?;
        let (version, next) = (payload.version, self.next_version(&scope));
        match self.position(&scope, version) {
            Some(first) if first.payload != digest => {
                let (epoch, first) = (first.epoch, first.payload);
                Err(Refused::Equivocation { scope, version, next, epoch, first, second: digest })
            }
            Some(_) if version.checked_add(1) == Some(next) => Err(Refused::Said { scope }),
            // The same again, and something was said after it: it does not come into force once more.
            Some(_) => Err(Refused::Version { next, scope, found: version }),
            None if version != next => Err(Refused::Version { next, scope, found: version }),
            None => Ok(scope),
        }
    }

    fn take_in(&mut self, statement: &Statement, place: Place, signers: &BTreeSet<KeyId>) -> Result<(), Refused> {
        match statement {
            Statement::RootChanged { operators, root_threshold, membership_threshold } => {
                self.change_root(operators, *root_threshold, *membership_threshold)
            }
            Statement::OrganisationAdmitted { application } => self.admit_organisation(application, place),
            Statement::OrganisationUpdated { organisation, layers } => self.update_organisation(organisation, layers),
            Statement::AnchorsChanged { organisation, anchors } => {
                self.change_anchors(organisation, anchors, place.epoch)
            }
            Statement::KeysChanged { organisation, keys } => self.change_keys(organisation, keys),
            Statement::OrganisationWithdrawn { organisation, reason } => {
                self.depart(organisation, false, reason, place.epoch)
            }
            Statement::Evicted { organisation, reason } => {
                check_reason(reason)?;
                self.depart(organisation, true, reason, place.epoch)
            }
            Statement::MemberInvited { member, invite, key, expires_at } => {
                let open = OpenInvite { member: member.clone(), key: key.clone(), expires_at: *expires_at };
                self.invite_member(invite, open, place.at)
            }
            Statement::InviteRevoked { organisation, invite } => self.revoke_invite(organisation, invite),
            Statement::MemberAdmitted { id, key, tls_key, invite } => {
                self.admit_member(id, key, *tls_key, invite.as_ref(), place.at)
            }
            Statement::MemberWithdrawn { id, reason } => self.withdraw_member(id, reason, place.epoch),
            Statement::OffersPublished { node, address, offers } => self.publish(node, address, offers),
            Statement::TermsAccepted { organisation, of, version, terms } => {
                self.accept_terms(organisation, of, *version, terms, place.epoch)
            }
            Statement::TermsWithdrawn { organisation, of } => self.withdraw_terms(organisation, of),
            Statement::AuditorRecognised { auditor, paths, up_to, until } => {
                let (paths, up_to, until) = (paths.clone(), *up_to, *until);
                self.recognise(auditor, Auditor { paths, up_to, until, epoch: place.epoch }, place.at)
            }
            Statement::AuditorRevoked { auditor, reason } => self.revoke_auditor(auditor, reason),
            Statement::ClaimAudited { auditor, audit } => self.audit(auditor, audit, place),
            Statement::AuditWithdrawn { auditor, about, path, reason } => {
                self.withdraw_audit(auditor, about, *path, reason)
            }
            Statement::TablesAdopted { tables } => self.adopt(tables, place.epoch),
            Statement::Suspended { subject, reason, by } => self.suspend(subject, reason, *by, place, signers),
            Statement::Lifted { subject, by } => self.lift(subject, *by, signers),
        }
    }
}

impl<'a> From<&'a Prepared> for Read<'a> {
    fn from(prepared: &'a Prepared) -> Self {
        Self { payload: &prepared.payload, bytes: prepared.envelope().payload.len(), digest: prepared.digest }
    }
}
