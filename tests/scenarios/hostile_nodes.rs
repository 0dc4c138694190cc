//! A node that has the prompt, and writes at the end of its answer what it likes: nothing of it stays at the broker, and nobody
//! who verifies what the broker keeps takes the node's lie for the broker's.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use comity_client::follow::Followed;
use comity_client::{Cause, Connection, Identity, explain};
use comity_identity::{KeyPair, StaticAnchors, tls};
use comity_proto::convert::wire_instant;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{
    ChatPayload, ChatStreamRequest, ChatStreamResponse, ContentPart, Envelope, FinishReason, Message as Said, Role,
    Usage, content_part,
};
use comity_proto::metadata::{OUTCOME, OUTCOME_CONTEXT, PERMIT, USAGE};
use comity_proto::permit::{NodeOutcome, Outcome, Permit};
use comity_runtime::clock::SystemClock;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said};
use comity_transparency::Signer as _;
use comity_transparency::leaf::Leaf;
use comity_types::{Clock as _, DecisionId};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::planted::forms;
use crate::secrets::{files_below, find};

/// What the prompts have in them and nothing else has.
const PROMPT: &str = "the-patient-is-seventeen-and-afraid";
/// Bytes of a message's frame before it.
const PREFIX: usize = 5;
/// What a node has to say, as it says it, for each of its ways to say something else.
const WAYS: [(Way, Option<&str>); 7] = [
    (Way::Honest, None),
    (Way::Planted, Some("malformed")),
    (Way::PlantedInside, Some("malformed")),
    (Way::Garbage, Some("malformed")),
    (Way::Long, Some("malformed")),
    (Way::OtherUsage, Some("other")),
    (Way::OtherDecision, Some("other")),
];

/// What a node writes at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// What it should.
    Honest,
    /// That, with the prompt beside it.
    Planted,
    /// The prompt among what it signs.
    PlantedInside,
    /// Two bytes that are nothing.
    Garbage,
    /// More than clients read.
    Long,
    /// Another usage than it told.
    OtherUsage,
    /// Of another decision.
    OtherDecision,
}

/// A node's place, taken by somebody with its key.
struct Hostile {
    way: Arc<Mutex<Way>>,
    /// What it was asked.
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Hostile {
    fn start(address: &str, identity: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (way, asked) = (Arc::new(Mutex::new(Way::Honest)), Arc::<Mutex<Vec<String>>>::default());
        let (identity, key) = {
            let _inside = runtime.enter();
            let identity = Identity::open(identity).unwrap();
            let key = Arc::new(identity.dir().key().unwrap());
            (identity, key)
        };
        let anchors: StaticAnchors = [identity.root().organisation_anchors().unwrap()].into_iter().collect();
        let clock = Arc::clone(identity.clock());
        let tls = tls::server_config(Arc::clone(identity.credentials()), Arc::new(anchors), clock).unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let serving = (Arc::clone(&way), Arc::clone(&asked));
        let accepting = runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, key, serving) = (TlsAcceptor::from(Arc::clone(&tls)), Arc::clone(&key), serving.clone());
                spawn(async move { drop(serve(tcp, acceptor, key, serving).await) });
            }
        });
        drop(accepting);
        Self { way, asked, _runtime: runtime }
    }

    fn goes(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }
}

#[expect(clippy::disallowed_methods, reason = "a hostile node is no part of the programs")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

type Serving = (Arc<Mutex<Way>>, Arc<Mutex<Vec<String>>>);

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, key: Arc<KeyPair>, serving: Serving) -> std::io::Result<()> {
    let tls = acceptor.accept(tcp).await?;
    let answer = service_fn(move |request: Request<Incoming>| {
        let (key, (way, asked)) = (Arc::clone(&key), serving.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?;
            let permit = head.headers.get(PERMIT).or_else(|| body.trailers()?.get(PERMIT)).cloned();
            let request = ChatStreamRequest::decode(body.to_bytes().split_off(PREFIX)).unwrap();
            let prompt = prompt(&request);
            asked.lock().unwrap().push(prompt.clone());
            let way = *way.lock().unwrap();
            let trailers = trailers(&key, way, &permit.unwrap(), &prompt);
            let words = [("Paris", FinishReason::Unspecified), ("", FinishReason::Stop)].map(|(text, reason)| {
                let piece =
                    ChatStreamResponse { text: text.into(), finish_reason: reason.into(), ..Default::default() };
                Frame::data(framed(&piece))
            });
            let frames = words.into_iter().chain([Frame::trailers(trailers)]).map(Ok::<_, Infallible>);
            let mut response = Response::new(StreamBody::new(futures::stream::iter(frames)));
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            Ok::<_, hyper::Error>(response)
        }
    });
    let server = http2::Builder::new(TokioExecutor::new());
    server.serve_connection(TokioIo::new(tls), answer).await.map_err(std::io::Error::other)
}

fn prompt(request: &ChatStreamRequest) -> String {
    let part = &request.payload.as_ref().unwrap().messages.last().unwrap().content[0].part;
    let Some(content_part::Part::Text(text)) = part else { panic!("{part:?}") };
    text.clone()
}

fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
    frame.put_slice(&message.encode_to_vec());
    frame.freeze()
}

/// The field 15, which no message here has.
fn unknown_field(bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![0x7a];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    [field, bytes.to_vec()].concat()
}

fn trailers(key: &KeyPair, way: Way, permit: &HeaderValue, prompt: &str) -> HeaderMap {
    let permit = Permit::decode(STANDARD_NO_PAD.decode(permit).unwrap().as_slice()).unwrap();
    let decision = permit.decision.unwrap();
    let leaf = Leaf::from_bytes(&decision.leaf).unwrap();
    let shown: Vec<_> = decision.record.iter().filter_map(|place| serde_json::from_slice(&place.value).ok()).collect();
    let offer = shown.iter().find_map(|candidate: &Value| candidate["offer"].as_str()).unwrap();
    let id = if way == Way::OtherDecision { DecisionId::from_bytes([9; 16]) } else { leaf.decision };
    let outcome = Outcome {
        decision_id: id.as_bytes().to_vec().into(),
        decision_index: decision.index,
        attempt: permit.attempt,
        offer: offer.to_owned(),
        status: 0,
        input_tokens: Some(3),
        output_tokens: Some(if way == Way::OtherUsage { 5 } else { 4 }),
        ended_at: Some(wire_instant(SystemClock.now())),
        epoch: leaf.epoch.size,
        state_age_ms: 0,
    };
    let mut outcome = outcome.encode_to_vec();
    if way == Way::PlantedInside {
        outcome.extend(unknown_field(prompt.as_bytes()));
    }
    let signature = key.sign(&[OUTCOME_CONTEXT, &outcome].concat()).unwrap();
    let mut sent = NodeOutcome { outcome: outcome.into(), signature: signature.into() }.encode_to_vec();
    match way {
        Way::Honest | Way::PlantedInside | Way::OtherUsage | Way::OtherDecision => {}
        Way::Planted => sent.extend(unknown_field(prompt.as_bytes())),
        Way::Garbage => sent = vec![0xff, 0xff],
        Way::Long => sent.extend(unknown_field(prompt.repeat(11_000 / prompt.len()).as_bytes())),
    }
    let usage = Usage { input_tokens: 3, output_tokens: 4 }.encode_to_vec();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    for (name, bytes) in [(OUTCOME, sent), (USAGE, usage)] {
        trailers.insert(HeaderName::from_static(name), HeaderValue::try_from(STANDARD_NO_PAD.encode(bytes)).unwrap());
    }
    trailers
}

/// Asks, and gives the decision: whatever the node writes at the end, the answer has come and counts.
fn asked(federation: &Federation, app: &Caller, way: Way) -> String {
    let words = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "-o", "json", PROMPT];
    let answer = federation.ask(app, &words);
    assert!(answer.status.success() && said(&answer).contains("Paris"), "{way:?}: {}", said(&answer));
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    answer["decisionId"].as_str().unwrap().to_owned()
}

/// A federation with an app, and a node that has the certificate and the key of one that was admitted, at its address.
fn with_a_hostile_node(backend: &Backend) -> (Federation, Caller, Hostile) {
    let mut federation = Federation::start();
    federation.expect_log("a node did not sign what it answered");
    // The hostile node ends first.
    federation.expect_log("a link broke");
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_OWNED, "assistant");
    let address = node.address();
    assert!(node.program.stop().success());
    let hostile = Hostile::start(&address, &node.folder.join("data/identity"));
    (federation, app, hostile)
}

#[test]
fn what_a_node_writes_at_the_end_stays_nowhere_and_accuses_nobody_but_the_node() {
    let backend = Backend::start(Behaviour::Answer);
    let (federation, app, hostile) = with_a_hostile_node(&backend);
    let in_folder = |name: &str| federation.folder().join(name);
    let log = in_folder("federation.log");
    let _written = federation.govern(&["log", "export", log.to_str().unwrap()]);
    for (way, unsigned) in WAYS {
        hostile.goes(way);
        let decision = asked(&federation, &app, way);
        let file = in_folder(&format!("{way:?}.tlog-proof"));
        let words = ["receipt", "show", &decision, "-o", "json", "--save", file.to_str().unwrap()];
        let shown = federation.ask(&app, &words);
        assert!(shown.status.success(), "{way:?}: {}", said(&shown));
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["tries"][0]["unsigned"].as_str(), unsigned, "{way:?}: {shown}");
        let mut verify = comity();
        verify.args(["receipt", "verify", "-o", "json"]).arg(&file).arg("--log").arg(&log);
        let verified = run(verify.arg("--root").arg(app.identity.join("root.json")));
        assert!(verified.status.success(), "{way:?}: {}", said(&verified));
        let by_the_node = said(&verified).contains("signed by its key");
        assert_eq!(by_the_node, way == Way::Honest, "{way:?}: {}", said(&verified));
    }
    // An answer that no node signed is not clean, and nothing contradicts the broker's log.
    let audited = federation.ask(&federation.operator(), &["audit", "--from", "2026-01-01", "--format", "json"]);
    assert_eq!(audited.status.code(), Some(1), "{}", said(&audited));
    let rows: Value = serde_json::from_slice(&audited.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.iter().all(|row| row["contradiction"].is_null()), "{rows:#?}");
    let signed = rows.iter().filter(|row| row["nodeSigned"] == "yes").count();
    assert_eq!((rows.len(), signed), (WAYS.len(), 1), "{rows:#?}");
    let warned = federation.broker.as_ref().unwrap().log();
    let warned = warned.lines().filter(|line| line.contains("a node did not sign what it answered")).count();
    assert_eq!(warned, WAYS.len() - 1);
    assert_eq!(hostile.asked.lock().unwrap().clone(), [PROMPT; WAYS.len()]);
    let files = files_below(federation.folder());
    for part in ["decisions/records/", "decisions/wal/", "broker.log", ".tlog-proof"] {
        assert!(files.iter().any(|file| file.display().to_string().contains(part)), "{part} is not searched");
    }
    let forms = forms(PROMPT);
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!forms.iter().any(|form| find(&bytes, form).is_some()), "the prompt is in {}", file.display());
    }
}

/// Asks by the SDK, to the end of the answer.
async fn asked_by(connection: &Connection) -> Result<(), tonic::Status> {
    let part = ContentPart { part: Some(content_part::Part::Text(PROMPT.into())) };
    let message = Said { role: Role::User.into(), content: vec![part], ..Said::default() };
    let purposes = vec!["dpv:CustomerCare".into()];
    let request = ChatStreamRequest {
        envelope: Some(Envelope { model: "test-model".into(), purposes, ..Envelope::default() }),
        payload: Some(ChatPayload { messages: vec![message], ..ChatPayload::default() }),
    };
    let mut answer = InferenceClient::new(connection.channel()).chat_stream(request).await?.into_inner();
    while answer.message().await?.is_some() {}
    Ok(())
}

#[test]
fn an_app_that_follows_the_federation_takes_an_answer_that_its_node_signed_and_no_other() {
    let backend = Backend::start(Behaviour::Answer);
    let (federation, app, hostile) = with_a_hostile_node(&backend);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (plain, follows) = runtime.block_on(async {
        let identity = Identity::open(&app.identity).unwrap();
        let pinned = identity.dir().identity().unwrap().federation_root;
        let followed = Followed::new(identity.root(), pinned, Arc::clone(identity.clock()));
        let plain = Connection::open(&identity).unwrap();
        (plain.clone(), plain.with_federation(followed))
    });
    let ask = |connection: &Connection| runtime.block_on(asked_by(connection));
    ask(&follows).unwrap();
    for way in [Way::Planted, Way::OtherUsage, Way::OtherDecision] {
        hostile.goes(way);
        let refused = ask(&follows).unwrap_err();
        assert_eq!(explain(&refused).cause, Cause::Unproven, "{way:?}: {refused:?}");
        assert!(refused.message().contains("no node signed"), "{way:?}: {refused:?}");
        ask(&plain).unwrap();
    }
    // What is decided by a later state is held against that, which is read first.
    hostile.goes(Way::Honest);
    let _later = federation.app(EU_BODY, "later");
    ask(&follows).unwrap();
}
