//! `cargo xtask bench suspension`: how long it takes from an operator's word to the refusal of the next request and to the
//! end of the last stream of whoever is suspended. Real programs; every stream is in the middle of its answer.
//!
//! Timed is all of it: the statement verified and made durable, each stream's cut, the status with its reason in the hands
//! of the client; where the command is measured, its own process as well, its handshake and its reading of the log. A run
//! in which a stream ends otherwise, or in which a request is let through after the word was taken, fails; and it ends with
//! another status than 0 where the 99th percentile is not what is promised.
//!
//! | module | holds |
//! |---|---|
//! | `stage` | the federation, its streams and requests |
//! | `operator` | the word: a call of the SDK, or the process of `comity suspend` |
//! | `figures` | percentiles, and the table |
#![expect(clippy::print_stdout, reason = "a measurement is its output")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "measurements end loudly")]

mod figures;
mod operator;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use comity_membership::{By, Statement};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::figures::Figures;
use self::operator::{Operator, Way};
use self::stage::{Stage, Who};

/// Streams in flight when the word is given.
const STREAMS: usize = 200;
/// How often each kind of member is suspended in each way, unless `--runs` says otherwise: the least for which the 99th
/// percentile is not the longest.
const RUNS: usize = 101;
/// Longest that anything may take before the measurement gives up.
const LONGEST: Duration = Duration::from_secs(30);

/// What one suspension took, from the word on.
struct Sample {
    /// Until the next request was refused.
    refused: Duration,
    /// Until the last stream had ended.
    cut: Duration,
    /// Until whoever gave the word had its answer.
    answered: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let runs = runs();
    let stage = Stage::set();
    let mut operator = Operator::of(&stage.federation);
    let all = stage.everyone();
    let mut figures = Figures::new(&all);
    figures::print_head(runs, operator.epoch().await);
    // One after another in every run, so that what the machine does meanwhile is shared by all.
    for _ in 0..runs {
        for who in &all {
            for way in Way::ALL {
                figures.add(who, way, sample(&stage, &mut operator, who, way).await);
            }
        }
    }
    if figures.print(operator.epoch().await) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn runs() -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--runs").skip(1);
    arguments.next().map_or(RUNS, |runs| runs.parse().unwrap())
}

/// Suspends somebody in the middle of many streams, and lifts it again.
async fn sample(stage: &Stage, operator: &mut Operator, who: &Who, way: Way) -> Sample {
    let mut streams = stage.open_streams().await;
    let word = operator.prepare(way, who).await;
    let mut requests = JoinSet::new();
    requests.spawn(stage.ask_until_refused());
    let begun = Instant::now();
    operator.say(word).await;
    let answered = begun.elapsed();
    stage.check_refused(who).await;
    let refused = tokio::time::timeout(LONGEST, requests.join_next()).await.unwrap().unwrap().unwrap();
    who.check(&refused.1);
    let mut last = begun;
    while let Some(ended) = tokio::time::timeout(LONGEST, streams.join_next()).await.unwrap() {
        let (at, status) = ended.unwrap();
        who.check_cut(&status);
        last = last.max(at);
    }
    operator.speak(Statement::Lifted { subject: who.subject.clone(), by: By::Federation }).await;
    let since = |at: Instant| at.saturating_duration_since(begun);
    Sample { refused: since(refused.0), cut: since(last), answered }
}
