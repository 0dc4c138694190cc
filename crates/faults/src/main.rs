//! Kills decision logs under load, harms what they leave on disk, and checks that nothing is lost that was acknowledged,
//! that nothing was signed twice differently, and that every signature that got out can be reproduced.
//!
//! ```text
//! campaign ──starts──▶ victim: opens the log, appends, says each acknowledgement after it has it
//!     │  ◀──stdout───────┘
//!     ├─ SIGKILL at a random moment, or a disk that fails
//!     ├─ a fault of the catalogue on the folder
//!     └─ the next victim on it; and a copy of it, taken up and compared leaf by leaf with what was said
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`said`] | what a victim says, line by line |
//! | [`victim`] | the log under load, on disks that may fail |
//! | [`campaign`] | the faults, and what has to hold after each |
//! | [`chance`] | repeatable chance |
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's program talks to a terminal")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod campaign;
mod chance;
mod said;
mod victim;

#[derive(Parser)]
#[command(name = "comity-faults", about = "Kills decision logs, and harms what they leave")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kill logs, harm them, and check what is left.
    Campaign(campaign::Args),
    /// Be killed: what a campaign starts.
    Victim(victim::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Campaign(args) => campaign::run(&args),
        Command::Victim(args) => victim::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
