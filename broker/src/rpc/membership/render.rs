//! The registry's state as the wire has it.

use bytes::Bytes;
use comity_membership::authority::Count;
use comity_membership::federation::OpenInvite;
use comity_membership::{Federation, InviteId, OrganisationState, Standing};
use comity_policy::disclosure::{self, Viewer};
use comity_proto::membership as wire;
use comity_transparency::Envelope;
use comity_types::ids::Kind;
use comity_types::{Digest, SpiffeId, Timestamp, TrustDomain};
use tonic::Status;

use crate::links::LinkState;
use crate::registry::admission::Invited;
use crate::registry::enrolments::{Enrolment, State};
use crate::registry::proposals::Waiting;
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

/// An invite that would be made: there is none, and so no string and no id.
pub(super) fn would_invite(expires_at: Timestamp) -> wire::InviteResponse {
    wire::InviteResponse { expires_at: Some(timestamp(expires_at)), ..Default::default() }
}

/// Many of them, with what new organisations signed as long as there is room for it, in bytes: whoever invites many, with long
/// papers, does not keep operators from seeing who waits, and each can be asked for by its id.
pub(super) fn enrolments<'a>(
    all: impl IntoIterator<Item = &'a Enrolment>,
    mut room: usize,
) -> Result<Vec<wire::Enrolment>, Status> {
    let written = all.into_iter().map(|one| {
        let length = application_bytes(one);
        if length == 0 {
            return enrolment(one);
        }
        match room.checked_sub(length) {
            Some(left) => {
                room = left;
                enrolment(one)
            }
            None => without_application(one),
        }
    });
    written.collect()
}

/// How long what a new organisation signed is at least, before it is written.
fn application_bytes(one: &Enrolment) -> usize {
    match &one.state {
        State::Requested(request) => request.application.as_ref().map_or(0, |signed| signed.payload.len()),
        State::Open | State::Rejected { .. } => 0,
    }
}

/// The same without what a new organisation signed, which is not even written: it can be long.
fn without_application(one: &Enrolment) -> Result<wire::Enrolment, Status> {
    let mut short = one.clone();
    let is_organisation = match &mut short.state {
        State::Requested(request) => request.application.take().is_some(),
        State::Open | State::Rejected { .. } => false,
    };
    let mut written = enrolment(&short)?;
    if is_organisation {
        // The key of its first member is no operator's.
        written.operator_key.clear();
    }
    Ok(written)
}

/// An enrolment that waits or was turned down, or an invite that is open.
pub(super) fn enrolment(enrolment: &Enrolment) -> Result<wire::Enrolment, Status> {
    let Enrolment { invite, state, refused_by, other_keys } = enrolment;
    let (state, request, rejection) = match state {
        State::Requested(request) => (wire::EnrolmentState::Waiting, Some(request), None),
        State::Open => (wire::EnrolmentState::Open, None, None),
        State::Rejected { request, rejection } => (wire::EnrolmentState::Rejected, request.as_ref(), Some(rejection)),
    };
    // Nobody decides on what was turned down: who it was and why is what is asked for.
    let decided_on = request.filter(|_| rejection.is_none());
    let application = decided_on.and_then(|request| request.application.as_deref());
    let operator = decided_on.filter(|_| application.is_none());
    Ok(wire::Enrolment {
        id: invite.id.to_string(),
        spiffe_id: invite.member.to_string(),
        fingerprint: request.map(|request| request.key.id().fingerprint()).unwrap_or_default(),
        application: application.map(json).transpose()?.unwrap_or_default(),
        requested_at: request.map(|request| timestamp(request.at)),
        state: state.into(),
        invited_by: invite.by.to_string(),
        expires_at: Some(timestamp(invite.expires_at)),
        operator_key: operator.map(|request| request.key.to_string()).unwrap_or_default(),
        refused_by: refused_by.iter().map(refusal).collect(),
        other_keys: other_keys.iter().map(other_key).collect(),
        rejection: rejection.map(|end| wire::EnrolmentRejection {
            operator: end.by.to_string(),
            reason: end.reason.clone(),
            at: Some(timestamp(end.at)),
        }),
    })
}

fn other_key((key, at): (&Digest, &Timestamp)) -> wire::OtherKey {
    wire::OtherKey { fingerprint: key.fingerprint(), at: Some(timestamp(*at)) }
}

fn refusal((operator, reason): (&SpiffeId, &String)) -> wire::EnrolmentRefusal {
    wire::EnrolmentRefusal { operator: operator.to_string(), reason: reason.clone() }
}

/// The invites of an organisation for its own members that are open at `now`.
pub(super) fn own_invites(federation: &Federation, domain: &TrustDomain, now: Timestamp) -> Vec<wire::Enrolment> {
    let open = |invite: &OpenInvite| invite.member.trust_domain() == domain && invite.expires_at > now;
    let own = federation.invites().filter(|(_, invite)| open(invite));
    let render = |(id, invite): (&InviteId, &OpenInvite)| wire::Enrolment {
        id: id.to_string(),
        spiffe_id: invite.member.to_string(),
        state: wire::EnrolmentState::Open.into(),
        invited_by: domain.to_string(),
        expires_at: Some(timestamp(invite.expires_at)),
        ..wire::Enrolment::default()
    };
    own.map(render).collect()
}

/// A statement that waits for more operators.
pub(super) fn proposal(waiting: &Waiting) -> Result<wire::Proposal, Status> {
    Ok(wire::Proposal {
        id: waiting.id.to_string(),
        envelope: json(&waiting.proposal.envelope)?,
        signed_by: waiting.signed_by.iter().map(ToString::to_string).collect(),
        needed: u32::try_from(waiting.needed).unwrap_or(u32::MAX),
        proposed_at: Some(timestamp(waiting.proposal.at)),
        refused_by: waiting.proposal.refused_by.iter().map(ToString::to_string).collect(),
        quorums: waiting.quorums.iter().map(quorum).collect(),
    })
}

fn quorum(count: &Count) -> wire::Quorum {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    wire::Quorum { who: count.who.to_owned(), signed: number(count.have), needed: number(count.needed) }
}

fn json(envelope: &Envelope) -> Result<Bytes, Status> {
    serde_json::to_vec(envelope).map(Bytes::from).map_err(|error| super::super::ours(&error))
}

/// Every organisation, as `viewer` may see it; the fold keeps them sorted.
pub(super) fn organisations(federation: &Federation, viewer: Viewer<'_>) -> wire::ListOrganisationsResponse {
    let organisations = federation.organisations().map(|state| organisation(federation, state, viewer)).collect();
    wire::ListOrganisationsResponse { organisations, epoch: federation.epoch() }
}

fn organisation(federation: &Federation, state: &OrganisationState, viewer: Viewer<'_>) -> wire::OrganisationEntry {
    let domain = &state.organisation.trust_domain;
    let count = |kind| federation.members().filter(|(id, _)| id.kind() == kind && id.trust_domain() == domain).count();
    let (standing, suspension_reason) = match state.suspensions.first() {
        None => (wire::Standing::Active, String::new()),
        Some(suspension) => (wire::Standing::Suspended, suspension.reason.clone()),
    };
    // What an organisation demands of its own requests is not for others.
    let sees_layers = match viewer {
        Viewer::Governor => true,
        Viewer::Member(of) => of == domain,
    };
    wire::OrganisationEntry {
        organisation: Some((&*disclosure::organisation(&state.as_stated(), viewer)).into()),
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
        Standing::Departed { .. } | Standing::Unknown => (wire::Standing::Unspecified.into(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use comity_transparency::PublicKey;

    use super::*;
    use crate::registry::enrolments::{Invite, Request};

    const SIGNED: usize = 100;

    fn waiting(number: u8) -> Enrolment {
        let at: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let invite = Invite {
            id: InviteId::from_bytes([number; 16]),
            secret_sha256: Digest::of(b"secret"),
            member: format!("spiffe://org-{number}.example/node/n1").parse().unwrap(),
            by: "spiffe://fed.example/operator/o1".parse().unwrap(),
            expires_at: at,
        };
        let signed = Envelope { payload_type: "application".into(), payload: vec![b' '; SIGNED], signatures: vec![] };
        let request = Request { key: PublicKey::from_ed25519(&[number; 32]), application: Some(signed.into()), at };
        Enrolment { invite, state: State::Requested(request), refused_by: BTreeMap::new(), other_keys: BTreeMap::new() }
    }

    #[test]
    fn whoever_fills_a_list_with_long_papers_hides_nobody_that_waits() {
        let all: Vec<_> = (1..=5).map(waiting).collect();
        let shown = |room| {
            let listed = enrolments(&all, room).unwrap();
            assert_eq!(listed.len(), all.len(), "each is there");
            assert!(listed.iter().all(|one| one.operator_key.is_empty() && !one.fingerprint.is_empty()));
            listed.iter().map(|one| !one.application.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(shown(SIGNED * 5), [true; 5]);
        assert_eq!(shown(SIGNED * 3 - 1), [true, true, false, false, false]);
        assert_eq!(shown(0), [false; 5]);
    }
}
