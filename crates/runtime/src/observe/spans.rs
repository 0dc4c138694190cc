//! A call as spans: its own, by OpenTelemetry's conventions for generative AI and for RPC, and one for each try.
//!
//! `docs/operations.md` lists every attribute. None holds anything that a caller wrote but the name of a model of which there
//! are offers.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use tonic::Code;

use super::facts::{Ending, Facts, Try};
use super::{Open, Trace};
use crate::metrics::code_name;
use crate::traces::{number, text};

/// What a system is called that serves models of many makers.
const PROVIDER: &str = "comity";
/// What starts the path of a request.
const INFERENCE: &str = "/comity.inference.v1.Inference/";

/// What a request asks for, as the conventions name it; none where the method's path is not that of one.
pub(super) fn operation(path: &str) -> Option<&'static str> {
    match path.strip_prefix(INFERENCE)? {
        "Chat" | "ChatStream" => Some("chat"),
        "Embed" => Some("embeddings"),
        // The conventions have no name for a body that nobody between its ends reads.
        "Forward" => Some("forward"),
        _ => None,
    }
}

/// The spans of a call that has ended.
pub(super) fn of(open: &Open, trace: Trace, facts: &Facts, ending: &Ending) -> Vec<Span> {
    let mut spans = Vec::with_capacity(1 + facts.tries.len());
    spans.push(own(open, trace, facts, ending));
    let tries = facts.tries.iter().filter_map(|tried| of_try(open, trace, tried, facts, ending));
    spans.extend(tries);
    spans
}

fn own(open: &Open, trace: Trace, facts: &Facts, ending: &Ending) -> Span {
    let mut attributes = generative(open, facts);
    let (service, method) = open.method.trim_start_matches('/').split_once('/').unwrap_or_default();
    attributes.extend([
        text("rpc.system", "grpc"),
        text("rpc.service", service),
        text("rpc.method", method),
        number("rpc.grpc.status_code", u64::try_from(i32::from(ending.code)).unwrap_or_default()),
    ]);
    attributes.extend(facts.caller.iter().map(|caller| text("comity.caller", caller.to_string())));
    if let Some((decision, epoch)) = facts.decided {
        attributes.extend([text("comity.decision_id", decision.to_string()), number("comity.epoch", epoch)]);
    }
    attributes.extend(facts.offer.iter().map(|offer| text("comity.offer", offer.to_string())));
    if let Some((input, output)) = facts.tokens {
        attributes.extend([number("gen_ai.usage.input_tokens", input), number("gen_ai.usage.output_tokens", output)]);
    }
    if ending.code != Code::Ok {
        attributes.push(text("error.type", ending.reason.as_deref().unwrap_or_else(|| code_name(ending.code))));
    }
    Span {
        parent_span_id: trace.parent.map(Vec::from).unwrap_or_default(),
        name: name(open, facts),
        kind: SpanKind::Server.into(),
        end_time_unix_nano: instant(open, ending.after),
        attributes,
        status: is_our_fault(ending.code).then(failed),
        ..begun(open, trace, trace.own.span, Duration::ZERO)
    }
}

fn of_try(open: &Open, trace: Trace, tried: &Try, facts: &Facts, ending: &Ending) -> Option<Span> {
    let mut attributes = generative(open, facts);
    attributes.extend([number("comity.attempt", tried.attempt.into()), text("comity.offer", tried.offer.to_string())]);
    let since = |at: tokio::time::Instant| at.saturating_duration_since(open.begun);
    let ended = match &tried.failed {
        Some((at, why)) => {
            attributes.push(text("error.type", why.as_str()));
            since(*at)
        }
        None => ending.after,
    };
    Some(Span {
        parent_span_id: trace.own.span.into(),
        name: "try".to_owned(),
        kind: SpanKind::Client.into(),
        end_time_unix_nano: instant(open, ended),
        attributes,
        status: tried.failed.is_some().then(failed),
        ..begun(open, trace, tried.span?, since(tried.begun))
    })
}

/// A span of this call that began so long after it.
fn begun(open: &Open, trace: Trace, span: [u8; 8], after: Duration) -> Span {
    Span {
        trace_id: trace.own.trace.into(),
        span_id: span.into(),
        start_time_unix_nano: instant(open, after),
        ..Span::default()
    }
}

/// `chat MODEL`, as the conventions have it: the model only where there are offers of it, so that names stay few.
fn name(open: &Open, facts: &Facts) -> String {
    let operation = operation(open.method).unwrap_or(open.method);
    facts.model.as_ref().map_or_else(|| operation.to_owned(), |model| format!("{operation} {model}"))
}

fn generative(open: &Open, facts: &Facts) -> Vec<KeyValue> {
    let operation = operation(open.method).map(|operation| text("gen_ai.operation.name", operation));
    let model = facts.model.as_ref().map(|model| text("gen_ai.request.model", model.as_str()));
    operation.into_iter().chain([text("gen_ai.provider.name", PROVIDER)]).chain(model).collect()
}

/// Nanoseconds since 1970, so long after the call began.
fn instant(open: &Open, after: Duration) -> u64 {
    let begun = u64::try_from(open.at.as_millis()).unwrap_or_default().saturating_mul(1_000_000);
    begun.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX))
}

fn failed() -> Status {
    Status { code: StatusCode::Error.into(), ..Status::default() }
}

/// Whether a server's span says that it failed, by the conventions for gRPC: not where the caller was wrong, or was refused.
const fn is_our_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
