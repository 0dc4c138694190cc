//! Rather than a decision that contradicts the membership log, there is none.

use std::time::Duration;

use comity_membership::{By, Statement, Subject};

use super::world::soon;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

async fn refused_as(world: &World) -> (Code, String) {
    ended(&read(world.ask(in_germany()).await).await.1)
}

#[tokio::test]
async fn no_decision_is_made_before_the_time_of_the_membership_logs_newest_entry() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    world.clock.advance(MINUTE);
    world.publish(&node, &node.address, "DE", 2).await;
    world.clock.set_back(MINUTE);
    assert_eq!(refused_as(&world).await, (Code::Unavailable, "CLOCK_BEHIND_LOG".into()));
    assert_eq!(node.connections(), 0);

    world.clock.advance(MINUTE);
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello", "it ends by itself");
    assert_eq!(world.journal(1).await.0.len(), 1);
}

#[tokio::test]
async fn nothing_is_decided_while_a_change_of_the_federation_hangs_on_its_way_to_the_disk() {
    let world = World::new().await;
    let node = world.node("a.example", "DE", 1, answers("hello")).await;
    world.disk.hang(true);
    let (registry, epoch) = (world.registry.clone(), world.registry.snapshot().federation().epoch());
    let subject = Subject::Organisation("a.example".parse().unwrap());
    let suspended = Statement::Suspended { subject, reason: "a test".into(), by: By::Federation };
    let suspended = world.signed_by_operator(suspended, 0);
    Tasks::new().spawn("suspension", async move { drop(registry.append(suspended).await) });
    soon("it waits for the disk", || world.disk.is_waited_for().then_some(())).await;
    assert_eq!(read(world.ask(in_germany()).await).await.0, b"hello", "for a moment, as ever");

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(refused_as(&world).await, (Code::Unavailable, "MEMBERSHIP_LOG_STALLED".into()));
    tokio::time::resume();
    world.disk.hang(false);
    soon("it is in force", || (world.registry.snapshot().federation().epoch() > epoch).then_some(())).await;
    assert_eq!(refused_as(&world).await, (Code::FailedPrecondition, "NO_ELIGIBLE_OFFER".into()), "it ends by itself");
    assert_eq!(node.seen().len(), 1);
}
