//! The broker's program: `run` and `check-config`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use comity_broker::reload::Reloads;
use comity_broker::{Broker, Config, config, data_dir};
use comity_runtime::shutdown::Hangups;
use comity_runtime::tasks::Tasks;
use comity_runtime::telemetry::Filter;
use comity_runtime::{chain, executor, shutdown, telemetry};
use futures::StreamExt as _;

/// Exit status where the command line or the configuration is wrong.
const USAGE: u8 = 2;

/// The broker of a Comity federation.
///
/// Exits with 0 when it is done, 1 when it cannot start or go on, 2 when the command line or the configuration is wrong.
#[derive(Debug, Parser)]
#[command(name = "comity-broker", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT, then let calls finish; the same signal again ends them at once.
    ///
    /// SIGHUP has the configuration read again, and the access log opened anew: docs/operations.md says what can change.
    Run {
        /// The configuration; deploy/broker.example.toml describes every field.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say all that is wrong with a configuration and what is wrong with its data directory, or that nothing is.
    CheckConfig {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { config } => run(&config),
        Command::CheckConfig { config } => check(&config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without stderr there is nobody left to tell.
            let _told = writeln!(std::io::stderr(), "error: {}", chain::text(error.as_ref())).is_ok();
            status(&error)
        }
    }
}

/// As clap ends on wrong usage: what a wrong configuration says is mended by a person, not by a new start.
fn status(error: &anyhow::Error) -> ExitCode {
    if error.is::<config::ConfigError>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

fn check(path: &Path) -> anyhow::Result<()> {
    data_dir::check(&config::load(path)?)?;
    writeln!(std::io::stdout(), "{} is in order", path.display()).context("cannot write to stdout")
}

fn run(path: &Path) -> anyhow::Result<()> {
    let config = config::load(path)?;
    let filter = telemetry::init(config.log.format, &config.log.filter)?;
    executor::start().context("cannot start the async runtime")?.block_on(serve(config, path, filter))
}

async fn serve(config: Config, path: &Path, filter: Filter) -> anyhow::Result<()> {
    // Signals are heard from here on, also those that come before anything is served.
    let asked = shutdown::listen(&Tasks::new());
    let reloads = reloads(path, filter)?;
    // It may take long: witnesses are waited for.
    let broker = tokio::select! {
        built = Box::pin(Broker::build(config)) => built?,
        () = asked.once.cancelled() => return Ok(()),
    };
    Ok(broker
        .reloading(reloads)
        .ending_at_once(asked.again.cancelled_owned())
        .run(asked.once.cancelled_owned())
        .await?)
}

/// SIGHUP, and what it has read.
fn reloads(path: &Path, filter: Filter) -> anyhow::Result<Reloads> {
    let hangups = Hangups::listen().context("cannot hear signals")?;
    let asked = futures::stream::unfold(hangups, async |mut hangups| {
        hangups.next().await;
        Some(((), hangups))
    });
    let path = path.to_owned();
    Ok(Reloads { asked: asked.boxed(), load: Box::new(move || config::load(&path)), filter })
}
