//! `cargo xtask bench log`, its second half: what a call costs whose decision and outcome are both durable before the next
//! step, with real programs. One caller asks one thing after another of a model that answers at once; the broker's own
//! histograms say how much of each call it waited for the log.
//!
//! What is compared: the call through broker and node, over mutual TLS on this machine; the same call less what the broker
//! waited for its log, which is what it would take without one; the same through a broker with `commit = "overlapped"`; and
//! the same question to the model's server itself. No setting of the broker turns its log off; what relaying costs
//! without one is measured by `cargo xtask bench dataplane`, with a program of its own.
//!
//! | module | holds |
//! |---|---|
//! | `stage` | the federation, and the call |
//! | `waited` | what the broker's histograms say |
#![expect(clippy::print_stdout, reason = "a measurement is its output")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "measurements end loudly")]

mod stage;
mod waited;

use std::sync::Arc;
use std::time::Duration;

use comity_client::follow::{self, Followed};
use comity_client::receipt::{Against, AsOf, check};
use comity_runtime::tables;
use tokio::time::Instant;

use self::stage::Stage;
use self::waited::Waited;

/// Rounds, in each of which both ways take turns.
const ROUNDS: usize = 5;
/// How long a round lasts, unless `--seconds` says otherwise.
const SECONDS: u64 = 2;
/// How often a receipt is checked in a round.
const CHECKS: u32 = 500;

/// What a round came to, in milliseconds.
struct Round {
    through: f64,
    through_nearly_all: f64,
    commit: f64,
    settle: f64,
    overlapped: f64,
    alone: f64,
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args().skip_while(|argument| argument != "--seconds").nth(1);
    let length = Duration::from_secs(seconds.map_or(SECONDS, |seconds| seconds.parse().unwrap()));
    let (stage, overlapped) = (Stage::set("strict"), Stage::set("overlapped"));
    println!("One caller, one chat after another; load {} at the start; {ROUNDS} rounds of {length:?}\n", load());
    let _warm = (calls(&stage, length).await, calls(&overlapped, length).await);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let before = Waited::read(stage.metrics());
        let through = calls(&stage, length).await;
        let [commit, settle] = Waited::read(stage.metrics()).since(&before, through.len());
        let travelling = sorted(calls(&overlapped, length).await);
        let alone = stage.ask_the_model(through.len().min(500));
        let (through, alone) = (sorted(through), sorted(alone));
        let (through, through_nearly_all, alone) = (at(&through, 50), at(&through, 99), at(&alone, 50));
        let overlapped = at(&travelling, 50);
        rounds.push(Round { through, through_nearly_all, commit, settle, overlapped, alone });
    }
    print(&rounds);
    print_check(&stage).await;
    println!("load at the end: {}", load());
}

async fn calls(stage: &Stage, length: Duration) -> Vec<Duration> {
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < length {
        let asked = Instant::now();
        let _receipt = stage.ask().await;
        times.push(asked.elapsed());
    }
    times
}

fn print(rounds: &[Round]) {
    let column = |of: fn(&Round) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        let (lowest, median, highest) = (all[0], all[all.len() / 2], all[all.len() - 1]);
        format!("{median:.2} ({lowest:.2} to {highest:.2})")
    };
    println!("| one caller | ms |\n|---|--:|");
    println!("| a chat through broker and node, p50 | {} |", column(|round| round.through));
    println!("| the same, p99 | {} |", column(|round| round.through_nearly_all));
    println!("| of it, waiting for the decision to be durable: mean | {} |", column(|round| round.commit));
    println!("| of it, waiting for the outcome to be durable: mean | {} |", column(|round| round.settle));
    println!("| added by strict commit: both | {} |", column(|round| round.commit + round.settle));
    println!(
        "| the chat without both: p50 less both means | {} |",
        column(|round| round.through - round.commit - round.settle)
    );
    println!("| the chat with `overlapped`, p50 | {} |", column(|round| round.overlapped));
    println!("| `overlapped` : strict, p50 | {} |", column(|round| round.overlapped / round.through));
    println!(
        "| added by `overlapped`: its p50 less the strict one without both | {} |",
        column(|round| round.overlapped - (round.through - round.commit - round.settle))
    );
    println!("| the model's own server, p50 | {} |", column(|round| round.alone));
    println!();
}

/// What it takes to check a receipt in full: against the log of the federation, with eligibility evaluated again.
async fn print_check(stage: &Stage) {
    let receipt = stage.ask_for_all().await;
    let root = stage.identity.root();
    let digest = stage.identity.dir().identity().unwrap().federation_root;
    let followed = Followed::new(root, digest, Arc::clone(stage.identity.clock()));
    let followed = follow::read(&stage.operator, followed, |_, _| {}).await.unwrap();
    let tables = tables::load(None).unwrap();
    let state = AsOf { log: followed.log(), until: None };
    let against = Against { root, log: Some(state), policy: None, tables: &tables, now: stage.identity.clock().now() };
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            (0..CHECKS).for_each(|_| drop(check(&receipt, &against).unwrap()));
            begun.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let unproven = check(&receipt, &against).unwrap().findings.into_iter().filter(|finding| !finding.proven);
    println!(
        "a receipt checked in full, against a federation's log of {} entries: {:.0} µs ({:.0} to {:.0});",
        followed.log().federation().epoch(),
        rounds[ROUNDS / 2],
        rounds[0],
        rounds[ROUNDS - 1]
    );
    println!("not proven by it: {}", unproven.map(|finding| finding.what).collect::<Vec<_>>().join("; "));
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

/// A percentile, in milliseconds.
fn at(sorted: &[Duration], hundredths: usize) -> f64 {
    let place = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1_000.0)
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}
