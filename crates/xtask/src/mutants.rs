//! `cargo xtask mutants`: whether the tests of `comity-policy` notice that its code was changed.
//!
//! cargo-mutants changes one thing at a time (`.cargo/mutants.toml`). Here its result is held against docs/mutants.md,
//! which says of each change that no test notices why that is so: neither may have what the other has not.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::process::{cargo, output, step};

/// The package.
const PACKAGE: &str = "comity-policy";
/// The list of survivors, from the workspace's root.
const LIST: &str = "docs/mutants.md";
/// Where cargo-mutants leaves its result, from the workspace's root.
const RESULT: &str = "target/mutants";
/// The result, below that.
const OUTCOMES: &str = "mutants.out/outcomes.json";
/// The least of the viable mutants that has to be caught, in percent.
const LEAST_PERCENT: usize = 95;
/// Random tests draw the same in every run, so that what they notice is the same as well.
const SEED: &str = "20261123";
/// What cargo-mutants ends with if it could judge every mutant: all caught; some missed; some timed out.
const JUDGED: [i32; 3] = [0, 2, 3];
/// The tools that have to be there, and how they say so.
const NEEDED: [(&str, [&str; 2]); 2] =
    [("cargo-mutants", ["mutants", "--version"]), ("cargo-nextest", ["nextest", "--version"])];

/// How to run it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How many mutants are tried at once; each takes a core and a copy of the build.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Judge the result of an earlier run in this folder, and run nothing.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

/// Tries every mutant and holds the survivors against the list.
///
/// # Errors
/// A tool is missing, the tests fail without a mutant, too few mutants are caught, or the list is not that of the
/// survivors.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let folder = args.from.clone().unwrap_or_else(|| root.join(RESULT));
    if args.from.is_none() {
        step("try every mutant", || try_all(root, &folder, args.jobs))?;
    }
    let text = read(&folder.join(OUTCOMES))?;
    let tally = Tally::read(&text).with_context(|| format!("{OUTCOMES} is not what cargo-mutants writes"))?;
    println!("{tally}");
    let differences = differences(&tally.missed, &listed(&read(&root.join(LIST))?)?);
    ensure!(differences.is_empty(), "{LIST} is not the list of survivors:\n{}", differences.join("\n"));
    tally.check()
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn try_all(root: &Path, folder: &Path, jobs: usize) -> Result<()> {
    for (tool, arguments) in NEEDED {
        output(cargo(root).args(arguments))
            .with_context(|| format!("{tool} is needed: `cargo install --locked {tool}`, then run this again"))?;
    }
    let mut mutants: Command = cargo(root);
    mutants.args(["mutants", "--package", PACKAGE, "--jobs", &jobs.to_string(), "--output"]).arg(folder);
    // Nobody looks at these builds with a debugger, and there are hundreds of them.
    mutants.env("CARGO_PROFILE_DEV_DEBUG", "none").env("PROPTEST_RNG_SEED", SEED);
    let status = mutants.status().with_context(|| format!("cannot start {mutants:?}"))?;
    match status.code() {
        Some(code) if JUDGED.contains(&code) => Ok(()),
        _ => bail!("{status}: {mutants:?}"),
    }
}

/// A change of the code, by its file and what was done where. Lines are left out, for they move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mutant {
    file: String,
    change: String,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: `{}`", self.file, self.change)
    }
}

/// How often each survives: one line of code may hold the same change twice.
type Survivors = BTreeMap<Mutant, usize>;

/// What became of the mutants.
#[derive(Debug, Default)]
struct Tally {
    caught: usize,
    timeouts: usize,
    unviable: usize,
    missed: Survivors,
}

impl Tally {
    fn read(text: &str) -> Result<Self> {
        let mut tally = Self::default();
        for Outcome { scenario, summary } in serde_json::from_str::<Outcomes>(text)?.outcomes {
            let Scenario::Mutant(found) = scenario else {
                ensure!(summary == Summary::Success, "the tests fail without any mutant");
                continue;
            };
            match summary {
                Summary::CaughtMutant => tally.caught += 1,
                Summary::Timeout => tally.timeouts += 1,
                Summary::Unviable => tally.unviable += 1,
                Summary::MissedMutant => *tally.missed.entry(found.without_line()).or_default() += 1,
                Summary::Success | Summary::Failure => bail!("{}: nothing was made of it", found.name),
            }
        }
        Ok(tally)
    }

    fn survivors(&self) -> usize {
        self.missed.values().sum()
    }

    /// Those that build.
    fn viable(&self) -> usize {
        self.caught + self.timeouts + self.survivors()
    }

    fn check(&self) -> Result<()> {
        let (caught, viable) = (self.caught + self.timeouts, self.viable());
        ensure!(viable > 0, "no mutant was tried");
        ensure!(
            caught * 100 >= LEAST_PERCENT * viable,
            "{caught} of {viable} viable mutants are caught, and {LEAST_PERCENT} % have to be: write the tests that are \
             missing"
        );
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let viable = self.viable();
        let rate = (self.caught + self.timeouts) * 1_000 / viable.max(1);
        writeln!(
            f,
            "| mutants | viable | caught | timed out | missed | unviable | rate |\n|---|---|---|---|---|---|---|"
        )?;
        let (all, caught, timeouts) = (viable + self.unviable, self.caught, self.timeouts);
        let (missed, unviable) = (self.survivors(), self.unviable);
        write!(
            f,
            "| {all} | {viable} | {caught} | {timeouts} | {missed} | {unviable} | {}.{} % |",
            rate / 10,
            rate % 10
        )
    }
}

/// What differs between the survivors and the list of them, a line each.
fn differences(survivors: &Survivors, listed: &Survivors) -> Vec<String> {
    let times = |of: &Survivors, mutant| of.get(mutant).copied().unwrap_or(0);
    let all: std::collections::BTreeSet<_> = survivors.keys().chain(listed.keys()).collect();
    let differing = all.into_iter().map(|one| (one, times(survivors, one), times(listed, one)));
    let of_one = |(one, survives, listed): (&Mutant, usize, usize)| match survives.cmp(&listed) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => {
            Some(format!("  no test notices {one}, and it is not listed: write a test, or list it with the reason"))
        }
        std::cmp::Ordering::Less => Some(format!("  {one} is listed, and does not survive: take it off the list")),
    };
    differing.filter_map(of_one).collect()
}

/// The survivors of the list: entries such as "- `file`: `change`. Why nobody can notice."
fn listed(text: &str) -> Result<Survivors> {
    let mut all = Survivors::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("- `crates/")) {
        let parts: Vec<_> = line.splitn(4, '`').collect();
        let [file, ": ", change, reason] = parts.as_slice() else {
            bail!("{LIST}: this is not \"- `file`: `change`. Reason.\": {line}")
        };
        ensure!(reason.trim_start_matches('.').trim().contains(' '), "{LIST}: no reason is given for {change}");
        *all.entry(Mutant { file: format!("crates/{file}"), change: (*change).to_owned() }).or_default() += 1;
    }
    Ok(all)
}

/// The result, as cargo-mutants writes it.
#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: Scenario,
    summary: Summary,
}

#[derive(Deserialize)]
enum Scenario {
    /// The code as it is.
    Baseline,
    Mutant(Found),
}

#[derive(Deserialize)]
struct Found {
    name: String,
    file: String,
}

impl Found {
    /// `file:line:column: change`.
    fn without_line(&self) -> Mutant {
        let change = self.name.splitn(4, ':').nth(3).unwrap_or(&self.name).trim();
        Mutant { file: self.file.clone(), change: change.to_owned() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Summary {
    Success,
    CaughtMutant,
    MissedMutant,
    Unviable,
    Failure,
    Timeout,
}

#[cfg(test)]
mod tests;
