//! The Membership service: operators change the registry, members read it, nodes publish offers.

mod render;
#[cfg(test)]
mod tests;
mod update;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::NodeAddress;
use comity_membership::{Statement, Subject};
use comity_policy::{Offer, Tables};
use comity_proto::membership as wire;
use comity_proto::membership::membership_server::Membership;
use comity_types::SpiffeId;
use comity_types::ids::Kind;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::{admission, failure, invalid, parse, registry, viewer};
use crate::edge::CallerIdentity;
use crate::links::Links;
use crate::registry::admission::{Admission, INVITE_TTL};
use crate::registry::publishing::{PublishError, Publishing};
use crate::registry::{Registry, RegistryError};

/// Most offers of one node: a table that a person can still read, and a snapshot that stays small.
pub const MAX_OFFERS: usize = 256;
/// Longest reason of a rejection or a suspension, in bytes.
const MAX_REASON_BYTES: usize = 1024;

/// Serves membership.
#[derive(Debug, Clone)]
pub struct Service {
    registry: Registry,
    admission: Admission,
    publishing: Publishing,
    links: Links,
    tables: Arc<Tables>,
    stop: CancellationToken,
}

impl Service {
    /// Puts it together; streams end when `stop` is cancelled.
    #[must_use]
    pub const fn new(
        registry: Registry,
        admission: Admission,
        publishing: Publishing,
        links: Links,
        tables: Arc<Tables>,
        stop: CancellationToken,
    ) -> Self {
        Self { registry, admission, publishing, links, tables, stop }
    }

    async fn append(&self, by: SpiffeId, statement: Statement) -> Result<u64, Status> {
        self.registry.append(Some(by), statement).await.map_err(|error| registry(&error))
    }
}

#[tonic::async_trait]
impl Membership for Service {
    type WatchStream = watch::Entries;

    async fn invite(&self, request: Request<wire::InviteRequest>) -> Result<Response<wire::InviteResponse>, Status> {
        let by = CallerIdentity::of(&request)?.id().clone();
        let request = request.into_inner();
        let (domain, name) = (parse("trust_domain", &request.trust_domain)?, parse("name", &request.name)?);
        let ttl = Duration::from_secs(request.ttl_seconds.into());
        if !INVITE_TTL.contains(&ttl) {
            return Err(invalid("ttl_seconds", format_args!("{} is outside 60 to 2592000", request.ttl_seconds)));
        }
        let invited = self.admission.invite(by, domain, kind(request.kind)?, name, ttl).await.map_err(admission)?;
        Ok(Response::new(render::invite(&invited)?))
    }

    async fn list_enrolments(
        &self,
        _: Request<wire::ListEnrolmentsRequest>,
    ) -> Result<Response<wire::ListEnrolmentsResponse>, Status> {
        let unanswered = self.admission.unanswered();
        let enrolments = unanswered.iter().filter_map(render::enrolment).collect();
        Ok(Response::new(wire::ListEnrolmentsResponse { enrolments }))
    }

    async fn approve(&self, request: Request<wire::ApproveRequest>) -> Result<Response<wire::ApproveResponse>, Status> {
        let by = CallerIdentity::of(&request)?.id().clone();
        let id = parse("enrolment_id", &request.get_ref().enrolment_id)?;
        let epoch = self.admission.approve(by, id).await.map_err(admission)?;
        Ok(Response::new(wire::ApproveResponse { epoch }))
    }

    async fn reject(&self, request: Request<wire::RejectRequest>) -> Result<Response<wire::RejectResponse>, Status> {
        let by = CallerIdentity::of(&request)?.id().clone();
        let request = request.into_inner();
        let id = parse("enrolment_id", &request.enrolment_id)?;
        self.admission.reject(by, id, reason(request.reason)?).await.map_err(admission)?;
        Ok(Response::new(wire::RejectResponse {}))
    }

    async fn suspend(&self, request: Request<wire::SuspendRequest>) -> Result<Response<wire::SuspendResponse>, Status> {
        let by = CallerIdentity::of(&request)?.id().clone();
        let request = request.into_inner();
        let subject: Subject = parse("member", &request.member)?;
        let epoch = self.append(by, Statement::Suspended { subject, reason: reason(request.reason)? }).await?;
        Ok(Response::new(wire::SuspendResponse { epoch }))
    }

    async fn lift(&self, request: Request<wire::LiftRequest>) -> Result<Response<wire::LiftResponse>, Status> {
        let by = CallerIdentity::of(&request)?.id().clone();
        let subject: Subject = parse("member", &request.get_ref().member)?;
        let epoch = self.append(by, Statement::Lifted { subject }).await?;
        Ok(Response::new(wire::LiftResponse { epoch }))
    }

    async fn update_organisation(
        &self,
        request: Request<wire::UpdateOrganisationRequest>,
    ) -> Result<Response<wire::UpdateOrganisationResponse>, Status> {
        let by = CallerIdentity::of(&request)?.id().clone();
        let plan = update::plan(request.into_inner(), &self.tables)?;
        let epoch = self.registry.update(Some(by), plan).await.map_err(|error: RegistryError| registry(&error))?;
        Ok(Response::new(wire::UpdateOrganisationResponse { epoch }))
    }

    async fn list_organisations(
        &self,
        request: Request<wire::ListOrganisationsRequest>,
    ) -> Result<Response<wire::ListOrganisationsResponse>, Status> {
        let viewer = viewer(CallerIdentity::of(&request)?.id());
        Ok(Response::new(render::organisations(&self.registry.snapshot().federation, viewer)))
    }

    async fn list_nodes(
        &self,
        _: Request<wire::ListNodesRequest>,
    ) -> Result<Response<wire::ListNodesResponse>, Status> {
        Ok(Response::new(render::nodes(&self.registry.snapshot().federation, |node| self.links.load(node).state)))
    }

    async fn list_apps(
        &self,
        request: Request<wire::ListAppsRequest>,
    ) -> Result<Response<wire::ListAppsResponse>, Status> {
        let caller = CallerIdentity::of(&request)?.id();
        let only = (caller.kind() != Kind::Operator).then(|| caller.trust_domain());
        Ok(Response::new(render::apps(&self.registry.snapshot().federation, only)))
    }

    async fn publish_offers(
        &self,
        request: Request<wire::PublishOffersRequest>,
    ) -> Result<Response<wire::PublishOffersResponse>, Status> {
        let node = CallerIdentity::of(&request)?.id().clone();
        let request = request.into_inner();
        let address: NodeAddress = parse("address", &request.address)?;
        let offers = offers(&node, request.offers)?;
        let epoch = self.publishing.publish(node, &address, offers).await.map_err(|error| publication(&error))?;
        Ok(Response::new(wire::PublishOffersResponse { epoch }))
    }

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<watch::Entries>, Status> {
        let caller = CallerIdentity::of(&request)?.id().clone();
        Ok(Response::new(watch::entries(
            self.registry.clone(),
            caller,
            request.get_ref().after_epoch,
            self.stop.clone(),
        )))
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

/// The offers of one node: its own, each id once.
fn offers(node: &SpiffeId, wire: Vec<comity_proto::policy::Offer>) -> Result<Vec<Offer>, Status> {
    if wire.len() > MAX_OFFERS {
        return Err(invalid("offers", format_args!("has {}, at most {MAX_OFFERS} are allowed", wire.len())));
    }
    let mut ids = BTreeSet::new();
    let read = |(index, offer): (usize, comity_proto::policy::Offer)| {
        let field = format!("offers[{index}]");
        let offer = Offer::try_from(offer).map_err(|error| invalid(&field, error))?;
        if offer.node != *node {
            return Err(invalid(&format!("{field}.node"), format_args!("is {}, and {node} publishes it", offer.node)));
        }
        if !ids.insert(offer.id.clone()) {
            return Err(invalid(&format!("{field}.id"), format_args!("{} stands twice", offer.id)));
        }
        Ok(offer)
    };
    wire.into_iter().enumerate().map(read).collect()
}

/// The status of a publication that failed.
fn publication(error: &PublishError) -> Status {
    match error {
        PublishError::TooLarge { .. } => invalid("offers", error),
        PublishError::TooOften { retry_after, .. } => {
            let retry_after = ("retry_after_seconds".into(), retry_after.as_secs().to_string());
            failure(Code::ResourceExhausted, "PUBLISH_RATE", error.to_string(), vec![retry_after])
        }
        PublishError::Registry(error) => registry(error),
    }
}
