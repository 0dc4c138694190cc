//! Percentiles of each round, medians of all rounds, and the tables.

use std::time::Duration;

use crate::CALLERS;
use crate::callers::{Life, Round};

/// What is promised: decisions a second, at any number of callers.
const PROMISED_RATE: f64 = 20_000.0;
/// What is promised of the 99th percentile of a commit, and at how many callers.
const PROMISED_WAIT: (Duration, usize) = (Duration::from_millis(10), 256);

/// All rounds, by setting.
#[derive(Default)]
pub(crate) struct Figures(Vec<Sample>);

/// What a round came to, in few numbers.
struct Sample {
    callers: usize,
    life: Life,
    raw: f64,
    rate: f64,
    /// Milliseconds: 50th, 99th, 99.9th percentile.
    commit: [f64; 3],
    settle: [f64; 3],
    later: Option<f64>,
    batch: Option<f64>,
    cpu: f64,
}

impl Figures {
    /// One more round, with what the disk took before it.
    pub(crate) fn add(&mut self, callers: usize, life: Life, raw: Vec<Duration>, round: Round) {
        let [raw, ..] = percentiles(raw);
        let Round { rate, commits, settles, later, batch, cpu } = round;
        let (commit, settle) = (percentiles(commits), percentiles(settles));
        self.0.push(Sample { callers, life, raw, rate, commit, settle, later, batch, cpu });
    }

    /// The tables, and whether what is promised is kept.
    pub(crate) fn print(&self) {
        let raw = Column::of(self.0.iter().map(|sample| sample.raw));
        println!("an append of 4 KiB and its fdatasync, beside: p50 {} ms\n", raw.text(2));
        println!("Decisions alone:\n");
        println!(
            "| callers | decisions/s | commit p50, ms | p99, ms | p99.9, ms | p50 : the disk's p50 | decisions a signature | CPU s per 1,000 | outcomes/s, later |"
        );
        println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        for callers in CALLERS {
            let column = |of: fn(&Sample) -> f64| self.column(callers, Life::Commit, of);
            println!(
                "| {callers} | {} | {} | {} | {} | {} | {} | {} | {} |",
                column(|one| one.rate).text(0),
                column(|one| one.commit[0]).text(2),
                column(|one| one.commit[1]).text(2),
                column(|one| one.commit[2]).text(2),
                column(|one| one.commit[0] / one.raw).text(1),
                column(|one| one.batch.unwrap_or(f64::NAN)).text(0),
                column(|one| one.cpu * 1_000.0).text(3),
                column(|one| one.later.unwrap_or(f64::NAN)).text(0),
            );
        }
        println!("\nDecisions, each followed by its outcome:\n");
        println!(
            "| callers | requests/s | commit p50, ms | p99, ms | p99.9, ms | outcome p50, ms | p99, ms | p99.9, ms | CPU s per 1,000 |"
        );
        println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        for callers in CALLERS {
            let column = |of: fn(&Sample) -> f64| self.column(callers, Life::Whole, of);
            println!(
                "| {callers} | {} | {} | {} | {} | {} | {} | {} | {} |",
                column(|one| one.rate).text(0),
                column(|one| one.commit[0]).text(2),
                column(|one| one.commit[1]).text(2),
                column(|one| one.commit[2]).text(2),
                column(|one| one.settle[0]).text(2),
                column(|one| one.settle[1]).text(2),
                column(|one| one.settle[2]).text(2),
                column(|one| one.cpu * 1_000.0).text(3),
            );
        }
        self.print_promises();
    }

    fn print_promises(&self) {
        let (callers, rate) = CALLERS
            .map(|callers| (callers, self.column(callers, Life::Commit, |one| one.rate).median))
            .into_iter()
            .max_by(|(_, one), (_, other)| one.total_cmp(other))
            .unwrap_or_default();
        let (promised, at) = PROMISED_WAIT;
        let wait = self.column(at, Life::Commit, |one| one.commit[1]).median;
        let kept = |is_kept: bool| if is_kept { "met" } else { "NOT met" };
        println!();
        println!("{PROMISED_RATE} decisions/s: {} ({rate:.0} at {callers} callers)", kept(rate >= PROMISED_RATE));
        let promised = promised.as_secs_f64() * 1_000.0;
        println!("p99 of a commit < {promised} ms at {at} callers: {} ({wait:.2} ms)", kept(wait < promised));
    }

    fn column(&self, callers: usize, life: Life, of: fn(&Sample) -> f64) -> Column {
        Column::of(self.0.iter().filter(|one| one.callers == callers && one.life == life).map(of))
    }
}

/// The rounds of one figure.
pub(crate) struct Column {
    pub(crate) median: f64,
    lowest: f64,
    highest: f64,
}

impl Column {
    pub(crate) fn of(rounds: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = rounds.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        Self { median: at(sorted.len() / 2), lowest: at(0), highest: at(sorted.len().saturating_sub(1)) }
    }

    /// The median, and what it lies between.
    pub(crate) fn text(&self, decimals: usize) -> String {
        let Self { median, lowest, highest } = self;
        format!("{median:.decimals$} ({lowest:.decimals$} to {highest:.decimals$})")
    }
}

/// The 50th, the 99th and the 99.9th percentile, in milliseconds.
pub(crate) fn percentiles(mut all: Vec<Duration>) -> [f64; 3] {
    all.sort_unstable();
    let at = |thousandths: usize| {
        let place = (all.len() * thousandths).div_ceil(1_000).saturating_sub(1);
        all.get(place).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1_000.0)
    };
    [at(500), at(990), at(999)]
}
