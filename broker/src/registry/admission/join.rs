//! A join: by an operators' invite it waits until operators have signed, by an organisation's the statement that admits
//! the member comes with it.

use comity_membership::signed::STATEMENT_TYPE;
use comity_membership::{Application, Payload, Statement};
use comity_runtime::chain;
use comity_transparency::{Envelope, PublicKey};
use comity_types::ids::Kind;
use comity_types::{Digest, SpiffeId};

use super::eligible::{check_application, check_invitable};
use super::{AdmissionError, Applicant, Credential, Described, Inner, Joined};
use crate::registry::enrolments::{Claim, Event, InviteId, Refused, Request, State};
use crate::registry::proposals::ProposalError;

/// Times that a join looks again after it met another call for the same invite: one call advances it by a state, and
/// there are two.
const JOIN_ROUNDS: usize = 3;

impl Inner {
    pub(super) async fn record(&self, event: Event) -> Result<(), AdmissionError> {
        self.enrolments.append(event).await?;
        Ok(())
    }

    pub(super) fn describe(&self, id: &InviteId, secret: Option<&Digest>) -> Result<Described, AdmissionError> {
        let (snapshot, now) = (self.registry.snapshot(), self.clock.now());
        let federation = snapshot.federation();
        let Some(secret) = secret else {
            // Of one that is used up it is said what it was for: whoever signs for that then shows a key, and is the member
            // who has lost the answer, or somebody with a copy.
            let used = federation.used_invite(id);
            let invite = federation.invite(id).or(used).ok_or(Refused::Unknown)?;
            if used.is_none() && invite.expires_at <= now {
                return Err(Refused::Expired { at: invite.expires_at }.into());
            }
            let version = federation.next_version(&comity_membership::Scope::Member(invite.member.clone()));
            let (member, expires_at) = (invite.member.clone(), invite.expires_at);
            return Ok(Described { member, hosted_anchor: None, version, expires_at });
        };
        let enrolments = self.enrolments.current();
        let invite = enrolments.invite_of(id, secret, now)?;
        let domain = invite.member.trust_domain();
        let hosted_anchor = if federation.name() == Some(domain) {
            None
        } else {
            Some(self.authorities.find_or_create(domain, now)?.anchor().to_vec())
        };
        Ok(Described { member: invite.member.clone(), hosted_anchor, version: 0, expires_at: invite.expires_at })
    }

    /// An admitted key gets its certificate, also when its holder lost the answer; any other advances its invite.
    pub(super) async fn join(&self, applicant: Applicant) -> Result<Joined, AdmissionError> {
        let Applicant { id, by, request, kinds } = applicant;
        let key = request
            .public_key()
            .map_err(|error| AdmissionError::Invalid { field: "csr_der", problem: error.to_string() })?;
        match by {
            Credential::Admission(envelope) => {
                let member = self.admit(&id, &key, &kinds, *envelope).await?;
                let certificate = self.certificate_by_key(&member, &request)?;
                Ok(Joined::Issued { member, certificate })
            }
            Credential::Secret { sha256, application } => {
                let asked = Asked { id, secret_sha256: sha256, key, kinds, application };
                self.enrol(asked, &request).await
            }
        }
    }

    async fn enrol(&self, asked: Asked, csr: &comity_identity::SigningRequest) -> Result<Joined, AdmissionError> {
        for _ in 0..JOIN_ROUNDS {
            let enrolments = self.enrolments.current();
            let claim = enrolments.claim(&asked.id, &asked.secret_sha256, &asked.key.id(), self.clock.now());
            if let Err(refused @ Refused::AnotherKey { .. }) = claim {
                let told = self.alarm(&asked.id, &asked.key, refused);
                self.keep_contested(&asked).await?;
                return Err(told);
            }
            let invite = match claim? {
                Claim::First(invite) => invite,
                Claim::Again(enrolment) => {
                    let (member, request) = (&enrolment.invite.member, enrolment.state.request());
                    // The log counts: a no that came at the same time as the signature that was enough is too late.
                    let is_admitted = request.is_some_and(|request| self.admitted(member, &request.key));
                    // Before what it asks with now is looked at: who was turned down has mended that, and is to read why.
                    if let State::Rejected { rejection, .. } = &enrolment.state
                        && !is_admitted
                    {
                        return Ok(Joined::Rejected { reason: rejection.reason.clone() });
                    }
                    check_same(request, &asked)?;
                    if is_admitted {
                        let certificate = self.certificate_by_key(member, csr)?;
                        return Ok(Joined::Issued { member: member.clone(), certificate });
                    }
                    return match request {
                        Some(request) => {
                            Ok(Joined::Pending { id: asked.id, fingerprint: request.key.id().fingerprint() })
                        }
                        None => Err(Refused::Unknown.into()),
                    };
                }
            };
            check_kind(&invite.member, &asked.kinds)?;
            let event = Event::Requested { id: asked.id.clone(), request: self.request(&invite.member, &asked)? };
            match self.record(event).await {
                // Another call for the same invite was faster, or an operator: look again.
                Ok(()) | Err(AdmissionError::Enrolment(Refused::WrongState { .. })) => {}
                Err(other) => return Err(other),
            }
        }
        Err(AdmissionError::Internal { problem: "the enrolment keeps changing".into() })
    }

    /// What is bound to the invite: the key and, for a new organisation, what it signed.
    fn request(&self, member: &SpiffeId, asked: &Asked) -> Result<Request, AdmissionError> {
        let snapshot = self.registry.snapshot();
        let federation = snapshot.federation();
        check_invitable(federation, member)?;
        let application = if federation.name() == Some(member.trust_domain()) {
            None
        } else {
            let Application { member_key, .. } =
                check_application(federation, member, &asked.id, asked.application.as_deref(), self.clock.now())?;
            if member_key != asked.key {
                let problem = "is for another key than the one in the application".into();
                return Err(AdmissionError::Invalid { field: "csr_der", problem });
            }
            asked.application.clone()
        };
        Ok(Request { key: asked.key.clone(), application, at: self.clock.now() })
    }

    /// Says the statement by which the holder of an organisation's invite becomes a member.
    async fn admit(
        &self,
        id: &InviteId,
        key: &PublicKey,
        kinds: &[Kind],
        envelope: Envelope,
    ) -> Result<SpiffeId, AdmissionError> {
        let invalid = |problem: String| AdmissionError::Invalid { field: "admission", problem };
        let payload = Payload::peek(&envelope).map_err(|error| invalid(chain::text(&error)))?;
        let Statement::MemberAdmitted { id: member, key: admitted, invite, .. } = payload.statement else {
            return Err(invalid("is not a statement that admits a member".into()));
        };
        if admitted != *key || invite.as_ref() != Some(id) {
            return Err(invalid("is by another invite, or for another key than the request".into()));
        }
        check_kind(&member, kinds)?;
        if self.admitted(&member, key) {
            return Ok(member);
        }
        let snapshot = self.registry.snapshot();
        if let Some(there) = snapshot.federation().member(&member) {
            let used = snapshot.federation().used_invite(id).filter(|used| used.member == member);
            let used = used.ok_or(Refused::Unknown)?;
            // Its id stands in the log: who alarms a human has to hold the invite.
            let signed =
                envelope.verify(STATEMENT_TYPE, [&used.key, key]).map_err(|error| invalid(chain::text(&error)))?;
            if !signed.contains(&used.key.id()) {
                return Err(invalid("is not signed by the invite's key".into()));
            }
            let refused = Refused::AnotherKey { bound: there.key.id().fingerprint() };
            return Err(self.alarm(id, key, refused));
        }
        match self.proposals.submit(self.registry.prepare(envelope)?).await {
            Ok(_) => Ok(member),
            Err(ProposalError::Registry(error)) => Err(error.into()),
            Err(other) => Err(other.into()),
        }
    }

    /// Keeps that another key came, for whoever decides on the first. Said again, it is kept once.
    async fn keep_contested(&self, asked: &Asked) -> Result<(), AdmissionError> {
        let (id, key) = (asked.id.clone(), asked.key.id());
        if self.enrolments.current().find(&id)?.is_news(&key) {
            self.record(Event::Contested { id, key, at: self.clock.now() }).await?;
        }
        Ok(())
    }

    /// A second key on an invite means that the invite leaked: a human must look.
    fn alarm(&self, id: &InviteId, key: &PublicKey, refused: Refused) -> AdmissionError {
        self.metrics.contested();
        tracing::warn!(
            enrolment.id = %id,
            key = key.id().fingerprint(),
            %refused,
            "an invite was presented by a second key"
        );
        refused.into()
    }

    fn admitted(&self, member: &SpiffeId, key: &PublicKey) -> bool {
        self.registry.snapshot().federation().member(member).is_some_and(|state| state.key == *key)
    }
}

/// Somebody who shows the secret of an operators' invite.
struct Asked {
    id: InviteId,
    secret_sha256: Digest,
    key: PublicKey,
    kinds: Vec<Kind>,
    application: Option<Box<Envelope>>,
}

/// Refuses other papers than those that the invite was taken up with: whoever gave them would believe that they count.
/// Who brings none asks how it stands.
fn check_same(before: Option<&Request>, asked: &Asked) -> Result<(), AdmissionError> {
    let both = before.and_then(|before| before.application.as_deref()).zip(asked.application.as_deref());
    let Some((before, now)) = both else { return Ok(()) };
    if before.payload == now.payload {
        return Ok(());
    }
    let open = |envelope| {
        Application::open(envelope).map_err(|error| {
            let problem = chain::text(&error);
            AdmissionError::Invalid { field: "application", problem }
        })
    };
    let (before, now) = (open(before)?, open(now)?);
    let differs = if before.organisation != now.organisation {
        "facts (--organisation)"
    } else if before.layers != now.layers {
        "demands (--organisation)"
    } else if before.anchors != now.anchors || before.tls_key != now.tls_key {
        "certificate authorities (--ca, --spiffe-bundle or --hosted)"
    } else if before.keys != now.keys {
        "keys of the organisation (organisation.key.pem)"
    } else if before.offers != now.offers {
        "offers (--config)"
    } else {
        return Ok(());
    };
    Err(AdmissionError::OtherApplication { differs })
}

/// Refuses an invite for something that the caller cannot become, before the invite is bound to its key.
fn check_kind(member: &SpiffeId, kinds: &[Kind]) -> Result<(), AdmissionError> {
    if kinds.contains(&member.kind()) {
        return Ok(());
    }
    Err(AdmissionError::OtherKind { member: member.clone() })
}
