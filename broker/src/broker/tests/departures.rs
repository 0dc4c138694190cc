//! Who was put out or has left, and how they come back.

use comity_identity::KeyPair;
use comity_membership::Statement;
use comity_proto::enrolment::join_response::State;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, ListNodesRequest, ListOrganisationsRequest};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::standing::assert_is_refused;
use crate::testing::{Member, Scene, assert_refused, member};

const ORG: &str = "org-a.example";

async fn client(scene: &Scene, member: &Member) -> MembershipClient<Channel> {
    MembershipClient::new(scene.connect(member).await.unwrap())
}

async fn asks(client: &mut MembershipClient<Channel>) -> Result<usize, Status> {
    client.list_nodes(ListNodesRequest {}).await.map(|answer| answer.into_inner().nodes.len())
}

fn evicted() -> Statement {
    Statement::Evicted { organisation: ORG.parse().unwrap(), reason: "a breach".into() }
}

fn withdrawn(organisation: &str) -> Statement {
    Statement::OrganisationWithdrawn { organisation: organisation.parse().unwrap(), reason: "merged".into() }
}

async fn organisations(scene: &Scene) -> usize {
    let list = scene.operator().await.list_organisations(ListOrganisationsRequest {}).await.unwrap();
    list.into_inner().organisations.len()
}

#[tokio::test]
async fn an_evicted_organisation_is_refused_from_the_next_request_and_the_next_handshake_on() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let mut open = client(&scene, &node).await;
    let epoch = scene.govern(evicted()).await.unwrap();
    let refused = asks(&mut open).await.unwrap_err();
    assert!(refused.message().contains("a breach") && refused.message().contains(&epoch.to_string()), "{refused}");
    assert_refused(asks(&mut open).await, Code::PermissionDenied, "EVICTED");
    assert_is_refused(&scene, &node).await;
    assert_eq!(organisations(&scene).await, 0);
    // TLS tells them nothing: whoever has the key may ask.
    let told = scene.certify(&node.key).await.unwrap_err();
    assert!(told.message().contains("a breach"), "{told}");
    assert_refused(Err::<(), _>(told), Code::PermissionDenied, "EVICTED");
    let said = scene.say_of(ORG, withdrawn(ORG)).await;
    assert_refused(said, Code::NotFound, "NOT_A_MEMBER");
    assert_refused(scene.govern(evicted()).await, Code::NotFound, "NOT_A_MEMBER");
    scene.stop().await;
    scene.start().await.unwrap();
    assert_is_refused(&scene, &node).await;
}

#[tokio::test]
async fn who_was_evicted_comes_back_by_being_admitted_anew_and_its_former_members_do_not() {
    let scene = Scene::new().await;
    let former = scene.admit(ORG, Kind::Node, "n1").await;
    scene.govern(evicted()).await.unwrap();
    let back = scene.admit(ORG, Kind::Node, "n2").await;
    assert_eq!(asks(&mut client(&scene, &back).await).await.unwrap(), 1);
    let asked = asks(&mut client(&scene, &former).await).await;
    assert_refused(asked, Code::PermissionDenied, "UNKNOWN_MEMBER");
}

#[tokio::test]
async fn an_organisation_leaves_by_its_own_word_and_by_nobody_elses() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let mut open = client(&scene, &node).await;
    for signer in [&scene.operator.key, &node.key] {
        let refused = scene.say(withdrawn(ORG), &[signer]).await;
        assert_refused(refused, Code::PermissionDenied, "SIGNATURE_REFUSED");
    }
    let refused = scene.say(evicted(), &[&*scene.key_of(ORG)]).await;
    assert_refused(refused, Code::PermissionDenied, "SIGNATURE_REFUSED");
    assert_eq!(asks(&mut open).await.unwrap(), 1);
    scene.say_of(ORG, withdrawn(ORG)).await.unwrap();
    assert_refused(asks(&mut open).await, Code::PermissionDenied, "WITHDRAWN");
    assert_is_refused(&scene, &node).await;
    let back = scene.admit(ORG, Kind::Node, "n2").await;
    assert_eq!(asks(&mut client(&scene, &back).await).await.unwrap(), 1);
}

#[tokio::test]
async fn a_member_that_was_withdrawn_is_out_and_its_name_is_free_for_another_key() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let former = scene.admit(ORG, Kind::Node, "n2").await;
    let mut open = client(&scene, &former).await;
    let statement = || Statement::MemberWithdrawn { id: former.id.clone(), reason: "sold".into() };
    let refused = scene.govern(statement()).await;
    assert_refused(refused, Code::PermissionDenied, "SIGNATURE_REFUSED");
    scene.say_of(ORG, statement()).await.unwrap();
    assert_refused(asks(&mut open).await, Code::PermissionDenied, "WITHDRAWN");
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n2").await, KeyPair::generate().unwrap());
    let State::Issued(issued) = scene.join(&invite, &key, None).await.unwrap() else { panic!("not issued") };
    assert_eq!(asks(&mut client(&scene, &member(&issued, key)).await).await.unwrap(), 2);
    assert_refused(asks(&mut open).await, Code::PermissionDenied, "KEY_NOT_ADMITTED");
}
