//! Percentiles of what was measured, and the table.

use std::time::Duration;

use crate::operator::Way;
use crate::stage::Who;
use crate::{STREAMS, Sample};

/// What is promised of the 99th percentile.
const PROMISE: Duration = Duration::from_secs(1);

/// All samples, by who was suspended and how.
pub(crate) struct Figures<'a> {
    rows: Vec<(&'a Who, Way, Vec<Sample>)>,
}

/// What was measured, and on what.
pub(crate) fn print_head(runs: usize, epoch: u64) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let (one_minute, cores) = (load.split(' ').next().unwrap_or("?"), std::thread::available_parallelism());
    println!("{STREAMS} streams in flight and one request after another; {runs} runs of each, in turn");
    println!("{} cores, load {one_minute} at the start; entries in the log: {epoch}", cores.map_or(0, usize::from));
    if cfg!(debug_assertions) {
        println!("the development build, which is not what anyone installs");
    }
    println!();
}

impl<'a> Figures<'a> {
    /// None yet.
    pub(crate) fn new(all: &'a [Who]) -> Self {
        let rows = Way::ALL.into_iter().flat_map(|way| all.iter().map(move |who| (who, way, Vec::new())));
        Self { rows: rows.collect() }
    }

    /// One more.
    pub(crate) fn add(&mut self, who: &Who, way: Way, sample: Sample) {
        let row = self.rows.iter_mut().find(|(of, by, _)| of.subject == who.subject && *by == way);
        row.unwrap().2.push(sample);
    }

    /// The table, in milliseconds; gives whether the promise is kept.
    #[must_use]
    pub(crate) fn print(&self, epoch: u64) -> bool {
        println!(
            "| suspended | by | next request refused: p50 / p99 / max | last stream closed: p50 / p99 / max | answered: p50 / p99 / max |"
        );
        println!("|---|---|--:|--:|--:|");
        let mut worst = Duration::ZERO;
        for (who, way, samples) in &self.rows {
            let by = if *way == Way::Call { "a call" } else { "`comity suspend`" };
            let columns: [fn(&Sample) -> Duration; 3] = [|one| one.refused, |one| one.cut, |one| one.answered];
            let [refused, cut, answered] = columns.map(|column| Column::of(samples.iter().map(column)));
            worst = worst.max(refused.nearly_all).max(cut.nearly_all);
            println!("| {} | {by} | {} | {} | {} |", who.name, refused.text(), cut.text(), answered.text());
        }
        let kept = worst < PROMISE;
        let word = if kept { "met" } else { "NOT met" };
        println!();
        println!("p99 < {} ms: {word} (the worst is {:.0} ms)", PROMISE.as_millis(), milliseconds(worst));
        println!("entries in the log at the end: {epoch}");
        self.print_growth();
        kept
    }

    /// A command reads the whole log first, and every run makes it longer.
    fn print_growth(&self) {
        let commands = || self.rows.iter().filter(|(_, way, _)| *way == Way::Command);
        let tenth = (commands().map(|(_, _, samples)| samples.len()).min().unwrap_or(0) / 10).max(1);
        let median = |of: &dyn Fn(&'_ [Sample]) -> Vec<Duration>| {
            Column::of(commands().flat_map(|(_, _, samples)| of(samples))).median
        };
        let answered = |samples: &[Sample]| samples.iter().map(|one| one.answered).collect::<Vec<_>>();
        let first = median(&|samples| answered(samples.get(..tenth).unwrap_or(samples)));
        let last = median(&|samples| answered(samples.get(samples.len() - tenth..).unwrap_or(samples)));
        let [first, last] = [first, last].map(milliseconds);
        println!("`comity suspend`, median of the first tenth of the runs: {first:.0} ms; of the last: {last:.0} ms");
    }
}

/// Sorted durations.
struct Column {
    median: Duration,
    nearly_all: Duration,
    longest: Duration,
}

impl Column {
    fn of(durations: impl Iterator<Item = Duration>) -> Self {
        let mut sorted: Vec<Duration> = durations.collect();
        sorted.sort();
        let at = |hundredths: usize| {
            let place = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
            sorted.get(place).copied().unwrap_or_default()
        };
        Self { median: at(50), nearly_all: at(99), longest: at(100) }
    }

    fn text(&self) -> String {
        let [median, nearly_all, longest] = [self.median, self.nearly_all, self.longest].map(milliseconds);
        format!("{median:.1} / {nearly_all:.1} / {longest:.1}")
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
