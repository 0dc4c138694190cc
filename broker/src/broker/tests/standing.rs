//! Who gets in, and who no longer does.

use comity_identity::tls::{client_config, enrolment_client_config};
use comity_identity::{Authority, KeyPair};
use comity_membership::{By, Statement};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, ListNodesRequest, ListOrganisationsRequest, WatchRequest};
use comity_types::Clock as _;
use tonic::{Code, Status};

use crate::testing::{DEADLINE, Member, Scene, issued_by, reason, suspended};

const ORG: &str = "org-a.example";

async fn list_nodes(scene: &Scene, member: &Member) -> Result<usize, Status> {
    let mut client = MembershipClient::new(scene.connect(member).await.unwrap());
    client.list_nodes(ListNodesRequest {}).await.map(|response| response.into_inner().nodes.len())
}

#[tokio::test]
async fn a_strangers_certificate_is_refused_in_the_handshake() {
    let scene = Scene::new().await;
    let stranger = Authority::generate("stranger.example".parse().unwrap(), scene.clock.now()).unwrap();
    let stranger =
        issued_by(&stranger, "spiffe://stranger.example/node/n1", &KeyPair::generate().unwrap(), scene.clock.now());
    assert_is_refused(&scene, &stranger).await;
}

#[tokio::test]
async fn an_authority_of_ones_own_with_anothers_name_is_refused_in_the_handshake() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let impostor = Authority::generate(ORG.parse().unwrap(), scene.clock.now()).unwrap();
    assert_is_refused(&scene, &issued_by(&impostor, node.id.as_str(), &node.key, scene.clock.now())).await;
}

/// In TLS 1.3 the client learns of it with its first request at the latest.
pub(super) async fn assert_is_refused(scene: &Scene, member: &Member) {
    let Ok(channel) = scene.connect(member).await else { return };
    let refused = MembershipClient::new(channel).list_nodes(ListNodesRequest {}).await.unwrap_err();
    assert!(matches!(refused.code(), Code::Unavailable | Code::Unknown | Code::Internal), "{refused:?}");
    assert!(
        comity_proto::error::Detail::of(&refused).is_none(),
        "the refusal is not the edge's but the handshake's: {refused:?}"
    );
}

#[tokio::test]
async fn whoever_was_never_admitted_is_refused_though_its_organisation_vouches_for_it() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let unknown = issued_by(
        &scene.authority(ORG),
        "spiffe://org-a.example/node/n2",
        &KeyPair::generate().unwrap(),
        scene.clock.now(),
    );
    let refused = list_nodes(&scene, &unknown).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "UNKNOWN_MEMBER"));
}

#[tokio::test]
async fn a_certificate_for_a_key_that_was_not_admitted_is_refused() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let other_key =
        issued_by(&scene.authority(ORG), node.id.as_str(), &KeyPair::generate().unwrap(), scene.clock.now());
    let refused = list_nodes(&scene, &other_key).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "KEY_NOT_ADMITTED"));
    let same_key = issued_by(&scene.authority(ORG), node.id.as_str(), &node.key, scene.clock.now());
    assert_eq!(list_nodes(&scene, &same_key).await.unwrap(), 1);
}

#[tokio::test]
async fn the_enrolment_protocol_is_for_enrolment_alone() {
    let scene = Scene::new().await;
    let mut client = MembershipClient::new(scene.connect_to_enrol().await);
    let refused = client.list_nodes(ListNodesRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "NO_CERTIFICATE"));
}

#[tokio::test]
async fn without_a_certificate_the_protocol_of_members_is_refused_in_the_handshake() {
    let scene = Scene::new().await;
    let anchors = || std::sync::Arc::new(scene.root.organisation_anchors().unwrap());
    let mut tls =
        (*enrolment_client_config(scene.root.broker.clone(), anchors(), scene.clock.clone()).unwrap()).clone();
    tls.alpn_protocols =
        client_config(scene.operator.credentials(), scene.root.broker.clone(), anchors(), scene.clock.clone())
            .unwrap()
            .alpn_protocols
            .clone();
    let Ok(channel) = scene.dial(tls.into()).await else { return };
    let refused = MembershipClient::new(channel).list_nodes(ListNodesRequest {}).await.unwrap_err();
    assert!(comity_proto::error::Detail::of(&refused).is_none(), "{refused:?}");
}

/// What the `ErrorInfo` of a refusal says under this name.
fn told(status: &Status, name: &str) -> String {
    let mut metadata = comity_proto::error::Detail::of(status).unwrap().metadata;
    metadata.remove(name).unwrap_or_default()
}

#[tokio::test]
async fn a_suspension_reaches_connections_that_are_open_and_ends_when_it_is_lifted() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let mut open = MembershipClient::new(scene.connect(&node).await.unwrap());
    for (subject, code) in [(ORG, "ORGANISATION_SUSPENDED"), (node.id.as_str(), "MEMBER_SUSPENDED")] {
        assert!(open.list_nodes(ListNodesRequest {}).await.is_ok());
        let epoch = scene.suspend(subject).await;
        let refused = open.list_nodes(ListNodesRequest {}).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, code));
        assert!(
            refused.message().contains("an incident") && refused.message().contains(&epoch.to_string()),
            "{refused}"
        );
        assert_eq!(told(&refused, "epoch"), epoch.to_string(), "programs read it too");
        assert_eq!(
            reason(&list_nodes(&scene, &node).await.unwrap_err()),
            code,
            "on a new connection as on the old one"
        );
        let again = scene.govern(suspended(subject, By::Federation)).await.unwrap_err();
        assert_eq!(reason(&again), "STATEMENT_REFUSED");
        scene.lift(subject).await;
    }
    assert!(open.list_nodes(ListNodesRequest {}).await.is_ok());
}

#[tokio::test]
async fn whoever_watches_sees_each_statement_and_is_cut_off_by_its_own_suspension() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let mut client = MembershipClient::new(scene.connect(&node).await.unwrap());
    let mut watched = client.watch(WatchRequest { after_epoch: 1 }).await.unwrap().into_inner();
    let mut next = async || loop {
        let part = tokio::time::timeout(DEADLINE, watched.message()).await.unwrap()?.unwrap();
        if part.checkpoint.is_empty() {
            return Ok::<_, Status>(comity_membership::Entry::from_json(&part.entry).unwrap().epoch);
        }
    };
    assert_eq!(next().await.unwrap(), 2);
    scene.admit("org-b.example", Kind::Node, "n1").await;
    assert_eq!(next().await.unwrap(), 3);
    let epoch = scene.suspend(ORG).await;
    let cut = next().await.unwrap_err();
    assert_eq!((cut.code(), reason(&cut).as_str()), (Code::PermissionDenied, "ORGANISATION_SUSPENDED"));
    assert_eq!(told(&cut, "epoch"), epoch.to_string());
}

#[tokio::test]
async fn suspending_whoever_is_no_member_is_refused_and_so_is_the_last_operator() {
    let scene = Scene::new().await;
    for (member, code, expected) in [
        ("org-z.example", Code::NotFound, "NOT_A_MEMBER"),
        (scene.operator.id.as_str(), Code::FailedPrecondition, "STATEMENT_REFUSED"),
    ] {
        let refused = scene.govern(suspended(member, By::Federation)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (code, expected), "{refused}");
    }
    scene.admit(ORG, Kind::Node, "n1").await;
    for text in [String::new(), "x".repeat(1025), "turned \u{202e} around".into()] {
        let subject = ORG.parse().unwrap();
        let statement = Statement::Suspended { subject, reason: text, by: By::Federation };
        let refused = scene.govern(statement).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{refused}");
    }
    let mut operator = scene.operator().await;
    assert!(operator.list_organisations(ListOrganisationsRequest {}).await.is_ok());
}
