//! What a program counts, for whoever watches it: OpenMetrics over plain HTTP, at `/metrics`.
//!
//! Each program names its metrics once, in its own `metrics.rs`; what is made of them here is what `docs/metrics.md` says.
//! Labels are few and closed: what a caller chose is never one.
//!
//! | module | holds |
//! |---|---|
//! | [`calls`] | counts the calls of a server by method and code |
//! | [`endpoint`] | the socket |

pub mod calls;
pub mod endpoint;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use serde::Deserialize;

pub use self::calls::{CallsLayer, CallsService, code_name};
pub use self::endpoint::serve;

/// Seconds that a histogram of short things tells apart: from half a millisecond to 16 s, each twice the one before.
const SHORT_TIMES: (f64, f64, u16) = (0.0005, 2.0, 16);

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the program's start; `_total` stands after its name.
    Counter,
    /// What is now.
    Gauge,
    /// How often what took how long, in seconds.
    Histogram,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric, as it is documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with the unit at its end where it has one.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, and the values of its labels.
    pub help: &'static str,
}

impl Metric {
    /// Its row in `docs/metrics.md`.
    #[must_use]
    pub fn row(&self) -> String {
        let Self { name, kind, labels, help } = self;
        let total = if *kind == Kind::Counter { "_total" } else { "" };
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        format!("| `{name}{total}` | {} | {labels} | {help} |", kind.name())
    }
}

/// The labels of a metric with `N` of them: names and values, both of this program.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];

/// A label whose values this program's own configuration names.
pub type Named = [(&'static str, String); 1];

/// Such a label, and one more.
pub type NamedAndOne = [(&'static str, String); 2];

/// The metrics of a program, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,
    names: Vec<&'static str>,
}

impl Metrics {
    /// The names of those that were made.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    fn register(&mut self, metric: &Metric, made: impl prometheus_client::registry::Metric) {
        self.names.push(metric.name);
        // The library ends the sentence itself.
        self.registry.register(metric.name, metric.help.trim_end_matches('.'), made);
    }

    /// A counter.
    pub fn counter(&mut self, metric: &Metric) -> Counter {
        let made = Counter::default();
        self.register(metric, made.clone());
        made
    }

    /// A counter for each of its labels' values.
    pub fn counters<const N: usize>(&mut self, metric: &Metric) -> Family<Labels<N>, Counter> {
        let made = Family::default();
        self.register(metric, made.clone());
        made
    }

    /// A gauge.
    pub fn gauge(&mut self, metric: &Metric) -> Gauge {
        let made = Gauge::default();
        self.register(metric, made.clone());
        made
    }

    /// A gauge for each of its labels' values.
    pub fn gauges<const N: usize>(&mut self, metric: &Metric) -> Family<Labels<N>, Gauge> {
        let made = Family::default();
        self.register(metric, made.clone());
        made
    }

    /// A gauge for each thing that this program's own configuration names.
    pub fn named_gauges(&mut self, metric: &Metric) -> Family<Named, Gauge> {
        let made = Family::default();
        self.register(metric, made.clone());
        made
    }

    /// The same with one more label.
    pub fn named_gauges_and_one(&mut self, metric: &Metric) -> Family<NamedAndOne, Gauge> {
        let made = Family::default();
        self.register(metric, made.clone());
        made
    }

    /// A counter for each thing that this program's own configuration names.
    pub fn named_counters(&mut self, metric: &Metric) -> Family<Named, Counter> {
        let made = Family::default();
        self.register(metric, made.clone());
        made
    }

    /// A histogram of what is short, in seconds, for each thing that this program's own configuration names.
    pub fn named_times(&mut self, metric: &Metric) -> Family<Named, Histogram, fn() -> Histogram> {
        let made = Family::new_with_constructor(short_times as fn() -> Histogram);
        self.register(metric, made.clone());
        made
    }

    /// A histogram of what is short, in seconds.
    pub fn times(&mut self, metric: &Metric) -> Histogram {
        let made = short_times();
        self.register(metric, made.clone());
        made
    }

    /// All of them, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // A string takes whatever is written to it.
        let _written = encode(&mut text, &self.registry).is_ok();
        text
    }
}

fn short_times() -> Histogram {
    let (first, factor, buckets) = SHORT_TIMES;
    Histogram::new(exponential_buckets(first, factor, buckets))
}

/// What a program's file says of its metrics; none are served without it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where: an address of this machine alone, such as `127.0.0.1:9464`; port 0 takes a free one.
    pub listen: String,
    /// Lets it be another: whoever reaches it reads how much this program does, and for how many.
    #[serde(default)]
    pub danger_public: bool,
}

impl Config {
    /// The address.
    ///
    /// # Errors
    /// It is none, or others reach it and nobody said that they may; says what would be right.
    pub fn address(&self) -> Result<SocketAddr, String> {
        let address: SocketAddr = self
            .listen
            .parse()
            .map_err(|_| format!("{:?} is no IP address with a port, such as 127.0.0.1:9464", self.listen))?;
        if address.ip().is_loopback() || self.danger_public {
            return Ok(address);
        }
        Err(format!(
            "others reach {address}, and it asks nobody who they are (hint: listen at 127.0.0.1, or say danger_public = true)"
        ))
    }
}
