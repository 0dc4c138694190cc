//! The Enrolment service: the root document, joining with an invite, fresh certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use comity_identity::SigningRequest;
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_server::Enrolment;
use comity_proto::enrolment::join_response::State;
use comity_types::{Digest, SpiffeId};
use tonic::{Request, Response, Status};

use super::{admission, invalid, parse};
use crate::edge::CallerIdentity;
use crate::registry::admission::{Admission, Application, Joined};
use crate::registry::enrolments::Certificate;

/// Bytes of an invite's secret.
const SECRET_BYTES: usize = 32;

/// Serves enrolment.
#[derive(Debug, Clone)]
pub struct Service {
    admission: Admission,
    root: Bytes,
}

impl Service {
    /// Puts it together; `root` is root.json as it was founded.
    #[must_use]
    pub const fn new(admission: Admission, root: Bytes) -> Self {
        Self { admission, root }
    }

    fn issued(&self, member: &SpiffeId, certificate: &Certificate) -> Result<wire::Issued, Status> {
        let decoded =
            certificate.chain.iter().map(|text| STANDARD.decode(text).map(Bytes::from)).collect::<Result<_, _>>();
        let chain = decoded.map_err(|error| super::ours(&error))?;
        let anchors = self.admission.anchors(member.trust_domain()).map_err(admission)?;
        Ok(wire::Issued {
            certificate_chain_der: chain,
            spiffe_id: member.to_string(),
            organisation_anchors_der: anchors.into_iter().map(Bytes::from).collect(),
            not_after: Some(super::timestamp(certificate.not_after)),
        })
    }
}

#[tonic::async_trait]
impl Enrolment for Service {
    async fn get_root(&self, _: Request<wire::GetRootRequest>) -> Result<Response<wire::GetRootResponse>, Status> {
        Ok(Response::new(wire::GetRootResponse { root: self.root.clone() }))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<wire::JoinResponse>, Status> {
        let request = request.into_inner();
        if request.secret.len() != SECRET_BYTES {
            return Err(invalid("secret", format_args!("has {} bytes, not {SECRET_BYTES}", request.secret.len())));
        }
        let organisation = request.organisation.map(TryInto::try_into).transpose();
        let application = Application {
            id: parse("invite_id", &request.invite_id)?,
            secret_sha256: Digest::of(&request.secret),
            request: SigningRequest::parse(&request.csr_der).map_err(|error| invalid("csr_der", error))?,
            organisation: organisation
                .map_err(|error: comity_proto::convert::WireError| invalid("organisation", error))?,
        };
        let state = match self.admission.join(application).await.map_err(admission)? {
            Joined::Pending { id, fingerprint } => {
                State::Pending(wire::Pending { enrolment_id: id.to_string(), fingerprint })
            }
            Joined::Issued { member, certificate } => State::Issued(self.issued(&member, &certificate)?),
            Joined::Rejected { reason } => State::Rejected(wire::Rejected { reason }),
        };
        Ok(Response::new(wire::JoinResponse { state: Some(state) }))
    }

    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        let peer = &CallerIdentity::of(&request)?.peer;
        let csr = SigningRequest::parse(&request.get_ref().csr_der).map_err(|error| invalid("csr_der", error))?;
        let certificate = self.admission.renew(peer, &csr).map_err(admission)?;
        Ok(Response::new(wire::RenewResponse { issued: Some(self.issued(peer.id(), &certificate)?) }))
    }
}
