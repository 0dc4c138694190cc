//! `comity federation init`: the files of a new federation. Nothing is started, nothing overwritten.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use comity_client::founding::{self, CoOperator, Founded, FoundingError, FoundingPlan, WouldFound};
use comity_identity::{SigningRequest, pem};
use comity_runtime::clock::SystemClock;
use comity_types::{Clock, Name, Place, TrustDomain};
use serde_json::json;

use crate::error::CliError;
use crate::output::{Format, joined, say};

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
    /// Another operator, who made their key with `comity operator request`; may be repeated
    #[arg(long, value_name = "NAME=REQUEST.pem", value_parser = co_operator)]
    co_operator: Vec<CoOperatorArg>,
    /// How many operators admit, suspend, lift and evict
    #[arg(long, default_value_t = 1, value_name = "K")]
    threshold: u32,
    /// How many operators change who governs [default: as --threshold]
    #[arg(long, value_name = "K")]
    root_threshold: Option<u32>,
    /// Where the broker listens, such as 0.0.0.0:7443
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// How members reach the broker; may be repeated, best first [default: as --listen]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Vec<String>,
    /// Every place where the broker's machine stands, such as DE
    #[arg(long, required = true, value_delimiter = ',')]
    place: Vec<Place>,
    /// Show what would be made, and make nothing: neither a key nor a file
    #[arg(long)]
    dry_run: bool,
}

/// An operator whose key is elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct CoOperatorArg {
    name: Name,
    request: PathBuf,
}

fn co_operator(text: &str) -> Result<CoOperatorArg, String> {
    let (name, request) = text.split_once('=').ok_or("write NAME=REQUEST.pem, such as bob=bob/operator-request.pem")?;
    let name = name.parse().map_err(|error: comity_types::Invalid| error.to_string())?;
    Ok(CoOperatorArg { name, request: request.into() })
}

/// The request in a file.
fn read_request(arg: &CoOperatorArg) -> Result<CoOperator, CliError> {
    let path = || arg.request.clone();
    let text = std::fs::read(&arg.request);
    let text = text.map_err(|source| CliError::File { doing: "read", path: path(), source })?;
    let expected = "a signing request, as `comity operator request` writes it";
    let bad = |source: Box<dyn std::error::Error + Send + Sync>| CliError::BadFile { path: path(), expected, source };
    let der = pem::decode_request(&text).ok_or_else(|| bad("it holds no CERTIFICATE REQUEST in PEM".into()))?;
    let request = SigningRequest::parse(&der).map_err(|error| bad(error.into()))?;
    Ok(CoOperator { name: arg.name.clone(), request })
}

/// Founds it.
pub(crate) fn run(args: &InitArgs, output: Format) -> Result<(), CliError> {
    let plan = plan(args)?;
    let refused = |error| CliError::Client {
        doing: "found the federation",
        source: Box::<FoundingError>::new(error),
        hint: None,
    };
    if args.dry_run {
        let would = founding::would_found(&plan, SystemClock.now()).map_err(refused)?;
        return print_would(&plan, &would, output);
    }
    let founded = founding::found(&plan, SystemClock.now()).map_err(refused)?;
    print(&plan, &founded, output)
}

/// What founding would make. Keys are new each time, so that it has no fingerprints but those of others, and no SHA-256.
fn print_would(plan: &FoundingPlan, would: &WouldFound, output: Format) -> Result<(), CliError> {
    say("a dry run: no key is kept, and no file is written");
    let paths: Vec<_> = would.directories.iter().map(|path| path.display().to_string()).collect();
    let mut fields = vec![
        ("federation", plan.federation.to_string()),
        ("broker", would.broker.to_string()),
        ("listens on", plan.listen.to_string()),
        ("reached at", joined(&plan.addresses)),
        ("stands in", joined(&plan.places)),
        ("operators", joined(&would.operators)),
        ("admit, suspend, lift and evict", format!("{} of {}", plan.membership_threshold, would.operators.len())),
        ("change who governs", format!("{} of {}", plan.root_threshold, would.operators.len())),
    ];
    let requests = requests(plan);
    fields.extend(requests.iter().map(|(name, key)| ("fingerprint of another's key", format!("{name} {key}"))));
    fields.extend(paths.iter().map(|path| ("would make", path.clone())));
    let requests: serde_json::Map<_, _> = requests.into_iter().map(|(name, key)| (name, key.into())).collect();
    let json = json!({ "wouldFound": {
        "federation": plan.federation,
        "broker": would.broker,
        "listen": plan.listen,
        "addresses": plan.addresses,
        "places": plan.places,
        "operators": would.operators,
        "membershipThreshold": plan.membership_threshold,
        "rootThreshold": plan.root_threshold,
        "requestFingerprints": requests,
        "directories": paths,
    } });
    output.record(fields, &json)
}

/// The operators whose keys are elsewhere, and the fingerprints of those.
fn requests(plan: &FoundingPlan) -> Vec<(String, String)> {
    let fingerprint = |other: &CoOperator| other.request.public_key_digest().fingerprint();
    plan.co_operators.iter().map(|other| (other.name.to_string(), fingerprint(other))).collect()
}

fn plan(args: &InitArgs) -> Result<FoundingPlan, CliError> {
    let unreachable = args.listen.port() == 0 || args.listen.ip().is_unspecified();
    if args.advertise.is_empty() && unreachable {
        return Err(CliError::Usage {
            problem: format!("members cannot reach {}", args.listen),
            hint: "say how they reach the broker, such as --advertise broker.example.org:7443".to_owned(),
        });
    }
    let tables = comity_runtime::tables::load(None).map_err(|source| CliError::Client {
        doing: "read the tables that ship",
        source: Box::new(source),
        hint: None,
    })?;
    // As the broker will: what it refuses to start with is not written.
    for place in &args.place {
        tables.places.parse_known(place.as_str()).map_err(|invalid| CliError::Usage {
            problem: format!("--place: {invalid}"),
            hint: "name where the machine stands by its code of ISO 3166, such as DE or DE-BY".to_owned(),
        })?;
    }
    let addresses = if args.advertise.is_empty() { vec![args.listen.to_string()] } else { args.advertise.clone() };
    Ok(FoundingPlan {
        federation: args.name.clone(),
        dir: args.dir.clone(),
        operator: args.operator.clone(),
        co_operators: args.co_operator.iter().map(read_request).collect::<Result<_, _>>()?,
        root_threshold: args.root_threshold.unwrap_or(args.threshold),
        membership_threshold: args.threshold,
        listen: args.listen,
        addresses,
        places: args.place.iter().cloned().collect(),
    })
}

fn print(plan: &FoundingPlan, founded: &Founded, output: Format) -> Result<(), CliError> {
    let (config, operator_dir) =
        (founded.config.display().to_string(), founded.operator_dir.path().display().to_string());
    let fields = vec![
        ("federation", founded.root.federation.to_string()),
        ("root's SHA-256", founded.root_digest.to_string()),
        ("operator", founded.operator.to_string()),
        ("operator's identity", operator_dir.clone()),
        ("broker's configuration", config.clone()),
    ];
    let others: Vec<String> = founded.co_operator_dirs.iter().map(|dir| dir.display().to_string()).collect();
    let mut fields = fields;
    fields.extend(others.iter().map(|dir| ("for another operator", dir.clone())));
    let requests = requests(plan);
    fields.extend(requests.iter().map(|(name, key)| ("fingerprint of another's key", format!("{name} {key}"))));
    let json = json!({
        "federation": founded.root.federation,
        "rootSha256": founded.root_digest.to_string(),
        "operator": founded.operator,
        "operatorDir": operator_dir,
        "coOperatorDirs": others,
        "coOperatorFingerprints": requests.iter().cloned().collect::<BTreeMap<_, _>>(),
        "brokerConfig": config,
    });
    output.record(fields, &json)?;
    for other in &others {
        say(&format!("hand {other} to its operator, who adds its files to the directory of their key"));
    }
    if !requests.is_empty() {
        say(
            "compare each fingerprint with the one that `comity operator request` showed its operator, before anybody joins",
        );
    }
    say(&format!("next: comity-broker run --config {config}"));
    Ok(())
}
