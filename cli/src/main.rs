//! `comity`: the command line for operators, organisations and apps.
//!
//! Data goes to stdout, talk to stderr. `exit` says what the program ends with.
//!
//! | module | holds |
//! |---|---|
//! | `args` | what may be written on the command line |
//! | `commands` | one file a command, `<noun>/<verb>.rs` |
//! | `exit` | what the program ends with |
//! | `signing` | statements: what an identity may sign, and what becomes of it |
//! | `session` | an identity, opened and renewed, and a connection to its broker |
//! | `tables` | the tables that a command reads |
//! | `requirements` | files, presets and flags, merged by tightening |
//! | `refusal` | what a bounded refusal left out, asked for again |
//! | `organisation_file` | an `organisation.toml`, read |
//! | `layers` | what an organisation demands of its own requests, as it is printed |
//! | `verdict` | verdicts and refusals, as programs and people read them |
//! | `view` | organisations and offers, as they are printed |
//! | `output` | tables and JSON |
//! | `render_error` | what a failure looks like |

mod args;
mod changes;
mod commands;
mod confirm;
mod error;
mod exit;
mod files;
mod layers;
mod organisation_file;
mod output;
mod preferences;
mod progress;
mod refusal;
mod render_error;
mod requirements;
mod session;
mod signing;
mod tables;
mod verdict;
mod view;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::error::CliError;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let output = cli.global.output;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            render_error::print(&error, output);
            ExitCode::from(exit::status(&error))
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| CliError::System { doing: "start", source })?;
    let result = runtime.block_on(Box::pin(commands::run(cli)));
    // A read of the terminal cannot be cancelled, so the runtime is not waited for.
    runtime.shutdown_background();
    result
}

/// Prints clap's message; help and version are data, anything else is a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (printed, error.use_stderr()) {
        (Ok(()), false) => ExitCode::SUCCESS,
        _ => ExitCode::from(exit::FAULT),
    }
}
