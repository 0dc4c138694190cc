//! The Membership service: statements come in, the log goes out, and what is in force is listed.

mod release;
mod render;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

use std::sync::Arc;

use bytes::Bytes;
use comity_membership::federation::MAX_REASON_BYTES;
use comity_membership::{Prepared, Statement};
use comity_proto::membership as wire;
use comity_proto::membership::membership_server::Membership;
use comity_proto::membership::submit_response::Outcome;
use comity_proto::methods::Caller;
use comity_runtime::accept::PeerInfo;
use comity_runtime::tasks::Tasks;
use comity_types::ids::Kind;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::{admission, failure, invalid, parse, proposal, registry, said, viewer};
use crate::edge::CallerIdentity;
use crate::links::Links;
use crate::registry::admission::{Admission, INVITE_TTL};
use crate::registry::enrolments::Enrolment;
use crate::registry::proposals::{Proposals, Submitted};
use crate::registry::publishing::{Publication, PublishError, Publishing};
use crate::registry::{Registry, RegistryError, run_to_end};

/// Longest envelope that is read at once, in bytes: one around a statement that may overtake others.
const SHORT_BYTES: usize = 32 * 1024;

/// What applications have together in one list of enrolments, in bytes: a quarter of what `comity` takes as one answer, since
/// they are a third longer as base64, and what else stands in a list of all open invites has room beside them.
const LISTED_APPLICATION_BYTES: usize = 16 * 1024 * 1024;

/// What the service needs.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The log.
    pub registry: Registry,
    /// Invites and enrolments.
    pub admission: Admission,
    /// Statements that wait for operators.
    pub proposals: Proposals,
    /// What nodes publish.
    pub publishing: Publishing,
    /// The connections to nodes.
    pub links: Links,
    /// Where statements are said, so that a caller who leaves does not cut one.
    pub tasks: Tasks,
    /// Streams end when this is cancelled.
    pub stop: CancellationToken,
}

/// Serves membership.
#[derive(Debug, Clone)]
pub struct Service(Parts, Arc<Semaphore>);

impl Service {
    /// Puts it together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(parts, Arc::new(Semaphore::new(1)))
    }

    /// Reads a statement and verifies its signatures. Long ones are read one after another, beside the threads that
    /// answer calls: however many come, a short one, as a suspension is, finds a thread.
    async fn read(&self, envelope: Bytes) -> Result<Prepared, Status> {
        let (registry, tables) = (self.0.registry.clone(), self.0.registry.tables());
        let is_short = envelope.len() <= SHORT_BYTES;
        let read = move || {
            let envelope = said::envelope("envelope", &envelope)?;
            let prepared = registry.prepare(envelope).map_err(|error| super::registry(&error))?;
            said::check(&prepared, &tables)?;
            Ok(prepared)
        };
        if is_short {
            return read();
        }
        // Never closed.
        let _turn = self.1.acquire().await.ok();
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Err(super::registry(&RegistryError::Stopping)))
    }

    /// Gives a statement its place, or keeps it until enough have signed.
    async fn say(&self, prepared: Prepared) -> Result<Outcome, Status> {
        if let Some(publication) = Publication::of(prepared.statement()) {
            let epoch =
                self.0.publishing.publish(publication, prepared).await.map_err(|error| publication_error(&error))?;
            return Ok(Outcome::Epoch(epoch));
        }
        let new_anchors = if let Statement::AnchorsChanged { organisation, .. } = prepared.statement() {
            Some(organisation.clone())
        } else {
            None
        };
        let proposals = self.0.proposals.clone();
        let work = async move { proposals.submit(prepared).await };
        let submitted = run_to_end(&self.0.tasks, "submit", work).await;
        let submitted = submitted.ok_or_else(|| registry(&RegistryError::Stopping))?.map_err(proposal)?;
        if let Some(organisation) = new_anchors {
            self.0.admission.follow_anchors_of(&organisation).map_err(admission)?;
        }
        Ok(match submitted {
            Submitted::InForce(epoch) => Outcome::Epoch(epoch),
            Submitted::Waits(waiting) => Outcome::Proposal(render::proposal(&waiting)?),
        })
    }
}

#[tonic::async_trait]
impl Membership for Service {
    type WatchStream = watch::Entries;

    /// Any member may bring a statement: what counts is who signed.
    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Result<Response<wire::SubmitResponse>, Status> {
        let denied = release::Denied::of(CallerIdentity::of(&request)?);
        let envelope = request.into_inner().envelope;
        let prepared = match denied {
            None => self.read(envelope.clone()).await?,
            Some(denied) => denied.read(&envelope, &self.0.registry)?,
        };
        let said = self.say(prepared).await;
        // It stands elsewhere in the log than it could: by a key that signed what stands there, it is an alarm.
        if matches!(&said, Err(status) if status.code() == Code::Aborted) {
            self.0.registry.suspect(envelope).await;
        }
        Ok(Response::new(wire::SubmitResponse { outcome: Some(said?) }))
    }

    async fn prepare_anchors(
        &self,
        request: Request<wire::PrepareAnchorsRequest>,
    ) -> Result<Response<wire::PrepareAnchorsResponse>, Status> {
        let organisation = CallerIdentity::of(&request)?.organisation().clone();
        let due = self.0.admission.anchors_due(&organisation).map_err(admission)?;
        let anchors_der = due.into_iter().map(Bytes::from).collect();
        Ok(Response::new(wire::PrepareAnchorsResponse { anchors_der }))
    }

    async fn list_proposals(
        &self,
        _: Request<wire::ListProposalsRequest>,
    ) -> Result<Response<wire::ListProposalsResponse>, Status> {
        let proposals = self.0.proposals.waiting().iter().map(render::proposal).collect::<Result<_, _>>()?;
        Ok(Response::new(wire::ListProposalsResponse { proposals }))
    }

    async fn reject_proposal(
        &self,
        request: Request<wire::RejectProposalRequest>,
    ) -> Result<Response<wire::RejectProposalResponse>, Status> {
        let by = CallerIdentity::of(&request)?.id().clone();
        let id = parse("proposal_id", &request.get_ref().proposal_id)?;
        let proposals = self.0.proposals.clone();
        let work = async move { proposals.refuse(id, &by).await };
        let left = run_to_end(&self.0.tasks, "reject", work).await;
        let left = left.ok_or_else(|| registry(&RegistryError::Stopping))?.map_err(proposal)?;
        let proposal = left.as_ref().map(render::proposal).transpose()?;
        Ok(Response::new(wire::RejectProposalResponse { proposal }))
    }

    async fn invite(&self, request: Request<wire::InviteRequest>) -> Result<Response<wire::InviteResponse>, Status> {
        let by = CallerIdentity::of(&request)?.id().clone();
        let request = request.into_inner();
        let (domain, name) = (parse("trust_domain", &request.trust_domain)?, parse("name", &request.name)?);
        let ttl = Duration::from_secs(request.ttl_seconds.into());
        if !INVITE_TTL.contains(&ttl) {
            return Err(invalid("ttl_seconds", format_args!("{} is outside 60 to 2592000", request.ttl_seconds)));
        }
        let kind = kind(request.kind)?;
        if request.dry_run {
            let ends = self.0.admission.would_invite(by, domain, kind, name, ttl).map_err(admission)?;
            return Ok(Response::new(render::would_invite(ends)));
        }
        let invited = self.0.admission.invite(by, domain, kind, name, ttl).await.map_err(admission)?;
        Ok(Response::new(render::invite(&invited)?))
    }

    async fn list_enrolments(
        &self,
        request: Request<wire::ListEnrolmentsRequest>,
    ) -> Result<Response<wire::ListEnrolmentsResponse>, Status> {
        let caller = CallerIdentity::of(&request)?;
        let enrolments = if caller.role == Caller::Governor {
            let admission = &self.0.admission;
            let asked = request.get_ref();
            let rejected = if asked.with_rejected { admission.rejected() } else { Vec::new() };
            let unanswered = admission.unanswered();
            let named =
                |one: &&Enrolment| asked.enrolment_id.is_empty() || one.invite.id.to_string() == asked.enrolment_id;
            let listed = unanswered.iter().chain(&rejected).filter(named);
            let room = if asked.without_applications { 0 } else { LISTED_APPLICATION_BYTES };
            render::enrolments(listed, room)?
        } else {
            render::own_invites(self.0.registry.snapshot().federation(), caller.organisation(), self.0.admission.now())
        };
        Ok(Response::new(wire::ListEnrolmentsResponse { enrolments }))
    }

    async fn reject(&self, request: Request<wire::RejectRequest>) -> Result<Response<wire::RejectResponse>, Status> {
        let by = CallerIdentity::of(&request)?.id().clone();
        let request = request.into_inner();
        let id = parse("enrolment_id", &request.enrolment_id)?;
        let left = self.0.admission.reject(by, id, reason(request.reason)?).await.map_err(admission)?;
        let enrolment = left.as_ref().map(render::enrolment).transpose()?;
        Ok(Response::new(wire::RejectResponse { enrolment }))
    }

    async fn list_organisations(
        &self,
        request: Request<wire::ListOrganisationsRequest>,
    ) -> Result<Response<wire::ListOrganisationsResponse>, Status> {
        let viewer = viewer(CallerIdentity::of(&request)?);
        Ok(Response::new(render::organisations(self.0.registry.snapshot().federation(), viewer)))
    }

    async fn list_nodes(
        &self,
        _: Request<wire::ListNodesRequest>,
    ) -> Result<Response<wire::ListNodesResponse>, Status> {
        Ok(Response::new(render::nodes(self.0.registry.snapshot().federation(), |node| self.0.links.state(node))))
    }

    async fn list_apps(
        &self,
        request: Request<wire::ListAppsRequest>,
    ) -> Result<Response<wire::ListAppsResponse>, Status> {
        let caller = CallerIdentity::of(&request)?.id();
        let governs = CallerIdentity::of(&request)?.role == Caller::Governor;
        let only = (!governs).then(|| caller.trust_domain());
        Ok(Response::new(render::apps(self.0.registry.snapshot().federation(), only)))
    }

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<watch::Entries>, Status> {
        let ends = ends(&request, self.0.stop.clone());
        Ok(Response::new(watch::entries(self.0.registry.clone(), request.get_ref().after_epoch, ends)))
    }
}

/// When a stream that goes on for ever ends, for its reader to ask again: at `stop`, and before its connection ends.
fn ends<T>(request: &Request<T>, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<T> {
    let draining = request.extensions().get::<PeerInfo>().map(|info| info.draining.clone()).unwrap_or_default();
    async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = draining.cancelled() => {}
        }
    }
}

fn kind(number: i32) -> Result<Kind, Status> {
    match wire::Kind::try_from(number) {
        Ok(wire::Kind::Node) => Ok(Kind::Node),
        Ok(wire::Kind::App) => Ok(Kind::App),
        Ok(wire::Kind::Operator) => Ok(Kind::Operator),
        Ok(wire::Kind::Unspecified) | Err(_) => {
            Err(invalid("kind", format_args!("{number} is not KIND_NODE, KIND_APP or KIND_OPERATOR")))
        }
    }
}

fn reason(reason: String) -> Result<String, Status> {
    if reason.is_empty() || reason.len() > MAX_REASON_BYTES {
        return Err(invalid(
            "reason",
            format_args!("has {} bytes, not 1 to {MAX_REASON_BYTES}: the member sees it", reason.len()),
        ));
    }
    if reason.chars().any(comity_types::display::steers) {
        return Err(invalid("reason", "control characters and marks of writing direction are not accepted"));
    }
    Ok(reason)
}

/// The status of a publication that failed.
fn publication_error(error: &PublishError) -> Status {
    match error {
        PublishError::TooLarge { .. } => invalid("offers", error),
        PublishError::TooOften { retry_after, .. } => {
            let retry_after = ("retry_after_seconds".into(), retry_after.as_secs().to_string());
            failure(Code::ResourceExhausted, "PUBLISH_RATE", error.to_string(), vec![retry_after])
        }
        PublishError::Registry(error) => registry(error),
    }
}
