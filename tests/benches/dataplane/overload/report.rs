//! The report, in Markdown, and its plot.

use comity_tests::plot::{self, Line, Panel};

use super::abuse::Abuse;
use super::{Beside, Figures, LOADS, Sample};
use crate::figures::Spread;
use crate::machine;
use crate::options::Options;

/// A column: its title, its decimals, and what of a sample stands in it.
type Column<T> = (&'static str, usize, fn(&T) -> f64);

const LOAD: [Column<Sample>; 10] = [
    ("offered a second", 0, |sample| sample.offered),
    ("served a second", 0, |sample| sample.served),
    ("served : capacity", 2, |sample| sample.served / sample.capacity),
    ("shed, % of offered", 1, |sample| sample.shed / sample.offered * 100.0),
    ("late, % of offered", 1, |sample| sample.late / sample.offered * 100.0),
    ("p50 ms", 1, |sample| sample.p50),
    ("p99 ms", 1, |sample| sample.p99),
    ("CPU s a second", 2, |sample| sample.cpu),
    ("CPU µs a call", 0, |sample| sample.cpu * 1e6 / sample.offered),
    ("MiB", 1, |sample| sample.resident),
];
const BESIDE: [Column<Beside>; 5] = [
    ("p50 µs", 0, |beside| beside.p50),
    ("p99 µs", 0, |beside| beside.p99),
    ("CPU s a second", 2, |beside| beside.cpu),
    ("connections ended a second", 1, |beside| beside.ended),
    ("MiB", 1, |beside| beside.resident),
];

impl Figures {
    fn of_load(&self, at: usize, value: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.loads.iter().filter(|(of, _)| *of == at).map(|(_, sample)| value(sample)))
    }

    fn of_abuse(&self, at: Option<usize>, value: impl Fn(&Beside) -> f64) -> Option<Spread> {
        Spread::of(self.beside.iter().filter(|(of, ..)| *of == at).map(|(.., beside)| value(beside)))
    }

    /// How a value is to that of the caller alone in the same round.
    fn factor(&self, at: Option<usize>, value: impl Fn(&Beside) -> f64) -> Option<Spread> {
        let alone = |round| self.beside.iter().find(|(of, in_round, _)| of.is_none() && *in_round == round);
        let of = self.beside.iter().filter(|(of, ..)| *of == at);
        Spread::of(of.filter_map(|(_, round, beside)| Some(value(beside) / value(&alone(*round)?.2))))
    }
}

/// Prints it.
pub(super) fn print(options: &Options, figures: &Figures) {
    let program = std::env::current_exe().unwrap();
    let profile = program.ancestors().nth(2).and_then(std::path::Path::file_name).unwrap().to_string_lossy();
    println!(
        "{}; {}, {}; profile `{profile}`. {} rounds of {} s for each figure; load at the beginning of each: {}. The broker \
         held {:.1} MiB before any load.\n",
        machine::today(),
        machine::processor(),
        machine::system(),
        options.rounds,
        options.seconds,
        figures.machine.join(", "),
        figures.idle,
    );
    for voided in &figures.voided {
        println!("**Voided: {voided}.**\n");
    }
    println!("### More than it can do\n");
    let capacity = Spread::of(figures.loads.iter().map(|(_, sample)| sample.capacity));
    println!("Capacity, in calls a second by a closed loop of 64: {}.\n", cell(capacity, 0));
    head("load", LOAD.iter().map(|(title, ..)| *title));
    for (at, times) in LOADS.iter().enumerate() {
        let cells = LOAD.iter().map(|(_, decimals, value)| cell(figures.of_load(at, value), *decimals));
        println!("| {times} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    println!("\n### An honest caller while others mean harm\n");
    let titles = ["p50 : alone", "p99 : alone"].into_iter().chain(BESIDE.iter().map(|(title, ..)| *title));
    head("beside", titles);
    let all = Abuse::all();
    for at in std::iter::once(None).chain((0..all.len()).map(Some)) {
        let factors = [figures.factor(at, |beside| beside.p50), figures.factor(at, |beside| beside.p99)];
        let factors = factors.map(|factor| cell(factor, 2));
        let cells = BESIDE.iter().map(|(_, decimals, value)| cell(figures.of_abuse(at, value), *decimals));
        let name = at.map_or("nobody", |at| all[at].name());
        println!("| {name} | {} |", factors.into_iter().chain(cells).collect::<Vec<_>>().join(" | "));
    }
    println!();
}

fn head(first: &str, titles: impl Iterator<Item = &'static str>) {
    let titles: Vec<_> = titles.collect();
    println!("| {first} | {} |\n|---|{}", titles.join(" | "), "--:|".repeat(titles.len()));
}

fn cell(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| spread.text(decimals))
}

/// The picture: what becomes of what is offered, and how long it takes.
pub(super) fn plot(figures: &Figures) -> String {
    let line = |name: &str, value: fn(&Sample) -> f64| {
        let point = |at: usize| {
            let Spread { median, lowest, highest } = figures.of_load(at, value)?;
            Some([LOADS[at], median, lowest, highest])
        };
        Line { name: name.to_owned(), points: (0..LOADS.len()).filter_map(point).collect() }
    };
    let panel = |title: &str, y: &str, lines| Panel {
        title: title.to_owned(),
        x: "offered load, in multiples of capacity".to_owned(),
        y: y.to_owned(),
        lines,
    };
    plot::svg(&[
        panel(
            "What becomes of it (medians, lowest to highest)",
            "calls, in multiples of capacity",
            vec![
                line("served whole, in time", |sample| sample.served / sample.capacity),
                line("shed, told when to come back", |sample| sample.shed / sample.capacity),
                line("neither within a second", |sample| sample.late / sample.capacity),
            ],
        ),
        panel(
            "How long it takes to be served",
            "milliseconds",
            vec![line("p50", |sample| sample.p50), line("p99", |sample| sample.p99)],
        ),
    ])
}
