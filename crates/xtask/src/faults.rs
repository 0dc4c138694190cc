//! `cargo xtask faults`: kills decision logs and harms what they leave, for as long as wished (`crates/faults`).

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::process::{cargo, run as run_command, step};

/// How much to do.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Rounds at least: each is a life of a log or some, with what is done to it then.
    #[arg(long, default_value_t = 5_000)]
    rounds: u64,
    /// What all choices follow from [default: a random one, which is printed].
    #[arg(long)]
    seed: Option<u64>,
    /// Minutes at most.
    #[arg(long)]
    minutes: Option<u64>,
    /// Only this log of the seed, as a violation names it.
    #[arg(long)]
    world: Option<u64>,
    /// The figures as text or as JSON.
    #[arg(short, long, default_value = "text")]
    output: String,
    /// What to build; `dev` is what the tests are built with.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Builds the campaign and runs it.
///
/// # Errors
/// If it does not build, or a promise was broken: what was left of that log is kept then.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let of = ["--locked", "--package", "comity-faults", "--profile", &args.profile];
    step("build the campaign", || run_command(cargo(root).arg("build").args(of)))?;
    let mut campaign = cargo(root);
    campaign.arg("run").args(of).args(["--quiet", "--", "campaign"]);
    campaign.args(["--rounds", &args.rounds.to_string(), "--output", &args.output]);
    let given = [("--seed", args.seed), ("--minutes", args.minutes), ("--world", args.world)];
    for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        campaign.args([name, &value.to_string()]);
    }
    step("kill logs", || run_command(&mut campaign).context("a promise was broken, or the campaign could not run"))
}
