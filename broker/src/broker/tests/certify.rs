//! Certificates for keys that are admitted, whatever became of the last one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{Authority, KeyPair};
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::enrolment::{CertifyRequest, GetInviteRequest, JoinRequest, RenewRequest};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, ListNodesRequest};
use comity_types::Clock as _;
use tonic::Code;

use super::standing::assert_is_refused;
use crate::testing::{
    HOUR, Member, Scene, assert_refused, copy_of, csr, issued_by, json, member, member_id, organisation,
};

const ORG: &str = "org-a.example";

async fn gets_in(scene: &Scene, member: &Member) {
    let mut client = MembershipClient::new(scene.connect(member).await.unwrap());
    client.list_nodes(ListNodesRequest {}).await.unwrap();
}

#[tokio::test]
async fn an_admitted_key_gets_a_certificate_after_the_old_one_has_ended() {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.leaf.node = HOUR;
    scene.start_with(config).await.unwrap();
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    scene.clock.advance(2 * HOUR);
    assert_is_refused(&scene, &node).await;
    let issued = scene.certify(&node.key).await.unwrap();
    assert_eq!((issued.spiffe_id.as_str(), issued.organisation_anchors_der.len()), (node.id.as_str(), 1));
    gets_in(&scene, &member(&issued, node.key)).await;
}

#[tokio::test]
async fn operators_of_the_federation_get_theirs_in_the_same_way() {
    let scene = Scene::new().await;
    let issued = scene.certify(&scene.operator.key).await.unwrap();
    assert_eq!(issued.spiffe_id, scene.operator.id.as_str());
    gets_in(&scene, &member(&issued, copy_of(&scene.operator.key))).await;
}

#[tokio::test]
async fn who_is_suspended_or_was_never_admitted_gets_none() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    assert_refused(scene.certify(&KeyPair::generate().unwrap()).await, Code::NotFound, "KEY_NOT_ADMITTED");
    for subject in [ORG, node.id.as_str()] {
        scene.suspend(subject).await;
        assert_refused(scene.certify(&node.key).await, Code::PermissionDenied, "NOT_ACTIVE");
        scene.lift(subject).await;
    }
    let mut client = EnrolmentClient::new(scene.connect_to_enrol().await);
    let nonsense = client.certify(CertifyRequest { csr_der: vec![1, 2, 3].into() }).await;
    assert_refused(nonsense, Code::InvalidArgument, "INVALID_FIELD");
    // The key of the organisation signs statements; it is no member's.
    assert_refused(scene.certify(&scene.key_of(ORG)).await, Code::NotFound, "KEY_NOT_ADMITTED");
}

#[tokio::test]
async fn an_organisation_with_an_authority_of_its_own_is_left_to_sign() {
    let scene = Scene::new().await;
    let own = Authority::generate(ORG.parse().unwrap(), scene.clock.now()).unwrap();
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    let id = member_id(ORG, Kind::Node, "n1");
    let anchors = vec![STANDARD.encode(own.anchor())];
    // Who asks what an invite is for is told of an authority that could be hosted.
    let question = GetInviteRequest { invite_id: invite.id_text(), secret: invite.secret.reveal().to_vec().into() };
    EnrolmentClient::new(scene.connect_to_enrol().await).get_invite(question).await.unwrap();
    let application = scene.application(&invite, &organisation(ORG), Default::default(), id.clone(), &key, anchors);
    let request = JoinRequest {
        invite_id: invite.id_text(),
        secret: invite.secret.reveal().to_vec().into(),
        csr_der: csr(&key).into(),
        application: json(&application),
        kinds: vec![Kind::Node.into()],
        admission: Vec::new().into(),
    };
    let join = async || {
        let mut client = EnrolmentClient::new(scene.connect_to_enrol().await);
        client.join(request.clone()).await.unwrap().into_inner().state.unwrap()
    };
    assert!(matches!(join().await, State::Pending(_)));
    scene.approve(&invite.id_text()).await.unwrap();
    let State::Issued(joined) = join().await else { panic!("not admitted") };
    let node = issued_by(&own, id.as_str(), &key, scene.clock.now());
    gets_in(&scene, &node).await;
    let request = RenewRequest { csr_der: csr(&key).into() };
    let mut client = EnrolmentClient::new(scene.connect(&node).await.unwrap());
    let renewed = client.renew(request).await.unwrap().into_inner().issued.unwrap();
    for issued in [joined, scene.certify(&key).await.unwrap(), renewed] {
        assert!(issued.certificate_chain_der.is_empty() && issued.not_after.is_none(), "{issued:?}");
        assert_eq!(
            (issued.spiffe_id, issued.organisation_anchors_der),
            (id.to_string(), vec![own.anchor().to_vec().into()])
        );
    }
    // What the broker would sign in its name counts for nothing.
    assert_is_refused(&scene, &issued_by(&scene.authority(ORG), id.as_str(), &key, scene.clock.now())).await;
}

#[tokio::test]
async fn a_suspended_certificate_is_not_replaced_by_the_invite_that_its_key_once_joined_by() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    let join = async || scene.join(&invite, &key, Some(&organisation(ORG))).await;
    join().await.unwrap();
    scene.approve(&invite.id_text()).await.unwrap();
    let State::Issued(issued) = join().await.unwrap() else { panic!("not issued") };
    let subject = member(&issued, copy_of(&key)).certificate_subject().to_string();
    scene.suspend(&subject).await;
    assert_refused(join().await, Code::PermissionDenied, "CERTIFICATE_SUSPENDED");
    scene.lift(&subject).await;
    join().await.unwrap();
}

#[tokio::test]
async fn an_authority_that_vouches_for_nobody_is_refused_before_an_operator_sees_it_and_spends_no_invite() {
    let scene = Scene::new().await;
    let own = Authority::generate(ORG.parse().unwrap(), scene.clock.now()).unwrap();
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    let id = member_id(ORG, Kind::Node, "n1");
    let leaf = issued_by(&own, id.as_str(), &key, scene.clock.now()).chain[0].clone();
    let join = async |anchor: &[u8]| {
        let anchors = vec![STANDARD.encode(anchor)];
        let application = scene.application(&invite, &organisation(ORG), Default::default(), id.clone(), &key, anchors);
        let request = JoinRequest {
            invite_id: invite.id_text(),
            secret: invite.secret.reveal().to_vec().into(),
            csr_der: csr(&key).into(),
            application: json(&application),
            kinds: vec![Kind::Node.into()],
            admission: Vec::new().into(),
        };
        EnrolmentClient::new(scene.connect_to_enrol().await).join(request).await
    };
    assert_refused(join(&leaf).await, Code::InvalidArgument, "INVALID_FIELD");
    assert_refused(join(b"no certificate").await, Code::InvalidArgument, "INVALID_FIELD");
    join(&own.anchor()).await.unwrap();
}
