//! Offers are published however many tries it takes, and what stands in the way is said once.

use std::sync::Arc;

use comity_client::Identity;
use comity_proto::error::Failure;

use super::*;
use crate::testing::{Broker, FAST, Log, World, eventually};

mod contest;
mod twice;

const ADDRESS: &str = "127.0.0.1:7444";
const EPOCH: u64 = 7;

struct Member {
    publisher: Publisher,
    publication: Publication,
}

fn member(world: &World) -> Member {
    let identity = Identity::open(world.config.identity_dir()).unwrap();
    let planned = world.config.plan(identity.id(), &world.config.tables().unwrap()).unwrap();
    let offers = planned.into_iter().map(|planned| planned.offer).collect();
    let publication = Publication { node: identity.id().clone(), address: ADDRESS.to_owned(), offers };
    let publisher = Publisher {
        connection: Connection::open(&identity).unwrap(),
        key: Arc::new(identity.dir().key().unwrap()),
        federation: identity.dir().identity().unwrap().federation_root,
        replica: world.replica(Arc::clone(identity.clock())),
        last_word: LastWord::open(world.folder.path()).unwrap(),
        clock: Arc::clone(identity.clock()),
        pace: FAST,
    };
    Member { publisher, publication }
}

impl Member {
    async fn publish(&self) -> u64 {
        self.publisher.publish(&self.publication).await
    }
}

/// What a node logs while the broker refuses three times, and how often it asks.
async fn refused(failure: Failure) -> (Log, usize) {
    let (world, broker) = Broker::start(&Arc::default()).await;
    broker.script.publishing.lock().unwrap().extend(vec![Status::from(failure); 3]);
    let log = Log::default();
    let guard = log.collect();
    assert_eq!(member(&world).publish().await, EPOCH);
    drop(guard);
    let asked = broker.script.published.lock().unwrap().len();
    (log, asked)
}

#[tokio::test]
async fn offers_are_published_once_the_broker_is_back() {
    let clock = Arc::default();
    let (world, broker) = Broker::start(&clock).await;
    broker.stop().await;
    let log = Log::default();
    let _guard = log.collect();
    let said = || log.lines_with("the broker cannot be reached");
    let back = async {
        eventually(|| !said().is_empty()).await;
        broker.restart(&world, &clock).await
    };
    let member = member(&world);
    let (epoch, broker) = tokio::join!(member.publish(), back);
    assert_eq!((epoch, said().len()), (EPOCH, 1), "{:?}", said());
    let published = broker.script.published.lock().unwrap().clone();
    assert_eq!((published.len(), published[0].address.as_str(), published[0].offers.len()), (1, ADDRESS, 1));
}

#[tokio::test]
async fn a_broker_that_does_not_accept_an_offer_is_quoted_once_with_offer_and_field_and_asked_again() {
    let failure = Failure::new(Code::InvalidArgument, "INVALID_FIELD", "offers[0].node: is not yours");
    let (log, asked) = refused(failure.with("field", "offers[0].node")).await;
    let lines = log.lines_with("ERROR");
    assert_eq!((lines.len(), asked), (1, 4), "{lines:?}");
    for part in ["offer=\"embed\"", "field=\"offers[0].node\"", "INVALID_FIELD", "is not yours", "node.toml"] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
}

#[tokio::test]
async fn a_field_that_is_no_offers_is_named_without_one() {
    let failure = Failure::new(Code::InvalidArgument, "INVALID_FIELD", "address: is none").with("field", "address");
    let (log, _) = refused(failure).await;
    let lines = log.lines_with("field=\"address\"");
    assert!(lines.len() == 1 && !lines[0].contains("offer="), "{lines:?}");
}

#[tokio::test]
async fn a_broker_that_takes_no_more_offers_now_gets_them_later_and_nobody_has_to_act() {
    let failure = Failure::new(Code::ResourceExhausted, "PUBLISH_RATE", "too often (hint: wait)");
    let (log, asked) = refused(failure).await;
    assert_eq!((log.lines_with("PUBLISH_RATE").len(), asked), (1, 4));
    assert!(log.lines_with("WARN").is_empty() && log.lines_with("ERROR").is_empty());
}

#[tokio::test]
async fn a_suspended_node_is_told_so_once_and_publishes_when_the_suspension_is_lifted() {
    let failure = Failure::new(Code::PermissionDenied, "MEMBER_SUSPENDED", "suspended (hint: ask an operator)");
    let (log, asked) = refused(failure).await;
    let lines = log.lines_with("WARN");
    assert_eq!((lines.len(), asked), (1, 4), "{lines:?}");
    assert!(lines[0].contains("MEMBER_SUSPENDED") && lines[0].contains("ask an operator"), "{lines:?}");
}
