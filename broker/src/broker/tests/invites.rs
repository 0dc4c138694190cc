//! What operators can still do about an invite that they have handed out.

use comity_identity::KeyPair;
use comity_membership::{Application, Statement};
use comity_proto::enrolment::GetInviteRequest;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Enrolment, EnrolmentState, InviteRequest, Kind, ListEnrolmentsRequest, RejectRequest};
use comity_transparency::Envelope;
use tonic::Code;
use tonic::transport::Channel;

use super::certify::start_counting;
use super::metrics::scrape;
use crate::testing::{HOUR, Logged, Scene, organisation, reason};

const ORG: &str = "org-a.example";

fn request(name: &str) -> InviteRequest {
    InviteRequest {
        trust_domain: ORG.into(),
        kind: Kind::Node.into(),
        name: name.into(),
        ttl_seconds: 3600,
        dry_run: false,
    }
}

async fn listed(operator: &mut MembershipClient<Channel>) -> Vec<Enrolment> {
    operator.list_enrolments(ListEnrolmentsRequest::default()).await.unwrap().into_inner().enrolments
}

#[tokio::test]
async fn an_invite_that_was_revoked_lets_nobody_in_and_says_why() {
    let scene = Scene::new().await;
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
    assert!(!waiting.fingerprint.is_empty() && waiting.requested_at.is_some());
    let application: Envelope = serde_json::from_slice(&waiting.application).unwrap();
    assert_eq!(Application::open(&application).unwrap().organisation, organisation(ORG));
    assert_eq!((invite.state(), &invite.id), (EnrolmentState::Open, &open.invite_id));
    assert_eq!((&invite.invited_by, invite.expires_at), (&scene.operator.id.to_string(), open.expires_at));
    assert_eq!((invite.spiffe_id.as_str(), invite.fingerprint.as_str()), ("spiffe://org-a.example/node/n1", ""));

    scene.clock.advance(HOUR / 6);
    let states: Vec<_> = listed(&mut scene.operator().await).await.iter().map(Enrolment::state).collect();
    assert_eq!(states, [EnrolmentState::Waiting], "an invite that has ended is open no more");
}

#[tokio::test]
async fn who_decides_on_a_key_sees_which_others_presented_its_invite_also_after_a_restart() {
    let scene = Scene::founded();
    start_counting(&scene).await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    assert_eq!(listed(&mut scene.operator().await).await[0].other_keys, []);
    let (thief, log) = (KeyPair::generate().unwrap(), Logged::default());
    let collecting = log.collect();
    for _ in 0..2 {
        let refused = scene.join(&invite, &thief, Some(&organisation(ORG))).await.unwrap_err();
        assert_eq!(reason(&refused), "INVITE_BOUND_TO_ANOTHER_KEY");
    }
    drop(collecting);
    let fingerprint = thief.public_key_digest().fingerprint();
    assert_eq!(log.lines_with(&fingerprint).len(), 2, "{log:?}");
    let counted = scrape(&scene).await;
    assert!(counted.contains("comity_broker_invites_contested_total 2\n"), "{counted}");
    scene.stop().await;
    scene.start().await.unwrap();
    let [waiting] = listed(&mut scene.operator().await).await.try_into().unwrap();
    let others: Vec<_> = waiting.other_keys.iter().map(|other| other.fingerprint.clone()).collect();
    assert_eq!(others, [fingerprint]);
}

#[tokio::test]
async fn who_was_admitted_waits_no_more_and_cannot_be_rejected() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    scene.approve(&invite.id_text()).await.unwrap();
    let mut operator = scene.operator().await;
    assert!(listed(&mut operator).await.is_empty());
    let reject = RejectRequest { enrolment_id: invite.id_text(), reason: "too late".into() };
    let refused = operator.reject(reject).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "MEMBER_EXISTS"));
    let joined = scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    assert!(matches!(joined, State::Issued(_)), "{joined:?}");
}

#[tokio::test]
async fn what_operators_invite_for_is_told_to_nobody_without_the_secret() {
    let scene = Scene::new().await;
    let invite = scene.invite(ORG, Kind::Node, "n1").await;
    let mut client = EnrolmentClient::new(scene.connect_to_enrol().await);
    let ask = |secret: Vec<u8>| GetInviteRequest { invite_id: invite.id_text(), secret: secret.into() };
    let told = client.get_invite(ask(invite.secret.reveal().to_vec())).await.unwrap().into_inner();
    assert_eq!(told.spiffe_id, "spiffe://org-a.example/node/n1");
    assert_eq!(told.hosted_anchor_der, scene.authority(ORG).anchor().to_vec());
    for (secret, expected) in
        [(vec![], "INVITE_UNKNOWN"), (vec![0; 32], "INVITE_UNKNOWN"), (vec![0; 31], "INVALID_FIELD")]
    {
        assert_eq!(reason(&client.get_invite(ask(secret)).await.unwrap_err()), expected);
    }
    scene.clock.advance(HOUR);
    let ended = client.get_invite(ask(invite.secret.reveal().to_vec())).await.unwrap_err();
    assert_eq!(reason(&ended), "INVITE_EXPIRED");
}

#[tokio::test]
async fn a_dry_run_of_an_invite_is_refused_as_the_invite_would_be_and_makes_none() {
    let scene = Scene::new().await;
    scene.admit("org-b.example", Kind::Node, "n1").await;
    let mut operator = scene.operator().await;
    let dry = |request: InviteRequest| InviteRequest { dry_run: true, ..request };
    let would = operator.invite(dry(request("n1"))).await.unwrap().into_inner();
    assert_eq!((would.invite.as_str(), would.invite_id.as_str()), ("", ""));
    assert!(listed(&mut operator).await.is_empty(), "nothing was made");

    let made = operator.invite(request("n1")).await.unwrap().into_inner();
    assert_eq!(would.expires_at, made.expires_at);
    let member = InviteRequest { trust_domain: "org-b.example".into(), ..request("n1") };
    let guest = InviteRequest { trust_domain: "org-b.example".into(), ..request("n2") };
    let short = InviteRequest { ttl_seconds: 59, ..request("n2") };
    for (refused, why) in [
        (request("n1"), "MEMBER_INVITED"),
        (member, "MEMBER_EXISTS"),
        (guest, "INVALID_FIELD"),
        (short, "INVALID_FIELD"),
    ] {
        let tried = operator.invite(dry(refused.clone())).await.unwrap_err();
        let meant = operator.invite(refused).await.unwrap_err();
        assert_eq!((reason(&tried).as_str(), tried.message()), (why, meant.message()));
    }
    assert_eq!(listed(&mut operator).await.len(), 1);
}

#[tokio::test]
async fn whoever_left_may_be_invited_by_a_dry_run_as_well_which_puts_nothing_away() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    scene.approve(&invite.id_text()).await.unwrap();
    let evicted = Statement::Evicted { organisation: ORG.parse().unwrap(), reason: "a test".into() };
    scene.govern(evicted).await.unwrap();
    let mut operator = scene.operator().await;
    operator.invite(InviteRequest { dry_run: true, ..request("n1") }).await.unwrap();
    let turned_down = ListEnrolmentsRequest { with_rejected: true, ..Default::default() };
    assert_eq!(operator.list_enrolments(turned_down).await.unwrap().into_inner().enrolments, []);
    operator.invite(request("n1")).await.unwrap();
}
