//! `cargo xtask bench overload`: builds the broker and the data plane's measurement, and has it ask for more than there is.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::SHIPPED;
use super::dataplane::{PACKAGES, put};
use crate::process::{cargo, output, run as run_command, step};

/// What the measured part of a report begins with, in the file that it is put into.
const MEASURED: &str = "<!-- What follows is written by `cargo xtask bench overload --report`. -->\n";

/// What to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// What to build; `dev` is not what anyone installs.
    #[arg(long, default_value = SHIPPED)]
    profile: String,
    /// How many rounds, in each of which all loads and all abuse take turns.
    #[arg(long)]
    rounds: Option<u64>,
    /// How long each of them has in a round.
    #[arg(long)]
    seconds: Option<u64>,
    /// Put the report into this file, in the place of what was measured last; otherwise it is printed.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the plot, an SVG picture, into this file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Builds and measures.
///
/// # Errors
/// If something does not build, or the measurement fails.
pub(super) fn run(root: &Path, args: &Args) -> Result<()> {
    step("build the broker and the measurement", || {
        let mut build = cargo(root);
        build.args(["build", "--locked"]).args(PACKAGES);
        run_command(build.args(["--bins", "--bench", "dataplane", "--profile", &args.profile]))
    })?;
    let mut bench = cargo(root);
    bench.args(["bench", "--locked"]).args(PACKAGES);
    bench.args(["--bench", "dataplane", "--profile", &args.profile, "--", "--overload"]);
    for (option, number) in [("--rounds", args.rounds), ("--seconds", args.seconds)] {
        if let Some(number) = number {
            bench.arg(option).arg(number.to_string());
        }
    }
    if let Some(plot) = &args.plot {
        // The measurement runs in its package's folder.
        bench.arg("--plot").arg(std::path::absolute(plot)?);
    }
    step("measure overload and abuse", || match &args.report {
        None => run_command(&mut bench),
        Some(file) => put(file, MEASURED, &output(&mut bench)?),
    })
}
