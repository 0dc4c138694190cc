//! The log as whoever follows it gets it: proven entry by entry, and by the checkpoints between.

use comity_client::follow::{Followed, Part};
use comity_proto::membership::{Kind, WatchRequest, WatchResponse};
use comity_transparency::{Checkpoint, NoteVerifier};
use tonic::Streaming;

use crate::testing::{DEADLINE, Scene};

const ORG: &str = "org-a.example";

async fn watch(scene: &Scene, after_epoch: u64) -> Streaming<WatchResponse> {
    scene.operator().await.watch(WatchRequest { after_epoch }).await.unwrap().into_inner()
}

async fn next(watched: &mut Streaming<WatchResponse>) -> WatchResponse {
    tokio::time::timeout(DEADLINE, watched.message()).await.expect("a part in time").unwrap().unwrap()
}

#[tokio::test]
async fn the_log_is_proven_from_the_root_document_alone_and_each_change_ends_in_a_checkpoint() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    scene.admit(ORG, Kind::App, "chat").await;
    let mut watched = watch(&scene, 0).await;
    let mut followed = Followed::new(&scene.root, scene.root_sha256, scene.clock.clone());
    for _ in 0..scene.federation().epoch() {
        assert!(matches!(followed.take(&next(&mut watched).await).unwrap(), Part::Entry(_)));
    }
    for _ in 0..2 {
        let part = next(&mut watched).await;
        assert_eq!((followed.take(&part).unwrap(), part.epoch), (Part::Checkpoint, scene.federation().epoch()));
        assert!(followed.log().federation().member(&node.id).is_some());
        scene.suspend(ORG).await;
        assert!(matches!(followed.take(&next(&mut watched).await).unwrap(), Part::Entry(_)));
        assert!(matches!(followed.take(&next(&mut watched).await).unwrap(), Part::Checkpoint));
        scene.lift(ORG).await;
        assert!(matches!(followed.take(&next(&mut watched).await).unwrap(), Part::Entry(_)));
    }
}

#[tokio::test]
async fn a_checkpoint_is_the_log_keys_and_comes_again_while_nothing_happens() {
    let scene = Scene::new().await;
    let mut watched = watch(&scene, scene.federation().epoch()).await;
    let (first, again) = (next(&mut watched).await, next(&mut watched).await);
    assert_eq!((&first, first.epoch, first.entry.len()), (&again, 1, 0));
    let origin = "fed.example/membership";
    let key = NoteVerifier::new(origin.into(), scene.root.log_key);
    assert_eq!(Checkpoint::open(&first.checkpoint, origin, &key).unwrap().size, 1);
    let other = NoteVerifier::new(origin.into(), [7; 32]);
    assert!(Checkpoint::open(&first.checkpoint, origin, &other).is_err());
}

#[tokio::test]
async fn whoever_knows_more_than_the_broker_is_told_how_far_it_is_and_waits() {
    let scene = Scene::new().await;
    let mut watched = watch(&scene, u64::MAX).await;
    for _ in 0..2 {
        let part = next(&mut watched).await;
        assert_eq!((part.epoch, part.entry.len(), part.checkpoint.is_empty()), (1, 0, false));
    }
    scene.admit(ORG, Kind::App, "chat").await;
}
