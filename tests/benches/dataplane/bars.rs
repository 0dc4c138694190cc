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
/// The broker that keeps no log.
const UNLOGGED: &str = "comity-relay";
/// Those that keep one.
const LOGGED: [&str; 2] = ["comity-overlapped", "comity-strict"];
/// How much a broker may hold more than its catalogue, in MiB.
const MEMORY: f64 = 24.0;

/// Prints the table of those that this run can be held against, and how many others there are.
pub(crate) fn print(figures: &Figures, idle: &[(&'static str, f64)]) {
    println!("| what | is to be at most | is (lowest to highest of the rounds) | |\n|---|--:|--:|---|");
    let mut measured = 0;
    let mut row = |what: &str, most, decimals, is| measured += usize::from(row(what, most, decimals, is));
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
    // The processor's time, the wait, and the memory of each way.
    let promised = BARS.len() + 1 + LOGGED.len() + 1;
    if measured < promised {
        println!(
            "\n**{} of {promised} promises are not measured: this run left out what they compare.**",
            promised.saturating_sub(measured)
        );
    }
}

/// What each of the broker's ways adds to one caller's wait, beside the broker that keeps no log.
pub(crate) fn print_added(figures: &Figures) {
    let p50 = |proxy| figures.spread(Case::Unary1, proxy, |sample| Some(sample.p50)).map(|spread| spread.median);
    let Some(unlogged) = p50(UNLOGGED) else { return };
    let ways = LOGGED.iter().filter_map(|way| Some((*way, p50(way)?)));
    let rows: Vec<_> = ways
        .map(|(way, wait)| {
            let ratio = figures.ratio(Case::Unary1, [way, UNLOGGED], |sample| Some(sample.p50));
            let ratio = ratio.map_or_else(String::new, |ratio| ratio.text(2));
            format!("| `{way}` | {wait:.0} | {:.0} | {ratio} |", wait - unlogged)
        })
        .collect();
    if !rows.is_empty() {
        println!("### What the log adds, for one caller\n");
        println!(
            "Medians of the p50, in microseconds, of `{}`; the ratio is of the same round.\n",
            Case::Unary1.name()
        );
        println!("| way | p50 | more than with no log | : no log |\n|---|--:|--:|--:|");
        println!("| `{UNLOGGED}` | {unlogged:.0} | | |\n{}\n", rows.join("\n"));
    }
}

/// One promise; whether it could be held against anything.
fn row(what: &str, most: f64, decimals: usize, is: Option<Spread>) -> bool {
    let Some(is) = is else { return false };
    let met = if is.median <= most { "met" } else { "not met" };
    println!("| {what} | {most} | {} | {met} |", is.text(decimals));
    true
}

/// What a proxy adds to the time that one caller waits.
fn added(figures: &Figures, proxy: &str) -> Option<f64> {
    let p50 = |proxy| figures.spread(Case::Unary1, proxy, |sample| Some(sample.p50));
    Some(p50(proxy)?.median - p50("direct")?.median)
}
