//! `cargo xtask bench overload`: what becomes of a broker that is asked for more than it can do, and of an honest caller while
//! others mean harm. Strict commit, everything on, the broker alone on its processor.
//!
//! Each round first finds what the broker can do, by a closed loop; then it is offered parts and multiples of that by an open
//! one, which waits for no answer; then one honest caller asks alone, and beside each abuse. All of a round is held against
//! what was found in the same.

mod abuse;
mod open;
mod report;

use std::time::Duration;

use tokio::time::Instant;

use self::abuse::Abuse;
use self::open::Offered;
use crate::cases::Case;
use crate::figures::percentile;
use crate::load::{Load, Target};
use crate::machine::{self, Cores, Used, WARM_UP};
use crate::options::Options;
use crate::stage::{Stage, Way};
use comity_tests::program::Program;

/// What is offered, in parts of what the broker can do.
pub(crate) const LOADS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];
/// KiB of a MiB.
const MIB: f64 = 1024.0;

/// One load, in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Calls a second: what was offered, what was answered whole and in time, what was shed, and what was neither.
    pub(crate) offered: f64,
    pub(crate) served: f64,
    pub(crate) shed: f64,
    pub(crate) late: f64,
    /// What the broker could do in this round.
    pub(crate) capacity: f64,
    /// Of those that were served, from when they were due, in milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// The broker's: seconds of a processor for each second, and MiB afterwards.
    pub(crate) cpu: f64,
    pub(crate) resident: f64,
}

/// One abuse, or none, in one round, beside one caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside {
    /// In microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) cpu: f64,
    pub(crate) resident: f64,
    /// Connections that the broker ended, a second.
    pub(crate) ended: f64,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) loads: Vec<(usize, Sample)>,
    /// By the abuse's place in [`Abuse::all`], and by round; none is the caller alone.
    pub(crate) beside: Vec<(Option<usize>, usize, Beside)>,
    pub(crate) voided: Vec<String>,
    pub(crate) machine: Vec<String>,
    pub(crate) idle: f64,
}

/// Measures, and prints the report.
pub(crate) fn run(options: &Options, stage: &Stage, cores: Cores) {
    let (program, target) = stage.broker(cores, Way::Strict);
    let mut figures = Figures { idle: Used::by(&program).resident as f64 / MIB, ..Figures::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let trailers = Load::connect(&target, Case::Unary1).await.unwrap().one(Case::Unary1).await.unwrap();
        stage.check(trailers, Way::Strict);
        let measured = Measured { program: &program, target: &target, length: Duration::from_secs(options.seconds) };
        for round in 0..options.rounds {
            figures.machine.push(machine::load());
            measured.loads(round, &mut figures).await;
            measured.abuses(round, stage, &mut figures).await;
        }
    });
    drop(runtime);
    report::print(options, &figures);
    if let Some(plot) = &options.plot {
        std::fs::write(plot, report::plot(&figures)).unwrap();
    }
}

/// What is measured.
struct Measured<'a> {
    program: &'a Program,
    target: &'a Target,
    length: Duration,
}

impl Measured<'_> {
    async fn loads(&self, round: usize, figures: &mut Figures) {
        let capacity = match self.capacity().await {
            Ok(capacity) => capacity,
            Err(why) => return figures.voided.push(format!("round {}, all loads: {why}", round + 1)),
        };
        eprintln!("round {}: {capacity:.0} calls a second in a closed loop", round + 1);
        for turn in 0..LOADS.len() {
            // Another order in each round, so that none always comes after the worst.
            let at = (turn + round) % LOADS.len();
            match self.load(capacity, LOADS[at]).await {
                Ok(sample) => {
                    eprintln!(
                        "  {} times that: {:.0} served, {:.0} shed a second",
                        LOADS[at], sample.served, sample.shed
                    );
                    figures.loads.push((at, sample));
                }
                Err(why) => figures.voided.push(format!("round {}, load {}: {why}", round + 1, LOADS[at])),
            }
        }
    }

    /// Calls a second of as many callers as keep it busy.
    async fn capacity(&self) -> Result<f64, String> {
        let load = Load::connect(self.target, Case::Unary64).await?;
        let _warm = load.run(Case::Unary64, WARM_UP).await?;
        let begun = Instant::now();
        let done = load.run(Case::Unary64, self.length).await?;
        Ok(done.calls as f64 / begun.elapsed().as_secs_f64())
    }

    async fn load(&self, capacity: f64, times: f64) -> Result<Sample, String> {
        let load = Load::connect(self.target, Case::Unary64).await?;
        let before = Used::by(self.program);
        let Offered { seconds, offered, mut served, shed, late, failed } =
            open::offer(&load, capacity * times, self.length).await;
        let after = Used::by(self.program);
        if let Some(why) = failed {
            return Err(why);
        }
        served.sort_unstable();
        let rate = |count: usize| count as f64 / seconds;
        Ok(Sample {
            offered: rate(offered),
            served: rate(served.len()),
            shed: rate(shed),
            late: rate(late),
            capacity,
            p50: percentile(&served, 50) / 1e3,
            p99: percentile(&served, 99) / 1e3,
            cpu: (after.cpu - before.cpu) / 1e6 / seconds,
            resident: after.resident as f64 / MIB,
        })
    }

    async fn abuses(&self, round: usize, stage: &Stage, figures: &mut Figures) {
        let all = Abuse::all();
        for at in std::iter::once(None).chain((0..all.len()).map(Some)) {
            let name = at.map_or("nobody", |at| all[at].name());
            match self.beside(at.map(|at| all[at]), stage).await {
                Ok(beside) => {
                    eprintln!("  beside {name}: p50 {:.0} µs, p99 {:.0} µs", beside.p50, beside.p99);
                    figures.beside.push((at, round, beside));
                }
                Err(why) => figures.voided.push(format!("round {}, beside {name}: {why}", round + 1)),
            }
        }
    }

    /// One honest caller, while somebody else does this.
    async fn beside(&self, abuse: Option<Abuse>, stage: &Stage) -> Result<Beside, String> {
        let honest = Load::connect(self.target, Case::Unary1).await?;
        let _warm = honest.run(Case::Unary1, WARM_UP).await?;
        let running = abuse.map(|abuse| abuse.start(self.target, stage.hostile()));
        let (before, begun) = (Used::by(self.program), Instant::now());
        let done = honest.run(Case::Unary1, self.length).await;
        let (after, seconds) = (Used::by(self.program), begun.elapsed().as_secs_f64());
        let ended = running.map_or(0, abuse::Running::stop);
        let mut times = done?.times;
        times.sort_unstable();
        Ok(Beside {
            p50: percentile(&times, 50),
            p99: percentile(&times, 99),
            cpu: (after.cpu - before.cpu) / 1e6 / seconds,
            resident: after.resident as f64 / MIB,
            ended: ended as f64 / seconds,
        })
    }
}
