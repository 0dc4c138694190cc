//! The copy takes what is proven, refuses what is not, says how far and how old it is, and stops where it was lied to.

use std::time::Duration;

use comity_membership::NotTaken;

use super::*;
use crate::testing::{History, MovedClock, World, facts};

mod following;
mod on_disk;

const BUDGET: Duration = Duration::from_secs(15 * 60);

/// A federation with three organisations: entries 2 to 4 admit them.
fn history(world: &World) -> History {
    let mut history = world.history();
    for domain in ["org-2.example", "org-3.example", "org-4.example"] {
        history.admit(facts(domain, "DE"), &format!("spiffe://{domain}/node/n1"));
    }
    history
}

fn empty() -> (World, Replica, Arc<MovedClock>) {
    let (world, clock) = (World::at("127.0.0.1:1"), Arc::new(MovedClock::default()));
    let replica = world.replica(clock.clone());
    (world, replica, clock)
}

fn take(replica: &Replica, parts: impl IntoIterator<Item = WatchResponse>) {
    parts.into_iter().for_each(|part| replica.take(&part).unwrap());
}

#[tokio::test]
async fn a_request_waits_for_the_statement_that_it_was_decided_on() {
    let (world, replica, _) = empty();
    let waiting = replica.clone();
    let waiting = async move { waiting.wait_for(1, Duration::from_secs(10)).await };
    let (found, ()) = tokio::join!(waiting, async { take(&replica, world.history().all()) });
    assert_eq!(found.unwrap().epoch(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_does_not_come_in_time_leaves_the_node_behind() {
    let behind = empty().1.wait_for(3, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(behind, NotCurrent::Behind { known: 0, needed: 3 });
}

#[test]
fn nothing_counts_before_a_checkpoint_agrees_with_it() {
    let (world, replica, _) = empty();
    let history = history(&world);
    replica.take(&history.entry(1)).unwrap();
    assert_eq!((replica.federation().epoch(), replica.age()), (0, None));
    replica.take(&history.checkpoint(1)).unwrap();
    assert_eq!((replica.federation().epoch(), replica.age().is_some()), (1, true));
}

#[test]
fn what_is_not_proven_changes_nothing() {
    let (world, replica, _) = empty();
    let (history, other) = (history(&world), World::at("127.0.0.1:1").history());
    let unreadable = WatchResponse { epoch: 1, entry: b"{}".to_vec().into(), ..WatchResponse::default() };
    let not_taken = |part: &WatchResponse| {
        let refused = replica.take(part).unwrap_err();
        let FollowError::NotTaken(error) = refused else { panic!("{refused:?}") };
        error
    };
    assert!(matches!(not_taken(&unreadable), NotTaken::Malformed { epoch: 1, .. }));
    assert!(matches!(not_taken(&other.entry(1)), NotTaken::OtherRoot));
    let misplaced = WatchResponse { epoch: 2, ..history.entry(1) };
    assert!(matches!(replica.take(&misplaced), Err(FollowError::Misplaced { expected: 1, sent: 2 })));
    take(&replica, history.parts(&[1]));
    let early = WatchResponse { epoch: 2, ..history.entry(3) };
    assert!(matches!(not_taken(&early), NotTaken::Refused { epoch: 2, .. }));
    assert!(matches!(replica.take(&other.checkpoint(1)), Err(FollowError::Checkpoint(_))), "another log's key");
    assert!(matches!(replica.take(&history.checkpoint(3)), Err(FollowError::OtherSize { signed: 3, sent: 1 })));
    assert_eq!(replica.federation().epoch(), 1);
    take(&replica, history.parts(&[2, 3, 4]));
    assert_eq!(replica.federation().organisations().count(), 3);
}

#[test]
fn an_entry_of_a_time_that_has_not_come_is_not_taken() {
    let (world, replica, clock) = empty();
    let history = history(&world);
    clock.move_back(Duration::from_secs(3600));
    assert!(matches!(replica.take(&history.entry(1)), Err(FollowError::FromTheFuture { epoch: 1, .. })));
    clock.move_by(Duration::from_secs(3600));
    take(&replica, history.parts(&[1]));
}

#[tokio::test]
async fn a_state_that_nobody_confirmed_for_too_long_is_not_acted_upon_until_somebody_does() {
    let (world, replica, clock) = empty();
    let history = history(&world);
    assert!(matches!(replica.check(), Err(NotCurrent::Stale { budget: BUDGET, .. })), "never heard is stale");
    take(&replica, history.parts(&[1]));
    clock.move_by(BUDGET - Duration::from_secs(60));
    assert_eq!(replica.check(), Ok(()));
    clock.move_by(Duration::from_secs(61));
    let stale = replica.wait_for(1, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(stale, NotCurrent::Stale { .. }), "{stale:?}");
    take(&replica, [history.checkpoint(1)]);
    assert_eq!(replica.check(), Ok(()));
}

#[test]
fn an_offer_with_a_budget_of_its_own_stops_before_the_others_and_it_is_said_which_classes_do() {
    let (world, clock) = (World::at("127.0.0.1:1"), Arc::new(MovedClock::default()));
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let offers = [("strict".parse().unwrap(), minutes(2))].into();
    let replica = world.replica_within(clock.clone(), Budgets { all: BUDGET, new_callers: minutes(5), offers });
    let caller: SpiffeId = "spiffe://app.example/app/a1".parse().unwrap();
    let check = |offer: &str| match replica.check_class(&offer.parse().unwrap(), &caller) {
        Ok(()) => None,
        Err(NotCurrent::Stale { class, budget, .. }) => Some((class.to_string(), budget)),
        Err(other) => panic!("{other}"),
    };
    let stale = || replica.stale_classes().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(stale(), ["all", "new_callers", "offers.strict"], "never heard is stale for all");
    take(&replica, history(&world).parts(&[1]));
    assert_eq!((check("strict"), check("chat"), stale().len()), (None, None, 0));
    clock.move_by(minutes(3));
    assert_eq!((check("strict"), check("chat")), (Some(("offers.strict".to_owned(), minutes(2))), None));
    assert_eq!(stale(), ["offers.strict"]);
    clock.move_by(minutes(3));
    assert_eq!(check("chat"), Some(("new_callers".to_owned(), minutes(5))));
    replica.served(&caller);
    assert_eq!(check("chat"), None);
    assert!(check("strict").is_some(), "also for callers that were served");
    assert_eq!(replica.check(), Ok(()));
}

#[tokio::test]
async fn a_node_that_is_shown_two_pasts_serves_nobody_from_then_on() {
    let (world, replica, _) = empty();
    let history = history(&world);
    take(&replica, history.parts(&[1, 2]));
    assert!(matches!(replica.take(&history.fork(2)), Err(FollowError::Diverged(_))));
    let halted = replica.wait_for(1, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(&halted, NotCurrent::Halted { why } if why.contains("different roots")), "{halted:?}");
    take(&replica, [history.checkpoint(2)]);
    assert!(matches!(replica.check(), Err(NotCurrent::Halted { .. })), "no later word undoes it");
}
