//! `comity explain`: the verdict of every offer, without a prompt.

use clap::{Args, ValueEnum};
use comity_proto::catalog::{ExplainRequest, ExplainResponse};
use comity_proto::policy::{Capability, Reason, Verdict};
use comity_types::ModelName;
use serde::Serialize;

use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_json, print_line, say};
use crate::requirements::RequirementArgs;
use crate::session::Session;
use crate::{refusal, render_error, view};

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
enum Method {
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
    let ExplainResponse { mut verdicts, epoch } = answer.into_inner();
    refusal::fill_hints(&mut verdicts);
    let eligible = verdicts.iter().filter(|verdict| verdict.eligible).count();
    match global.output {
        Format::Json => print_json(&explanation(verdicts, epoch)),
        Format::Table if verdicts.is_empty() => {
            say("there is no offer");
            Ok(())
        }
        Format::Table => {
            print_line(&render_error::verdict_table(&verdicts))?;
            say(&format!("{eligible} of {} offers may serve this request (epoch {epoch})", verdicts.len()));
            Ok(())
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

/// The verdicts, as programs read them.
#[derive(Serialize)]
struct Explanation {
    epoch: u64,
    verdicts: Vec<VerdictView>,
}

#[derive(Serialize)]
struct VerdictView {
    offer: String,
    model: String,
    eligible: bool,
    expires_at: Option<String>,
    reasons: Vec<ReasonView>,
}

#[derive(Serialize)]
struct ReasonView {
    code: String,
    subject: String,
    path: String,
    expected: String,
    actual: String,
    hint: String,
}

fn explanation(verdicts: Vec<Verdict>, epoch: u64) -> Explanation {
    let reason = |reason: Reason| {
        let Reason { code, subject, side: _, path, expected, actual, hint } = reason;
        ReasonView { code, subject, path, expected, actual, hint }
    };
    let verdict = |verdict: Verdict| VerdictView {
        expires_at: verdict.expires_at.as_ref().map(|instant| view::instant(Some(instant))),
        offer: verdict.offer,
        model: verdict.model,
        eligible: verdict.eligible,
        reasons: verdict.reasons.into_iter().map(reason).collect(),
    };
    Explanation { epoch, verdicts: verdicts.into_iter().map(verdict).collect() }
}
