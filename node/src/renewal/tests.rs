//! A certificate is renewed past half of its life and not before, with the same key, however many tries it takes.

use std::sync::Arc;
use std::time::Duration;

use comity_proto::error::Failure;
use tonic::Code;

use super::*;
use crate::testing::{Broker, FAST, LIFETIME, Log, MovedClock, World, run_until};

/// Past the latest time of a renewal, and before the end of the certificate.
const LATE: Duration = Duration::from_secs(16 * 3600);

async fn start() -> (Arc<MovedClock>, World, Broker, Identity) {
    let clock = Arc::<MovedClock>::default();
    let (world, broker) = Broker::start(&clock).await;
    let identity = Identity::open_with_clock(world.config.identity_dir(), Arc::clone(&clock) as _).unwrap();
    (clock, world, broker, identity)
}

#[tokio::test]
async fn past_half_of_its_life_and_not_before_a_certificate_is_renewed_for_the_same_key() {
    let (clock, world, broker, identity) = start().await;
    let before = identity.leaf();
    for early in [Duration::ZERO, LIFETIME / 2 - Duration::from_secs(3600)] {
        clock.move_by(early);
        let looked = clock.reads();
        run_until(renew(&identity, FAST), || clock.reads() > looked + 3).await;
        assert_eq!(*broker.script.renewed.lock().unwrap(), 0);
    }
    clock.move_by(LATE - LIFETIME / 2);
    run_until(renew(&identity, FAST), || identity.leaf() != before).await;
    let after = identity.leaf();
    assert_eq!((&after.id, after.public_key), (&before.id, before.public_key));
    assert!(after.not_after > before.not_after);
    assert_eq!(Identity::open(world.config.identity_dir()).unwrap().leaf(), after, "it is stored");
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_and_each_change_is_said_once() {
    let (clock, _world, broker, identity) = start().await;
    let unavailable = || Some(Status::unavailable("starting"));
    let suspended = || Some(Failure::new(Code::PermissionDenied, "MEMBER_SUSPENDED", "suspended").into());
    let answers = [unavailable(), unavailable(), unavailable(), suspended(), suspended(), unavailable()];
    broker.script.renewals.lock().unwrap().extend(answers);
    let (log, before) = (Log::default(), identity.leaf());
    let _guard = log.collect();
    clock.move_by(LATE);
    run_until(renew(&identity, FAST), || identity.leaf() != before).await;
    assert_eq!(*broker.script.renewed.lock().unwrap(), 7);
    let lines = log.lines_with("could not be renewed");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].contains("MEMBER_SUSPENDED") && lines[1].contains("not_after="), "{lines:?}");
    assert_eq!(log.lines_with("renewed the certificate").len(), 1);
}

#[tokio::test]
async fn a_broker_that_never_answers_a_renewal_is_asked_again() {
    let (clock, _world, broker, identity) = start().await;
    broker.script.renewals.lock().unwrap().push_back(None);
    let before = identity.leaf();
    clock.move_by(LATE);
    let pace = Pace { call_deadline: Duration::from_millis(200), ..FAST };
    run_until(renew(&identity, pace), || identity.leaf() != before).await;
    assert!(*broker.script.renewed.lock().unwrap() >= 2);
}

#[tokio::test]
async fn a_renewal_goes_on_when_the_broker_comes_back() {
    let (clock, world, broker, identity) = start().await;
    broker.stop().await;
    let before = identity.leaf();
    let log = Log::default();
    let _guard = log.collect();
    clock.move_by(LATE);
    run_until(renew(&identity, FAST), || !log.lines_with("could not be renewed").is_empty()).await;
    let _broker = broker.restart(&world, &clock).await;
    run_until(renew(&identity, FAST), || identity.leaf() != before).await;
}
