//! From an invite to a certificate.

use comity_identity::KeyPair;
use comity_membership::Statement;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::enrolment::{GetRootRequest, RenewRequest};
use comity_proto::error::Detail;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::submit_response::Outcome;
use comity_proto::membership::{
    InviteRequest, Kind, ListAppsRequest, ListEnrolmentsRequest, ListNodesRequest, ListOrganisationsRequest,
    RejectRequest,
};
use comity_types::Digest;
use tonic::Code;

use crate::testing::{HOUR, Scene, assert_refused, copy_of, csr, member, organisation, reason};

const ORG: &str = "org-a.example";

#[tokio::test]
async fn a_new_organisation_waits_until_operators_approve_and_its_node_gets_in() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());

    let State::Pending(pending) = scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap() else {
        panic!("not pending")
    };
    assert_eq!(pending.fingerprint, key.public_key_digest().fingerprint());
    let mut operator = scene.operator().await;
    let waiting = operator.list_enrolments(ListEnrolmentsRequest::default()).await.unwrap().into_inner().enrolments;
    assert_eq!(
        (waiting.len(), &waiting[0].fingerprint, waiting[0].spiffe_id.as_str()),
        (1, &pending.fingerprint, "spiffe://org-a.example/node/n1")
    );
    assert!(
        operator.list_organisations(ListOrganisationsRequest {}).await.unwrap().into_inner().organisations.is_empty()
    );

    let application = scene.waiting_application(&pending.enrolment_id).await;
    let admitted = scene.signed(Statement::OrganisationAdmitted { application }, &[&scene.operator.key]);
    for _ in 0..2 {
        let epoch = scene.submit(&scene.operator, &admitted).await.unwrap();
        assert_eq!(
            epoch,
            Outcome::Epoch(2),
            "the founding and the organisation with its node; said twice, it stands once"
        );
    }

    let State::Issued(issued) = scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap() else {
        panic!("not issued")
    };
    let node = member(&issued, key);
    let mut members = MembershipClient::new(scene.connect(&node).await.unwrap());
    let nodes = members.list_nodes(ListNodesRequest {}).await.unwrap().into_inner();
    assert_eq!(
        (nodes.nodes[0].spiffe_id.as_str(), nodes.nodes[0].link.as_str(), nodes.epoch),
        ("spiffe://org-a.example/node/n1", "idle", 2)
    );
    let organisations =
        members.list_organisations(ListOrganisationsRequest {}).await.unwrap().into_inner().organisations;
    assert_eq!((organisations[0].nodes, organisations[0].apps), (1, 0));
}

#[tokio::test]
async fn members_of_an_organisation_that_takes_part_need_no_second_approval() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let (invite, key) = (scene.invite(ORG, Kind::App, "chat").await, KeyPair::generate().unwrap());
    let State::Issued(issued) = scene.join(&invite, &key, None).await.unwrap() else { panic!("not issued") };
    let mut app = MembershipClient::new(scene.connect(&member(&issued, key)).await.unwrap());
    let apps = app.list_apps(ListAppsRequest {}).await.unwrap().into_inner().apps;
    assert_eq!(apps.iter().map(|app| app.spiffe_id.as_str()).collect::<Vec<_>>(), ["spiffe://org-a.example/app/chat"]);
}

#[tokio::test]
async fn an_invite_for_another_kind_of_program_is_refused_and_can_still_be_taken_up_elsewhere() {
    let scene = Scene::new().await;
    let invite = scene.invite(ORG, Kind::Node, "n1").await;
    let (app, node) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let facts = organisation(ORG);
    let refused = scene.join_as(&[Kind::App, Kind::Operator], &invite, &app, Some(&facts)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "INVITE_OF_ANOTHER_KIND"));
    assert!(refused.message().contains("spiffe://org-a.example/node/n1"), "{refused}");
    let taken = scene.join_as(&[Kind::Node], &invite, &node, Some(&facts)).await.unwrap();
    assert!(matches!(taken, State::Pending(_)), "{taken:?}");
}

#[tokio::test]
async fn what_an_invite_is_for_is_told_to_nobody_without_its_secret() {
    let scene = Scene::new().await;
    let mut invite = scene.invite(ORG, Kind::Node, "n1").await;
    invite.secret = comity_types::Secret::new([0; 32]);
    let refused = scene.join_as(&[Kind::App], &invite, &KeyPair::generate().unwrap(), None).await.unwrap_err();
    assert_eq!(reason(&refused), "INVITE_UNKNOWN");
}

#[tokio::test]
async fn a_program_that_does_not_say_what_it_can_become_is_refused() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    for kinds in [&[][..], &[Kind::Unspecified], &[Kind::Node; 4]] {
        let refused = scene.join_as(kinds, &invite, &key, None).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{kinds:?}");
        assert!(refused.message().starts_with("kinds: "), "{refused}");
    }
}

#[tokio::test]
async fn a_second_request_of_a_new_organisation_waits_for_an_approval_of_its_own() {
    let scene = Scene::new().await;
    let (first, key) = (scene.invite(ORG, Kind::App, "x").await, KeyPair::generate().unwrap());
    let (second, other_key) = (scene.invite(ORG, Kind::App, "y").await, KeyPair::generate().unwrap());
    let mut other_facts = organisation(ORG);
    other_facts.name = "somebody else".into();
    let State::Pending(pending) = scene.join(&first, &key, Some(&organisation(ORG))).await.unwrap() else {
        panic!("not pending")
    };
    let State::Pending(other) = scene.join(&second, &other_key, Some(&other_facts)).await.unwrap() else {
        panic!("not pending")
    };
    scene.approve(&pending.enrolment_id).await.unwrap();
    let again = scene.join(&second, &other_key, Some(&other_facts)).await.unwrap();
    assert!(matches!(again, State::Pending(_)), "it got in by the approval of another request");
    let refused = scene.approve(&other.enrolment_id).await.unwrap_err();
    assert_eq!(reason(&refused), "MEMBER_EXISTS", "facts that differ from those that were admitted were approved");
}

#[tokio::test]
async fn operators_invite_nobody_into_an_organisation_that_is_a_member_suspended_or_not() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    let (early, key) = (scene.invite("org-b.example", Kind::App, "early").await, KeyPair::generate().unwrap());
    scene.admit("org-b.example", Kind::App, "first").await;
    let request = InviteRequest {
        trust_domain: ORG.into(),
        kind: Kind::App.into(),
        name: "b".into(),
        ttl_seconds: 3600,
        dry_run: false,
    };
    let refuses = async || {
        let refused = scene.operator().await.invite(request.clone()).await.unwrap_err();
        assert_eq!((refused.code(), refused.message().contains("trust_domain")), (Code::InvalidArgument, true));
    };
    refuses().await;
    scene.suspend(ORG).await;
    refuses().await;
    let refused = scene.join(&early, &key, Some(&organisation("org-b.example"))).await.unwrap_err();
    assert!(refused.message().contains("invites its own nodes"), "an operators' invite from before: {refused}");
}

#[tokio::test]
async fn a_second_operator_governs_as_the_first_does() {
    let scene = Scene::new().await;
    let second = scene.admit("fed.example", Kind::Operator, "bob").await;
    let mut second = MembershipClient::new(scene.connect(&second).await.unwrap());
    assert!(second.list_enrolments(ListEnrolmentsRequest::default()).await.is_ok());
}

#[tokio::test]
async fn a_reply_that_was_lost_is_had_again_even_after_a_restart() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    let join = async || scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    join().await;
    scene.approve(&invite.id_text()).await.unwrap();
    for _ in 0..2 {
        for _ in 0..2 {
            let State::Issued(issued) = join().await else { panic!("not issued") };
            let node = member(&issued, copy_of(&key));
            assert!(
                MembershipClient::new(scene.connect(&node).await.unwrap())
                    .list_nodes(ListNodesRequest {})
                    .await
                    .is_ok()
            );
        }
        scene.stop().await;
        scene.start().await.unwrap();
    }
}

#[tokio::test]
async fn an_invite_belongs_to_the_first_key_that_presents_it() {
    let scene = Scene::new().await;
    let invite = scene.invite(ORG, Kind::Node, "n1").await;
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    scene.join(&invite, &first, Some(&organisation(ORG))).await.unwrap();
    let refused = scene.join(&invite, &second, Some(&organisation(ORG))).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "INVITE_BOUND_TO_ANOTHER_KEY"));
    assert!(refused.message().contains(&first.public_key_digest().fingerprint()), "{refused}");
}

#[tokio::test]
async fn an_invite_that_has_ended_is_refused() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    scene.clock.advance(HOUR);
    let refused = scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "INVITE_EXPIRED"));
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_invite_look_alike() {
    let scene = Scene::new().await;
    let (mut invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    invite.secret = comity_types::Secret::new([0; 32]);
    let wrong_secret = scene.join(&invite, &key, None).await.unwrap_err();
    invite.id = [0; 16];
    let unknown = scene.join(&invite, &key, None).await.unwrap_err();
    assert_eq!((wrong_secret.code(), wrong_secret.message()), (unknown.code(), unknown.message()));
    assert_eq!(reason(&unknown), "INVITE_UNKNOWN");
}

#[tokio::test]
async fn a_rejected_member_learns_why() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    let reject = RejectRequest { enrolment_id: invite.id_text(), reason: "not this year".into() };
    scene.operator().await.reject(reject).await.unwrap();
    let State::Rejected(rejected) = scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap() else {
        panic!("not rejected")
    };
    assert_eq!(rejected.reason, "not this year");
    // Also who comes back with papers that were mended, which is what a reason is for.
    let mut mended = organisation(ORG);
    mended.name = "another name".into();
    let State::Rejected(again) = scene.join(&invite, &key, Some(&mended)).await.unwrap() else {
        panic!("not rejected")
    };
    assert_eq!(again.reason, "not this year");
    // Also after the invite has ended: it was in time.
    scene.clock.advance(2 * HOUR);
    let State::Rejected(later) = scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap() else {
        panic!("not rejected")
    };
    assert_eq!(later.reason, "not this year");
    let other = scene.join(&invite, &KeyPair::generate().unwrap(), Some(&organisation(ORG))).await;
    assert_refused(other, Code::PermissionDenied, "INVITE_BOUND_TO_ANOTHER_KEY");
}

#[tokio::test]
async fn whoever_waits_is_let_in_by_the_same_invite_after_it_has_ended() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    scene.clock.advance(2 * HOUR);
    let waits = scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    assert!(matches!(waits, State::Pending(_)), "{waits:?}");
    scene.approve(&invite.id_text()).await.unwrap();
    let admitted = scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    assert!(matches!(admitted, State::Issued(_)), "{admitted:?}");
}

#[tokio::test]
async fn a_new_organisation_has_to_state_its_own_facts() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    for (facts, expected) in
        [(None, "application: missing"), (Some(organisation("org-b.example")), "the invite is for org-a.example")]
    {
        let refused = scene.join(&invite, &key, facts.as_ref()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(expected), "{refused}");
    }
    assert!(scene.join(&invite, &key, Some(&organisation(ORG))).await.is_ok(), "a mistake does not use the invite up");
}

#[tokio::test]
async fn invites_that_make_no_sense_are_refused_by_the_field() {
    let scene = Scene::new().await;
    scene.admit("org-b.example", Kind::Node, "n1").await;
    let mut operator = scene.operator().await;
    let good = InviteRequest {
        trust_domain: ORG.into(),
        kind: Kind::Node.into(),
        name: "n2".into(),
        ttl_seconds: 3600,
        dry_run: false,
    };
    let member = InviteRequest { trust_domain: "org-b.example".into(), ..good.clone() };
    let table = [
        (InviteRequest { trust_domain: "Org A".into(), ..good.clone() }, Code::InvalidArgument, "trust_domain"),
        (InviteRequest { trust_domain: "fed.example".into(), ..good.clone() }, Code::InvalidArgument, "trust_domain"),
        (member.clone(), Code::InvalidArgument, "trust_domain"),
        (InviteRequest { kind: 0, ..good.clone() }, Code::InvalidArgument, "kind"),
        (InviteRequest { kind: 77, ..good.clone() }, Code::InvalidArgument, "kind"),
        (InviteRequest { name: "N 2".into(), ..good.clone() }, Code::InvalidArgument, "name"),
        (InviteRequest { ttl_seconds: 59, ..good.clone() }, Code::InvalidArgument, "ttl_seconds"),
        (InviteRequest { name: "n1".into(), ..member }, Code::AlreadyExists, "is a member already"),
    ];
    for (request, code, text) in table {
        let refused = operator.invite(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(text), "{refused}");
    }
    operator.invite(good.clone()).await.unwrap();
    assert_eq!(reason(&operator.invite(good).await.unwrap_err()), "MEMBER_INVITED", "two nodes with one name");
}

#[tokio::test]
async fn the_root_is_the_one_that_the_invite_pins() {
    let scene = Scene::new().await;
    let invite = scene.invite(ORG, Kind::Node, "n1").await;
    let mut client = EnrolmentClient::new(scene.connect_to_enrol().await);
    let root = client.get_root(GetRootRequest {}).await.unwrap().into_inner().root;
    assert_eq!((Digest::of(&root), invite.address.as_str()), (invite.root, "broker.fed.example:7443"));
}

#[tokio::test]
async fn a_certificate_is_renewed_for_the_key_that_calls_and_no_other() {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.leaf.node = 12 * HOUR;
    scene.start_with(config).await.unwrap();
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    scene.clock.advance(6 * HOUR);
    let mut client = EnrolmentClient::new(scene.connect(&node).await.unwrap());
    let request = RenewRequest { csr_der: csr(&node.key).into() };
    let issued = client.renew(request).await.unwrap().into_inner().issued.unwrap();
    let renewed = member(&issued, KeyPair::from_pem(&node.key.to_pem()).unwrap());
    assert_eq!(renewed.id, node.id);
    scene.clock.advance(9 * HOUR);
    assert!(scene.connect(&renewed).await.is_ok(), "the first certificate has ended, the second has not");

    let mut client = EnrolmentClient::new(scene.connect(&renewed).await.unwrap());
    for (csr_der, text) in [(csr(&KeyPair::generate().unwrap()), "for another key"), (vec![1, 2, 3], "PKCS #10")] {
        let refused = client.renew(RenewRequest { csr_der: csr_der.into() }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("csr_der") && refused.message().contains(text), "{refused}");
    }
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused() {
    let scene = Scene::new().await;
    let invite = scene.invite(ORG, Kind::Node, "n1").await;
    let mut facts = organisation(ORG);
    facts.name = "x".repeat(150 * 1024);
    let refused = scene.join(&invite, &KeyPair::generate().unwrap(), Some(&facts)).await.unwrap_err();
    let told = Detail::of(&refused).unwrap_or_else(|| panic!("without a reason: {refused}"));
    assert_eq!((refused.code(), told.reason.as_str()), (Code::OutOfRange, "MESSAGE_TOO_LARGE"), "{refused}");
    assert_eq!(told.metadata["limit_bytes"], (192 * 1024).to_string());

    let node = scene.admit(ORG, Kind::Node, "n2").await;
    let mut client = MembershipClient::new(scene.connect(&node).await.unwrap());
    let reject = RejectRequest { enrolment_id: invite.id_text(), reason: "x".repeat(5 * 1024 * 1024) };
    let refused = client.reject(reject.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "METHOD_NOT_PERMITTED", "who may not call learns no limit");
    let refused = scene.operator().await.reject(reject).await.unwrap_err();
    assert_eq!(Detail::of(&refused).unwrap().metadata["limit_bytes"], (4 * 1024 * 1024).to_string());
}
