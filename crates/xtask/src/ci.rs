//! `cargo xtask ci`: what CI runs, cheapest first.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{cargo, run, step};
use crate::tools::{self, Tools};
use crate::{fuzz, r#gen, layers, reasons, test};

/// Seconds for each fuzz target: enough to pass all seeds and a few hundred thousand texts beside them.
const FUZZ_SECONDS: u64 = 20;

/// What has to pass the lints beside what is built by default: the broker's twin, which is measured (decision 27).
const UNLOGGED: &str = "comity-broker/bench-unlogged";

/// Runs every check, and the tests unless they are left out.
///
/// # Errors
/// The first check that fails, with how to mend it where a command can.
pub(crate) fn run_all(root: &Path, cache: &Path, skip_test: bool) -> Result<()> {
    step("formatting", || run(cargo(root).args(["fmt", "--all", "--check"])).context("run `cargo fmt --all`"))?;
    step("generated code", || r#gen::run(root, true))?;
    step("reference of reasons", || reasons::run(root, true))?;
    step("layers", || layers::run(root))?;
    step("lints", || {
        let all = ["clippy", "--locked", "--workspace", "--all-targets", "--features", UNLOGGED];
        run(cargo(root).args(all).args(["--", "-D", "warnings"]))
    })?;
    // With the features that a user gets: the lints above have those of the tests as well.
    step("programs", || run(cargo(root).args(["check", "--locked", "--bins"])))?;
    step("docs", || {
        run(cargo(root).args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    contract(root, cache)?;
    fuzz::run(root, &fuzz::Args { seconds: FUZZ_SECONDS, targets: Vec::new() })?;
    if skip_test { Ok(()) } else { test::run(root, cache, &test::Args::default()) }
}

/// Lints the contract by `buf`.
fn contract(root: &Path, cache: &Path) -> Result<()> {
    let tools = Tools::at(cache);
    tools::prerequisites()?;
    tools.node(root)?;
    step("contract", || run(Command::new(tools.buf()).arg("lint").current_dir(root.join("proto/schema"))))
}
