//! Starting, stopping, and starting again.

use std::time::Duration;

use comity_membership::{Body, Entry};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, ListNodesRequest, WatchRequest};
use comity_transparency::Envelope;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::broker::ADDRESS_FILE;
use crate::data_dir;
use crate::founding::FoundingError;
use crate::ledger::journal::{Journal, JournalError};
use crate::registry::RegistryError;
use crate::testing::{DEADLINE, Scene};
use crate::{Broker, BrokerError};

const ORG: &str = "org-a.example";

#[tokio::test]
async fn what_was_admitted_is_there_after_a_restart() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    scene.stop().await;
    scene.start().await.unwrap();
    let mut client = MembershipClient::new(scene.connect(&node).await.unwrap());
    let nodes = client.list_nodes(ListNodesRequest {}).await.unwrap().into_inner();
    assert_eq!((nodes.nodes.len(), nodes.epoch), (1, 2));
}

#[tokio::test]
async fn a_registry_with_one_wrong_byte_is_not_started_from() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    scene.stop().await;
    let path = scene.file("registry.journal");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = scene.start().await.unwrap_err();
    assert!(
        matches!(refused, BrokerError::Registry(RegistryError::Journal(JournalError::Damaged { offset: 0, .. }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_registry_that_was_lost_is_not_founded_anew() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    scene.stop().await;
    let (journal, kept) =
        (scene.file("registry.journal"), ["enrolments.journal", "proposals.journal", "decisions", "ca"]);
    std::fs::remove_file(&journal).unwrap();
    // Whichever of them is left: each shows that there was a registry.
    for lost in kept {
        for content in [None, Some(&b""[..]), Some(&[0; 64][..])] {
            content.inspect(|bytes| std::fs::write(&journal, bytes).unwrap());
            let checked = data_dir::check(&scene.config()).unwrap_err();
            let refused = scene.start().await.unwrap_err();
            for error in [&checked, &refused] {
                assert!(matches!(error, BrokerError::Registry(RegistryError::Lost { .. })), "{lost}: {error:?}");
            }
            std::fs::remove_file(&journal).unwrap();
        }
        match lost {
            "ca" => {}
            "decisions" => std::fs::remove_dir_all(scene.file(lost)).unwrap(),
            _ => std::fs::remove_file(scene.file(lost)).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_suspension_whose_frame_lost_a_bit_is_neither_lifted_nor_called_in_order() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    scene.suspend(ORG).await;
    scene.stop().await;
    data_dir::check(&scene.config()).unwrap();
    let path = scene.file("registry.journal");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for refused in [data_dir::check(&scene.config()).unwrap_err(), scene.start().await.unwrap_err()] {
        let damaged = matches!(refused, BrokerError::Registry(RegistryError::Journal(JournalError::Damaged { .. })));
        assert!(damaged, "{refused:?}");
    }
}

#[tokio::test]
async fn a_statement_that_was_changed_on_disk_is_not_started_from_though_its_frame_is_whole() {
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    scene.suspend(ORG).await;
    scene.stop().await;
    let path = scene.file("registry.journal");
    let (journal, frames) = Journal::open(&path).unwrap();
    drop(journal);
    let forgeries: [fn(&mut Envelope); 3] = [
        |envelope| envelope.signatures[0].sig[10] ^= 1,
        |envelope| *envelope.payload.iter_mut().find(|byte| **byte == b'i').unwrap() = b'j',
        |envelope| envelope.signatures.clear(),
    ];
    for forge in forgeries {
        let mut entry = Entry::from_json(frames.last().unwrap()).unwrap();
        let Body::Signed(envelope) = &mut entry.body else { panic!("{entry:?}") };
        forge(envelope);
        let mut forged = frames.clone();
        *forged.last_mut().unwrap() = entry.to_json().unwrap();
        std::fs::remove_file(&path).unwrap();
        let (journal, _) = Journal::open(&path).unwrap();
        for frame in forged {
            journal.append(frame).await.unwrap();
        }
        drop(journal);
        for refused in [data_dir::check(&scene.config()).unwrap_err(), scene.start().await.unwrap_err()] {
            let damaged = matches!(refused, BrokerError::Registry(RegistryError::Damaged { position: 3, .. }));
            assert!(damaged, "{refused:?}");
        }
    }
}

#[tokio::test]
async fn a_running_brokers_data_directory_can_be_checked() {
    let scene = Scene::founded();
    data_dir::check(&scene.config()).unwrap();
    scene.start().await.unwrap();
    data_dir::check(&scene.config()).unwrap();
}

#[tokio::test]
async fn a_registry_of_another_federation_is_not_started_from() {
    let (scene, other) = (Scene::new().await, Scene::new().await);
    scene.stop().await;
    other.stop().await;
    std::fs::copy(other.file("registry.journal"), scene.file("registry.journal")).unwrap();
    let refused = scene.start().await.unwrap_err();
    assert!(matches!(refused, BrokerError::Registry(RegistryError::OtherRoot { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_data_directory_that_was_not_founded_says_so() {
    let (scene, other) = (Scene::founded(), Scene::founded());
    for key in ["log.key", "decision-log.key"] {
        let own = std::fs::read(scene.file(key)).unwrap();
        std::fs::copy(other.file(key), scene.file(key)).unwrap();
        assert!(matches!(scene.start().await, Err(BrokerError::Founding(FoundingError::OtherKey { .. }))), "{key}");
        std::fs::write(scene.file(key), own).unwrap();
    }
    let mut config = other.config();
    config.replica = "b2".parse().unwrap();
    assert!(matches!(other.start_with(config).await, Err(BrokerError::Founding(FoundingError::OtherBroker { .. }))));
    std::fs::remove_file(scene.file("root.json")).unwrap();
    let refused = scene.start().await.unwrap_err();
    assert!(refused.to_string().contains("root.json") && refused.to_string().contains("federation init"), "{refused}");
}

#[tokio::test]
async fn two_brokers_do_not_share_a_data_directory() {
    let scene = Scene::new().await;
    let refused = Broker::build(scene.config()).await.unwrap_err();
    assert!(
        matches!(refused, BrokerError::Registry(RegistryError::Journal(JournalError::Locked { .. }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_address_is_told_while_the_broker_listens() {
    let scene = Scene::new().await;
    scene.operator().await;
    assert_eq!(std::fs::read_to_string(scene.file(ADDRESS_FILE)).unwrap(), scene.address().to_string());
    scene.stop().await;
    assert!(!scene.file(ADDRESS_FILE).exists());
}

#[tokio::test]
async fn stopping_ends_streams_that_would_never_end_by_themselves() {
    let scene = Scene::new().await;
    let channel = scene.connect(&scene.operator).await.unwrap();
    let mut watched =
        MembershipClient::new(channel.clone()).watch(WatchRequest { after_epoch: 1 }).await.unwrap().into_inner();
    let mut health = HealthClient::new(channel).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let status = |response: HealthCheckResponse| response.status();
    assert_eq!(health.message().await.unwrap().map(status), Some(ServingStatus::Serving));

    let (stopped, ()) = tokio::join!(tokio::time::timeout(DEADLINE / 2, scene.stop()), async {
        let checkpoint = watched.message().await.unwrap().unwrap();
        assert!(!checkpoint.checkpoint.is_empty());
        assert!(watched.message().await.unwrap().is_none());
        assert_eq!(health.message().await.unwrap().map(status), Some(ServingStatus::NotServing));
    });
    stopped.expect("well before the drain ends");
}

#[tokio::test]
async fn health_over_the_wire_is_red_while_nothing_can_be_decided_and_green_again_after() {
    let scene = Scene::new().await;
    let channel = scene.connect(&scene.operator).await.unwrap();
    let mut health = HealthClient::new(channel).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let mut told = async || {
        let told = tokio::time::timeout(DEADLINE, health.message()).await.expect("health changes");
        told.unwrap().unwrap().status()
    };
    assert_eq!(told().await, ServingStatus::Serving);

    // The newest entry is of a time to come.
    let minute = Duration::from_secs(60);
    scene.clock.advance(minute);
    scene.admit(ORG, Kind::Node, "n1").await;
    scene.clock.set_back(minute);
    assert_eq!(told().await, ServingStatus::NotServing);

    scene.clock.advance(minute);
    assert_eq!(told().await, ServingStatus::Serving);
}

#[tokio::test]
async fn a_call_that_does_not_end_holds_the_broker_no_longer_than_the_drain() {
    let scene = Scene::founded();
    let mut config = scene.config();
    config.drain = Duration::from_millis(50);
    scene.start_with(config).await.unwrap();
    let mut client = ServerReflectionClient::new(scene.connect(&scene.operator).await.unwrap());
    let endless = client.server_reflection_info(tokio_stream::pending::<ServerReflectionRequest>()).await.unwrap();
    scene.stop().await;
    drop(endless);
}

#[tokio::test]
async fn reflection_tells_the_whole_contract() {
    let scene = Scene::new().await;
    let mut client = ServerReflectionClient::new(scene.connect(&scene.operator).await.unwrap());
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client.server_reflection_info(tokio_stream::once(list)).await.unwrap().into_inner();
    let answer: ServerReflectionResponse = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(listed)) = answer.message_response else { panic!("{answer:?}") };
    let names: Vec<_> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for service in
        ["inference.v1.Inference", "catalog.v1.Catalog", "enrolment.v1.Enrolment", "membership.v1.Membership"]
    {
        assert!(names.contains(&format!("comity.{service}").as_str()), "{service} is missing in {names:?}");
    }
}

#[tokio::test]
async fn a_key_that_others_may_read_is_named_with_what_mends_it_and_not_started_from() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new().await;
    scene.admit(ORG, Kind::Node, "n1").await;
    scene.stop().await;
    let keys = [
        "log.key",
        "decision-log.key",
        "decision-log.ml-dsa-44.key",
        "ca/fed.example.key.pem",
        "ca/org-a.example.key.pem",
    ];
    for key in keys {
        let path = scene.file(key);
        let allow = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        allow(0o644);
        for refused in [data_dir::check(&scene.config()).unwrap_err(), scene.start().await.unwrap_err()] {
            let text = comity_runtime::chain::text(&refused);
            assert!(text.contains(&format!("its mode is 644 (hint: chmod 600 {})", path.display())), "{key}: {text}");
        }
        allow(0o600);
        data_dir::check(&scene.config()).unwrap();
    }
    std::fs::remove_file(scene.file("log.key")).unwrap();
    let lost = comity_runtime::chain::text(&data_dir::check(&scene.config()).unwrap_err());
    assert!(lost.contains("restore the data directory whole") && !lost.contains("federation init"), "{lost}");
}
