//! A join, state by state, and what it ends in: a member in the registry and its certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::SigningRequest;
use comity_membership::{Standing, Statement};
use comity_policy::OrganisationFile;
use comity_types::SpiffeId;
use comity_types::ids::Kind;

use super::eligible::{MISSING_FACTS, OTHER_FACTS, check_invitable, is_at_home, is_registered, is_suspended, stated};
use super::{AdmissionError, Application, Inner, Joined};
use crate::registry::enrolments::{Certificate, Claim, Enrolment, Event, Invite, InviteId, Refused, Request, State};

/// Times that a join looks again after it met another call for the same invite: each look advances by a state, and there are three.
const JOIN_ROUNDS: usize = 4;

/// What a look at an enrolment comes to.
enum Step {
    /// This happens now; then there is more to look at.
    Next(Event),
    /// The member's answer.
    Answer(Joined),
}

impl Inner {
    pub(super) async fn record(&self, event: Event) -> Result<(), AdmissionError> {
        self.enrolments.append(event).await?;
        Ok(())
    }

    /// Advances the enrolment by one state a round, until there is an answer.
    pub(super) async fn join(&self, application: &Application) -> Result<Joined, AdmissionError> {
        let (id, key) = (&application.id, application.request.public_key_digest());
        for _ in 0..JOIN_ROUNDS {
            let enrolments = self.enrolments.current();
            let claim = enrolments
                .claim(id, &application.secret_sha256, &key, self.clock.now())
                .inspect_err(|refused| alarm(id, refused))?;
            let step = match claim {
                Claim::First(invite) => {
                    Step::Next(Event::Requested { id: id.clone(), request: self.request(invite, application)? })
                }
                Claim::Again(enrolment) => self.step(enrolment, application).await?,
            };
            let next = match step {
                Step::Next(event) => event,
                Step::Answer(joined) => return Ok(joined),
            };
            match self.record(next).await {
                // Another call for the same invite was faster, or an operator: look again.
                Ok(()) | Err(AdmissionError::Enrolment(Refused::WrongState { .. })) => {}
                Err(other) => return Err(other),
            }
        }
        Err(AdmissionError::Internal { problem: "the enrolment keeps changing".into() })
    }

    /// What follows for an enrolment that somebody comes back to.
    async fn step(&self, enrolment: &Enrolment, application: &Application) -> Result<Step, AdmissionError> {
        let (invite, id) = (&enrolment.invite, enrolment.invite.id.clone());
        Ok(match &enrolment.state {
            State::Open => return Err(Refused::Unknown.into()),
            State::Requested(request) => match self.approved_by_invite(invite, request) {
                Some(by) => Step::Next(Event::Approved { id, by, at: self.clock.now() }),
                None => Step::Answer(Joined::Pending { id, fingerprint: request.key_sha256.fingerprint() }),
            },
            State::Approved { request, by } => {
                self.admit(by.clone(), invite.member.clone(), request.clone()).await?;
                Step::Next(Event::Issued { id, certificate: self.issue(&invite.member, &application.request)? })
            }
            State::Issued { certificate, .. } => {
                Step::Answer(Joined::Issued { member: invite.member.clone(), certificate: certificate.clone() })
            }
            State::Rejected { reason, .. } => Step::Answer(Joined::Rejected { reason: reason.clone() }),
        })
    }

    /// What is bound to the invite: the key and, for a new organisation, its facts and layers.
    fn request(&self, invite: &Invite, application: &Application) -> Result<Request, AdmissionError> {
        let snapshot = self.registry.snapshot();
        check_invitable(&snapshot.federation, &invite.member)?;
        let domain = invite.member.trust_domain();
        let (organisation, layers) = if is_at_home(&snapshot.federation, domain) {
            (None, Box::default())
        } else {
            let OrganisationFile { facts, layers } = stated(domain, application.organisation.as_ref())?;
            (Some(Box::new(facts)), Box::new(layers))
        };
        Ok(Request { key_sha256: application.request.public_key_digest(), organisation, layers, at: self.clock.now() })
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
    pub(super) async fn admit(&self, by: SpiffeId, member: SpiffeId, request: Request) -> Result<u64, AdmissionError> {
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
                    statements.push(Statement::OrganisationAdmitted {
                        organisation: *organisation,
                        layers: *request.layers,
                        anchors: vec![anchor],
                    });
                } else if request.organisation.is_some_and(|facts| !is_registered(federation, &facts, &request.layers))
                {
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

    pub(super) fn issue(&self, member: &SpiffeId, csr: &SigningRequest) -> Result<Certificate, AdmissionError> {
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

/// A second key on an invite means that the invite leaked: a human must look.
fn alarm(id: &InviteId, refused: &Refused) {
    if let Refused::AnotherKey { bound } = refused {
        tracing::warn!(enrolment.id = %id, bound, "an invite was presented by a second key");
    }
}
