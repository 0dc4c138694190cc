//! The report, in Markdown.

use crate::bars;
use crate::cases::Case;
use crate::figures::{Figures, Sample, Spread};
use crate::machine;
use crate::options::Options;
use crate::proxy::Proxy;
use crate::stage::Stage;

/// A column: its title, its decimals, and what of a sample stands in it.
type Column = (&'static str, usize, fn(&Sample) -> Option<f64>);

/// The columns of the tables.
const COLUMNS: [Column; 6] = [
    ("CPU µs", 1, |sample| sample.cpu),
    ("user instructions", 0, |sample| sample.instructions),
    ("p50 µs", 0, |sample| Some(sample.p50)),
    ("p99 µs", 0, |sample| Some(sample.p99)),
    ("a second", 0, |sample| Some(sample.rate)),
    ("MiB", 1, |sample| sample.resident),
];

/// Prints all of it.
pub(crate) fn print(options: &Options, stage: &Stage, proxies: &[Proxy], figures: &Figures, counted: bool) {
    print_head(options, stage, proxies, figures, counted);
    for case in &options.cases {
        print_case(*case, proxies, figures, counted);
    }
    bars::print_added(figures);
    println!("### What is promised\n");
    println!("Ratios are of the same round, and what is held against the bar is their median.\n");
    let idle: Vec<_> = proxies.iter().filter_map(|proxy| Some((proxy.name, proxy.idle?))).collect();
    bars::print(figures, &idle);
}

fn print_head(options: &Options, stage: &Stage, proxies: &[Proxy], figures: &Figures, counted: bool) {
    let cores = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default().matches("processor\t").count();
    let program = std::env::current_exe().unwrap();
    let profile = program.ancestors().nth(2).and_then(std::path::Path::file_name).unwrap().to_string_lossy();
    println!(
        "{}; {}, {cores} cores, {}; profile `{profile}`. {} rounds of {} s for each proxy and case; load at the beginning of each: {}.\n",
        machine::today(),
        machine::processor(),
        machine::system(),
        options.rounds,
        options.seconds,
        figures.loads.join(", ")
    );
    println!(
        "Comity decides over {} offers of the model that is asked for, {} of them eligible, out of 1,001 that are published.\n",
        stage.of_model, stage.eligible
    );
    if !counted {
        println!(
            "User instructions are not counted: `perf stat -e instructions:u` finds no counter on this machine.\n"
        );
    }
    println!("| proxy | what it is | MiB before any load |\n|---|---|--:|");
    for proxy in proxies {
        let idle = proxy.idle.map_or_else(|| "-".to_owned(), |idle| format!("{idle:.1}"));
        println!("| `{}` | {} | {idle} |", proxy.name, proxy.version);
    }
    println!();
    for (name, why) in &options.missing {
        println!("**`{name}` was not measured: {why}.**\n");
    }
    for voided in &figures.voided {
        println!("**Voided: {voided}.**\n");
    }
}

fn print_case(case: Case, proxies: &[Proxy], figures: &Figures, counted: bool) {
    println!("### `{}`: {}\n", case.name(), case.title());
    println!(
        "CPU and instructions are the proxy's own for each {}; p50 and p99 are of a {}.\n",
        case.unit(),
        case.timed()
    );
    let columns = || COLUMNS.iter().filter(|(title, ..)| counted || !title.contains("instructions"));
    let titles: Vec<_> = columns().map(|(title, ..)| *title).collect();
    println!("| proxy | {} | rounds |\n|---|{}--:|", titles.join(" | "), "--:|".repeat(titles.len()));
    for proxy in proxies {
        let cell = |(_, decimals, value): &Column| {
            figures
                .spread(case, proxy.name, value)
                .map_or_else(|| "-".to_owned(), |spread: Spread| spread.text(*decimals))
        };
        let cells: Vec<_> = columns().map(cell).collect();
        println!("| `{}` | {} | {} |", proxy.name, cells.join(" | "), figures.rounds(case, proxy.name));
    }
    println!();
}
