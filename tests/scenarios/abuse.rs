//! What strangers and members can make a broker do that is no call: it is bounded, it ends with their connection, and others
//! are served meanwhile. By frames that no client of ours would send, over real sockets.

mod nodes;

use std::sync::Arc;

use comity_client::connection::Unary;
use comity_client::{Connection, Identity};
use comity_proto::catalog::ListModelsRequest;
use comity_proto::catalog::catalog_client::CatalogClient;
use comity_tests::abuse::{ATTACKS, Attack};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation};
use comity_tests::raw::{self, Ended, Held};
use comity_tests::wait;
use rustls::ClientConfig;

/// How much more a broker may hold after an attack than before it, in bytes: what an allocator keeps that was used once, of
/// a program that was not optimised. One attack that keeps what it sends is above it at once.
const MOST_MEMORY: u64 = 32 << 20;
/// How much an idle connection may take, in bytes: TLS has buffers of 16 KiB, and HTTP/2 some of its own.
const PER_CONNECTION: u64 = 64 << 10;
/// How often the honest caller asks while an attack runs, at the least.
const HONEST_CALLS: usize = 20;

/// A broker, somebody who calls it as they should, and how others connect to it.
struct Stage {
    federation: Federation,
    honest: Identity,
    hostile: Identity,
}

impl Stage {
    fn set() -> Self {
        let federation = Federation::start();
        let (honest, hostile) = (federation.app(EU_BODY, "honest"), federation.app(EU_OWNED, "hostile"));
        Self { federation, honest: open(&honest), hostile: open(&hostile) }
    }

    fn held(&self) -> Held {
        Held::by(self.federation.broker.as_ref().unwrap().id())
    }

    /// Waits until nothing is left of what was there beside `before`.
    fn wait_until_gone(&self, before: Held) {
        wait::until("the broker has closed what is gone", || {
            (self.held().descriptors <= before.descriptors).then_some(())
        });
        let (before, after) = (before.memory, self.held().memory);
        assert!(after < before + MOST_MEMORY, "{before} bytes have become {after}");
    }

    fn catalog(&self) -> CatalogClient<Unary> {
        CatalogClient::new(Connection::open(&self.honest).unwrap().unary())
    }

    async fn attack(&self, attack: &Attack, tls: &Arc<ClientConfig>) -> Ended {
        attack.carry_out(self.federation.address(), tls).await.unwrap()
    }
}

fn open(caller: &Caller) -> Identity {
    Identity::open(&caller.identity).unwrap()
}

/// Asks so often, and as long as `other` is not done. Every call has to succeed.
async fn meanwhile<T>(catalog: &mut CatalogClient<Unary>, other: impl Future<Output = T>) -> T {
    let mut asked = 0;
    let mut other = std::pin::pin!(other);
    let mut done = None;
    while done.is_none() || asked < HONEST_CALLS {
        tokio::select! {
            biased;
            ended = other.as_mut(), if done.is_none() => done = Some(ended),
            answer = catalog.list_models(ListModelsRequest::default()) => {
                let _models = answer.unwrap();
                asked += 1;
            }
        }
    }
    done.unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn who_floods_a_broker_with_frames_is_told_to_be_calm_and_hung_up_on_and_others_are_served() {
    let stage = run(async { Stage::set() });
    run(async {
        let mut catalog = stage.catalog();
        let _models = catalog.list_models(ListModelsRequest::default()).await.unwrap();
        let before = stage.held();
        let mut ends = Vec::new();
        for (who, tls) in [("a stranger", raw::stranger(&stage.hostile)), ("a member", raw::member(&stage.hostile))] {
            for attack in &ATTACKS {
                let ended = meanwhile(&mut catalog, stage.attack(attack, &tls)).await;
                ends.push((who, attack.name, ended, attack.ends));
            }
        }
        ends.retain(|(_, _, ended, expected)| ended != expected);
        assert_eq!(ends, [], "these did not end as they should");
        stage.wait_until_gone(before);
    });
    // An operator hears of a member that does so. What is odd in frames is no warning: it would be theirs to write.
    let log = stage.federation.broker.as_ref().unwrap().log();
    assert!(log.contains("hung up on a member"), "{log}");
}

#[test]
fn a_thousand_idle_connections_of_an_organisation_cost_little_and_the_next_is_refused_and_others_are_served() {
    let stage = run(async { Stage::set() });
    run(async {
        let mut catalog = stage.catalog();
        let _models = catalog.list_models(ListModelsRequest::default()).await.unwrap();
        let before = stage.held();
        let (address, tls) = (stage.federation.address(), raw::member(&stage.hostile));
        let taking = async {
            let mut taken = Vec::new();
            while let Ok(connection) = raw::connect(address, &tls).await {
                taken.push(connection);
            }
            taken
        };
        let taken = meanwhile(&mut catalog, taking).await;
        // An eighth of what `limits.connections` is unless configured.
        assert_eq!(taken.len(), 1024);
        let most = before.memory + PER_CONNECTION * 1024;
        assert!(stage.held().memory < most, "{:?} before, {:?} then", before, stage.held());
        drop(taken);
        wait::until("they are gone", || (stage.held().descriptors <= before.descriptors).then_some(()));
        drop(raw::connect(address, &tls).await.expect("the places are free again"));
    });
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let stage = run(async { Stage::set() });
    run(async {
        let mut catalog = stage.catalog();
        let _models = catalog.list_models(ListModelsRequest::default()).await.unwrap();
        let before = stage.held();
        let address = stage.federation.address();
        for tls in [raw::stranger(&stage.hostile), raw::member(&stage.hostile)] {
            let churning = async {
                for _ in 0..300 {
                    drop(raw::connect(address, &tls).await.expect("those before have gone"));
                }
            };
            meanwhile(&mut catalog, churning).await;
        }
        stage.wait_until_gone(before);
    });
}
