//! `cargo xtask leaks`: random federations, in which every request that a node gets is held against the policy
//! (`broker/src/access/tests/leaks.rs`).

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::process::{cargo, run as run_command, step};

/// The test that does it.
const TEST: &str = "access::tests::leaks::no_node_gets_a_request_that_the_policy_does_not_let_it_have";

/// How much to do.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Deliveries to check at least.
    #[arg(long, default_value_t = 1_000_000)]
    deliveries: u64,
    /// What the federations follow from; what happens at once is up to the machine [default: the time, which is printed].
    #[arg(long)]
    seed: Option<u64>,
    /// What to build; `dev` is what the tests are built with.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Builds it and runs it.
///
/// # Errors
/// If it does not build, or a node got what it must not have.
pub(crate) fn run(root: &Path, args: &Args) -> Result<()> {
    let mut test = cargo(root);
    test.args(["test", "--locked", "--package", "comity-broker", "--lib", "--profile", &args.profile]);
    test.args(["--", "--exact", TEST, "--nocapture"]).env("COMITY_LEAKS_DELIVERIES", args.deliveries.to_string());
    if let Some(seed) = args.seed {
        test.env("COMITY_LEAKS_SEED", seed.to_string());
    }
    step("look for leaks", || run_command(&mut test).context("a leak, or the search could not run"))
}
