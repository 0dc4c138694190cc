//! P1, no leak on any path: whatever callers demand, nodes do and operators say at the same time, no node gets a request that
//! the policy, at the epoch that it was decided at, does not let it have.
//!
//! ```text
//! callers: random demands ─▶ the flow, its log, its links over TLS ─▶ nodes: every byte that they get
//! operators and members: suspend, lift, publish, move ─▶ the state at each epoch ─▶ two oracles ─┘
//! ```
//! Both have to allow a delivery: the engine by a full evaluation of that one offer, without the index, and a few lines
//! that know nothing of it ([`model`]). `cargo xtask leaks` runs this for a million deliveries.

mod deliveries;
mod memory;
mod model;
mod stage;

use std::io::Write as _;

use comity_runtime::clock::SystemClock;
use comity_types::Clock as _;

use self::model::Dice;
use self::stage::Episode;

/// How many deliveries are checked, if nobody says.
const DELIVERIES: u64 = 1_500;
/// After so many, another federation is drawn: a state for each epoch of one is kept.
const AN_EPISODE: u64 = 5_000;

/// What was seen, in numbers.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    deliveries: u64,
    /// Of requests that another node had got before.
    retries: u64,
    /// To an offer that another epoch would not have let have it.
    contested: u64,
    requests: u64,
    refused: u64,
    answered: u64,
    changes: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.retries += other.retries;
        self.contested += other.contested;
        self.requests += other.requests;
        self.refused += other.refused;
        self.answered += other.answered;
        self.changes += other.changes;
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn any_seed() -> u64 {
    SystemClock.now().as_millis().unsigned_abs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_gets_a_request_that_the_policy_does_not_let_it_have() {
    let wanted = setting("COMITY_LEAKS_DELIVERIES").unwrap_or(DELIVERIES);
    let seed = setting("COMITY_LEAKS_SEED").unwrap_or_else(any_seed);
    let (mut dice, mut total, mut episodes) = (Dice::new(seed), Tally::default(), 0);
    while total.deliveries < wanted {
        episodes += 1;
        let left = (wanted - total.deliveries).min(AN_EPISODE);
        total.add(Episode::draw(dice.next(), left).await.run().await);
        if wanted > DELIVERIES {
            said(&format!("{:>9} of {wanted} deliveries, {episodes} federations, 0 leaks", total.deliveries));
        }
    }
    let Tally { deliveries, retries, contested, requests, refused, answered, changes } = total;
    said(&format!(
        "leaks: 0 in {deliveries} deliveries ({retries} after another node, {contested} to offers that other epochs forbid) of {requests} requests, {refused} refused, {answered} answered; {changes} changes of {episodes} federations; seed {seed}"
    ));
    // Or nothing was shown.
    assert!(retries > 0 && refused > 0 && answered > 0 && changes > 0, "{total:?}");
    assert!(contested > deliveries / 100, "{total:?}");
}

/// Past what the test harness keeps to itself.
fn said(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}
