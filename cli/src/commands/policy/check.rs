//! `comity policy check`: the verdict on offers that files describe, by the function that the broker and nodes use.
//!
//! Same files and same `--as-of`, same bytes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use comity_policy::relax::relaxations;
use comity_policy::requirements::RequirementsFile;
use comity_policy::{Demanded, Layers, Offer, Organisation, OrganisationFile, Request, Verdict, evaluate};
use comity_proto::convert;
use comity_proto::policy::Relaxation;
use comity_runtime::clock::SystemClock;
use comity_types::{Clock as _, ModelName, Name, Place, Timestamp};
use serde_json::json;

use super::inputs;
use crate::commands::explain::Method;
use crate::error::CliError;
use crate::output::{Format, Stream, print_json, print_line, say};
use crate::requirements::{self, tables};
use crate::{layers, verdict};

/// Say of offers in files whether they may serve a request, and why not; ends with 1 if none may.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Offers: one as TOML or JSON, a node.toml, or what `comity offer list -o json` prints; may be repeated
    #[arg(long = "offer", value_name = "FILE", required = true)]
    offers: Vec<PathBuf>,
    /// What is demanded and declared, as a requirements file; may be repeated, and each tightens
    #[arg(long = "request", value_name = "FILE", required = true)]
    requests: Vec<PathBuf>,
    /// Who operates the offers, as an organisation.toml; without it nothing is known of them
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
    /// Who asks, as an organisation.toml, whose [require] counts as well; without it nothing is known of them
    #[arg(long, value_name = "FILE")]
    caller: Option<PathBuf>,
    /// The app that asks, whose [apps.NAME.require] in that file counts as well
    #[arg(long, value_name = "NAME", requires = "caller")]
    app: Option<Name>,
    /// The instant or day of the decision [default: now]
    #[arg(long, value_name = "T")]
    as_of: Option<Timestamp>,
    /// Where the broker is that ends the caller's TLS; without it the broker sees no content
    #[arg(long = "broker-place", value_name = "PLACE", value_delimiter = ',', num_args = 1..)]
    broker_places: Vec<Place>,
    /// The model that is asked for [default: any]
    #[arg(long)]
    model: Option<ModelName>,
    /// What it would be asked for
    #[arg(long = "for", value_enum, default_value_t = Method::Chat, value_name = "METHOD")]
    method: Method,
}

/// Evaluates and prints the verdicts.
pub(super) fn run(args: &CheckArgs, output: Format) -> Result<(), CliError> {
    let tables = tables()?;
    let operator = args.operator.as_deref().map(inputs::organisation).transpose()?.map(|file| file.facts);
    let caller = args.caller.as_deref().map(inputs::organisation).transpose()?;
    let caller = caller.map_or_else(nobody_known, Ok)?;
    let mut offers = Vec::new();
    for path in &args.offers {
        offers.extend(inputs::offers(path, operator.as_ref())?);
    }
    let mut asked = RequirementsFile::default();
    for path in &args.requests {
        asked = asked.meet(requirements::read(path, tables)?);
    }
    let demanded = caller.layers.demanded(args.app.as_ref(), &asked.requirements);
    let broker_places: BTreeSet<Place> = args.broker_places.iter().cloned().collect();
    let request = Request {
        caller: &caller.facts,
        model: args.model.as_ref(),
        capability: args.method.capability(),
        declared: &asked.declared,
        requirements: &demanded.requirements,
        broker_places: Some(&broker_places).filter(|places| !places.is_empty()),
        as_of: args.as_of.unwrap_or_else(|| SystemClock.now()),
    };
    let pairs: Vec<(&Offer, &Organisation)> = offers.iter().map(|(offer, operator)| (offer, operator)).collect();
    let verdicts: Vec<Verdict> =
        pairs.iter().map(|(offer, operator)| evaluate(offer, operator, &request, tables)).collect();
    let eligible = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Eligible { .. })).count();
    let of_offer = |((offer, _), verdict): (&(&Offer, &Organisation), &Verdict)| {
        convert::verdict(&offer.name(), &offer.model, verdict)
    };
    let verdicts: Vec<_> = pairs.iter().zip(&verdicts).map(of_offer).collect();
    let relaxations = relaxations(&pairs, &request, tables).into_iter().map(|one| wire(one, &pairs, &demanded));
    let relaxations: Vec<_> = relaxations.collect();
    let layer_demands = convert::layer_demands(&caller.facts.trust_domain, args.app.as_ref(), &demanded);
    match output {
        Format::Json => print_json(&json!({
            "as_of": request.as_of,
            "tables_sha256": tables.digest().to_string(),
            "eligible": eligible,
            "layer_demands": layers::demands(&layer_demands),
            "relaxations": verdict::relaxations(&relaxations),
            "verdicts": verdict::views(verdicts),
        }))?,
        Format::Table => {
            say_unknown(args);
            print_line(&verdict::table(&verdicts, Stream::Stdout.width()))?;
            for line in layers::demand_lines(&layer_demands, Stream::Stdout.width()) {
                print_line(&line)?;
            }
            for line in verdict::relaxed_lines(&relaxations, &layer_demands) {
                print_line(&line)?;
            }
            say(&format!("{eligible} of {} offers may serve this request at {}", pairs.len(), request.as_of));
        }
    }
    if eligible > 0 { Ok(()) } else { Err(nobody(pairs.len())) }
}

/// A caller of whom no file is given: it demands what it sends.
fn nobody_known() -> Result<OrganisationFile, CliError> {
    Ok(OrganisationFile { facts: inputs::unknown("caller.example")?, layers: Layers::default() })
}

/// Says whose facts are not given: most of what is asked of them refuses.
fn say_unknown(args: &CheckArgs) {
    let listings = args.offers.iter().all(|path| path.extension().is_some_and(|extension| extension == "json"));
    if args.operator.is_none() && !listings {
        say("nothing is known of who operates the offers: give --operator organisation.toml");
    }
    if args.caller.is_none() {
        say("nothing is known of who asks: give --caller organisation.toml");
    }
}

fn nobody(considered: usize) -> CliError {
    CliError::Failed {
        problem: format!("no offer may serve this request ({considered} considered)"),
        hint:
            "each reason says how to mend it; a line \"without ...\" names a requirement that alone stands in the way"
                .to_owned(),
    }
}

/// A relaxation with the names of the offers.
fn wire(one: comity_policy::relax::Relaxation, pairs: &[(&Offer, &Organisation)], demanded: &Demanded) -> Relaxation {
    let name = |index: usize| pairs.get(index).map(|(offer, _)| offer.name().to_string());
    let layers = demanded.layers_of(one.constraint).into_iter();
    Relaxation {
        constraint: one.constraint.to_owned(),
        offers: one.regained.into_iter().filter_map(name).collect(),
        layers: layers.map(|layer| convert::wire_layer(layer).into()).collect(),
    }
}
