//! Certificates for keys that are admitted, whatever became of the last one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{Authority, KeyPair};
use comity_membership::federation::BRAKE;
use comity_membership::{By, Statement, Subject};
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::enrolment::{CertifyRequest, GetInviteRequest, JoinRequest, RenewRequest};
use comity_proto::error::Detail;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, ListNodesRequest, PrepareAnchorsRequest, RejectRequest};
use comity_types::{Clock as _, Digest};
use tonic::Code;

use super::metrics::scrape;
use super::standing::assert_is_refused;
use crate::testing::{
    HOUR, Logged, Member, Scene, assert_refused, copy_of, csr, issued_by, json, lifted, member, member_id,
    organisation, reason, suspended,
};

const ORG: &str = "org-a.example";

async fn gets_in(scene: &Scene, member: &Member) {
    let mut client = MembershipClient::new(scene.connect(member).await.unwrap());
    client.list_nodes(ListNodesRequest {}).await.unwrap();
}

pub(crate) async fn start_counting(scene: &Scene) {
    let mut config = scene.config();
    config.metrics = Some("127.0.0.1:0".parse().unwrap());
    scene.start_with(config).await.unwrap();
}

async fn authorities_lost(scene: &Scene) -> String {
    let text = scrape(scene).await;
    let lost = text.lines().find_map(|line| line.strip_prefix("comity_broker_hosted_authorities_lost "));
    lost.unwrap_or_else(|| panic!("it is not counted: {text}")).to_owned()
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
    let nonsense = client.certify(CertifyRequest { csr_der: vec![1, 2, 3].into(), dry_run: false }).await;
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
async fn a_hosted_authority_that_the_broker_has_lost_is_told_of_at_the_start_and_is_the_operators_to_restore() {
    let logged = Logged::default();
    let _guard = logged.collect();
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    for file in [format!("{ORG}.pem"), format!("{ORG}.key.pem")] {
        scene.stop().await;
        let (path, kept) = (scene.data_dir().join("ca").join(&file), scene.data_dir().join("kept"));
        std::fs::rename(&path, &kept).unwrap();
        let before = logged.lines_with("ERROR").len();
        start_counting(&scene).await;
        let told = logged.lines_with("ERROR").split_off(before);
        assert!(matches!(&told[..], [one] if one.contains(ORG) && one.contains("anchors roll")), "{told:?}");
        assert_eq!(authorities_lost(&scene).await, "1");
        let refused = scene.certify(&node.key).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Internal, "HOSTED_AUTHORITY_LOST"), "{file}");
        assert!(refused.message().contains("backup"), "{refused}");
        scene.stop().await;
        std::fs::rename(&kept, &path).unwrap();
        start_counting(&scene).await;
        assert_eq!(logged.lines_with("ERROR").len(), before + 2, "the start, and the refusal: {logged:?}");
        assert_eq!(authorities_lost(&scene).await, "0");
        scene.certify(&node.key).await.unwrap();
    }
}

#[tokio::test]
async fn an_organisation_whose_hosted_authority_is_lost_gets_another_one_by_its_own_signature() {
    for lost in [&[".key.pem"][..], &[".pem", ".key.pem"]] {
        let scene = Scene::founded();
        start_counting(&scene).await;
        let node = scene.admit(ORG, Kind::Node, "n1").await;
        let before = scene.authority(ORG).anchor();
        scene.stop().await;
        for end in lost {
            std::fs::remove_file(scene.data_dir().join("ca").join(format!("{ORG}{end}"))).unwrap();
        }
        start_counting(&scene).await;
        assert_eq!(reason(&scene.certify(&node.key).await.unwrap_err()), "HOSTED_AUTHORITY_LOST");
        let mut client = MembershipClient::new(scene.connect(&node).await.unwrap());
        let due = client.prepare_anchors(PrepareAnchorsRequest {}).await.unwrap().into_inner().anchors_der;
        assert!(due.len() == 2 && due.contains(&before.to_vec().into()), "certificates go on until they end");
        assert!(scene.certify(&node.key).await.is_err(), "it is not signed yet");
        let anchors = due.iter().map(|anchor| STANDARD.encode(anchor)).collect();
        scene.say_of(ORG, Statement::AnchorsChanged { organisation: ORG.parse().unwrap(), anchors }).await.unwrap();
        gets_in(&scene, &node).await;
        let issued = scene.certify(&node.key).await.unwrap();
        gets_in(&scene, &member(&issued, copy_of(&node.key))).await;
        assert_eq!(authorities_lost(&scene).await, "0");
        scene.stop().await;
        scene.start().await.unwrap();
        scene.certify(&node.key).await.unwrap();
    }
}

#[tokio::test]
async fn an_authority_that_is_lost_and_that_nobody_uses_is_no_alarm() {
    let logged = Logged::default();
    let _guard = logged.collect();
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let own = Authority::generate(ORG.parse().unwrap(), scene.clock.now()).unwrap();
    let anchors = vec![STANDARD.encode(own.anchor())];
    scene.say_of(ORG, Statement::AnchorsChanged { organisation: ORG.parse().unwrap(), anchors }).await.unwrap();
    scene.stop().await;
    std::fs::remove_file(scene.data_dir().join("ca").join(format!("{ORG}.key.pem"))).unwrap();
    scene.start().await.unwrap();
    assert_eq!(logged.lines_with("ERROR").len(), 0, "{logged:?}");
    assert!(scene.certify(&node.key).await.unwrap().certificate_chain_der.is_empty(), "its own authority signs");
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

#[tokio::test]
async fn a_key_that_has_asked_learns_by_itself_how_that_stands() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    assert_refused(scene.certify(&key).await, Code::NotFound, "KEY_NOT_ADMITTED");
    scene.join(&invite, &key, Some(&organisation(ORG))).await.unwrap();
    let waits = scene.certify(&key).await.unwrap_err();
    let detail = Detail::of(&waits).unwrap();
    assert_eq!(detail.reason, "ENROLMENT_WAITS");
    assert_eq!(detail.metadata["enrolment"], invite.id_text());
    assert_eq!(detail.metadata["fingerprint"], key.public_key_digest().fingerprint());
    let request = RejectRequest { enrolment_id: invite.id_text(), reason: "nobody knows you".into() };
    scene.operator().await.reject(request).await.unwrap();
    let rejected = scene.certify(&key).await.unwrap_err();
    let detail = Detail::of(&rejected).unwrap();
    assert_eq!((detail.reason.as_str(), detail.metadata["why"].as_str()), ("ENROLMENT_REJECTED", "nobody knows you"));
    // Another invite, with the same key: the newest counts.
    let again = scene.invite(ORG, Kind::Node, "n1").await;
    scene.clock.advance(HOUR / 60);
    scene.join(&again, &key, Some(&organisation(ORG))).await.unwrap();
    assert_refused(scene.certify(&key).await, Code::FailedPrecondition, "ENROLMENT_WAITS");
    scene.approve(&again.id_text()).await.unwrap();
    scene.certify(&key).await.unwrap();
    // Who was put out and asks again, by the same key, hears of what they asked for.
    let evicted = Statement::Evicted { organisation: ORG.parse().unwrap(), reason: "a breach".into() };
    scene.govern(evicted).await.unwrap();
    assert_refused(scene.certify(&key).await, Code::PermissionDenied, "EVICTED");
    let back = scene.invite(ORG, Kind::Node, "n1").await;
    scene.clock.advance(HOUR / 60);
    scene.join(&back, &key, Some(&organisation(ORG))).await.unwrap();
    assert_refused(scene.certify(&key).await, Code::FailedPrecondition, "ENROLMENT_WAITS");
}

#[tokio::test]
async fn an_invite_that_was_taken_up_says_so_to_whoever_brings_other_papers_and_keeps_the_first() {
    let scene = Scene::new().await;
    let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    let facts = organisation(ORG);
    let first = scene.join(&invite, &key, Some(&facts)).await.unwrap();
    let other = comity_policy::Organisation { name: "Another".into(), ..facts.clone() };
    let refused = scene.join(&invite, &key, Some(&other)).await;
    assert!(refused.as_ref().unwrap_err().message().contains("--organisation"), "{refused:?}");
    assert_refused(refused, Code::FailedPrecondition, "OTHER_APPLICATION");
    let own = Authority::generate(ORG.parse().unwrap(), scene.clock.now()).unwrap();
    let id = member_id(ORG, Kind::Node, "n1");
    let anchors = vec![STANDARD.encode(own.anchor())];
    let application = scene.application(&invite, &facts, Default::default(), id, &key, anchors);
    let request = JoinRequest {
        invite_id: invite.id_text(),
        secret: invite.secret.reveal().to_vec().into(),
        csr_der: csr(&key).into(),
        application: json(&application),
        kinds: vec![Kind::Node.into()],
        admission: Vec::new().into(),
    };
    let refused = EnrolmentClient::new(scene.connect_to_enrol().await).join(request).await;
    assert!(refused.as_ref().unwrap_err().message().contains("--ca"), "{refused:?}");
    assert_refused(refused, Code::FailedPrecondition, "OTHER_APPLICATION");
    // With the same papers, or none, it stands as it did.
    for papers in [Some(&facts), None] {
        assert_eq!(scene.join(&invite, &key, papers).await.unwrap(), first);
    }
}

#[tokio::test]
async fn a_brake_on_a_certificate_that_nobody_has_shuts_nobody_out() {
    let scene = Scene::governed_by(&["ada", "bob", "eve", "joe"], 2).await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let [bob, eve, _] = &scene.co_operators[..] else { panic!("four operators") };
    let made_up = |n: u8, id| Subject::Certificate { member: id, sha256: Digest::of(&[n]) }.to_string();
    scene.certify(&eve.key).await.unwrap();
    for member in [&node, eve] {
        scene.say(suspended(&made_up(1, member.id.clone()), By::Brake), &[&bob.key]).await.unwrap();
        scene.certify(&member.key).await.unwrap();
        let more = scene.say(suspended(&made_up(2, member.id.clone()), By::Brake), &[&bob.key]).await;
        assert_refused(more, Code::FailedPrecondition, "STATEMENT_REFUSED");
    }
    // What the threshold says counts, whether the broker has issued it or not: they may know more.
    scene.govern(suspended(&made_up(1, node.id.clone()), By::Federation)).await.unwrap();
    assert_refused(scene.certify(&node.key).await, Code::PermissionDenied, "CERTIFICATE_SUSPENDED");
}

#[tokio::test]
async fn a_brake_on_a_certificate_that_was_issued_holds_over_a_restart_and_for_72_hours_and_what_ends_it_is_told() {
    let scene = Scene::governed_by(&["ada", "bob", "eve"], 2).await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let (bob, subject) = (&scene.co_operators[0], node.certificate_subject().to_string());
    let told = async |advice: &str| {
        let refused = scene.certify(&node.key).await.unwrap_err();
        assert!(refused.message().contains(advice) && refused.message().contains(&subject), "{refused}");
        assert_refused(Err::<(), _>(refused), Code::PermissionDenied, "CERTIFICATE_SUSPENDED");
    };
    scene.say(suspended(&subject, By::Brake), &[&bob.key]).await.unwrap();
    scene.stop().await;
    scene.start().await.unwrap();
    told("the operator who braked it takes it back").await;
    scene.say(lifted(&subject, By::Brake), &[&bob.key]).await.unwrap();
    scene.certify(&node.key).await.unwrap();

    scene.say(suspended(&subject, By::Brake), &[&scene.operator.key]).await.unwrap();
    told("it lapses at ").await;
    scene.stop().await;
    scene.clock.advance(BRAKE);
    scene.start().await.unwrap();
    scene.end_brakes().await;
    scene.certify(&node.key).await.unwrap();
}

#[tokio::test]
async fn whoever_a_suspended_certificate_keeps_from_another_is_told_who_ends_that_and_it_does() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let subject = node.certificate_subject().to_string();
    let told = async |advice: &str| {
        let refused = scene.certify(&node.key).await.unwrap_err();
        assert!(refused.message().contains(advice), "{refused}");
        assert!(refused.message().contains(&format!("comity lift {subject}")), "{refused}");
    };
    scene.suspend(&subject).await;
    told("operators of the federation end it").await;
    scene.lift(&subject).await;
    scene.certify(&node.key).await.unwrap();
    scene.say_of(ORG, suspended(&subject, By::Organisation)).await.unwrap();
    told("whoever has the key of org-a.example ends it").await;
    let another = scene.admit(ORG, Kind::App, "a1").await;
    let lift = scene.signed(lifted(&subject, By::Organisation), &[&*scene.key_of(ORG)]);
    scene.submit(&another, &lift).await.unwrap();
    scene.certify(&node.key).await.unwrap();
}

#[tokio::test]
async fn whoever_only_asks_whether_its_key_gets_a_certificate_is_refused_as_it_would_be_and_none_is_made() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let asks = async |key: &KeyPair| {
        let mut client = EnrolmentClient::new(scene.connect_to_enrol().await);
        let request = CertifyRequest { csr_der: csr(key).into(), dry_run: true };
        client.certify(request).await.map(tonic::Response::into_inner)
    };
    let remembered = || {
        let file = Digest::of(node.id.as_str().as_bytes()).to_string();
        std::fs::read_to_string(scene.file("ca").join("issued").join(file)).unwrap()
    };
    let before = remembered();
    assert_eq!(asks(&node.key).await.unwrap().issued, None);
    assert_eq!(remembered(), before, "nothing was issued");
    let _issued = scene.certify(&node.key).await.unwrap();
    assert_ne!(remembered(), before, "what is issued is remembered there");

    let told = async |key: &KeyPair, why: &str| {
        let (tried, meant) = (asks(key).await.unwrap_err(), scene.certify(key).await.unwrap_err());
        assert_eq!((reason(&tried).as_str(), tried.message()), (why, meant.message()));
    };
    told(&KeyPair::generate().unwrap(), "KEY_NOT_ADMITTED").await;
    scene.suspend(&node.certificate_subject().to_string()).await;
    told(&node.key, "CERTIFICATE_SUSPENDED").await;
    scene.suspend(node.id.as_str()).await;
    told(&node.key, "CERTIFICATE_SUSPENDED").await;
    let evicted = Statement::Evicted { organisation: ORG.parse().unwrap(), reason: "a test".into() };
    scene.govern(evicted).await.unwrap();
    told(&node.key, "EVICTED").await;
}
