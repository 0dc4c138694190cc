//! What the registry does of its own accord.

use comity_membership::federation::BRAKE;
use comity_membership::{By, Federation, Prepared, Subject};

use super::*;
use crate::access::tests::world::{SOON, World};

fn takes_part(federation: &Federation) -> bool {
    federation.organisation(&"app.example".parse().unwrap()).unwrap().suspensions.is_none()
}

#[tokio::test(start_paused = true)]
async fn a_brake_that_nobody_ratified_ends_while_the_broker_runs() {
    let world = World::new().await;
    world.brake(Subject::Organisation("app.example".parse().unwrap())).await;
    let (registry, mut changed) = (world.registry.clone(), world.registry.changed());
    let before = registry.snapshot().federation().epoch();
    let lapsed = async {
        // It has looked, and found that the brake holds.
        tokio::time::sleep(LOOK_FOR_LAPSED / 2).await;
        assert!(!takes_part(world.registry.snapshot().federation()));
        world.clock.advance(BRAKE);
        tokio::time::advance(LOOK_FOR_LAPSED).await;
        // The disk takes its own time.
        tokio::time::resume();
        tokio::time::timeout(SOON, changed.wait_for(|epoch| *epoch > before)).await.expect("in time").map(drop)
    };
    tokio::select! {
        () = registry.end_brakes(CancellationToken::new()) => panic!("it looks until it is stopped"),
        lapsed = lapsed => lapsed.unwrap(),
    }
    assert!(takes_part(world.registry.snapshot().federation()));
}

#[tokio::test]
async fn nothing_overtakes_that_would_not_come_into_force_or_is_longer_than_it_has_to_be() {
    let world = World::new().await;
    let urgency = |prepared: Prepared| world.registry.urgency(&prepared);
    let subject = || Subject::Organisation("app.example".parse().unwrap());
    let brake = || Statement::Suspended { subject: subject(), reason: "a test".into(), by: By::Brake };
    let prepared = |envelope| world.registry.prepare(envelope).unwrap();
    let signed = |padding| prepared(world.signed_by_operator(brake(), padding));
    assert_eq!(urgency(signed(0)), Urgency::Stop);
    assert_eq!(urgency(signed(MAX_STATEMENT_BYTES)), Urgency::Ordinary);
    let mut forged = world.signed_by_operator(brake(), 0);
    forged.signatures[0].sig[10] ^= 1;
    assert_eq!(urgency(prepared(forged)), Urgency::Ordinary);
    let before = signed(0);
    world.brake(subject()).await;
    assert_eq!(urgency(before), Urgency::Ordinary, "it is said");
}
