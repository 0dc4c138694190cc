//! The way from an invite to a member with a certificate. Every step can be repeated: what a crash
//! or a lost reply left half done is completed by the next call.
//!
//! | module | holds |
//! |---|---|
//! | `error` | why somebody cannot be let in |
//! | `eligible` | who may be invited and let in |
//! | `join` | a join, state by state |

mod eligible;
mod error;
mod join;

use std::sync::Arc;
use std::time::Duration;

use comity_identity::{Address, SigningRequest, VerifiedPeer};
use comity_membership::Standing;
use comity_policy::OrganisationFile;
use comity_runtime::tasks::Tasks;
use comity_types::ids::Kind;
use comity_types::{Clock, Digest, Name, SpiffeId, Timestamp, TrustDomain};

use self::eligible::check_invitable;
pub use self::error::AdmissionError;
use super::authorities::Authorities;
use super::enrolments::store::Store;
use super::enrolments::{Certificate, Enrolment, Event, Invite, InviteId, Refused};
use super::{Registry, RegistryError, run_to_end};
use crate::config::Leaf;

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
    /// The certificate.
    Issued {
        /// Whose.
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
pub struct Application {
    /// The invite.
    pub id: InviteId,
    /// The digest of its secret.
    pub secret_sha256: Digest,
    /// The request, whose signature is checked.
    pub request: SigningRequest,
    /// What a new organisation says of itself.
    pub organisation: Option<OrganisationFile>,
}

/// Lets members in.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    enrolments: Store,
    authorities: Arc<Authorities>,
    leaf: Leaf,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    door: Door,
}

/// What every invite carries.
#[derive(Debug, Clone)]
pub struct Door {
    /// The digest that pins the root.
    pub root_sha256: Digest,
    /// Where the broker is.
    pub address: Address,
}

impl Admission {
    /// Puts it together.
    #[must_use]
    pub fn new(
        registry: Registry,
        enrolments: Store,
        authorities: Arc<Authorities>,
        leaf: Leaf,
        door: Door,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
    ) -> Self {
        Self(Arc::new(Inner { registry, enrolments, authorities, leaf, clock, tasks, door }))
    }

    /// The enrolments.
    #[must_use]
    pub fn enrolments(&self) -> &Store {
        &self.0.enrolments
    }

    /// The enrolments that wait for operators, then the invites that are open.
    #[must_use]
    pub fn unanswered(&self) -> Vec<Enrolment> {
        self.0.enrolments.current().unanswered(self.0.clock.now()).into_iter().cloned().collect()
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
        let member = SpiffeId::new(domain, kind, name);
        check_invitable(&self.0.registry.snapshot().federation, &member)?;
        let handed = comity_identity::Invite::generate(self.0.door.root_sha256, self.0.door.address.as_str());
        let handed = handed.map_err(|error| AdmissionError::Internal { problem: error.to_string() })?;
        let at = self.0.clock.now();
        let id = InviteId::from_bytes(handed.id);
        let invite = Invite { id, secret_sha256: handed.secret_digest(), member, by, expires_at: at.plus(ttl) };
        let expires_at = invite.expires_at;
        self.run(move |inner| async move { inner.record(Event::Invited { invite, at }).await }).await?;
        Ok(Invited { invite: handed, expires_at })
    }

    /// Takes up an invite, or asks again how it stands.
    ///
    /// # Errors
    /// The invite is not for this key, is over, or the facts of a new organisation are missing or of another one.
    pub async fn join(&self, application: Application) -> Result<Joined, AdmissionError> {
        self.run(move |inner| async move { inner.join(&application).await }).await
    }

    /// Lets a waiting enrolment in; again is the same as once.
    ///
    /// # Errors
    /// There is no such enrolment, it was rejected, or nobody has taken it up.
    pub async fn approve(&self, by: SpiffeId, id: InviteId) -> Result<u64, AdmissionError> {
        self.run(move |inner| async move {
            let event = Event::Approved { id: id.clone(), by: by.clone(), at: inner.clock.now() };
            match inner.record(event).await {
                Ok(()) | Err(AdmissionError::Enrolment(Refused::WrongState { state: "approved" | "issued", .. })) => {}
                Err(other) => return Err(other),
            }
            let enrolments = inner.enrolments.current();
            let enrolment = enrolments.find(&id)?;
            let Some(request) = enrolment.state.request() else { return Err(Refused::NoEnrolment { id }.into()) };
            inner.admit(by, enrolment.invite.member.clone(), request.clone()).await
        })
        .await
    }

    /// Turns a waiting enrolment down, or revokes an open invite.
    ///
    /// # Errors
    /// There is no such enrolment, or it was answered already.
    pub async fn reject(&self, by: SpiffeId, id: InviteId, reason: String) -> Result<(), AdmissionError> {
        self.run(
            move |inner| async move { inner.record(Event::Rejected { id, by, reason, at: inner.clock.now() }).await },
        )
        .await
    }

    /// A fresh certificate for a member that takes part, for its own ID and the key it calls with alone:
    /// the edge knows members by their keys, so another key would be turned away there.
    ///
    /// # Errors
    /// It is suspended or unknown, asks for another key, or its authority cannot sign.
    pub fn renew(&self, peer: &VerifiedPeer, csr: &SigningRequest) -> Result<Certificate, AdmissionError> {
        let member = peer.id();
        if self.0.registry.snapshot().federation.standing(member) != Standing::Active {
            return Err(AdmissionError::NotActive { member: member.clone() });
        }
        if csr.public_key_digest() != peer.public_key() {
            let problem = "is for another key than the one that calls (hint: renew with the same key; a new key needs a new invite)".into();
            return Err(AdmissionError::Invalid { field: "csr_der", problem });
        }
        self.0.issue(member, csr)
    }

    /// The anchors of a member's organisation, DER.
    ///
    /// # Errors
    /// Its authority cannot be read.
    pub fn anchors(&self, domain: &TrustDomain) -> Result<Vec<Vec<u8>>, AdmissionError> {
        Ok(vec![self.0.authorities.find(domain)?.anchor().to_vec()])
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
