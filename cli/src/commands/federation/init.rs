//! `comity federation init`: the files of a new federation. Nothing is started, nothing overwritten.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use comity_client::founding::{self, Founded, FoundingPlan};
use comity_runtime::clock::SystemClock;
use comity_types::{Clock, Name, Place, TrustDomain};
use serde_json::json;

use crate::error::CliError;
use crate::output::{Format, say};

/// Make the files of a new federation.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where the files go; made if need be
    #[arg(long)]
    dir: PathBuf,
    /// The federation's own trust domain, such as federation.example
    #[arg(long)]
    name: TrustDomain,
    /// The first operator's name, such as alice
    #[arg(long)]
    operator: Name,
    /// Where the broker listens, such as 0.0.0.0:7443
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// How members reach the broker; may be repeated, best first [default: as --listen]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Vec<String>,
    /// Every place where the broker's machine stands, such as DE
    #[arg(long, required = true, value_delimiter = ',')]
    place: Vec<Place>,
}

/// Founds it.
pub(crate) fn run(args: &InitArgs, output: Format) -> Result<(), CliError> {
    let plan = plan(args)?;
    let founded = founding::found(&plan, SystemClock.now());
    let founded = founded.map_err(|error| CliError::Client {
        doing: "found the federation",
        source: Box::new(error),
        hint: None,
    })?;
    print(&founded, output)
}

fn plan(args: &InitArgs) -> Result<FoundingPlan, CliError> {
    let unreachable = args.listen.port() == 0 || args.listen.ip().is_unspecified();
    if args.advertise.is_empty() && unreachable {
        return Err(CliError::Usage {
            problem: format!("members cannot reach {}", args.listen),
            hint: "say how they reach the broker, such as --advertise broker.example.org:7443".to_owned(),
        });
    }
    let addresses = if args.advertise.is_empty() { vec![args.listen.to_string()] } else { args.advertise.clone() };
    Ok(FoundingPlan {
        federation: args.name.clone(),
        dir: args.dir.clone(),
        operator: args.operator.clone(),
        listen: args.listen,
        addresses,
        places: args.place.iter().cloned().collect(),
    })
}

fn print(founded: &Founded, output: Format) -> Result<(), CliError> {
    let (config, operator_dir) =
        (founded.config.display().to_string(), founded.operator_dir.path().display().to_string());
    let fields = vec![
        ("federation", founded.root.federation.to_string()),
        ("root's SHA-256", founded.root_digest.to_string()),
        ("operator", founded.operator.to_string()),
        ("operator's identity", operator_dir.clone()),
        ("broker's configuration", config.clone()),
    ];
    let json = json!({
        "federation": founded.root.federation,
        "rootSha256": founded.root_digest.to_string(),
        "operator": founded.operator,
        "operatorDir": operator_dir,
        "brokerConfig": config,
    });
    output.record(fields, &json)?;
    say(&format!("next: comity-broker run --config {config}"));
    Ok(())
}
