//! The way from an invite to a member with a certificate. Every step can be repeated: what a crash
//! or a lost reply left half done is completed by the next call.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{SigningRequest, VerifiedPeer};
use comity_membership::{Federation, Standing, Statement};
use comity_policy::Organisation;
use comity_runtime::tasks::Tasks;
use comity_types::ids::Kind;
use comity_types::{Clock, Digest, Name, SpiffeId, Timestamp, TrustDomain};

use super::authorities::{Authorities, AuthorityError};
use super::enrolments::store::{Store, StoreError};
use super::enrolments::{Certificate, Claim, Event, Invite, InviteId, Refused, Request, State};
use super::{Registry, RegistryError, run_to_end};
use crate::config::{Address, Leaf};

/// Shortest and longest life of an invite.
pub const INVITE_TTL: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);
/// Times that a join looks again after it met another call for the same invite: each look advances by a state, and there are three.
const JOIN_ROUNDS: usize = 4;

/// Why somebody cannot be let in.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// The enrolment does not allow it.
    #[error(transparent)]
    Enrolment(#[from] Refused),
    /// The member exists.
    #[error("{member} is a member already (hint: choose another name; a member gets a fresh certificate by renewing)")]
    Exists {
        /// Who.
        member: SpiffeId,
    },
    /// A field cannot be used.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Why, and how to mend it.
        problem: String,
    },
    /// The caller, or its organisation, is suspended or unknown.
    #[error("{member} does not take part")]
    NotActive {
        /// Who.
        member: SpiffeId,
    },
    /// The events cannot be kept.
    #[error(transparent)]
    Store(StoreError),
    /// The registry does not take it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The authority cannot sign.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Randomness failed, or a certificate cannot be made.
    #[error("cannot make a certificate: {problem}")]
    Internal {
        /// Why.
        problem: String,
    },
}

impl From<StoreError> for AdmissionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refused) => Self::Enrolment(refused),
            other @ (StoreError::Journal(_) | StoreError::Damaged { .. } | StoreError::Encode(_)) => Self::Store(other),
        }
    }
}

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
    /// The facts of a new organisation.
    pub organisation: Option<Organisation>,
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

    /// Turns a waiting enrolment down.
    ///
    /// # Errors
    /// There is no such enrolment, or it does not wait.
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

impl Inner {
    async fn record(&self, event: Event) -> Result<(), AdmissionError> {
        self.enrolments.append(event).await?;
        Ok(())
    }

    /// Advances the enrolment by one state a round, until there is an answer.
    async fn join(&self, application: &Application) -> Result<Joined, AdmissionError> {
        let (id, key) = (&application.id, application.request.public_key_digest());
        for _ in 0..JOIN_ROUNDS {
            let enrolments = self.enrolments.current();
            let claim = enrolments
                .claim(id, &application.secret_sha256, &key, self.clock.now())
                .inspect_err(|refused| alarm(id, refused))?;
            let next = match claim {
                Claim::First(invite) => {
                    Event::Requested { id: id.clone(), request: self.request(invite, application)? }
                }
                Claim::Again(enrolment) => match &enrolment.state {
                    State::Requested(request) => match self.approved_by_invite(&enrolment.invite, request) {
                        Some(by) => Event::Approved { id: id.clone(), by, at: self.clock.now() },
                        None => {
                            return Ok(Joined::Pending {
                                id: id.clone(),
                                fingerprint: request.key_sha256.fingerprint(),
                            });
                        }
                    },
                    State::Approved { request, by } => {
                        let member = &enrolment.invite.member;
                        self.admit(by.clone(), member.clone(), request.clone()).await?;
                        Event::Issued { id: id.clone(), certificate: self.issue(member, &application.request)? }
                    }
                    State::Issued { certificate, .. } => {
                        return Ok(Joined::Issued {
                            member: enrolment.invite.member.clone(),
                            certificate: certificate.clone(),
                        });
                    }
                    State::Rejected { reason, .. } => return Ok(Joined::Rejected { reason: reason.clone() }),
                    State::Open => return Err(Refused::Unknown.into()),
                },
            };
            match self.record(next).await {
                // Another call for the same invite was faster: look again.
                Ok(()) | Err(AdmissionError::Enrolment(Refused::WrongState { .. })) => {}
                Err(other) => return Err(other),
            }
        }
        Err(AdmissionError::Internal { problem: "the enrolment keeps changing".into() })
    }

    /// What is bound to the invite: the key and, for a new organisation, its facts.
    fn request(&self, invite: &Invite, application: &Application) -> Result<Request, AdmissionError> {
        let snapshot = self.registry.snapshot();
        check_invitable(&snapshot.federation, &invite.member)?;
        let domain = invite.member.trust_domain();
        let organisation = if is_at_home(&snapshot.federation, domain) {
            None
        } else {
            Some(facts(domain, application.organisation.as_ref())?)
        };
        Ok(Request { key_sha256: application.request.public_key_digest(), organisation, at: self.clock.now() })
    }

    /// The operator whose invite is approval enough: for an organisation that took part, and whose facts
    /// were approved, when the request was made. A request that states facts waits for somebody to read
    /// them; an invite is worth what its operator and its organisation are worth now.
    fn approved_by_invite(&self, invite: &Invite, request: &Request) -> Option<SpiffeId> {
        let snapshot = self.registry.snapshot();
        let (federation, domain) = (&snapshot.federation, invite.member.trust_domain());
        let enough = request.organisation.is_none()
            && is_at_home(federation, domain)
            && !is_suspended(federation, domain)
            && federation.standing(&invite.by) == Standing::Active;
        enough.then(|| invite.by.clone())
    }

    /// Appends what is missing: the organisation, the member.
    async fn admit(&self, by: SpiffeId, member: SpiffeId, request: Request) -> Result<u64, AdmissionError> {
        let domain = member.trust_domain().clone();
        let authority = self.authorities.find_or_create(&domain, self.clock.now())?;
        let anchor = STANDARD.encode(authority.anchor());
        self.registry
            .update(Some(by), move |federation| {
                let mut statements = Vec::new();
                if !is_at_home(federation, &domain) {
                    let organisation = request.organisation.ok_or_else(|| AdmissionError::Invalid {
                        field: "organisation",
                        problem: MISSING_FACTS.into(),
                    })?;
                    statements.push(Statement::OrganisationAdmitted { organisation, anchors: vec![anchor] });
                } else if request.organisation.is_some_and(|stated| !is_registered(federation, &stated)) {
                    return Err(AdmissionError::Invalid { field: "organisation", problem: OTHER_FACTS.into() });
                }
                match federation.member(&member) {
                    Some(existing) if existing.key_sha256 == Some(request.key_sha256) => {}
                    Some(_) => return Err(AdmissionError::Exists { member }),
                    None => statements.push(Statement::MemberAdmitted { id: member, key_sha256: request.key_sha256 }),
                }
                Ok(statements)
            })
            .await
    }

    fn issue(&self, member: &SpiffeId, csr: &SigningRequest) -> Result<Certificate, AdmissionError> {
        let authority = self.authorities.find(member.trust_domain())?;
        let life = match member.kind() {
            Kind::Node => self.leaf.node,
            Kind::App => self.leaf.app,
            Kind::Operator => self.leaf.operator,
            Kind::Broker => self.leaf.broker,
        };
        let internal = |error: &dyn std::fmt::Display| AdmissionError::Internal { problem: error.to_string() };
        let issued = authority.issue(csr, member, &[], life, self.clock.now()).map_err(|error| internal(&error))?;
        Ok(Certificate {
            chain: issued.chain.iter().map(|der| STANDARD.encode(der)).collect(),
            not_after: issued.not_after,
        })
    }
}

const MISSING_FACTS: &str =
    "missing; the organisation is new to the federation (hint: give its organisation.toml to join)";

/// True if members of the domain need no organisation to be admitted first.
fn is_at_home(federation: &Federation, domain: &TrustDomain) -> bool {
    federation.name() == Some(domain) || federation.organisation(domain).is_some()
}

fn is_suspended(federation: &Federation, domain: &TrustDomain) -> bool {
    federation.organisation(domain).is_some_and(|state| state.suspension.is_some())
}

fn is_registered(federation: &Federation, stated: &Organisation) -> bool {
    federation.organisation(&stated.trust_domain).is_some_and(|state| state.organisation == *stated)
}

/// What an operator reads who approves a second request of a new organisation with other facts.
const OTHER_FACTS: &str =
    "the organisation was admitted meanwhile with other facts; reject this request and invite again";

fn facts(domain: &TrustDomain, organisation: Option<&Organisation>) -> Result<Organisation, AdmissionError> {
    let invalid = |problem: String| AdmissionError::Invalid { field: "organisation", problem };
    let organisation = organisation.ok_or_else(|| invalid(MISSING_FACTS.into()))?;
    if organisation.trust_domain == *domain {
        return Ok(organisation.clone());
    }
    Err(invalid(format!("its trust domain is {}, and the invite is for {domain}", organisation.trust_domain)))
}

fn check_invitable(federation: &Federation, member: &SpiffeId) -> Result<(), AdmissionError> {
    let at_federation = federation.name() == Some(member.trust_domain());
    match member.kind() {
        Kind::Operator if !at_federation => {
            let problem = format!(
                "operators are members of the federation itself, {}",
                federation.name().map_or("", TrustDomain::as_str)
            );
            return Err(AdmissionError::Invalid { field: "trust_domain", problem });
        }
        Kind::Node | Kind::App if at_federation => {
            let problem = "nodes and apps belong to an organisation, not to the federation itself".into();
            return Err(AdmissionError::Invalid { field: "trust_domain", problem });
        }
        Kind::Broker => {
            return Err(AdmissionError::Invalid { field: "kind", problem: "brokers are not invited".into() });
        }
        Kind::Operator | Kind::Node | Kind::App => {}
    }
    if is_suspended(federation, member.trust_domain()) {
        let problem = format!("{} is suspended; lift the suspension first", member.trust_domain());
        return Err(AdmissionError::Invalid { field: "trust_domain", problem });
    }
    if federation.member(member).is_some() {
        return Err(AdmissionError::Exists { member: member.clone() });
    }
    Ok(())
}

/// A second key on an invite means that the invite leaked: a human must look.
fn alarm(id: &InviteId, refused: &Refused) {
    if let Refused::AnotherKey { bound } = refused {
        tracing::warn!(enrolment.id = %id, bound, "an invite was presented by a second key");
    }
}
