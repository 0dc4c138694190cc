//! A whole broker, as its members call it, with nodes that do what a script says.

use comity_identity::StaticAnchors;
use comity_policy::Offer;
use comity_proto::inference::{ChatPayload, ChatRequest, ChatStreamRequest};
use comity_proto::membership::Kind;
use comity_proto::{inference, policy};
use comity_types::SpiffeId;

use super::node::{Node, Script};
use super::world::{MODEL, PURPOSE, offer};
use crate::testing::Scene;

/// Brings a node `n1` of a new organisation in, which processes in `place`, for `price`.
pub(crate) async fn node(scene: &Scene, domain: &str, place: &str, price: u64, script: Script) -> Node {
    node_of(scene, domain, script, |id| offer(id, place, price)).await
}

/// The same, with another offer.
pub(crate) async fn node_of(
    scene: &Scene,
    domain: &str,
    script: Script,
    offer: impl FnOnce(&SpiffeId) -> Offer,
) -> Node {
    let member = scene.admit(domain, Kind::Node, "n1").await;
    let trusted: StaticAnchors = [scene.root.organisation_anchors().unwrap()].into_iter().collect();
    let node =
        Node::start_with_clock(member.id.clone(), member.credentials(), trusted, script, scene.clock.clone()).await;
    let offers = vec![offer(&node.id)];
    scene.publish(&member, &node.address, offers).await.unwrap();
    node
}

/// An envelope that the offers of [`node`] are eligible for, if they process where `requirements` say.
pub(crate) fn envelope(requirements: policy::Requirements) -> inference::Envelope {
    let requirements = Some(requirements);
    inference::Envelope { model: MODEL.into(), requirements, purposes: vec![PURPOSE.into()], ..Default::default() }
}

pub(crate) fn chat(requirements: policy::Requirements) -> ChatRequest {
    ChatRequest { envelope: Some(envelope(requirements)), payload: Some(ChatPayload::default()) }
}

pub(crate) fn chat_stream(requirements: policy::Requirements) -> ChatStreamRequest {
    ChatStreamRequest { envelope: Some(envelope(requirements)), payload: Some(ChatPayload::default()) }
}
