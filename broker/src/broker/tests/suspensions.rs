//! Operators and the organisation suspend without regard to each other; a certificate is suspended by itself.

use comity_membership::{By, Statement, Subject};
use comity_policy::Layers;
use comity_proto::enrolment::RenewRequest;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, ListNodesRequest, WatchRequest, WatchResponse};
use comity_transparency::Signer;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::testing::{
    DEADLINE, HOUR, Member, Scene, assert_refused, copy_of, csr, lifted, member, organisation, reason, suspended,
    updated,
};

const ORG: &str = "org-a.example";

async fn client(scene: &Scene, member: &Member) -> MembershipClient<Channel> {
    MembershipClient::new(scene.connect(member).await.unwrap())
}

async fn asks(client: &mut MembershipClient<Channel>) -> Result<usize, Status> {
    client.list_nodes(ListNodesRequest {}).await.map(|answer| answer.into_inner().nodes.len())
}

#[tokio::test]
async fn an_organisations_own_suspension_stands_beside_the_federations_and_each_lifts_its_own() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let (mut open, id) = (client(&scene, &node).await, node.id.as_str());
    for subject in [id, ORG] {
        let code = if subject == ORG { "ORGANISATION_SUSPENDED" } else { "MEMBER_SUSPENDED" };
        scene.say_of(ORG, suspended(subject, By::Organisation)).await.unwrap();
        assert_refused(asks(&mut open).await, Code::PermissionDenied, code);
        let not_theirs = scene.govern(lifted(subject, By::Federation)).await;
        assert_refused(not_theirs, Code::FailedPrecondition, "STATEMENT_REFUSED");
        scene.suspend(subject).await;
        scene.say_of(ORG, lifted(subject, By::Organisation)).await.unwrap();
        assert_refused(asks(&mut open).await, Code::PermissionDenied, code);
        scene.lift(subject).await;
        assert_eq!(asks(&mut open).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn nobody_suspends_or_lifts_in_anothers_name() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    scene.admit("org-b.example", Kind::Node, "n1").await;
    let (id, own, other) = (node.id.as_str(), scene.key_of(ORG), scene.key_of("org-b.example"));
    for statement in [suspended(id, By::Federation), suspended(id, By::Brake), lifted(ORG, By::Federation)] {
        assert_refused(scene.say(statement, &[&*own]).await, Code::PermissionDenied, "SIGNATURE_REFUSED");
    }
    for statement in [suspended(id, By::Organisation), lifted(ORG, By::Organisation)] {
        for signer in [&*other, &scene.operator.key, &node.key] {
            let refused = scene.say(statement.clone(), &[signer]).await;
            assert_refused(refused, Code::PermissionDenied, "SIGNATURE_REFUSED");
        }
    }
}

/// The next part of the log that is an entry, or why there is none.
async fn next(watched: &mut Streaming<WatchResponse>) -> Result<u64, Status> {
    loop {
        let part = tokio::time::timeout(DEADLINE, watched.message()).await.unwrap()?.unwrap();
        if part.checkpoint.is_empty() {
            return Ok(part.epoch);
        }
    }
}

#[tokio::test]
async fn a_suspended_certificate_and_its_streams_end_and_a_renewed_one_goes_on() {
    let scene = Scene::new().await;
    let stolen = scene.admit(ORG, Kind::Node, "n1").await;
    scene.clock.advance(HOUR);
    let renewed = member(&scene.certify(&stolen.key).await.unwrap(), copy_of(&stolen.key));
    assert_ne!(stolen.certificate(), renewed.certificate());
    let (mut with_stolen, mut with_renewed) = (client(&scene, &stolen).await, client(&scene, &renewed).await);
    let from = WatchRequest { after_epoch: scene.federation().epoch() };
    let mut of_stolen = with_stolen.watch(from).await.unwrap().into_inner();
    let mut of_renewed = with_renewed.watch(from).await.unwrap().into_inner();

    let subject = stolen.certificate_subject();
    scene.say_of(ORG, suspended(&subject.to_string(), By::Organisation)).await.unwrap();
    let cut = next(&mut of_stolen).await.unwrap_err();
    assert_eq!((cut.code(), reason(&cut).as_str()), (Code::PermissionDenied, "CERTIFICATE_SUSPENDED"));
    assert_refused(asks(&mut with_stolen).await, Code::PermissionDenied, "CERTIFICATE_SUSPENDED");
    let again = asks(&mut client(&scene, &stolen).await).await;
    assert_refused(again, Code::PermissionDenied, "CERTIFICATE_SUSPENDED");
    let request = RenewRequest { csr_der: csr(&stolen.key).into() };
    let renews = EnrolmentClient::new(scene.connect(&stolen).await.unwrap()).renew(request).await;
    assert_refused(renews, Code::PermissionDenied, "CERTIFICATE_SUSPENDED");
    // Nor does a thief get another by the key alone, without a certificate.
    assert_refused(scene.certify(&stolen.key).await, Code::PermissionDenied, "CERTIFICATE_SUSPENDED");
    let request = RenewRequest { csr_der: csr(&stolen.key).into() };
    EnrolmentClient::new(scene.connect(&renewed).await.unwrap()).renew(request).await.unwrap();

    assert_eq!(next(&mut of_renewed).await.unwrap(), scene.federation().epoch());
    assert_eq!(asks(&mut with_renewed).await.unwrap(), 1);
    scene.say_of(ORG, lifted(&subject.to_string(), By::Organisation)).await.unwrap();
    assert_eq!(asks(&mut with_stolen).await.unwrap(), 1);
    scene.certify(&stolen.key).await.unwrap();
}

#[tokio::test]
async fn the_federation_suspends_certificates_of_members_and_of_nobody_else() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    scene.suspend(&node.certificate_subject().to_string()).await;
    let asked = asks(&mut client(&scene, &node).await).await;
    assert_refused(asked, Code::PermissionDenied, "CERTIFICATE_SUSPENDED");
    let nobody = "spiffe://org-a.example/node/n9".parse().unwrap();
    let subject = Subject::Certificate { member: nobody, sha256: node.certificate() };
    let statement = Statement::Suspended { subject, reason: "lost".into(), by: By::Federation };
    assert_refused(scene.govern(statement).await, Code::NotFound, "NOT_A_MEMBER");
}

#[tokio::test]
async fn the_only_member_of_an_organisation_hands_in_what_ends_its_own_organisations_word() {
    let scene = Scene::new().await;
    let only = scene.admit(ORG, Kind::Node, "n1").await;
    let (own, certificate) = (scene.key_of(ORG), only.certificate_subject().to_string());
    for subject in [only.id.as_str(), &certificate, ORG] {
        let say = async |statement| scene.submit(&only, &scene.signed(statement, &[&*own])).await;
        say(suspended(subject, By::Organisation)).await.unwrap();
        assert!(asks(&mut client(&scene, &only).await).await.is_err());
        say(lifted(subject, By::Organisation)).await.unwrap();
        assert_eq!(asks(&mut client(&scene, &only).await).await.unwrap(), 1);
    }
    // All at once, each is lifted by itself; and whoever may not stay may go.
    for subject in [only.id.as_str(), &certificate, ORG] {
        scene.say_of(ORG, suspended(subject, By::Organisation)).await.unwrap();
    }
    for subject in [ORG, &certificate] {
        let lift = scene.signed(lifted(subject, By::Organisation), &[&*own]);
        scene.submit(&only, &lift).await.unwrap();
    }
    let gone = Statement::MemberWithdrawn { id: only.id.clone(), reason: "sold".into() };
    scene.submit(&only, &scene.signed(gone, &[&*own])).await.unwrap();
    assert_refused(asks(&mut client(&scene, &only).await).await, Code::PermissionDenied, "WITHDRAWN");
}

#[tokio::test]
async fn a_member_that_its_organisation_suspended_hands_in_nothing_else_and_nothing_without_its_organisations_key() {
    let scene = Scene::new().await;
    let stolen = scene.admit(ORG, Kind::Node, "n1").await;
    let other = scene.admit(ORG, Kind::Node, "n2").await;
    let (own, id) = (scene.key_of(ORG), stolen.id.as_str());
    scene.say_of(ORG, suspended(id, By::Organisation)).await.unwrap();
    let lift = || lifted(id, By::Organisation);
    let told = async |envelope| {
        let refused = scene.submit(&stolen, &envelope).await;
        assert_refused(refused, Code::PermissionDenied, "MEMBER_SUSPENDED");
    };
    // Who has the member's key alone.
    told(scene.signed(lift(), &[&stolen.key])).await;
    told(scene.signed(lift(), &[])).await;
    told(scene.signed(lift(), &[&*own, &stolen.key])).await;
    // What the organisation signed for another call.
    told(scene.signed(updated(organisation(ORG), Layers::default()), &[&*own])).await;
    told(scene.signed(suspended(other.id.as_str(), By::Organisation), &[&*own])).await;
    let another = Statement::MemberWithdrawn { id: other.id.clone(), reason: "sold".into() };
    told(scene.signed(another, &[&*own])).await;
    let offers = Statement::OffersPublished { node: stolen.id.clone(), address: "a:1".into(), offers: vec![] };
    told(scene.signed(offers, &[&stolen.key])).await;
    // The federation's word as well: then its own is no help.
    scene.suspend(id).await;
    told(scene.signed(lift(), &[&*own])).await;
    scene.lift(id).await;
    // A version that is not the next one says what that is, to whoever has the organisation's key.
    for (version, reason) in [(0, "VERSION"), (1, "EQUIVOCATION")] {
        let old = scene.submit(&stolen, &scene.signed_at(version, lift(), &[&*own])).await;
        assert_refused(old, Code::Aborted, reason);
    }
    scene.submit(&stolen, &scene.signed(lift(), &[&*own])).await.unwrap();
    assert_eq!(asks(&mut client(&scene, &stolen).await).await.unwrap(), 2);
}

#[tokio::test]
async fn a_pause_of_ones_own_is_lifted_after_every_certificate_has_ended() {
    let scene = Scene::new().await;
    let only = scene.admit(ORG, Kind::Node, "n1").await;
    scene.say_of(ORG, suspended(ORG, By::Organisation)).await.unwrap();
    // The broker has a new certificate after that time as well.
    scene.stop().await;
    scene.clock.advance(25 * HOUR);
    scene.start().await.unwrap();
    let again = member(&scene.certify(&only.key).await.unwrap(), copy_of(&only.key));
    assert_refused(asks(&mut client(&scene, &again).await).await, Code::PermissionDenied, "ORGANISATION_SUSPENDED");
    let lift = scene.signed(lifted(ORG, By::Organisation), &[&*scene.key_of(ORG)]);
    scene.submit(&again, &lift).await.unwrap();
    assert_eq!(asks(&mut client(&scene, &again).await).await.unwrap(), 1);
    // Of what is wrong with the member itself, a new certificate is no part.
    let held = scene.signed(suspended(again.id.as_str(), By::Organisation), &[&*scene.key_of(ORG)]);
    scene.submit(&again, &held).await.unwrap();
    assert_refused(scene.certify(&only.key).await, Code::PermissionDenied, "NOT_ACTIVE");
}

#[tokio::test]
async fn what_an_organisation_suspended_of_its_only_member_its_key_ends_when_no_certificate_of_it_holds() {
    let scene = Scene::new().await;
    let only = scene.admit(ORG, Kind::Node, "n1").await;
    let (own, certificate) = (scene.key_of(ORG), only.certificate_subject().to_string());
    for subject in [only.id.as_str(), &certificate] {
        scene.say_of(ORG, suspended(subject, By::Organisation)).await.unwrap();
    }
    scene.stop().await;
    scene.clock.advance(25 * HOUR);
    scene.start().await.unwrap();
    assert_refused(scene.certify(&only.key).await, Code::PermissionDenied, "CERTIFICATE_SUSPENDED");
    for subject in [certificate.as_str(), only.id.as_str()] {
        scene.lift_as_nobody(&scene.signed(lifted(subject, By::Organisation), &[&*own])).await.unwrap();
    }
    let again = member(&scene.certify(&only.key).await.unwrap(), copy_of(&only.key));
    assert_eq!(asks(&mut client(&scene, &again).await).await.unwrap(), 1);
}

#[tokio::test]
async fn without_a_certificate_nothing_is_taken_but_a_lift_that_the_organisations_key_signed() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    scene.admit("org-b.example", Kind::Node, "n1").await;
    let (own, other, id) = (scene.key_of(ORG), scene.key_of("org-b.example"), node.id.as_str());
    scene.say_of(ORG, suspended(id, By::Organisation)).await.unwrap();
    let lift = || lifted(id, By::Organisation);
    let refused = async |envelope| {
        assert_refused(scene.lift_as_nobody(&envelope).await, Code::PermissionDenied, "LIFT_REFUSED");
    };
    let operator = &scene.operator.key;
    for signers in [vec![], vec![&node.key], vec![&*other], vec![operator], vec![&*own, &node.key]] {
        let signers: Vec<&dyn Signer> = signers.into_iter().map(|key| key as _).collect();
        refused(scene.signed(lift(), &signers)).await;
    }
    let gone = Statement::MemberWithdrawn { id: node.id.clone(), reason: "sold".into() };
    for statement in [updated(organisation(ORG), Layers::default()), suspended(ORG, By::Organisation), gone] {
        refused(scene.signed(statement, &[&*own])).await;
    }
    refused(scene.signed(lifted(id, By::Federation), &[operator])).await;
    // Whom operators suspend is heard in nothing.
    scene.suspend(ORG).await;
    refused(scene.signed(lift(), &[&*own])).await;
    scene.lift(ORG).await;
    let old = scene.lift_as_nobody(&scene.signed_at(1, lift(), &[&*own])).await;
    assert_refused(old, Code::Aborted, "EQUIVOCATION");
    let good = scene.signed(lift(), &[&*own]);
    scene.lift_as_nobody(&good).await.unwrap();
    // Said once, it counts once; and what nobody suspended, nobody lifts.
    scene.say_of(ORG, suspended(id, By::Organisation)).await.unwrap();
    assert!(scene.lift_as_nobody(&good).await.is_err());
    assert!(asks(&mut client(&scene, &node).await).await.is_err());
    scene.lift_as_nobody(&scene.signed(lift(), &[&*own])).await.unwrap();
    let none = scene.lift_as_nobody(&scene.signed(lift(), &[&*own])).await;
    assert_refused(none, Code::FailedPrecondition, "STATEMENT_REFUSED");
    let mut long = scene.signed(lift(), &[&*own]);
    long.payload.resize(5_000, b' ');
    assert_refused(scene.lift_as_nobody(&long).await, Code::InvalidArgument, "INVALID_FIELD");
}
