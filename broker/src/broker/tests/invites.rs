//! What operators can still do about an invite that they have handed out.

use comity_identity::KeyPair;
use comity_proto::enrolment::join_response::State;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{
    Enrolment, EnrolmentState, InviteRequest, Kind, LiftRequest, ListEnrolmentsRequest, RejectRequest, SuspendRequest,
};
use tonic::Code;
use tonic::transport::Channel;

use crate::testing::{HOUR, Scene, organisation, reason};

const ORG: &str = "org-a.example";

fn request(name: &str) -> InviteRequest {
    InviteRequest { trust_domain: ORG.into(), kind: Kind::Node.into(), name: name.into(), ttl_seconds: 3600 }
}

async fn listed(operator: &mut MembershipClient<Channel>) -> Vec<Enrolment> {
    operator.list_enrolments(ListEnrolmentsRequest {}).await.unwrap().into_inner().enrolments
}

#[tokio::test]
async fn an_invite_that_was_revoked_lets_nobody_in_and_says_why() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n2").await, KeyPair::generate().unwrap());
    let reject = RejectRequest { enrolment_id: invite.id_text(), reason: "sent to the wrong person".into() };
    let mut operator = scene.operator().await;
    operator.reject(reject.clone()).await.unwrap();
    for key in [&key, &KeyPair::generate().unwrap()] {
        let State::Rejected(rejected) = scene.join(&invite, key, None).await.unwrap() else { panic!("not rejected") };
        assert_eq!(rejected.reason, "sent to the wrong person");
    }
    assert!(listed(&mut operator).await.is_empty());
    let again = operator.reject(reject).await.unwrap_err();
    assert_eq!((again.code(), reason(&again).as_str()), (Code::FailedPrecondition, "ENROLMENT_STATE"), "{again}");
}

#[tokio::test]
async fn a_name_that_is_invited_already_can_be_invited_again_once_its_invite_is_revoked() {
    let scene = Scene::new().await;
    let mut operator = scene.operator().await;
    let first = operator.invite(request("n1")).await.unwrap().into_inner();
    let refused = operator.invite(request("n1")).await.unwrap_err();
    assert_eq!(reason(&refused), "MEMBER_INVITED");
    assert!(refused.message().contains(&format!("comity reject {} --reason", first.invite_id)), "{refused}");
    let reject = RejectRequest { enrolment_id: first.invite_id, reason: "lost".into() };
    operator.reject(reject).await.unwrap();
    operator.invite(request("n1")).await.unwrap();
}

#[tokio::test]
async fn operators_see_open_invites_beside_what_waits_for_them() {
    let scene = Scene::new().await;
    let mut operator = scene.operator().await;
    let short = InviteRequest { ttl_seconds: 600, ..request("n1") };
    let open = operator.invite(short).await.unwrap().into_inner();
    let taken = scene.invite(ORG, Kind::Node, "n2").await;
    scene.join(&taken, &KeyPair::generate().unwrap(), Some(&organisation(ORG))).await.unwrap();

    let [waiting, invite] = listed(&mut operator).await.try_into().unwrap();
    assert_eq!((waiting.state(), waiting.id), (EnrolmentState::Waiting, taken.id_text()));
    assert!(!waiting.fingerprint.is_empty() && waiting.requested_at.is_some() && waiting.organisation.is_some());
    assert_eq!((invite.state(), &invite.id), (EnrolmentState::Open, &open.invite_id));
    assert_eq!((&invite.invited_by, invite.expires_at), (&scene.operator.id.to_string(), open.expires_at));
    assert_eq!((invite.spiffe_id.as_str(), invite.fingerprint.as_str()), ("spiffe://org-a.example/node/n1", ""));

    scene.clock.advance(HOUR / 6);
    let states: Vec<_> = listed(&mut scene.operator().await).await.iter().map(Enrolment::state).collect();
    assert_eq!(states, [EnrolmentState::Waiting], "an invite that has ended is open no more");
}

#[tokio::test]
async fn an_invite_counts_as_long_as_its_operator_takes_part() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let bob = scene.admit("fed.example", Kind::Operator, "bob").await;
    let mut inviting = MembershipClient::new(scene.connect(&bob).await.unwrap());
    let [first, second] = [request("n2"), request("n3")];
    let first = inviting.invite(first).await.unwrap().into_inner().invite.parse().unwrap();
    let second = inviting.invite(second).await.unwrap().into_inner().invite.parse().unwrap();
    let (key, other_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());

    let mut ada = scene.operator().await;
    ada.suspend(SuspendRequest { member: bob.id.to_string(), reason: "left".into() }).await.unwrap();
    let waiting = scene.join(&first, &key, None).await.unwrap();
    assert!(matches!(waiting, State::Pending(_)), "let in by an operator that is suspended: {waiting:?}");

    ada.lift(LiftRequest { member: bob.id.to_string() }).await.unwrap();
    for (invite, key) in [(&first, &key), (&second, &other_key)] {
        let joined = scene.join(invite, key, None).await.unwrap();
        assert!(matches!(joined, State::Issued(_)), "{joined:?}");
    }
}
