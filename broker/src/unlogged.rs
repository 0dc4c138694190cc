//! A broker that keeps no log, for `cargo xtask bench dataplane` and for nothing else: it decides and relays, and what it
//! gives out in the place of permits and receipts proves nothing. No node of a federation runs a request that comes from it.
//!
//! It is built with the feature `bench-unlogged` alone, and starts only where the environment says that this is meant.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use comity_broker::{Broker, config};
use comity_runtime::{executor, shutdown, telemetry};

/// What the environment has to say.
const MEANT: &str = "nothing-is-recorded-or-proven";

/// Measures what relaying costs without a log. It is no broker: no node runs what it relays.
#[derive(Debug, Parser)]
#[command(name = "comity-broker-unlogged", version, about)]
struct Arguments {
    /// The configuration, as for `comity-broker run`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Has to be "nothing-is-recorded-or-proven".
    #[arg(long, env = "COMITY_BENCH_UNLOGGED", value_name = "WORDS")]
    danger_unlogged: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    anyhow::ensure!(
        arguments.danger_unlogged == MEANT,
        "this program measures relaying without a log, and is no broker (hint: start comity-broker)"
    );
    let mut config = config::load(&arguments.config)?;
    let _filter = telemetry::init(config.log.format, &config.log.filter)?;
    tracing::error!("NOTHING IS RECORDED AND NOTHING IS PROVEN: this is a measurement and no broker");
    config.keeps_nothing = true;
    executor::start().context("cannot start the async runtime")?.block_on(async {
        let broker = Box::pin(Broker::build(config)).await?;
        Ok(broker.run(shutdown::requested()).await?)
    })
}
