//! `cargo xtask test`: installs the tools, builds the programs, runs every test.

use std::path::Path;

use anyhow::Result;

use crate::process::{self, cargo, step};
use crate::tools::wanting::skipping;
use crate::tools::{self, Tools};

/// The model, below the cache, as `comity-node model fetch` names its file.
const MODEL_FILE: &str = "models/smollm2-135m-instruct.gguf";

/// How to run the tests.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Only install the tools and build; then `cargo test` can be called by hand.
    #[arg(long)]
    prepare: bool,
    /// What to hand on to `cargo test` instead of `--workspace`, such as `-p comity-policy`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Installs, builds and tests.
///
/// # Errors
/// If a tool cannot be installed, something does not build, or a test fails.
pub(crate) fn run(root: &Path, cache: &Path, args: &Args) -> Result<()> {
    let tools = Tools::at(cache);
    tools::prerequisites()?;
    tools.python(root)?;
    tools.node(root)?;
    tools.go(root)?;
    // The tests beside the programs, so that both have one set of features: with two, a third of the dependencies
    // is compiled twice. That the programs build by themselves is `ci`'s to check.
    step("build the programs and the tests", || {
        process::run(cargo(root).args(["build", "--locked", "--workspace", "--bins", "--tests"]))
    })?;
    tools.model(root)?;
    if args.prepare {
        return Ok(());
    }
    let (wanting, left_out) = tools.wanting()?;
    eprint!("{left_out}");
    let tested = step("run the tests", || {
        let mut tests = cargo(root);
        tests.args(["test", "--locked"]).env("COMITY_XTASK_CACHE", tools.cache());
        if args.rest.is_empty() {
            tests.args(["--workspace", "--no-fail-fast"]);
        }
        // Tests that need what was installed above are ignored by a plain `cargo test`.
        tests.env("COMITY_TEST_GGUF", tools.cache().join(MODEL_FILE));
        let separator = (!args.rest.iter().any(|argument| argument == "--")).then_some("--");
        process::run(tests.args(&args.rest).args(separator).arg("--include-ignored").args(skipping(&wanting)))
    });
    // Once more, behind all that the tests have printed.
    eprint!("{left_out}");
    tested
}
