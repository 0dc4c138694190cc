//! What the edge promises beside the table of who may call what.

use comity_membership::Statement;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, ListNodesRequest};
use comity_proto::metadata::REQUEST_ID;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::testing::{DEADLINE, Scene, reason};

const ORG: &str = "org-a.example";

/// Calls any method with an empty message, and waits for the head of its answer or for its refusal.
pub(super) async fn call(channel: &Channel, path: &'static str) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let answer = grpc.server_streaming(Request::new(()), PathAndQuery::from_static(path), codec);
    tokio::time::timeout(DEADLINE, answer).await.expect("an answer begins").map(drop)
}

#[tokio::test]
async fn a_method_without_a_row_is_refused() {
    let scene = Scene::new().await;
    let channel = scene.connect(&scene.operator).await.unwrap();
    let refused = call(&channel, "/comity.membership.v1.Membership/Dissolve").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_node_publishes_for_itself_alone_and_again_is_the_same_as_once() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let address = "n1.org-a.example:7444";
    let epoch = scene.publish(&node, address, vec![]).await.unwrap();
    assert_eq!(scene.publish(&node, address, vec![]).await.unwrap(), epoch);
    let mut client = MembershipClient::new(scene.connect(&node).await.unwrap());
    let nodes = client.list_nodes(ListNodesRequest {}).await.unwrap().into_inner().nodes;
    assert_eq!(nodes[0].address, address);

    let other = scene.admit(ORG, Kind::Node, "n2").await;
    let foreign = Statement::OffersPublished { node: other.id.clone(), address: address.into(), offers: vec![] };
    let refused = scene.submit(&node, &scene.signed(foreign.clone(), &[&node.key])).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "SIGNATURE_REFUSED"));
    // Who carries it does not count, but who signed it; an organisation may speak for its nodes.
    scene.submit(&node, &scene.signed(foreign, &[&*scene.key_of(ORG)])).await.unwrap();
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let scene = Scene::new().await;
    let mut operator = scene.operator().await;
    let mut id =
        async || operator.list_nodes(ListNodesRequest {}).await.unwrap().metadata().get(REQUEST_ID).unwrap().clone();
    let (first, second) = (id().await, id().await);
    assert_eq!(first.len(), 16);
    assert_ne!(first, second);
}

#[tokio::test]
async fn beyond_its_organisations_places_a_call_is_shed() {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.limits.in_flight_per_organisation = 1;
    scene.start_with(config).await.unwrap();
    let channel = scene.connect(&scene.operator).await.unwrap();
    let mut client = MembershipClient::new(channel);
    let watching = client.watch(comity_proto::membership::WatchRequest { after_epoch: 0 }).await.unwrap();
    let shed = client.list_nodes(ListNodesRequest {}).await.unwrap_err();
    assert_eq!((shed.code(), reason(&shed).as_str()), (Code::ResourceExhausted, "ORGANISATION_BUSY"));
    drop(watching);
    let freed = async {
        while client.list_nodes(ListNodesRequest {}).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, freed).await.expect("the place comes back when the stream is dropped");
}
