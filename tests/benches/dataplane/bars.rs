//! What is promised of the data plane, each held against the median of the ratios within each round.

use crate::cases::Case;
use crate::figures::{Figures, Sample, Spread};

/// A promise: one of Comity's ways, a case, a peer, and how much of that peer's processor time it may take.
type Bar = (&'static str, Case, &'static str, f64);

/// The promises.
const BARS: &[Bar] = &[
    ("comity-relay", Case::Unary64, "haproxy", 1.0),
    ("comity-relay", Case::Unary1, "nginx", 1.0),
    ("comity-relay", Case::Unary16k, "nginx", 0.5),
    ("comity-relay", Case::Unary16k, "envoy", 0.5),
    ("comity-strict", Case::Unary64, "nginx", 0.9),
    ("comity-strict", Case::Unary64, "envoy", 0.9),
    ("comity-strict", Case::Unary64, "haproxy", 1.0),
    ("comity-strict", Case::Unary1, "nginx", 1.2),
    ("comity-strict", Case::Streams32, "nginx", 1.0),
    ("comity-strict", Case::Streams32, "envoy", 0.5),
    ("comity-strict", Case::Paced, "haproxy", 1.0),
    ("comity-strict", Case::Unary16k, "nginx", 0.7),
];
/// How much a broker may hold more than its catalogue, in MiB.
const MEMORY: f64 = 24.0;

/// Prints the table.
pub(crate) fn print(figures: &Figures, idle: &[(&'static str, f64)]) {
    println!("| what | is to be at most | is (lowest to highest of the rounds) | |\n|---|--:|--:|---|");
    for (way, case, peer, most) in BARS {
        let ratio = figures.ratio(*case, [way, peer], |sample| sample.cpu);
        row(&format!("CPU, {}: `{way}` : `{peer}`", case.name()), *most, 2, ratio);
    }
    let added = |proxy| added(figures, proxy);
    let ratio = added("comity-relay").zip(added("nginx")).and_then(|(own, peer)| Spread::of([own / peer]));
    row("added p50, unary-1: `comity-relay` : `nginx`, of the medians", 1.0, 2, ratio);
    for (name, idle) in idle.iter().filter(|(name, _)| name.starts_with("comity")) {
        let most = |sample: &Sample| sample.resident.map(|resident| resident - idle);
        let all = Case::ALL.into_iter().filter_map(|case| figures.spread(case, name, most));
        let worst = all.max_by(|one, other| one.median.total_cmp(&other.median));
        row(
            &format!("memory of `{name}` above that with the catalogue and no load, MiB, worst case"),
            MEMORY,
            1,
            worst,
        );
    }
}

fn row(what: &str, most: f64, decimals: usize, is: Option<Spread>) {
    match is {
        Some(is) => {
            let met = if is.median <= most { "met" } else { "not met" };
            println!("| {what} | {most} | {} | {met} |", is.text(decimals));
        }
        None => println!("| {what} | {most} | not measured | |"),
    }
}

/// What a proxy adds to the time that one caller waits.
fn added(figures: &Figures, proxy: &str) -> Option<f64> {
    let p50 = |proxy| figures.spread(Case::Unary1, proxy, |sample| Some(sample.p50));
    Some(p50(proxy)?.median - p50("direct")?.median)
}
