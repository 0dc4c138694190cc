//! P1, no leak on any path: whatever callers demand, nodes do and operators say at the same time, no node gets a request that
//! the policy, at the epoch that it was decided at, does not let it have.
//!
//! ```text
//! callers: random demands ─▶ the flow, its log, its links over TLS ─▶ nodes: every byte that they get
//! operators and members: suspend, lift, publish, move ─▶ the state at each epoch ─▶ two oracles ─┘
//! ```
//! Both have to allow a delivery: the engine by a full evaluation of that one offer, without the index, and a few lines
//! that know nothing of it ([`model`]). Where requests travel ahead of their permits, bytes that no permit followed are held
//! against both as well; budgets and quotas take offers away, and may add none ([`mode`]). `cargo xtask leaks` runs this for a million deliveries.

mod deliveries;
mod memory;
mod mode;
mod model;
mod stage;

use std::io::Write as _;

use comity_runtime::clock::SystemClock;
use comity_types::Clock as _;

use self::mode::Mode;
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
    /// That were there before their permit.
    ahead: u64,
    /// Requests, or parts of them, that no permit followed: no deliveries, since nobody may run them.
    withdrawn: u64,
    requests: u64,
    refused: u64,
    over_budget: u64,
    answered: u64,
    changes: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.retries += other.retries;
        self.contested += other.contested;
        self.ahead += other.ahead;
        self.withdrawn += other.withdrawn;
        self.requests += other.requests;
        self.refused += other.refused;
        self.over_budget += other.over_budget;
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
    // Each mode has its turn.
    let an_episode = wanted.div_ceil(Mode::COUNT).min(AN_EPISODE);
    while total.deliveries < wanted {
        let left = (wanted - total.deliveries).min(an_episode);
        total.add(Episode::draw(dice.next(), Mode::of(episodes), left).await.run().await);
        episodes += 1;
        if wanted > DELIVERIES {
            said(&format!("{:>9} of {wanted} deliveries, {episodes} federations, 0 leaks", total.deliveries));
        }
    }
    let Tally { deliveries, retries, contested, ahead, withdrawn, requests, refused, over_budget, answered, changes } =
        total;
    said(&format!(
        "leaks: 0 in {deliveries} deliveries ({retries} after another node, {contested} to offers that other epochs forbid, {ahead} ahead of their permit) and {withdrawn} withdrawn, of {requests} requests, {refused} refused, {over_budget} over a budget, {answered} answered; {changes} changes of {episodes} federations; seed {seed}"
    ));
    // Or nothing was shown.
    assert!(retries > 0 && refused > 0 && answered > 0 && changes > 0, "{total:?}");
    assert!(ahead > 0 && over_budget > 0, "{total:?}");
    assert!(contested > deliveries / 100, "{total:?}");
}

/// Past what the test harness keeps to itself.
fn said(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}
