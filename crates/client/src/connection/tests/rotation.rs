//! Whatever rolls, calls do not notice: hundreds are in flight, all the time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use comity_runtime::tasks::{Closed, Tasks};

use super::*;

/// Calls in flight, each followed by the next one.
const CALLS: usize = 250;
/// How often everything rolls.
const ROLLS: usize = 12;
/// Calls between two rolls, at least.
const CALLS_BETWEEN: usize = 500;
/// As long as a busy machine takes for [`CALLS_BETWEEN`] calls, many times over.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Load {
    over: AtomicBool,
    answered: AtomicUsize,
    failed: std::sync::Mutex<Vec<tonic::Status>>,
}

impl Load {
    async fn call(self: Arc<Self>, mut client: EnrolmentClient<super::super::Channel>) {
        while !self.over.load(Ordering::SeqCst) {
            match client.get_root(GetRootRequest {}).await {
                Ok(_) => drop(self.answered.fetch_add(1, Ordering::SeqCst)),
                Err(status) => self.failed.lock().unwrap().push(status),
            }
        }
    }

    async fn goes_on(&self) {
        let enough = self.answered.load(Ordering::SeqCst) + CALLS_BETWEEN;
        let went_on = tokio::time::timeout(PATIENCE, async {
            while self.answered.load(Ordering::SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        went_on.await.expect("calls are answered");
    }
}

#[tokio::test]
async fn leaves_the_organisations_authority_and_the_brokers_own_certificate_roll_and_no_call_fails() {
    let world = World::new().await;
    let identity = joined(&world).await;
    let (connection, load, tasks) = (Connection::open(&identity).unwrap(), Arc::<Load>::default(), Tasks::new());
    for _ in 0..CALLS {
        tasks.spawn("calls", Arc::clone(&load).call(EnrolmentClient::new(connection.channel())));
    }
    let mut leaves = std::collections::BTreeSet::new();
    for _ in 0..ROLLS {
        load.goes_on().await;
        world.roll_authority();
        world.roll_broker();
        crate::enrol::renew(&identity).await.unwrap();
        leaves.insert(identity.leaf().certificate);
        let connections = world.connections();
        load.goes_on().await;
        eventually(|| world.connections() > connections).await;
        world.retire_authorities();
    }
    load.over.store(true, Ordering::SeqCst);
    assert_eq!(tasks.close(PATIENCE).await, Closed::Drained);
    assert!(load.failed.lock().unwrap().is_empty(), "{:?}", load.failed.lock().unwrap());
    assert_eq!(leaves.len(), ROLLS);
}

async fn eventually(state: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !state() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("the state comes about");
}

/// Calls until `state` holds.
async fn call_until(identity: &Identity, state: impl Fn() -> bool) {
    let connection = Connection::open(identity).unwrap();
    let mut client = EnrolmentClient::new(connection.channel());
    let called = tokio::time::timeout(PATIENCE, async {
        while !state() {
            client.get_root(GetRootRequest {}).await.unwrap();
        }
    });
    called.await.expect("the state comes about while calls are answered");
}

#[tokio::test]
async fn a_program_that_goes_on_has_its_certificate_renewed_and_no_call_fails() {
    let clock = MovedClock::by(Duration::ZERO);
    let world = World::with_clock(clock.clone()).await;
    drop(joined(&world).await);
    let identity = Identity::open_with_clock(world.member_dir(), clock.clone()).unwrap();
    let before = identity.leaf();
    call_until(&identity, || true).await;
    world.desk.issue_by(clock.clone());
    clock.advance(LIFETIME * 3 / 4);
    call_until(&identity, || identity.leaf().certificate != before.certificate).await;
    assert_eq!(Identity::open(world.member_dir()).unwrap().leaf(), identity.leaf(), "it is stored");
    assert_eq!(identity.leaf().public_key, before.public_key);
}

#[tokio::test]
async fn a_program_that_slept_past_the_end_of_its_certificate_calls_on() {
    let clock = MovedClock::by(Duration::ZERO);
    let world = World::with_clock(clock.clone()).await;
    drop(joined(&world).await);
    let identity = Identity::open_with_clock(world.member_dir(), clock.clone()).unwrap();
    let (connection, before) = (Connection::open(&identity).unwrap(), identity.leaf());
    let mut client = EnrolmentClient::new(connection.channel());
    client.get_root(GetRootRequest {}).await.unwrap();
    world.desk.issue_by(clock.clone());
    clock.advance(LIFETIME * 5);
    world.roll_broker_by(&*clock);
    world.cut_connections();
    call_until(&identity, || identity.leaf().not_after > before.not_after.plus(LIFETIME)).await;
}

#[tokio::test]
async fn whose_certificate_comes_from_elsewhere_renews_nothing() {
    let clock = MovedClock::by(Duration::ZERO);
    let world = World::with_clock(clock.clone()).await;
    drop(joined(&world).await);
    let identity = Identity::open_with_clock(world.member_dir(), clock.clone()).unwrap().renewed_elsewhere();
    clock.advance(LIFETIME * 3 / 4);
    let before = identity.leaf();
    call_until(&identity, || world.connections() > 0).await;
    assert_eq!(identity.leaf(), before);
}
