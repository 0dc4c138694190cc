//! The project's own commands, as `cargo xtask <command>`.
//!
//! | command | what it does |
//! |---|---|
//! | `test` | prepares the foreign clients and servers, builds, runs every test |
//! | `ci` | formatting, lints, docs, `gen --check`, `reasons --check`, `layers`, `buf lint`, a little `fuzz`, then `test` |
//! | `gen` | Rust from the `.proto` files |
//! | `reasons` | docs/reasons.md from the list of reasons |
//! | `layers` | who may import whom |
//! | `fuzz` | looks for files of policy that break a promise |
//! | `faults` | kills decision logs and harms what they leave |
//! | `leaks` | looks for requests that nodes get and must not |
//! | `bench` | measures the built programs |
//! | `mutants` | whether the policy engine's tests notice that its code was changed |
//!
//! Nothing but the Rust toolchain, Python 3 and Node.js has to be there, and for `fuzz`
//! a C++ compiler; what else is needed is installed below `target/xtask-tools` (see [`tools`]).
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a developer's program talks to a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod ci;
mod faults;
mod fuzz;
mod r#gen;
mod layers;
mod leaks;
mod mutants;
mod process;
mod reasons;
mod test;
mod tools;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Comity's own commands")]
struct Args {
    /// The folder that foreign clients, servers and models are installed into.
    #[arg(long, global = true, env = "COMITY_XTASK_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test, with real clients and servers of other makers.
    Test(test::Args),
    /// Run what CI runs.
    Ci {
        /// Leave out the tests.
        #[arg(long)]
        skip_test: bool,
    },
    /// Generate Rust from the .proto files.
    Gen {
        /// Change nothing; fail if what is checked in is stale.
        #[arg(long)]
        check: bool,
    },
    /// Write docs/reasons.md from the list of reasons and their cases.
    Reasons {
        /// Change nothing; fail if what is checked in is stale.
        #[arg(long)]
        check: bool,
    },
    /// Check who imports whom.
    Layers,
    /// Look for files of policy that break what they promise, by libFuzzer.
    Fuzz(fuzz::Args),
    /// Kill decision logs under load, harm what they leave, and check that nothing is lost or signed twice.
    Faults(faults::Args),
    /// Look for requests that get to nodes which the policy does not let have them, in random federations.
    Leaks(leaks::Args),
    /// Measure the built programs.
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
    /// Change the policy engine in one place at a time, and see whether its tests notice; takes an hour or two.
    Mutants(mutants::Args),
}

fn main() -> ExitCode {
    let root = workspace_root();
    let args = Args::parse();
    // Absolute, because tests and tools stand in other folders than whoever named it. Of a path that is
    // empty there is no absolute one; using it says so.
    let cache = args.cache.map(|cache| std::path::absolute(&cache).unwrap_or(cache));
    let cache = cache.unwrap_or_else(|| root.join("target/xtask-tools"));
    let result = match args.command {
        Command::Test(options) => test::run(&root, &cache, &options),
        Command::Ci { skip_test } => ci::run_all(&root, &cache, skip_test),
        Command::Gen { check } => r#gen::run(&root, check),
        Command::Reasons { check } => reasons::run(&root, check),
        Command::Layers => layers::run(&root),
        Command::Fuzz(args) => fuzz::run(&root, &args),
        Command::Faults(args) => faults::run(&root, &args),
        Command::Leaks(args) => leaks::run(&root, &args),
        Command::Bench { bench } => bench::run(&root, &cache, &bench),
        Command::Mutants(options) => mutants::run(&root, &options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root: two folders above this package.
fn workspace_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
}
