//! What was measured: samples by case, proxy and round; their medians; and the ratios of proxies within one round.

use crate::cases::Case;

/// One proxy, in one case, in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// The proxy's own time for each request or stream, in microseconds; none without a proxy.
    pub(crate) cpu: Option<f64>,
    /// Instructions in user space for each, where there is a counter.
    pub(crate) instructions: Option<f64>,
    /// Latencies, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// How many a second.
    pub(crate) rate: f64,
    /// The proxy's resident memory afterwards, in MiB; none without a proxy.
    pub(crate) resident: Option<f64>,
}

/// All samples.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    all: Vec<(Case, &'static str, usize, Sample)>,
    /// What was voided, and why.
    pub(crate) voided: Vec<String>,
    /// The machine's load at the beginning of each round.
    pub(crate) loads: Vec<String>,
}

/// A median with the lowest and the highest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// Of what there is; none of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut all: Vec<f64> = values.into_iter().collect();
        all.sort_by(f64::total_cmp);
        let (lowest, highest) = (*all.first()?, *all.last()?);
        let middle = all.len() / 2;
        let median = if all.len() % 2 == 1 { all[middle] } else { f64::midpoint(all[middle - 1], all[middle]) };
        Some(Self { median, lowest, highest })
    }

    /// With so many decimals.
    pub(crate) fn text(&self, decimals: usize) -> String {
        let Self { median, lowest, highest } = self;
        format!("{median:.decimals$} ({lowest:.decimals$} to {highest:.decimals$})")
    }
}

impl Figures {
    /// One more.
    pub(crate) fn add(&mut self, (case, proxy, round): (Case, &'static str, usize), sample: Sample) {
        self.all.push((case, proxy, round, sample));
    }

    /// One value of all rounds of a proxy in a case.
    pub(crate) fn spread(&self, case: Case, proxy: &str, value: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        let of = self.all.iter().filter(|(of, by, ..)| *of == case && *by == proxy);
        Spread::of(of.filter_map(|(.., sample)| value(sample)))
    }

    /// How many rounds of a proxy in a case count.
    pub(crate) fn rounds(&self, case: Case, proxy: &str) -> usize {
        self.all.iter().filter(|(of, by, ..)| *of == case && *by == proxy).count()
    }

    /// How one proxy's value is to another's in the same round, in each round that has both.
    pub(crate) fn ratio(
        &self,
        case: Case,
        [one, other]: [&str; 2],
        value: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Spread> {
        let of = |proxy: &str, round| {
            let found = self.all.iter().find(|(of, by, at, _)| *of == case && *by == proxy && *at == round);
            value(&found?.3)
        };
        Spread::of((0..self.loads.len()).filter_map(|round| Some(of(one, round)? / of(other, round)?)))
    }
}

/// A percentile of what is sorted, in microseconds.
pub(crate) fn percentile(sorted: &[u64], hundredths: usize) -> f64 {
    let place = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or(f64::NAN, |nanoseconds| *nanoseconds as f64 / 1e3)
}
