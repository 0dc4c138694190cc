//! `comity explain`: the verdict of every offer, without a prompt.

use clap::{Args, ValueEnum};
use comity_proto::catalog::{ExplainRequest, ExplainResponse};
use comity_proto::policy::Capability;
use comity_types::ModelName;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, Stream, print_json, print_line, say};
use crate::requirements::RequirementArgs;
use crate::session::Session;
use crate::{layers, refusal, verdict, view};

/// Say for every offer whether it may serve a request, and why not.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The model, see `comity model list`
    #[arg(long)]
    model: ModelName,
    /// What it would be asked for
    #[arg(long = "for", value_enum, default_value_t = Method::Chat, value_name = "METHOD")]
    method: Method,
    #[command(flatten)]
    requirements: RequirementArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Method {
    /// An answer to a conversation
    Chat,
    /// Vectors for texts
    Embed,
    /// A body in a backend's own format
    Forward,
}

/// Asks and prints the verdicts. That no offer is eligible is an answer, not a refusal.
pub(crate) async fn run(args: &ExplainArgs, global: &Global) -> Result<(), CliError> {
    let envelope = args.requirements.envelope(&args.model)?;
    let session = Session::open(global).await?;
    let request = ExplainRequest { envelope: Some(envelope), capability: capability(args.method).into() };
    let answer = session.catalog().explain(request).await.map_err(|status| CliError::call("explain", status))?;
    let ExplainResponse { mut verdicts, epoch, relaxations, tables_sha256, as_of, layer_demands } = answer.into_inner();
    refusal::fill_hints(&mut verdicts);
    let eligible = verdicts.iter().filter(|verdict| verdict.eligible).count();
    match global.output {
        Format::Json => print_json(&json!({
            "epoch": epoch,
            "as_of": view::instant(as_of.as_ref()),
            "tables_sha256": hex(&tables_sha256),
            "layer_demands": layers::demands(&layer_demands),
            "relaxations": verdict::relaxations(&relaxations),
            "verdicts": verdict::views(verdicts),
        })),
        Format::Table if verdicts.is_empty() => {
            say("there is no offer");
            Ok(())
        }
        Format::Table => {
            print_line(&verdict::table(&verdicts, Stream::Stdout.width()))?;
            for line in layers::demand_lines(&layer_demands, Stream::Stdout.width()) {
                print_line(&line)?;
            }
            for line in verdict::relaxed_lines(&relaxations, &layer_demands) {
                print_line(&line)?;
            }
            say(&format!("{eligible} of {} offers may serve this request (epoch {epoch})", verdicts.len()));
            Ok(())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Method {
    /// What the engine asks of an offer.
    pub(crate) const fn capability(self) -> comity_policy::Capability {
        match self {
            Self::Chat => comity_policy::Capability::Chat,
            Self::Embed => comity_policy::Capability::Embed,
            Self::Forward => comity_policy::Capability::Forward,
        }
    }
}

fn capability(method: Method) -> Capability {
    match method {
        Method::Chat => Capability::Chat,
        Method::Embed => Capability::Embed,
        Method::Forward => Capability::Forward,
    }
}
