//! The Enrolment service: the root document, joining with an invite, fresh certificates.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use comity_identity::SigningRequest;
use comity_policy::Tables;
use comity_proto::enrolment as wire;
use comity_proto::enrolment::enrolment_server::Enrolment;
use comity_proto::enrolment::join_response::State;
use comity_proto::membership::Kind as WireKind;
use comity_types::ids::Kind;
use comity_types::{Digest, SpiffeId};
use tonic::{Code, Request, Response, Status};

use super::stated::stated;
use super::{admission, failure, invalid, parse};
use crate::edge::CallerIdentity;
use crate::registry::admission::{Admission, Application, Joined};
use crate::registry::enrolments::Certificate;

/// Bytes of an invite's secret.
const SECRET_BYTES: usize = 32;
/// Most kinds that a caller may name: there are as many that can be invited.
const MAX_KINDS: usize = 3;

/// Serves enrolment.
#[derive(Debug, Clone)]
pub struct Service {
    admission: Admission,
    root: Bytes,
    tables: Arc<Tables>,
}

impl Service {
    /// Puts it together; `root` is root.json as it was founded.
    #[must_use]
    pub const fn new(admission: Admission, root: Bytes, tables: Arc<Tables>) -> Self {
        Self { admission, root, tables }
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

    /// Refuses an invite for something that the caller cannot become, before the invite is bound to its key.
    /// Whoever has not the secret learns nothing: to them, the invite is as unknown as admission says.
    fn check_kind(&self, application: &Application, kinds: &[Kind]) -> Result<(), Status> {
        let enrolments = self.admission.enrolments().current();
        let Ok(enrolment) = enrolments.find(&application.id) else { return Ok(()) };
        let (invite, member) = (&enrolment.invite, &enrolment.invite.member);
        if invite.secret_sha256 != application.secret_sha256 || kinds.contains(&member.kind()) {
            return Ok(());
        }
        let message = format!(
            "the invite is for {member}, which this program cannot become (hint: nodes join with `comity-node join`, apps and operators with `comity join`; the invite is not used up)"
        );
        let metadata = vec![("kind".into(), member.kind().to_string())];
        Err(failure(Code::FailedPrecondition, "INVITE_OF_ANOTHER_KIND", message, metadata))
    }
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
        Ok(Response::new(wire::GetRootResponse { root: self.root.clone() }))
    }

    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<wire::JoinResponse>, Status> {
        let request = request.into_inner();
        if request.secret.len() != SECRET_BYTES {
            return Err(invalid("secret", format_args!("has {} bytes, not {SECRET_BYTES}", request.secret.len())));
        }
        let kinds = kinds(&request.kinds)?;
        let application = Application {
            id: parse("invite_id", &request.invite_id)?,
            secret_sha256: Digest::of(&request.secret),
            request: SigningRequest::parse(&request.csr_der).map_err(|error| invalid("csr_der", error))?,
            organisation: stated(request.organisation, request.layers, &self.tables)?,
        };
        self.check_kind(&application, &kinds)?;
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
