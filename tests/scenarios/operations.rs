//! What who runs the programs relies on: a trace across them, a configuration that changes under streams, and an end that
//! loses nothing and cuts nothing that ends in time.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use comity_client::connection::Channel;
use comity_client::{Connection, Identity};
use comity_proto::error::Detail;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{
    ChatPayload, ChatRequest, ChatStreamRequest, ChatStreamResponse, ContentPart, Envelope, Message, Role, content_part,
};
use comity_tests::backend::{Backend, Behaviour, PIECES};
use comity_tests::clients::Caller;
use comity_tests::collector::{self, Collector};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, free_address};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::wait;
use serde_json::Value;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status, Streaming};

/// A caller's own span, as the standard's example has it.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
/// What an app's author might put where free text has room.
const NOTE: &str = "the-patient-is-seventeen-and-afraid";

fn envelope(model: &str) -> Option<Envelope> {
    Some(Envelope { model: model.into(), purposes: vec!["dpv:CustomerCare".into()], ..Default::default() })
}

fn payload() -> Option<ChatPayload> {
    let text = ContentPart { part: Some(content_part::Part::Text("hello".into())) };
    let message = Message { role: Role::User.into(), content: vec![text], ..Default::default() };
    Some(ChatPayload { messages: vec![message], ..Default::default() })
}

/// An app over one connection.
struct App {
    client: InferenceClient<Channel>,
}

impl App {
    fn open(caller: &Caller) -> Self {
        let identity = Identity::open(&caller.identity).unwrap();
        Self { client: InferenceClient::new(Connection::open(&identity).unwrap().channel()) }
    }

    /// One answer, and the decision that it was made by.
    async fn chat(&self, headers: &[(&'static str, String)]) -> Result<String, Status> {
        let mut request = Request::new(ChatRequest { envelope: envelope("test-model"), payload: payload() });
        for (name, value) in headers {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let answer = self.client.clone().chat(request).await?;
        Ok(decision(answer.metadata()))
    }

    /// A stream of which two pieces have come, and its decision.
    async fn begin(&self, model: &str) -> (Streaming<ChatStreamResponse>, String) {
        let request = ChatStreamRequest { envelope: envelope(model), payload: payload() };
        let answer = self.client.clone().chat_stream(request).await.unwrap();
        let decision = decision(answer.metadata());
        let mut stream = answer.into_inner();
        let mut text = String::new();
        while text.len() < PIECES[..2].concat().len() {
            text += &stream.message().await.unwrap().unwrap().text;
        }
        assert_eq!(text, PIECES[..2].concat());
        (stream, decision)
    }
}

fn decision(metadata: &MetadataMap) -> String {
    metadata.get("comity-decision-id").unwrap().to_str().unwrap().to_owned()
}

/// The rest of a stream, to its end.
async fn rest(mut stream: Streaming<ChatStreamResponse>) -> Result<String, Status> {
    let mut text = String::new();
    while let Some(piece) = stream.message().await? {
        text += &piece.text;
    }
    Ok(text)
}

fn reason(status: &Status) -> String {
    Detail::of(status).map(|detail| detail.reason).unwrap_or_default()
}

/// Puts lines before the first table of a configuration, and tables behind the last.
fn configure(file: &PathBuf, lines: &str, tables: &str) {
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, format!("{lines}\n{text}\n{tables}\n")).unwrap();
}

/// The value of a metric, by its name with its labels.
fn metric(address: &str, metric: &str) -> Option<i64> {
    let mut tcp = TcpStream::connect(address).ok()?;
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).ok()?;
    answer.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok())
}

/// A node that waits for its backend for longer than any scenario takes.
fn patient(name: &str, backend: &Backend, model: &str) -> NodeSpec {
    let mut spec = NodeSpec { model: model.to_owned(), ..NodeSpec::openai(name, &backend.url(), "DE") };
    spec.backend.push_str("\nidle_seconds = 600");
    spec
}

/// A node of this name, whose file has more tables.
fn node_with(federation: &Federation, spec: &NodeSpec, tables: &str) -> Node {
    let folder = federation.folder().join(EU_BODY.domain).join(&spec.name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("node.toml"), format!("{}\n{tables}\n", spec.toml())).unwrap();
    let mut node = federation.start_node_in(EU_BODY, &spec.name, folder);
    node.program.expect_log("broker");
    node.wait_until_ready();
    node
}

#[test]
fn a_request_is_one_trace_from_its_app_to_the_node_and_no_text_of_the_apps_goes_along() {
    let collector = Collector::start();
    let traces = format!("[traces]\nendpoint = {:?}\nratio = 0.0\n", collector.endpoint());
    let mut federation = Federation::found();
    configure(&federation.broker_config(), "", &traces);
    federation.start_broker();
    let backend = Backend::start(Behaviour::Answer);
    let _node = node_with(&federation, &NodeSpec::openai("n1", &backend.url(), "DE"), &traces);
    let app = federation.app(EU_OWNED, "assistant");
    let asked = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let app = App::open(&app);
        let headers = |parent: String| {
            vec![("traceparent", parent), ("tracestate", format!("note={NOTE}")), ("baggage", format!("note={NOTE}"))]
        };
        // One that is not to be recorded, and one whose context is none: nothing is told of them.
        let _unrecorded = app.chat(&headers(format!("00-{TRACE}-{SPAN}-00"))).await.unwrap();
        let _malformed = app.chat(&headers(format!("00-{NOTE}-{SPAN}-01"))).await.unwrap();
        app.chat(&headers(format!("00-{TRACE}-{SPAN}-01"))).await.unwrap()
    });
    let spans = wait::until("three spans are collected", || Some(collector.spans()).filter(|spans| spans.len() >= 3));
    let of = |program: &str, is_try: bool| {
        let found = spans.iter().find(|(name, span)| name == program && (span.name == "try") == is_try);
        &found.unwrap_or_else(|| panic!("no span of {program} in {spans:?}")).1
    };
    let (broker, tried, node) = (of("comity-broker", false), of("comity-broker", true), of("comity-node", false));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(spans.len(), 3);
    for span in [broker, tried, node] {
        assert_eq!(hex(&span.trace_id), TRACE);
    }
    assert_eq!(hex(&broker.parent_span_id), SPAN);
    assert_eq!((&tried.parent_span_id, &node.parent_span_id), (&broker.span_id, &tried.span_id));
    for span in [broker, node] {
        assert_eq!(span.name, "chat test-model");
        let says = |key: &str| collector::said(span, key);
        assert_eq!(says("comity.decision_id"), Some(asked.clone()));
        assert_eq!(says("comity.caller").as_deref(), Some("spiffe://eu-owned.example/app/assistant"));
        assert_eq!(says("comity.offer").as_deref(), Some("eu-body.example/n1/chat"));
        assert_eq!(says("gen_ai.usage.output_tokens").as_deref(), Some("4"));
        assert_eq!(says("error.type"), None);
    }
    assert!(!String::from_utf8_lossy(&collector.received()).contains(NOTE));
}

#[test]
fn a_collector_that_is_away_costs_spans_and_no_request_notices() {
    let (at, nobody) = (free_address(), free_address());
    let mut federation = Federation::found();
    let tables = format!("[metrics]\nlisten = {at:?}\n[traces]\nendpoint = \"http://{nobody}\"\nratio = 1.0\n");
    configure(&federation.broker_config(), "", &tables);
    federation.start_broker();
    federation.expect_log("spans are dropped");
    let backend = Backend::start(Behaviour::Answer);
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_OWNED, "assistant");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let app = App::open(&app);
        for _ in 0..20 {
            let _decision = app.chat(&[]).await.unwrap();
        }
    });
    let dropped = || metric(&at, "comity_broker_spans_total{outcome=\"dropped\"}");
    wait::until("what was dropped is counted", || dropped().filter(|spans| *spans == 40));
    assert_eq!(federation.broker.as_ref().unwrap().log().matches("spans are dropped").count(), 1);
}

#[test]
fn a_changed_configuration_counts_under_a_stream_that_goes_on_and_one_that_cannot_be_used_changes_nothing() {
    let at = free_address();
    let mut federation = Federation::found();
    let config = federation.broker_config();
    configure(&config, "", &format!("[metrics]\nlisten = {at:?}\n[access_log]\nfile = \"access.log\"\n"));
    let before = fs::read_to_string(&config).unwrap();
    federation.start_broker();
    federation.expect_log("cannot be used: everything stays as it was");
    let backend = Backend::start(Behaviour::Held);
    let mut node = node_with(&federation, &patient("n1", &backend, "test-model"), "[access_log]\n");
    node.program.expect_log("cannot be used: everything stays as it was");
    let app = federation.app(EU_OWNED, "assistant");
    let broker = federation.broker.as_ref().unwrap();
    let reloads = |outcome: &str| metric(&at, &format!("comity_broker_reloads_total{{outcome=\"{outcome}\"}}"));
    let reload = |text: &str, outcome: &str| {
        let count = reloads(outcome).unwrap_or_default();
        fs::write(&config, text).unwrap();
        broker.signal("-HUP");
        wait::until("the configuration is read again", || reloads(outcome).filter(|now| *now == count + 1));
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let app = App::open(&app);
        let (stream, streamed) = app.begin("test-model").await;
        let busy = async || app.chat(&[]).await.err().map(|status| reason(&status));

        // Wrong, or more than can change: nothing has.
        let narrow = format!("{before}\n[limits]\nin_flight_per_organisation = 1\n");
        reload(&format!("drain = \"soon\"\n{narrow}"), "refused");
        reload(&format!("commit = \"overlapped\"\n{narrow}"), "refused");
        wait::until("the field is named", || broker.log().contains("commit cannot change while").then_some(()));
        let in_flight = || metric(&at, "comity_broker_calls_in_flight");
        let with_one = in_flight().unwrap();
        let (other, _) = app.begin("test-model").await;
        drop(other);
        wait::until("the place is free again", || in_flight().filter(|calls| *calls <= with_one));

        // Right: it counts for the next call, and not for the one that runs; and so does what takes it back.
        reload(&narrow, "applied");
        assert_eq!(busy().await.as_deref(), Some("ORGANISATION_BUSY"));
        reload(&before, "applied");
        let rotated = federation.folder().join("broker/access.log.1");
        let file = federation.folder().join("broker/access.log");
        fs::rename(&file, &rotated).unwrap();
        reload(&before, "applied");
        assert_eq!(fs::read_to_string(&file).unwrap(), "", "it is there anew");

        // The node's is read again as well.
        let own = node.folder.join("node.toml");
        let text = fs::read_to_string(&own).unwrap();
        let shorter = text.replacen("[node]", "[node]\nmax_staleness = \"5m\"", 1);
        for (text, told) in [
            (shorter.replacen("\"data\"", "\"other\"", 1), "node.data_dir cannot change while the node runs"),
            (shorter, "changed=\"node.max_staleness\""),
        ] {
            fs::write(&own, text).unwrap();
            node.program.signal("-HUP");
            wait::until(told, || node.program.log().contains(told).then_some(()));
        }

        backend.behave(Behaviour::Answer);
        assert_eq!(rest(stream).await.unwrap(), PIECES[2..].concat());
        let line: Value = wait::until("the stream has its line in the new file", || {
            let lines = fs::read_to_string(&file).ok()?;
            lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .find(|line: &Value| line["decision"] == streamed)
        });
        assert_eq!((&line["code"], &line["output_tokens"], &line["tries"]), (&"OK".into(), &4.into(), &1.into()));
        assert_eq!((&line["model"], &line["reason"]), (&"test-model".into(), &Value::Null));
        let refused = fs::read_to_string(&rotated).unwrap();
        assert!(refused.contains("\"reason\":\"ORGANISATION_BUSY\""), "{refused}");
    });
}

/// Answers that were acknowledged, until the broker says that it takes no more.
async fn ask_until(app: &App, over: &AtomicBool, acknowledged: &Mutex<BTreeSet<String>>) {
    while !over.load(Ordering::SeqCst) {
        match app.chat(&[]).await {
            Ok(decision) => drop(acknowledged.lock().unwrap().insert(decision)),
            // It has stopped, in one of the ways that a caller sees it.
            Err(status) => {
                assert!(matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown), "{status:?}");
            }
        }
    }
}

#[test]
fn sigterm_under_load_loses_no_acknowledged_record_and_cuts_no_stream_that_ends_within_the_drain() {
    let mut federation = Federation::found();
    configure(&federation.broker_config(), "drain = \"10s\"", "");
    federation.start_broker();
    federation.expect_log("calls still ran when the drain ended");
    let (brisk, held, stalled) =
        (Backend::start(Behaviour::Brisk), Backend::start(Behaviour::Held), Backend::start(Behaviour::Stall));
    let nodes = [("n1", &brisk, "test-model"), ("n2", &held, "held-model"), ("n3", &stalled, "stalled-model")];
    let _nodes = nodes.map(|(name, backend, model)| {
        let mut node = federation.node(EU_BODY, &patient(name, backend, model));
        node.program.expect_log("broker");
        node
    });
    let app = federation.app(EU_OWNED, "assistant");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let acknowledged = Mutex::new(BTreeSet::new());
    let over = AtomicBool::new(false);
    let (whole, ended) = runtime.block_on(async {
        let app = App::open(&app);
        let ((whole, first), (cut, second)) = (app.begin("held-model").await, app.begin("stalled-model").await);
        acknowledged.lock().unwrap().extend([first, second]);
        let load = futures::future::join_all((0..8).map(|_| ask_until(&app, &over, &acknowledged)));
        let broker = federation.broker.as_mut().unwrap();
        let stopping = async {
            until(|| acknowledged.lock().unwrap().len() > 40).await;
            broker.signal("-TERM");
            until(|| broker.log().contains("stopping")).await;
            // Not before it stops: this one ends in the drain.
            held.behave(Behaviour::Answer);
            let whole = rest(whole).await;
            let cut = rest(cut).await;
            until(|| broker.ended().is_some()).await;
            over.store(true, Ordering::SeqCst);
            (whole, cut)
        };
        futures::join!(load, stopping).1
    });
    assert_eq!(whole.unwrap(), PIECES[2..].concat());
    let ended = ended.unwrap_err();
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "BROKER_STOPPING"), "{ended:?}");
    assert!(federation.broker.as_mut().unwrap().ended().unwrap().success());

    federation.start_broker();
    // The log goes on where the one before has ended.
    federation.expect_log("calls still ran when the drain ended");
    let operator = federation.operator();
    let rows = federation.ask(&operator, &["audit", "--from", "2026-01-01", "--format", "json"]);
    let rows: Value = serde_json::from_slice(&rows.stdout).unwrap_or_else(|_| panic!("{}", said(&rows)));
    let kept: BTreeSet<String> =
        rows.as_array().unwrap().iter().map(|row| row["decision"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = acknowledged.lock().unwrap().difference(&kept).cloned().collect();
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn a_second_sigterm_ends_the_drain_and_calls_that_run_are_told_why() {
    let mut federation = Federation::found();
    // Longer than any scenario may take: what ends it is the second signal.
    configure(&federation.broker_config(), "drain = \"15m\"", "");
    federation.start_broker();
    for expected in ["asked again, stopping at once", "calls still ran when the drain ended"] {
        federation.expect_log(expected);
    }
    let backend = Backend::start(Behaviour::Stall);
    let mut node = federation.node(EU_BODY, &patient("n1", &backend, "test-model"));
    node.program.expect_log("broker");
    let app = federation.app(EU_OWNED, "assistant");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let app = App::open(&app);
        let (stream, _) = app.begin("test-model").await;
        let broker = federation.broker.as_mut().unwrap();
        broker.signal("-TERM");
        until(|| broker.log().contains("stopping")).await;
        assert!(broker.ended().is_none());
        broker.signal("-TERM");
        let ended = rest(stream).await.unwrap_err();
        assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "BROKER_STOPPING"), "{ended:?}");
        until(|| broker.ended().is_some()).await;
    });
}

/// As [`wait::until`], beside what else is awaited.
async fn until(mut state: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(wait::PATIENCE, async {
        while !state() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "the state did not come");
}
