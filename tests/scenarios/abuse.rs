//! What strangers and members can make a broker do that is no call: it is bounded, it ends with their connection, and others
//! are served meanwhile. By frames that no client of ours would send, over real sockets.

mod nodes;

use std::sync::Arc;

use comity_client::connection::Unary;
use comity_client::{Connection, Identity};
use comity_proto::catalog::ListModelsRequest;
use comity_proto::catalog::catalog_client::CatalogClient;
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation};
use comity_tests::raw::{
    self, ACK, END_HEADERS, ENHANCE_YOUR_CALM, Ended, FIRST, FLOW_CONTROL_ERROR, Held, Kind, LARGEST_FRAME, frame,
};
use comity_tests::wait;
use rustls::ClientConfig;

/// How much more a broker may hold after an attack than before it, in bytes: what an allocator keeps that was used once, of
/// a program that was not optimised. One attack that keeps what it sends is above it at once.
const MOST_MEMORY: u64 = 32 << 20;
/// How much an idle connection may take, in bytes: TLS has buffers of 16 KiB, and HTTP/2 some of its own.
const PER_CONNECTION: u64 = 64 << 10;
/// Pieces of an attack that are sent, unless it is ended before: far more than any limit takes.
const PIECES: u32 = 4_000;
/// Frames of a piece.
const FRAMES: u32 = 64;
/// How often the honest caller asks while an attack runs, at the least.
const HONEST_CALLS: usize = 20;

/// What a peer does that means harm.
struct Attack {
    name: &'static str,
    /// What it says once.
    begins: fn() -> Vec<u8>,
    /// What it says again and again.
    goes_on: fn(u32) -> Vec<u8>,
    /// How it has to end.
    ends: Ended,
}

const ATTACKS: [Attack; 12] = [
    Attack {
        name: "pings",
        begins: Vec::new,
        goes_on: |_| many(|_| frame(Kind::Ping, 0, 0, &[7; 8])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "answers to pings that nobody sent",
        begins: Vec::new,
        goes_on: |_| many(|_| frame(Kind::Ping, ACK, 0, &[7; 8])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "settings",
        begins: Vec::new,
        // Another window for every call that there is, each time.
        goes_on: |_| many(|i| frame(Kind::Settings, 0, 0, &[0, 4, 0, 0, 0, u8::try_from(i % 2).unwrap()])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "priorities",
        begins: Vec::new,
        goes_on: |_| many(|i| frame(Kind::Priority, 0, 2 * i + 1, &[0, 0, 0, 0, 9])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "frames that nobody knows",
        begins: Vec::new,
        goes_on: |_| many(|_| frame(Kind::Unknown, 0, 0, &[])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "windows, byte by byte",
        begins: Vec::new,
        goes_on: |_| many(|_| frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 1])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "a window larger than any",
        begins: Vec::new,
        goes_on: |_| frame(Kind::WindowUpdate, 0, 0, &i32::MAX.to_be_bytes()),
        ends: FLOW_CONTROL_ERROR,
    },
    Attack {
        name: "calls that are taken back at once (CVE-2023-44487)",
        begins: Vec::new,
        goes_on: |at| calls(at, |call| frame(Kind::RstStream, 0, call, &[0, 0, 0, 8])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "calls that we have to reset (CVE-2025-8671)",
        begins: Vec::new,
        goes_on: |at| calls(at, |call| frame(Kind::WindowUpdate, 0, call, &i32::MAX.to_be_bytes())),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "a head without an end, in small pieces (CVE-2024-27316)",
        begins: || frame(Kind::Headers, 0, 1, &raw::headers(&[(":method", "POST")])),
        goes_on: |_| frame(Kind::Continuation, 0, 1, &[]),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "a head as long as its pieces may be",
        begins: || frame(Kind::Headers, 0, 1, &raw::call(PATH, &[])),
        goes_on: |_| frame(Kind::Continuation, 0, 1, &raw::headers(&[("x-much", &"x".repeat(LARGEST_FRAME - 64))])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "a message of nothing",
        begins: || frame(Kind::Headers, END_HEADERS, 1, &raw::call(PATH, &[])),
        goes_on: |_| many(|_| frame(Kind::Data, 0, 1, &[])),
        ends: ENHANCE_YOUR_CALM,
    },
];

/// What anybody may call.
const PATH: &str = "/comity.enrolment.v1.Enrolment/GetRoot";

/// One frame after another.
fn many(one: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..FRAMES).flat_map(one).collect()
}

/// Calls, each followed by another frame.
fn calls(piece: u32, then: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    many(|i| {
        let call = 2 * (piece * FRAMES + i) + 1;
        [frame(Kind::Headers, END_HEADERS, call, &raw::call(PATH, &[])), then(call)].concat()
    })
}

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
        let mut connection = raw::connect(self.federation.address(), tls).await.unwrap();
        let first = [FIRST, &frame(Kind::Settings, 0, 0, &[]), &(attack.begins)()].concat();
        tokio::io::AsyncWriteExt::write_all(&mut connection, &first).await.unwrap();
        raw::flood(connection, PIECES, attack.goes_on).await
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
