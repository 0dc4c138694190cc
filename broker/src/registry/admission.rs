//! The way from an invite to a statement that admits its holder, and from an admitted key to a certificate. The broker
//! admits nobody: operators do, or the organisation, by what they sign. Every step can be repeated: what a crash or a
//! lost reply left half done is completed by the next call.
//!
//! | module | holds |
//! |---|---|
//! | `error` | why somebody cannot be let in |
//! | `eligible` | who may be invited and let in |
//! | `join` | a join, state by state |
//! | `refusal` | operators say no |
//! | `certify` | certificates for keys that are admitted |

mod certify;
mod eligible;
mod error;
mod join;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use comity_identity::{Address, Inviter, SigningRequest};
use comity_membership::Federation;
use comity_runtime::tasks::Tasks;
use comity_transparency::Envelope;
use comity_types::ids::Kind;
use comity_types::{Clock, Digest, Name, SpiffeId, Timestamp, TrustDomain};

pub use self::certify::Certificate;
use self::eligible::check_invitable;
pub use self::error::AdmissionError;
use super::authorities::Authorities;
use super::enrolments::store::Store;
use super::enrolments::{Enrolment, Enrolments, Event, Invite, InviteId};
use super::proposals::Proposals;
use super::{Registry, RegistryError, run_to_end};
use crate::config::Leaf;
use crate::metrics::Metrics;

/// Shortest and longest life of an invite.
pub const INVITE_TTL: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);

/// A fresh invite.
#[derive(Debug)]
pub struct Invited {
    /// What the member gets.
    pub invite: comity_identity::Invite,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Where a join stands.
#[derive(Debug)]
pub enum Joined {
    /// Operators have to decide.
    Pending {
        /// What they approve.
        id: InviteId,
        /// The key, short.
        fingerprint: String,
    },
    /// The key is admitted.
    Issued {
        /// Whose it is.
        member: SpiffeId,
        /// What it got.
        certificate: Certificate,
    },
    /// Operators said no.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// What a member presents to join.
#[derive(Debug)]
pub struct Applicant {
    /// The invite.
    pub id: InviteId,
    /// What shows that it is theirs.
    pub by: Credential,
    /// The request, whose signature is checked.
    pub request: SigningRequest,
    /// What they can become.
    pub kinds: Vec<Kind>,
}

/// What shows that somebody holds an invite.
#[derive(Debug)]
pub enum Credential {
    /// The secret of an operators' invite, by its digest, and what a new organisation signed.
    Secret {
        /// The digest.
        sha256: Digest,
        /// The application.
        application: Option<Box<Envelope>>,
    },
    /// The statement that admits the member, signed by the key of its organisation's invite.
    Admission(Box<Envelope>),
}

/// What an invite is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Whom it makes a member.
    pub member: SpiffeId,
    /// The authority that is hosted for a new organisation, DER.
    pub hosted_anchor: Option<Vec<u8>>,
    /// The version of the statement that admits the member, where an organisation invites.
    pub version: u64,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Lets members in.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    enrolments: Store,
    proposals: Proposals,
    authorities: Arc<Authorities>,
    leaf: ArcSwap<Leaf>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    door: Door,
    metrics: Metrics,
}

/// What every invite carries.
#[derive(Debug, Clone)]
pub struct Door {
    /// The digest that pins the root.
    pub root_sha256: Digest,
    /// Where the broker is.
    pub address: Address,
}

/// Whether what was requested has brought its organisation, or an operator, in once.
fn is_used_up(federation: &Federation, enrolment: &Enrolment) -> bool {
    enrolment.state.request().is_some_and(|request| match &request.application {
        Some(application) => federation.was_admitted_by(&application.payload_digest()),
        None => federation.was_unseated(&request.key.id()),
    })
}

impl Inner {
    /// Everything that happens when an operator invites. Whoever was evicted or has left is invited anew by the same name:
    /// what it came by once is put away first, so that it is not in the way.
    fn inviting(&self, invite: Invite, at: Timestamp) -> Result<Vec<Event>, AdmissionError> {
        let (snapshot, enrolments) = (self.registry.snapshot(), self.enrolments.current());
        enrolments.check_share(&invite.by, at)?;
        let member = &invite.member;
        let unanswered = enrolments.unanswered(at);
        let used = unanswered.into_iter().filter(|other| other.invite.member == *member);
        let used = used.filter(|other| is_used_up(snapshot.federation(), other));
        let put_away = used.map(|used| {
            let (id, by) = (used.invite.id.clone(), invite.by.clone());
            let reason = format!("{member} has joined by this invite, and has left since");
            Event::Rejected { id, by, reason, at }
        });
        let mut events: Vec<_> = put_away.collect();
        events.push(Event::Invited { invite, at });
        Ok(events)
    }
}

impl Admission {
    /// Puts it together.
    #[expect(clippy::too_many_arguments, reason = "each is one part of the broker, and this is where they meet")]
    #[must_use]
    pub fn new(
        registry: Registry,
        enrolments: Store,
        proposals: Proposals,
        authorities: Arc<Authorities>,
        leaf: Leaf,
        door: Door,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: Metrics,
    ) -> Self {
        let leaf = ArcSwap::from_pointee(leaf);
        Self(Arc::new(Inner { registry, enrolments, proposals, authorities, leaf, clock, tasks, door, metrics }))
    }

    /// Signs certificates that live so long from here on.
    pub(crate) fn limit_leaf(&self, leaf: Leaf) {
        self.0.leaf.store(Arc::new(leaf));
    }

    /// The broker's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The enrolments.
    #[must_use]
    pub fn enrolments(&self) -> &Store {
        &self.0.enrolments
    }

    /// The enrolments that wait for operators, then the invites that are open.
    #[must_use]
    pub fn unanswered(&self) -> Vec<Enrolment> {
        let (snapshot, current) = (self.0.registry.snapshot(), self.0.enrolments.current());
        let mut unanswered: Vec<_> = current.unanswered(self.0.clock.now()).into_iter().cloned().collect();
        // Admitted is answered, also where whoever was admitted has left since.
        unanswered.retain(|enrolment| {
            snapshot.federation().member(&enrolment.invite.member).is_none()
                && !is_used_up(snapshot.federation(), enrolment)
        });
        unanswered.iter_mut().for_each(|enrolment| self.0.count_refusals(snapshot.federation(), enrolment));
        unanswered
    }

    /// Those that were turned down of late, the newest at the head.
    #[must_use]
    pub fn rejected(&self) -> Vec<Enrolment> {
        self.0.enrolments.current().rejected(self.0.clock.now()).into_iter().cloned().collect()
    }

    /// Invites a member.
    ///
    /// # Errors
    /// It exists, is invited already, or cannot be in that trust domain.
    pub async fn invite(
        &self,
        by: SpiffeId,
        domain: TrustDomain,
        kind: Kind,
        name: Name,
        ttl: Duration,
    ) -> Result<Invited, AdmissionError> {
        let (handed, invite) = self.offered(by, SpiffeId::new(domain, kind, name), ttl)?;
        let (at, expires_at) = (self.0.clock.now(), invite.expires_at);
        self.run(move |inner| async move {
            for event in inner.inviting(invite, at)? {
                inner.record(event).await?;
            }
            Ok(())
        })
        .await?;
        Ok(Invited { invite: handed, expires_at })
    }

    /// Whether [`invite`](Self::invite) would make that invite, and when it would end: nothing is made.
    ///
    /// # Errors
    /// Those of [`invite`](Self::invite).
    pub fn would_invite(
        &self,
        by: SpiffeId,
        domain: TrustDomain,
        kind: Kind,
        name: Name,
        ttl: Duration,
    ) -> Result<Timestamp, AdmissionError> {
        let (_, invite) = self.offered(by, SpiffeId::new(domain, kind, name), ttl)?;
        let expires_at = invite.expires_at;
        let mut enrolments = Enrolments::clone(&self.0.enrolments.current());
        for event in self.0.inviting(invite, self.0.clock.now())? {
            enrolments.apply(event)?;
        }
        Ok(expires_at)
    }

    /// A fresh invite for a member whom operators may invite: what it gets, and what is kept of it.
    fn offered(
        &self,
        by: SpiffeId,
        member: SpiffeId,
        ttl: Duration,
    ) -> Result<(comity_identity::Invite, Invite), AdmissionError> {
        check_invitable(self.0.registry.snapshot().federation(), &member)?;
        let handed = comity_identity::Invite::generate(
            Inviter::Operators,
            self.0.door.root_sha256,
            self.0.door.address.as_str(),
        );
        let handed = handed.map_err(|error| AdmissionError::Internal { problem: error.to_string() })?;
        let (id, expires_at) = (InviteId::from_bytes(handed.id), self.0.clock.now().plus(ttl));
        let invite = Invite { id, secret_sha256: handed.secret_digest(), member, by, expires_at };
        Ok((handed, invite))
    }

    /// What an invite is for: `secret` is that of an operators' invite, and none for an organisation's.
    ///
    /// # Errors
    /// There is no such invite, it has ended, or the authority that would be hosted cannot be made.
    pub fn describe(&self, id: &InviteId, secret: Option<&Digest>) -> Result<Described, AdmissionError> {
        self.0.describe(id, secret)
    }

    /// Takes up an invite, or asks again how it stands.
    ///
    /// # Errors
    /// The invite is not for this key, is over, or what was signed is not what is needed.
    pub async fn join(&self, applicant: Applicant) -> Result<Joined, AdmissionError> {
        self.run(move |inner| async move { inner.join(applicant).await }).await
    }

    /// Says no to a waiting enrolment, or revokes an open invite. Gives how the enrolment stands where it still waits: one
    /// operator's no does not outvote the others'.
    ///
    /// # Errors
    /// There is no such enrolment, it was answered already, or the operator has no vote.
    pub async fn reject(
        &self,
        by: SpiffeId,
        id: InviteId,
        reason: String,
    ) -> Result<Option<Enrolment>, AdmissionError> {
        self.run(move |inner| async move { inner.reject(by, id, reason).await }).await
    }

    async fn run<T, F, W>(&self, work: W) -> Result<T, AdmissionError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, AdmissionError>> + Send + 'static,
        W: FnOnce(Arc<Inner>) -> F,
    {
        let work = work(Arc::clone(&self.0));
        run_to_end(&self.0.tasks, "admission", work).await.unwrap_or_else(|| Err(RegistryError::Stopping.into()))
    }
}
