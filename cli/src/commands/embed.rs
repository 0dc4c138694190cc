//! `comity embed`: the texts of a JSONL file to vectors in another one. Whatever stops
//! it, the same command goes on where it stopped: the output is always a prefix.

mod input;
mod job;
mod record;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use comity_proto::inference::{EmbedPayload, EmbedRequest, Envelope};
use comity_proto::metadata;
use comity_proto::policy::Capability;
use comity_types::ModelName;
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Global, timeout};
use crate::error::CliError;
use crate::output::{Format, joined, print_json, say};
use crate::preferences::PreferenceArgs;
use crate::refusal;
use crate::requirements::RequirementArgs;
use crate::session::Session;
use job::{Job, Outcome};

/// Embed the texts of a JSONL file. Run again, it goes on where it stopped.
#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    /// The model, see `comity model list`
    #[arg(long)]
    model: ModelName,
    /// JSONL, a file and no pipe: on each line a string, or an object with `text` and perhaps an `id`
    input: PathBuf,
    /// JSONL: on each line `line`, `id`, `model`, `text_sha256` and `embedding`
    output_file: PathBuf,
    /// How many texts a call has
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=2048))]
    batch: u16,
    /// How many calls are in flight
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    in_flight: u16,
    /// How long a call may take: 1s to 24h
    #[arg(long, default_value = "2m", value_parser = timeout)]
    timeout: Duration,
    #[command(flatten)]
    requirements: RequirementArgs,
    #[command(flatten)]
    preferences: PreferenceArgs,
}

/// Embeds what is not embedded yet.
pub(crate) async fn run(args: EmbedArgs, global: &Global) -> Result<(), CliError> {
    let envelope = args.preferences.put_into(args.requirements.envelope(&args.model, &*global.tables()?)?);
    let job = Job {
        input: args.input,
        output: args.output_file,
        model: args.model.to_string(),
        batch: args.batch.into(),
        in_flight: args.in_flight.into(),
    };
    let plan = job.plan()?;
    let session = Session::open(global).await?;
    let bar = bar(plan.texts, plan.done);
    let offers = RefCell::default();
    let embed = |texts| call(&session, &envelope, texts, args.timeout, &offers);
    let outcome = job.run(&plan, embed, |texts| bar.inc(texts)).await;
    bar.finish_and_clear();
    match outcome {
        Ok(outcome) => report(&outcome, &offers.into_inner(), global.output),
        Err(error) => {
            if bar.position() > 0 {
                say(&format!(
                    "{} of {} texts are embedded; the same command goes on after them",
                    bar.position(),
                    plan.texts
                ));
            }
            Err(refusal::whole(error, &session, &envelope, Capability::Embed).await)
        }
    }
}

/// One call, and in `offers` who answered it; one that the broker or node had no room for is tried again.
async fn call(
    session: &Session,
    envelope: &Envelope,
    texts: Vec<String>,
    timeout: Duration,
    offers: &RefCell<BTreeSet<String>>,
) -> Result<Vec<Vec<f32>>, CliError> {
    /// More than a node's short peak takes, less than a person waits.
    const TRIES: u32 = 6;
    const FIRST_WAIT: Duration = Duration::from_millis(250);
    let mut tried = 0;
    loop {
        tried += 1;
        let payload = Some(EmbedPayload { texts: texts.clone() });
        let mut request = tonic::Request::new(EmbedRequest { envelope: Some(envelope.clone()), payload });
        request.set_timeout(timeout);
        match session.inference().embed(request).await {
            Ok(answer) => {
                let offer = answer.metadata().get(metadata::OFFER).and_then(|offer| offer.to_str().ok());
                offers.borrow_mut().extend(offer.map(str::to_owned));
                return Ok(answer.into_inner().embeddings.into_iter().map(|vector| vector.values).collect());
            }
            Err(status) if tried < TRIES && is_busy(&status) => {
                tokio::time::sleep(FIRST_WAIT * 2_u32.pow(tried - 1)).await;
            }
            Err(status) => return Err(CliError::call("embed", status)),
        }
    }
}

fn is_busy(status: &tonic::Status) -> bool {
    matches!(status.code(), tonic::Code::Unavailable | tonic::Code::ResourceExhausted)
}

fn bar(texts: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(texts);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} texts, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar.set_position(done);
    bar.reset_eta();
    bar
}

fn report(outcome: &Outcome, offers: &BTreeSet<String>, output: Format) -> Result<(), CliError> {
    let Outcome { embedded, were_done } = outcome;
    if output == Format::Json {
        return print_json(&serde_json::json!({ "embedded": embedded, "wereDone": were_done, "offers": offers }));
    }
    let by = if offers.is_empty() { String::new() } else { format!(" by {}", joined(offers)) };
    let before = if *were_done == 0 { String::new() } else { format!(", {were_done} were done before") };
    say(&format!("{embedded} texts embedded{by}{before}"));
    Ok(())
}
