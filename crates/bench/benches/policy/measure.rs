//! Rounds, medians, and what machine it was.

use std::fmt;
use std::time::Instant;

/// The times of one measurement, in nanoseconds, round by round.
#[derive(Debug, Default)]
pub(crate) struct Series(Vec<u128>);

impl Series {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Times one round.
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the machine's clock")]
    pub(crate) fn time<T>(&mut self, round: impl FnOnce() -> T) {
        let begun = Instant::now();
        let result = round();
        self.0.push(begun.elapsed().as_nanos());
        drop(result);
    }

    /// The middle one, in microseconds.
    pub(crate) fn median_micros(&self) -> f64 {
        let nanos = self.0.iter().map(|nanos| *nanos as f64).collect();
        median(nanos) / 1_000.0
    }

    /// How many times as long each round took as the other's, the middle one.
    pub(crate) fn paired_ratio(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(own, other)| *own as f64 / (*other).max(1) as f64).collect())
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The machine, and how busy it is.
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    load: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo");
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            processor: processor.map_or("an unknown processor", |(_, name)| name.trim()).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load: read("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "On {}, {} cores, load {} at the start; release build, one thread.",
            self.processor, self.cores, self.load
        )
    }
}
