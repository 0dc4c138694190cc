//! `comity policy check`: the verdict on offers that files describe, by the function that the broker and nodes use.
//!
//! Same files and same `--as-of`, same bytes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use comity_policy::relax::relaxations;
use comity_policy::terms::Disclosure;
use comity_policy::{Demanded, Index, Layers, OrganisationFile, Request, Usage};
use comity_proto::catalog::ExplainResponse;
use comity_proto::convert;
use comity_proto::json::Canonical;
use comity_proto::policy::Relaxation;
use comity_runtime::clock::SystemClock;
use comity_types::{Clock as _, Invalid, ModelName, Name, OfferName, Place, Timestamp};

use super::inputs;
use crate::args::Global;
use crate::commands::explain::Method;
use crate::error::CliError;
use crate::output::{Format, Stream, print_json, print_line, say};
use crate::requirements::{self, Asked};
use crate::{layers, verdict};

/// Say of offers in files whether they may serve a request, and why not; ends with 1 if none may.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Offers: one as TOML or JSON, a node.toml, or what `comity offer list -o json` prints; may be repeated
    #[arg(long = "offer", value_name = "FILE", required = true)]
    offers: Vec<PathBuf>,
    /// What is demanded and declared: a requirements file, or an Envelope as JSON; may be repeated, and each tightens
    #[arg(long = "request", value_name = "FILE", required = true)]
    requests: Vec<PathBuf>,
    /// Who operates the offers: an organisation.toml, or an Organisation as JSON; without it nothing is known of them
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
    /// Who asks: an organisation.toml, whose `require` counts as well, or an Organisation as JSON; without it nothing is
    /// known of them
    #[arg(long, value_name = "FILE")]
    caller: Option<PathBuf>,
    /// The app that asks, whose `apps.NAME.require` in that file counts as well; for an app without one the organisation's
    /// `require` alone counts, as at the broker
    #[arg(long, value_name = "NAME", requires = "caller")]
    app: Option<Name>,
    /// The instant or day of the decision [default: now]
    #[arg(long, value_name = "T")]
    as_of: Option<Timestamp>,
    /// Where the broker is that ends the caller's TLS; without it the broker sees no content
    #[arg(long = "broker-place", value_name = "PLACE", value_delimiter = ',', num_args = 1..)]
    broker_places: Vec<Place>,
    /// The model that is asked for [default: the one that a request names, or any]
    #[arg(long)]
    model: Option<ModelName>,
    /// How many requests the caller has sent to an offer on the day of the decision, as org-a.example/n1/chat=5; may be
    /// repeated
    #[arg(long, value_name = "OFFER=REQUESTS", value_parser = used)]
    used: Vec<(OfferName, u64)>,
    /// What it would be asked for
    #[arg(long = "for", value_enum, default_value_t = Method::Chat, value_name = "METHOD")]
    method: Method,
}

/// Evaluates and prints the verdicts.
pub(super) fn run(args: &CheckArgs, global: &Global) -> Result<(), CliError> {
    let tables = global.tables()?;
    let organisation = |path| inputs::organisation(path, &tables);
    let operator = args.operator.as_deref().map(organisation).transpose()?.map(|file| file.facts);
    let caller = args.caller.as_deref().map(organisation).transpose()?;
    let caller = caller.map_or_else(nobody_known, Ok)?;
    let mut offers = Vec::new();
    for path in &args.offers {
        offers.extend(inputs::offers(path, operator.as_ref(), &tables)?);
    }
    let mut asked = Asked { model: args.model.clone(), ..Asked::default() };
    for path in &args.requests {
        asked = asked.and(path, requirements::read(path, &tables)?)?;
    }
    let demanded = caller.layers.demanded(args.app.as_ref(), &asked.file.requirements);
    if let Some(app) = &args.app {
        say_without_layer(app, &caller.layers);
    }
    let broker_places: BTreeSet<Place> = args.broker_places.iter().cloned().collect();
    let used: Usage = args.used.iter().cloned().collect();
    let request = Request {
        caller: &caller.facts,
        model: asked.model.as_ref(),
        capability: args.method.capability(),
        declared: &asked.file.declared,
        requirements: &demanded.requirements,
        broker_places: Some(&broker_places).filter(|places| !places.is_empty()),
        used: &used,
        as_of: args.as_of.unwrap_or_else(|| SystemClock.now()),
    };
    let index = Index::of_pairs(offers, Arc::clone(&tables));
    let answer = index.ask(&request);
    let eligible = answer.eligible_count();
    let of_offer = |place| {
        let offer = index.offer(place)?;
        Some(convert::verdict(&offer.name(), &offer.model, &answer.verdict(place, &request)))
    };
    let verdicts: Vec<_> = (0..index.len()).filter_map(of_offer).collect();
    let relaxations = relaxations(&index, &request).into_iter().map(|one| wire(one, &index, &demanded));
    let relaxations: Vec<_> = relaxations.collect();
    let layer_demands = convert::layer_demands(&caller.facts.trust_domain, args.app.as_ref(), &demanded);
    let response = ExplainResponse {
        verdicts,
        relaxations,
        tables_sha256: tables.digest().as_bytes().to_vec().into(),
        as_of: Some(convert::wire_instant(request.as_of)),
        epoch: 0,
        layer_demands,
    };
    match global.output {
        Format::Json => print_json(&Canonical(&response))?,
        Format::Table => {
            say_unknown(args);
            say_kept(&index);
            print_table(&response)?;
            say(&format!("{eligible} of {} offers may serve this request at {}", index.len(), request.as_of));
        }
    }
    if eligible > 0 { Ok(()) } else { Err(nobody(index.len())) }
}

fn print_table(response: &ExplainResponse) -> Result<(), CliError> {
    print_line(&verdict::table(&response.verdicts, Stream::Stdout.width()))?;
    for line in layers::demand_lines(&response.layer_demands, Stream::Stdout.width()) {
        print_line(&line)?;
    }
    for line in verdict::relaxed_lines(&response.relaxations, &response.layer_demands) {
        print_line(&line)?;
    }
    Ok(())
}

/// A caller of whom no file is given: it demands what it sends.
fn nobody_known() -> Result<OrganisationFile, CliError> {
    Ok(OrganisationFile { facts: inputs::unknown("caller.example")?, layers: Layers::default() })
}

/// Says that an app has no layer of its own: the broker decides so, and it may be a typo that leaves one out.
fn say_without_layer(app: &Name, layers: &Layers) {
    if layers.apps.contains_key(app) {
        return;
    }
    let named: Vec<_> = layers.apps.keys().map(Name::as_str).collect();
    let named = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
    say(&format!(
        "the caller's file has no [apps.{app}.require], so that what it demands of every app counts alone, as at the broker (apps with their own: {named})"
    ));
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

/// Says which offers cannot be judged here, because a listing has their terms without what they demand.
fn say_kept(index: &Index) {
    for offer in (0..index.len()).filter_map(|place| index.offer(place)) {
        let terms = offer.terms.as_ref();
        if terms.is_some_and(|terms| terms.disclosure == Disclosure::CodeOnly && terms.caller_rules.is_none()) {
            let name = offer.name();
            say(&format!(
                "{name} keeps to itself what it demands, so that it refuses here: `comity explain` asks the broker, which knows"
            ));
        }
    }
}

/// What was used of an offer.
fn used(text: &str) -> Result<(OfferName, u64), String> {
    let (offer, requests) =
        text.split_once('=').ok_or("an offer and a number are accepted, as org-a.example/n1/chat=5")?;
    let requests = requests.parse().map_err(|_| format!("{requests:?} is no number of requests"))?;
    Ok((offer.parse().map_err(|error: Invalid| error.to_string())?, requests))
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
fn wire(one: comity_policy::relax::Relaxation, index: &Index, demanded: &Demanded) -> Relaxation {
    let name = |place: usize| index.offer(place).map(|offer| offer.name().to_string());
    let layers = demanded.layers_of(one.constraint).into_iter();
    Relaxation {
        constraint: one.constraint.to_owned(),
        offers: one.regained.into_iter().filter_map(name).collect(),
        layers: layers.map(|layer| convert::wire_layer(layer).into()).collect(),
    }
}
