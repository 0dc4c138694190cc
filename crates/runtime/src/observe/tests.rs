//! What is told of calls that have ended, through the layer that counts them.

use std::convert::Infallible;

use bytes::Bytes;
use comity_proto::error::Failure;
use comity_types::Timestamp;
use futures::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tonic::body::Body;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;
use crate::access_log::{self, Format, Lines};
use crate::metrics::CallsLayer;
use crate::metrics::calls::Calls;
use crate::tasks::Tasks;
use crate::testing::{PATIENCE, eventually};
use crate::traces::tests::{Collector, Manner, start};

const CHAT: &str = "/comity.inference.v1.Inference/Chat";
const PROMPT: &str = "the-patient-is-seventeen-and-afraid";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }
}

/// A program that answers as it is told to, and whoever is told of its calls.
struct Stage {
    observer: Observer,
    collector: Collector,
    log: AccessLog,
    file: std::path::PathBuf,
    _folder: tempfile::TempDir,
    tasks: Tasks,
}

impl Stage {
    async fn new(format: Format, ratio: f64) -> Self {
        let (tasks, folder) = (Tasks::new(), tempfile::tempdir().unwrap());
        let (collector, endpoint) = Collector::start(Manner::Takes, &tasks).await;
        let (traces, _) = start(endpoint, ratio, &tasks);
        let file = folder.path().join("access.log");
        let config = access_log::Config { file: Some(file.clone()), format };
        let log = AccessLog::start(&config, Lines::default()).unwrap();
        let observer = Observer::new(Some(traces), Some(log.clone()), Arc::new(Noon));
        Self { observer, collector, log, file, _folder: folder, tasks }
    }

    /// One call, whose answer `answers` makes with what it learns; read to its end.
    async fn call(&self, path: &str, parent: Option<&str>, answers: impl Fn(&Account) -> http::Response<Body>) {
        let known = |path: &str| [CHAT, "/grpc.health.v1.Health/Check"].into_iter().find(|known| *known == path);
        let service = service_fn(|request: Request<Body>| {
            std::future::ready(Ok::<_, Infallible>(answers(&Account::of(request.extensions()))))
        });
        let service = CallsLayer::new(Calls::default(), known).told_to(self.observer.clone()).layer(service);
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().extend(parent.map(|parent| (TRACEPARENT, parent.parse().unwrap())));
        for (name, text) in [("tracestate", PROMPT), ("baggage", PROMPT), ("x-note", PROMPT)] {
            request.headers_mut().insert(name, text.parse().unwrap());
        }
        let _read = service.oneshot(request).await.unwrap().into_body().collect().await;
        self.log.flush(PATIENCE).await;
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.file).unwrap().lines().map(str::to_owned).collect()
    }

    async fn spans(&self, number: usize) -> Vec<Span> {
        eventually(|| self.collector.got().len() >= number).await;
        self.collector.got()
    }
}

/// A stream of one message, then these trailers.
fn streamed(trailers: HeaderMap) -> http::Response<Body> {
    let frames = [Frame::data(Bytes::from(PROMPT)), Frame::trailers(trailers)].map(Ok::<_, Status>);
    http::Response::new(Body::new(StreamBody::new(futures::stream::iter(frames).boxed())))
}

fn ok() -> HeaderMap {
    HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))])
}

/// Two tries, the second of which answers.
fn answered(account: &Account) -> http::Response<Body> {
    let offer = |name: &str| name.parse::<OfferName>().unwrap();
    account.caller(&"spiffe://app.example/app/assistant".parse().unwrap());
    account.read(120);
    account.decided(decision(), 7, &"test-model".parse().unwrap());
    account.trying(1, &offer("org-a.example/n1/chat"));
    account.failed(1, "no answer");
    account.trying(2, &offer("org-b.example/n1/chat"));
    account.used(12, 3);
    let mut answer = streamed(ok());
    answer.headers_mut().insert(metadata::REQUEST_ID, HeaderValue::from_static("00000000000000ff"));
    answer
}

fn decision() -> DecisionId {
    DecisionId::from_bytes([10; 16])
}

fn says<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

fn text(span: &Span, key: &str) -> String {
    match says(span, key) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{key} is {other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_a_span_in_its_callers_trace_with_a_span_below_it_for_each_try() {
    let stage = Stage::new(Format::Json, 0.0).await;
    stage.call(CHAT, Some(PARENT), answered).await;
    let [own, first, second] = stage.spans(3).await.try_into().unwrap();
    let parent = Context::of(&HeaderMap::from_iter([(TRACEPARENT, PARENT.parse().unwrap())])).unwrap();
    assert_eq!((own.trace_id.as_slice(), own.parent_span_id.as_slice()), (&parent.trace[..], &parent.span[..]));
    assert_eq!((own.name.as_str(), own.kind()), ("chat test-model", SpanKind::Server));
    assert_eq!(
        (text(&own, "gen_ai.operation.name"), text(&own, "gen_ai.request.model")),
        ("chat".into(), "test-model".into())
    );
    assert_eq!(text(&own, "comity.caller"), "spiffe://app.example/app/assistant");
    assert_eq!(
        (text(&own, "comity.decision_id"), text(&own, "comity.offer")),
        (decision().to_string(), "org-b.example/n1/chat".into())
    );
    for (key, number) in [
        ("gen_ai.usage.input_tokens", 12),
        ("gen_ai.usage.output_tokens", 3),
        ("comity.epoch", 7),
        ("rpc.grpc.status_code", 0),
    ] {
        assert_eq!(says(&own, key), Some(&Value::IntValue(number)), "{key}");
    }
    assert_eq!(says(&own, "error.type"), None);
    for (span, attempt) in [(&first, 1), (&second, 2)] {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&own.trace_id, &own.span_id));
        assert_eq!(
            (span.name.as_str(), span.kind(), says(span, "comity.attempt")),
            ("try", SpanKind::Client, Some(&Value::IntValue(attempt)))
        );
        assert!(
            span.start_time_unix_nano >= own.start_time_unix_nano && span.end_time_unix_nano <= own.end_time_unix_nano
        );
    }
    assert_eq!((text(&first, "error.type"), says(&second, "error.type")), ("no answer".into(), None));
    assert!(first.span_id != second.span_id && first.span_id != own.span_id);
    let noon = u64::try_from(Noon.now().as_millis()).unwrap() * 1_000_000;
    assert_eq!(own.start_time_unix_nano, noon);
    let all = format!("{:?}{:?}", stage.collector.got(), stage.lines());
    assert!(!all.contains(PROMPT), "{all}");
}

#[tokio::test]
async fn whoever_works_on_a_try_hangs_on_that_try_whether_it_began_before_or_after_the_request_was_sent() {
    let stage = Stage::new(Format::Json, 1.0).await;
    let sent = Mutex::new(Vec::new());
    stage
        .call(CHAT, None, |account| {
            let send = || sent.lock().unwrap().push(account.traceparent().unwrap().1);
            // Ahead of its decision, then as its first try, and the next one after that has failed.
            send();
            account.trying(1, &"org-a.example/n1/chat".parse().unwrap());
            send();
            account.failed(1, "no answer");
            account.trying(2, &"org-b.example/n1/chat".parse().unwrap());
            send();
            streamed(ok())
        })
        .await;
    let [own, first, second] = stage.spans(3).await.try_into().unwrap();
    let of = |span: &Span| Context {
        trace: own.trace_id.clone().try_into().unwrap(),
        span: span.span_id.clone().try_into().unwrap(),
        sampled: true,
    };
    let expected = [of(&first), of(&first), of(&second)].map(|context| context.header().unwrap());
    assert_eq!(*sent.lock().unwrap(), expected);
}

#[tokio::test]
async fn of_two_tries_beside_each_other_the_call_is_that_of_the_one_that_answers_whichever_began_last() {
    let stage = Stage::new(Format::Json, 1.0).await;
    let [first, second] = ["org-a.example/n1/chat", "org-b.example/n1/chat"].map(|name| name.parse().unwrap());
    stage
        .call(CHAT, None, |account| {
            account.trying(1, &first);
            account.trying(2, &second);
            account.failed(2, "outpaced");
            account.stands(1, &first);
            streamed(ok())
        })
        .await;
    let [own, outpaced, answering] = stage.spans(3).await.try_into().unwrap();
    let offers = [&own, &outpaced, &answering].map(|span| text(span, "comity.offer"));
    assert_eq!(offers, [first.to_string(), second.to_string(), first.to_string()]);
    assert!(outpaced.status.is_some() && answering.status.is_none());
}

#[tokio::test]
async fn a_request_that_its_caller_does_not_record_has_no_span_and_says_so_to_whoever_works_on_it() {
    let stage = Stage::new(Format::Json, 1.0).await;
    let sent = Mutex::new(None);
    let unsampled = PARENT.replace("-01", "-00");
    stage
        .call(CHAT, Some(&unsampled), |account| {
            *sent.lock().unwrap() = account.traceparent();
            answered(account)
        })
        .await;
    // Other calls than requests have none, either.
    stage
        .call("/grpc.health.v1.Health/Check", Some(PARENT), |account| {
            assert_eq!(account.traceparent(), None);
            streamed(ok())
        })
        .await;
    let sent = sent.lock().unwrap().take().unwrap().1;
    let sent = sent.to_str().unwrap();
    assert!(sent.starts_with(&PARENT[..36]) && sent.ends_with("-00"), "{sent}");
    let _closed = stage.tasks.close(PATIENCE).await;
    assert_eq!(stage.collector.got(), []);
}

#[tokio::test]
async fn a_line_has_every_field_that_the_document_lists_in_both_forms_and_no_text_of_a_callers() {
    let document = include_str!("../../../../docs/operations.md");
    let listed = document.lines().skip_while(|line| !line.starts_with("| field |")).skip(2);
    let listed = listed.map_while(|line| line.strip_prefix("| `")?.split('`').next()).collect::<Vec<_>>();
    let json = Stage::new(Format::Json, 0.0).await;
    json.call(CHAT, Some(PARENT), answered).await;
    let line = json.lines().pop().unwrap();
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read.as_object().unwrap().len(), listed.len());
    let places: Vec<_> =
        listed.iter().map(|field| line.find(&format!("\"{field}\":")).unwrap_or_else(|| panic!("{field}"))).collect();
    assert!(places.is_sorted(), "{line}");
    assert_eq!((&read["code"], &read["tries"], &read["bytes_in"]), (&"OK".into(), &2.into(), &120.into()));
    assert_eq!((&read["bytes_out"], &read["reason"]), (&PROMPT.len().into(), &serde_json::Value::Null));
    assert_eq!((&read["offer"], &read["request"]), (&"org-b.example/n1/chat".into(), &"00000000000000ff".into()));
    assert_eq!(read["trace"], PARENT[3..35]);

    let text = Stage::new(Format::Text, 0.0).await;
    text.call("/the/prompt", None, |_| streamed(ok())).await;
    let line = text.lines().pop().unwrap();
    assert!(line.contains("caller=- method=unknown model=- decision=-"), "{line}");
    assert_eq!(line.split(' ').map(|field| field.split('=').next().unwrap()).collect::<Vec<_>>(), listed);
}

#[tokio::test]
async fn a_failure_is_told_by_its_reason_which_is_a_word_and_a_caller_that_leaves_as_cancelled() {
    let stage = Stage::new(Format::Json, 0.0).await;
    let refused = |reason: &'static str| Status::from(Failure::new(Code::Unavailable, reason, PROMPT)).into_http();
    stage.call(CHAT, Some(PARENT), |_| refused("NODES_UNAVAILABLE")).await;
    // A node's reasons pass through the broker.
    stage.call(CHAT, Some(PARENT), |_| refused(PROMPT)).await;
    stage
        .call(CHAT, Some(PARENT), |_| {
            let frames = [Frame::data(Bytes::new())].map(Ok::<_, Status>);
            http::Response::new(Body::new(StreamBody::new(futures::stream::iter(frames).boxed())))
        })
        .await;
    let told: Vec<_> = stage
        .lines()
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| (line["code"].clone(), line["reason"].clone()))
        .collect();
    let null = serde_json::Value::Null;
    assert_eq!(
        told,
        [
            ("UNAVAILABLE".into(), "NODES_UNAVAILABLE".into()),
            ("UNAVAILABLE".into(), NO_REASON.into()),
            ("CANCELLED".into(), null)
        ]
    );
    let types: Vec<_> = stage.spans(3).await.iter().map(|span| text(span, "error.type")).collect();
    assert_eq!(types, ["NODES_UNAVAILABLE", NO_REASON, "CANCELLED"]);
    assert!(!format!("{:?}", stage.collector.got()).contains(PROMPT));
}

#[test]
fn nobody_who_asked_for_nothing_pays_for_it() {
    let observer = Observer::new(None, None, Arc::new(Noon));
    let mut request = Request::new(());
    assert!(observer.begin(CHAT, &mut request).0.is_none() && request.extensions().is_empty());
}
