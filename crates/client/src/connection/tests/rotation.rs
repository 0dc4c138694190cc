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
