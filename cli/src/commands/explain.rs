//! `comity explain`: the verdict of every offer, without a prompt.

use clap::{Args, ValueEnum};
use comity_proto::catalog::{ExplainRequest, ExplainResponse};
use comity_proto::convert;
use comity_proto::json::Canonical;
use comity_proto::policy::Capability;
use comity_types::{ModelName, Timestamp};

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, Stream, print_json, print_line, say};
use crate::requirements::RequirementArgs;
use crate::session::Session;
use crate::{layers, refusal, verdict};

/// Say for every offer whether it may serve a request, and why not.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The model, see `comity model list`
    #[arg(long)]
    model: ModelName,
    /// What it would be asked for
    #[arg(long = "for", value_enum, default_value_t = Method::Chat, value_name = "METHOD")]
    method: Method,
    /// The instant or day to decide for: the law and the claims of another time, over today's offers. A dry run: a
    /// call is always decided now [default: now]
    #[arg(long, value_name = "T")]
    as_of: Option<Timestamp>,
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
    let envelope = args.requirements.envelope(&args.model, &*global.tables()?)?;
    let session = Session::open(global).await?;
    let request = ExplainRequest {
        envelope: Some(envelope),
        capability: capability(args.method).into(),
        as_of: args.as_of.map(convert::wire_instant),
    };
    let answer = session.catalog().explain(request).await.map_err(|status| CliError::call("explain", status))?;
    let mut answer = answer.into_inner();
    refusal::fill_hints(&mut answer.verdicts);
    if global.output == Format::Json {
        return print_json(&Canonical(&answer));
    }
    let ExplainResponse { verdicts, epoch, relaxations, layer_demands, .. } = answer;
    let eligible = verdicts.iter().filter(|verdict| verdict.eligible).count();
    if verdicts.is_empty() {
        say("there is no offer");
        return Ok(());
    }
    print_line(&verdict::table(&verdicts, Stream::Stdout.width()))?;
    for line in layers::demand_lines(&layer_demands, Stream::Stdout.width()) {
        print_line(&line)?;
    }
    for line in verdict::relaxed_lines(&relaxations, &layer_demands) {
        print_line(&line)?;
    }
    let at = args.as_of.map(|instant| format!(" at {instant}")).unwrap_or_default();
    say(&format!("{eligible} of {} offers may serve this request{at} (epoch {epoch})", verdicts.len()));
    Ok(())
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
