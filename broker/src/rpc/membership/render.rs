//! The registry's state as the wire has it.

use comity_membership::{Federation, OrganisationState, Standing};
use comity_policy::disclosure::{self, Viewer};
use comity_proto::membership as wire;
use comity_types::ids::Kind;
use comity_types::{SpiffeId, TrustDomain};
use tonic::Status;

use crate::links::LinkState;
use crate::registry::admission::Invited;
use crate::registry::enrolments::{Enrolment, State};
use crate::rpc::timestamp;

/// A fresh invite, with the one string that the member gets. It is secret: it goes to the operator and nowhere else.
pub(super) fn invite(invited: &Invited) -> Result<wire::InviteResponse, Status> {
    let text = invited.invite.encode().map_err(|error| super::super::ours(&error))?;
    Ok(wire::InviteResponse {
        invite: text.reveal().clone(),
        invite_id: invited.invite.id_text(),
        expires_at: Some(timestamp(invited.expires_at)),
    })
}

/// An enrolment that waits or an invite that is open; nothing for any other.
pub(super) fn enrolment(enrolment: &Enrolment) -> Option<wire::Enrolment> {
    let Enrolment { invite, state } = enrolment;
    let (state, request) = match state {
        State::Open => (wire::EnrolmentState::Open, None),
        State::Requested(request) => (wire::EnrolmentState::Waiting, Some(request)),
        State::Approved { .. } | State::Issued { .. } | State::Rejected { .. } => return None,
    };
    Some(wire::Enrolment {
        id: invite.id.to_string(),
        spiffe_id: invite.member.to_string(),
        fingerprint: request.map(|request| request.key_sha256.fingerprint()).unwrap_or_default(),
        organisation: request.and_then(|request| request.organisation.as_deref()).map(Into::into),
        requested_at: request.map(|request| timestamp(request.at)),
        state: state.into(),
        invited_by: invite.by.to_string(),
        expires_at: Some(timestamp(invite.expires_at)),
        layers: request.filter(|request| request.organisation.is_some()).map(|request| (&*request.layers).into()),
    })
}

/// Every organisation, as `viewer` may see it; the fold keeps them sorted.
pub(super) fn organisations(federation: &Federation, viewer: Viewer<'_>) -> wire::ListOrganisationsResponse {
    let organisations = federation.organisations().map(|state| organisation(federation, state, viewer)).collect();
    wire::ListOrganisationsResponse { organisations, epoch: federation.epoch() }
}

fn organisation(federation: &Federation, state: &OrganisationState, viewer: Viewer<'_>) -> wire::OrganisationEntry {
    let domain = &state.organisation.trust_domain;
    let count = |kind| federation.members().filter(|(id, _)| id.kind() == kind && id.trust_domain() == domain).count();
    let (standing, suspension_reason) = match &state.suspension {
        None => (wire::Standing::Active, String::new()),
        Some(suspension) => (wire::Standing::Suspended, suspension.reason.clone()),
    };
    // What an organisation demands of its own requests is not for others.
    let sees_layers = match viewer {
        Viewer::Governor => true,
        Viewer::Member(of) => of == domain,
    };
    wire::OrganisationEntry {
        organisation: Some((&*disclosure::organisation(&state.organisation, viewer)).into()),
        standing: standing.into(),
        suspension_reason,
        nodes: u32::try_from(count(Kind::Node)).unwrap_or(u32::MAX),
        apps: u32::try_from(count(Kind::App)).unwrap_or(u32::MAX),
        layers: sees_layers.then(|| (&state.layers).into()),
    }
}

/// Every node; `link` tells the state of the broker's connection to it.
pub(super) fn nodes(federation: &Federation, link: impl Fn(&SpiffeId) -> LinkState) -> wire::ListNodesResponse {
    let node = |(id, state): (&SpiffeId, &comity_membership::NodeState)| {
        let (standing, suspension_reason) = standing(federation, id);
        wire::NodeEntry {
            spiffe_id: id.to_string(),
            address: state.address.clone().unwrap_or_default(),
            standing,
            suspension_reason,
            offers: u32::try_from(state.offers.len()).unwrap_or(u32::MAX),
            link: link(id).as_str().into(),
        }
    };
    wire::ListNodesResponse { nodes: federation.nodes().map(node).collect(), epoch: federation.epoch() }
}

/// Every app, or those of one organisation.
pub(super) fn apps(federation: &Federation, only: Option<&TrustDomain>) -> wire::ListAppsResponse {
    let shown = |id: &SpiffeId| id.kind() == Kind::App && only.is_none_or(|domain| id.trust_domain() == domain);
    let app = |id: &SpiffeId| {
        let (standing, suspension_reason) = standing(federation, id);
        wire::AppEntry { spiffe_id: id.to_string(), standing, suspension_reason }
    };
    let apps = federation.members().map(|(id, _)| id).filter(|id| shown(id)).map(app).collect();
    wire::ListAppsResponse { apps, epoch: federation.epoch() }
}

fn standing(federation: &Federation, id: &SpiffeId) -> (i32, String) {
    match federation.standing(id) {
        Standing::Active => (wire::Standing::Active.into(), String::new()),
        Standing::Suspended { reason, .. } => (wire::Standing::Suspended.into(), reason),
        Standing::Unknown => (wire::Standing::Unspecified.into(), String::new()),
    }
}
