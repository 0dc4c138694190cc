//! `cargo xtask bench dataplane`: installs the peers, builds the broker with its twin that keeps no log, and measures.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::SHIPPED;
use crate::process::{cargo, output, run as run_command, step};
use crate::tools::Tools;

/// What is built: the programs that are started, and the measurement beside them.
pub(super) const PACKAGES: &[&str] = &["-p", "comity-broker", "-p", "comity-cli", "-p", "comity-tests"];
/// The feature with which the broker's twin is built.
const UNLOGGED: &str = "comity-broker/bench-unlogged";
/// What the measured part of a report begins with, in the file that it is put into.
const MEASURED: &str = "<!-- What follows is written by `cargo xtask bench dataplane --report`. -->\n";

/// What to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What to build; `dev` is not what anyone installs.
    #[arg(long, default_value = SHIPPED)]
    profile: String,
    /// How many rounds, in each of which all proxies take turns.
    #[arg(long)]
    rounds: Option<u64>,
    /// How long each proxy has for each case in a round.
    #[arg(long)]
    seconds: Option<u64>,
    /// One case alone, such as unary-64; may be said more than once.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// These proxies alone, of direct, haproxy, nginx, envoy, comity-strict, comity-overlapped and comity-relay.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    proxies: Vec<String>,
    /// Put the report into this file, in the place of what was measured last; otherwise it is printed.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Installs, builds, measures.
///
/// # Errors
/// If something does not build, or the measurement fails. A peer that cannot be installed is told, and left out.
pub(super) fn run(root: &Path, cache: &Path, args: &Args) -> Result<()> {
    let peers =
        Tools::at(cache).peers(root, |name| args.proxies.is_empty() || args.proxies.iter().any(|one| one == name));
    for (name, why) in &peers.missing {
        eprintln!("xtask: WARNING: {name} will not be measured: {why}");
    }
    step("build the broker and the measurement", || {
        let mut build = cargo(root);
        build.args(["build", "--locked"]).args(PACKAGES).args(["--features", UNLOGGED]);
        run_command(build.args(["--bins", "--bench", "dataplane", "--profile", &args.profile]))
    })?;
    let mut bench = cargo(root);
    bench.args(["bench", "--locked"]).args(PACKAGES).args(["--features", UNLOGGED]);
    bench.args(["--bench", "dataplane", "--profile", &args.profile, "--"]);
    args.hand_on(&mut bench);
    for (name, program) in &peers.found {
        bench.arg("--peer").arg(format!("{name}={}", program.display()));
    }
    for folder in &peers.libraries {
        bench.arg("--libraries").arg(folder);
    }
    for (name, why) in &peers.missing {
        bench.arg("--missing").arg(format!("{name}={why}"));
    }
    step("measure the data plane", || match &args.report {
        None => run_command(&mut bench),
        Some(file) => put(file, MEASURED, &output(&mut bench)?),
    })
}

impl Args {
    /// What the log adds to one caller's wait: the broker's ways beside each other, in turn.
    pub(super) fn of_log(profile: &str, seconds: Option<u64>) -> Self {
        let proxies = ["direct", "comity-relay", "comity-overlapped", "comity-strict"].map(str::to_owned).to_vec();
        let (profile, only) = (profile.to_owned(), vec!["unary-1".to_owned()]);
        Self { profile, rounds: None, seconds, only, proxies, report: None }
    }

    fn hand_on(&self, bench: &mut Command) {
        for (option, number) in [("--rounds", self.rounds), ("--seconds", self.seconds)] {
            if let Some(number) = number {
                bench.arg(option).arg(number.to_string());
            }
        }
        for case in &self.only {
            bench.args(["--only", case]);
        }
        if !self.proxies.is_empty() {
            bench.args(["--proxies", &self.proxies.join(",")]);
        }
    }
}

/// Replaces what a file says that was measured, which begins with `measured`; what stands before it stays.
pub(super) fn put(file: &Path, measured: &str, report: &[u8]) -> Result<()> {
    let before = std::fs::read_to_string(file).unwrap_or_default();
    let report = String::from_utf8_lossy(report);
    std::fs::write(file, with(&before, measured, report.trim()))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn with(before: &str, measured: &str, report: &str) -> String {
    let kept = before.split_once(measured).map_or(before, |(kept, _)| kept);
    format!("{kept}{measured}\n{report}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_takes_the_place_of_the_last_one_and_of_nothing_else() {
        let once = with("# How it is measured\n\n", MEASURED, "first");
        let twice = with(&once, MEASURED, "second");
        assert!(twice.starts_with("# How it is measured\n\n") && twice.ends_with("second\n"), "{twice}");
        assert!(!twice.contains("first"));
    }
}
