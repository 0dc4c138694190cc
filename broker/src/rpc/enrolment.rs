//! The Enrolment service: the root document, joining with an invite, certificates, and the way back for an organisation
//! that has shut itself out.

mod lift;

use bytes::Bytes;
use comity_identity::SigningRequest;
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_server::Enrolment;
use comity_proto::enrolment::join_response::State;
use comity_proto::membership::Kind as WireKind;
use comity_runtime::tasks::Tasks;
use comity_types::ids::Kind;
use comity_types::{Digest, SpiffeId};
use tonic::{Code, Request, Response, Status};

use super::{admission, invalid, parse, proposal, registry, said};
use crate::edge::CallerIdentity;
use crate::registry::admission::{Admission, Applicant, Certificate, Credential, Joined};
use crate::registry::proposals::{Proposals, Submitted};
use crate::registry::{Registry, RegistryError, run_to_end};

/// Bytes of an invite's secret.
const SECRET_BYTES: usize = 32;
/// Most kinds that a caller may name: there are as many that can be invited.
const MAX_KINDS: usize = 3;

/// What the service needs.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Invites and enrolments.
    pub admission: Admission,
    /// root.json as it was founded.
    pub root: Bytes,
    /// The log.
    pub registry: Registry,
    /// Where statements get their place.
    pub proposals: Proposals,
    /// Where statements are said, so that a caller who leaves does not cut one.
    pub tasks: Tasks,
}

/// Serves enrolment.
#[derive(Debug, Clone)]
pub struct Service(Parts);

impl Service {
    /// Puts it together.
    #[must_use]
    pub const fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// What shows that the caller holds the invite.
    fn credential(&self, request: &wire::JoinRequest) -> Result<Credential, Status> {
        if !request.admission.is_empty() {
            if !request.secret.is_empty() || !request.application.is_empty() {
                let problem = "must be alone: an organisation's invite has no secret that the broker is shown";
                return Err(invalid("admission", problem));
            }
            let envelope = said::envelope("admission", &request.admission)?;
            return Ok(Credential::Admission(Box::new(envelope)));
        }
        let sha256 = secret(&request.secret)?;
        let application = if request.application.is_empty() {
            None
        } else {
            let envelope = said::envelope("application", &request.application)?;
            said::check_application("application", &envelope, &self.0.registry.tables())?;
            Some(Box::new(envelope))
        };
        Ok(Credential::Secret { sha256, application })
    }
}

fn issued(member: &SpiffeId, certificate: Certificate) -> wire::Issued {
    wire::Issued {
        certificate_chain_der: certificate.chain.into_iter().map(Bytes::from).collect(),
        spiffe_id: member.to_string(),
        organisation_anchors_der: certificate.anchors.into_iter().map(Bytes::from).collect(),
        not_after: certificate.not_after.map(super::timestamp),
    }
}

fn secret(secret: &Bytes) -> Result<Digest, Status> {
    if secret.len() != SECRET_BYTES {
        return Err(invalid("secret", format_args!("has {} bytes, not {SECRET_BYTES}", secret.len())));
    }
    Ok(Digest::of(secret))
}

fn csr(der: &Bytes) -> Result<SigningRequest, Status> {
    SigningRequest::parse(der).map_err(|error| invalid("csr_der", error))
}

/// What a caller says that it can become.
fn kinds(numbers: &[i32]) -> Result<Vec<Kind>, Status> {
    if !(1..=MAX_KINDS).contains(&numbers.len()) {
        return Err(invalid("kinds", format_args!("has {} kinds, not 1 to {MAX_KINDS}", numbers.len())));
    }
    numbers.iter().map(|number| kind(*number)).collect()
}

fn kind(number: i32) -> Result<Kind, Status> {
    match WireKind::try_from(number) {
        Ok(WireKind::Node) => Ok(Kind::Node),
        Ok(WireKind::App) => Ok(Kind::App),
        Ok(WireKind::Operator) => Ok(Kind::Operator),
        Ok(WireKind::Unspecified) | Err(_) => {
            Err(invalid("kinds", format_args!("{number} is not KIND_NODE, KIND_APP or KIND_OPERATOR")))
        }
    }
}

#[tonic::async_trait]
impl Enrolment for Service {
    async fn get_root(&self, _: Request<wire::GetRootRequest>) -> Result<Response<wire::GetRootResponse>, Status> {
        let now = Some(super::timestamp(self.0.admission.now()));
        Ok(Response::new(wire::GetRootResponse { root: self.0.root.clone(), now }))
    }

    async fn get_invite(
        &self,
        request: Request<wire::GetInviteRequest>,
    ) -> Result<Response<wire::GetInviteResponse>, Status> {
        let request = request.into_inner();
        let id = parse("invite_id", &request.invite_id)?;
        let secret = if request.secret.is_empty() { None } else { Some(secret(&request.secret)?) };
        let described = self.0.admission.describe(&id, secret.as_ref()).map_err(admission)?;
        Ok(Response::new(wire::GetInviteResponse {
            spiffe_id: described.member.to_string(),
            hosted_anchor_der: described.hosted_anchor.unwrap_or_default().into(),
            version: described.version,
            expires_at: Some(super::timestamp(described.expires_at)),
        }))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<wire::JoinResponse>, Status> {
        let request = request.into_inner();
        let applicant = Applicant {
            id: parse("invite_id", &request.invite_id)?,
            by: self.credential(&request)?,
            request: csr(&request.csr_der)?,
            kinds: kinds(&request.kinds)?,
        };
        let state = match self.0.admission.join(applicant).await.map_err(admission)? {
            Joined::Pending { id, fingerprint } => {
                State::Pending(wire::Pending { enrolment_id: id.to_string(), fingerprint })
            }
            Joined::Issued { member, certificate } => State::Issued(issued(&member, certificate)),
            Joined::Rejected { reason } => State::Rejected(wire::Rejected { reason }),
        };
        Ok(Response::new(wire::JoinResponse { state: Some(state) }))
    }

    async fn certify(&self, request: Request<wire::CertifyRequest>) -> Result<Response<wire::CertifyResponse>, Status> {
        let csr = csr(&request.get_ref().csr_der)?;
        if request.get_ref().dry_run {
            self.0.admission.would_certify(&csr).map_err(admission)?;
            return Ok(Response::new(wire::CertifyResponse { issued: None }));
        }
        let (member, certificate) = self.0.admission.certify(&csr).map_err(admission)?;
        Ok(Response::new(wire::CertifyResponse { issued: Some(issued(&member, certificate)) }))
    }

    /// Nobody has to call as a member: what counts is who signed.
    async fn lift(&self, request: Request<wire::LiftRequest>) -> Result<Response<wire::LiftResponse>, Status> {
        let prepared = lift::read(&request.get_ref().envelope, &self.0.registry)?;
        let proposals = self.0.proposals.clone();
        let said = run_to_end(&self.0.tasks, "lift", async move { proposals.submit(prepared).await }).await;
        let said = said.ok_or_else(|| registry(&RegistryError::Stopping))?.map_err(proposal);
        if matches!(&said, Err(status) if status.code() == Code::Aborted) {
            self.0.registry.suspect(request.into_inner().envelope).await;
        }
        match said? {
            Submitted::InForce(epoch) => Ok(Response::new(wire::LiftResponse { epoch })),
            // An organisation's word is one signer's, which waits for nobody.
            Submitted::Waits(_) => Err(lift::refused()),
        }
    }

    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        let peer = &CallerIdentity::of(&request)?.peer;
        let csr = csr(&request.get_ref().csr_der)?;
        let certificate = self.0.admission.renew(peer, &csr).map_err(admission)?;
        Ok(Response::new(wire::RenewResponse { issued: Some(issued(peer.id(), certificate)) }))
    }
}
