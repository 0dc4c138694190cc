//! A broker that lies gets nothing run. Somebody with all keys of the broker calls real nodes as the broker does: with each lie
//! about the log, in the head of a request and behind one that travelled ahead, and with the truth.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use comity_client::{Connection, Identity};
use comity_identity::{
    Authority, CertificateDer, Credentials, KeyPair, OrganisationAnchors, Root, SigningRequest, tls,
};
use comity_proto::convert::wire_proven;
use comity_proto::error::Detail;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{ChatPayload, ChatRequest, ContentPart, Envelope, Message, Role, content_part};
use comity_proto::metadata::{PERMIT, RECEIPT};
use comity_proto::permit::Permit;
use comity_proto::transparency;
use comity_runtime::clock::SystemClock;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_transparency::leaf::Leaf;
use comity_transparency::receipt::{Proven, Receipt};
use comity_transparency::record::{Field, Record, RecordKind};
use comity_transparency::tree::Tree;
use comity_transparency::{Checkpoint, NoteKey};
use comity_types::{Clock as _, Secret, SpiffeId, Timestamp};
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::verifiers::log_key;

/// How long a certificate of the broker's lasts here.
const LIFE: Duration = Duration::from_secs(3600);
/// How old a stale permit is: older than any that counts.
const LONG_AGO: Duration = Duration::from_secs(600);
/// Leaves of a tree that the log never had: more than the log ever has here.
const LEAVES: usize = 40;

/// The body of a request: its message, and the permit behind it where it travels ahead.
type Body = StreamBody<futures::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// Where a permit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Trailer,
}

/// A federation with two nodes that answer everybody.
struct Scene {
    backend: Backend,
    nodes: [Node; 2],
    app: Caller,
    federation: Federation,
}

impl Scene {
    fn new() -> Self {
        let backend = Backend::start(Behaviour::Answer);
        let federation = Federation::start();
        // Each offers a model of its own, so that the broker has one to choose from.
        let spec = |name: &str| NodeSpec { model: name.to_owned(), ..NodeSpec::openai(name, &backend.url(), "DE") };
        let nodes = ["n1", "n2"].map(|name| federation.node(EU_BODY, &spec(name)));
        let app = federation.app(EU_OWNED, "assistant");
        Self { backend, nodes, app, federation }
    }

    fn root(&self) -> Root {
        Root::from_json(&std::fs::read(self.app.identity.join("root.json")).unwrap()).unwrap()
    }

    /// What the broker proved of a request that the first node took, and whose backend failed: no try of it was answered.
    async fn proven(&self) -> Receipt {
        self.backend.behave(Behaviour::Status(500));
        let app = Identity::open(&self.app.identity).unwrap();
        let mut client = InferenceClient::new(Connection::open(&app).unwrap().channel());
        let failed = client.chat(question()).await.unwrap_err();
        self.backend.behave(Behaviour::Answer);
        let receipt = failed.metadata().get_bin(RECEIPT).unwrap().to_bytes().unwrap();
        transparency::Receipt::decode(receipt).unwrap().try_into().unwrap()
    }
}

fn question() -> ChatRequest {
    let text = ContentPart { part: Some(content_part::Part::Text("hello".into())) };
    let message = Message { role: Role::User.into(), content: vec![text], ..Default::default() };
    let envelope = Envelope {
        model: "n1".into(),
        purposes: vec!["dpv:CustomerCare".into()],
        // Its own, or the SDK would give it another that the permit is for.
        nonce: vec![7; 16].into(),
        ..Default::default()
    };
    let payload = ChatPayload { messages: vec![message], ..Default::default() };
    ChatRequest { envelope: Some(envelope), payload: Some(payload) }
}

/// The same, of another envelope.
fn other_question() -> ChatRequest {
    let mut other = question();
    other.envelope.as_mut().unwrap().purposes = vec!["dpv:ServiceProvision".into()];
    other
}

/// Whoever has the broker's keys.
struct Liar {
    sender: SendRequest<Body>,
}

impl Liar {
    /// Connected to a node, as the broker.
    async fn to(node: &Node, root: &Root, data: &Path) -> Self {
        let id: SpiffeId = node.id.parse().unwrap();
        let anchor = |domain: &str| {
            let file = data.join("ca").join(format!("{domain}.pem"));
            CertificateDer::from_pem_file(file).unwrap()
        };
        let key_file = data.join("ca").join(format!("{}.key.pem", root.federation));
        let key_pem = Secret::new(std::fs::read_to_string(key_file).unwrap());
        let authority = Authority::from_pem(&key_pem, &anchor(root.federation.as_str())).unwrap();
        let key = KeyPair::generate().unwrap();
        let request = SigningRequest::parse(&key.signing_request(&root.broker).unwrap()).unwrap();
        let issued = authority.issue(&request, &root.broker, &[], LIFE, SystemClock.now()).unwrap();
        let credentials = Arc::new(Credentials::new(issued.chain, &key).unwrap());
        let anchors = [anchor(id.trust_domain().as_str())];
        let anchors = Arc::new(OrganisationAnchors::new(id.trust_domain().clone(), &anchors).unwrap());
        let config = tls::client_config(credentials, id, anchors, Arc::new(SystemClock)).unwrap();
        let stream = comity_runtime::dial::connect(&node.address(), config).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        spawn(async move { drop(connection.await) });
        Self { sender }
    }

    /// Sends a request with what is to be its permit, and gives how it ended.
    async fn send(&mut self, question: &ChatRequest, permit: Option<&Permit>, place: Place) -> (Code, String) {
        let permit =
            permit.map(|permit| HeaderValue::try_from(STANDARD_NO_PAD.encode(permit.encode_to_vec())).unwrap());
        let (head, behind) = if place == Place::Head { (permit, None) } else { (None, permit) };
        let trailers = behind.map(|permit| {
            let mut trailers = HeaderMap::new();
            trailers.insert(PERMIT, permit);
            Frame::trailers(trailers)
        });
        let frames: Vec<_> = [Frame::data(framed(question))].into_iter().chain(trailers).map(Ok).collect();
        let request = Request::post("http://node/comity.inference.v1.Inference/Chat");
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let mut request =
            request.header("grpc-timeout", "30S").body(StreamBody::new(futures::stream::iter(frames))).unwrap();
        request.headers_mut().extend(head.map(|permit| (http::HeaderName::from_static(PERMIT), permit)));
        let (answer, body) = self.sender.send_request(request).await.unwrap().into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or(answer.headers);
        let status = Status::from_header_map(&trailers).unwrap();
        (status.code(), Detail::of(&status).map(|detail| detail.reason).unwrap_or_default())
    }

    /// Sends it in both ways, and expects to be refused for this reason.
    async fn is_refused(&mut self, what: &str, question: &ChatRequest, permit: Option<&Permit>, reason: &str) {
        for place in [Place::Head, Place::Trailer] {
            let ended = self.send(question, permit, place).await;
            assert_eq!(ended, (Code::PermissionDenied, reason.to_owned()), "{what}, {place:?}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a lying broker is no part of the programs")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

fn framed(message: &ChatRequest) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
    frame.put_slice(&message.encode_to_vec());
    frame.freeze()
}

fn permit(checkpoint: String, decision: &Proven, attempt: u32) -> Permit {
    Permit { checkpoint, decision: Some(wire_proven(decision)), attempt }
}

/// A tree that the log never was, which ends with this leaf; the other leaves depend on `other`.
fn another_tree(origin: &str, leaf: &[u8], other: u8) -> (Checkpoint, Proven) {
    let mut tree = Tree::default();
    let mut tiles = comity_transparency::tile::Tiles::default();
    for number in 1..LEAVES {
        let filler = [other, u8::try_from(number).unwrap()];
        tree.push(&filler);
        tiles.push(comity_transparency::tree::leaf_hash(&filler));
    }
    tree.push(leaf);
    tiles.push(comity_transparency::tree::leaf_hash(leaf));
    let index = LEAVES as u64 - 1;
    let path = comity_transparency::proof::inclusion(&tiles, index, LEAVES as u64).unwrap().unwrap();
    (Checkpoint::of(origin, &tree), Proven { index, leaf: leaf.to_vec(), path, record: None })
}

/// The decision as it would have been made long ago, with its record.
fn long_ago(decision: &Proven) -> (Leaf, Record) {
    let shown = decision.record.as_ref().unwrap();
    let at = SystemClock.now().minus(LONG_AGO);
    let candidate = Field::candidate(0).unwrap();
    let mut record = Record::new(RecordKind::Decision, [7; 32]);
    for field in [Field::CALLER, Field::METHOD, Field::ENVELOPE_SHA256] {
        record = record.with(field, shown.get(field).unwrap()).unwrap();
    }
    let mut offered: Value = serde_json::from_slice(shown.get(candidate).unwrap()).unwrap();
    offered["expires_at"] = json!(expiry(at));
    record = record.with(candidate, serde_json::to_vec(&offered).unwrap()).unwrap();
    let leaf = Leaf { at, record: record.commitment(), ..Leaf::from_bytes(&decision.leaf).unwrap() };
    (leaf, record)
}

fn expiry(at: Timestamp) -> i64 {
    at.plus(Duration::from_secs(60)).as_millis()
}

#[test]
fn a_broker_that_lies_gets_nothing_run_and_with_the_truth_it_does() {
    let mut scene = Scene::new();
    scene.nodes[0].program.expect_log("the backend failed");
    scene.federation.expect_log("a try failed");
    // What the last lie does to it.
    scene.nodes[0].program.expect_log("the decision log has signed two histories");
    scene.nodes[0].program.expect_log("published");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(lies_and_the_truth(&scene));
}

async fn lies_and_the_truth(scene: &Scene) {
    let (root, data) = (scene.root(), scene.federation.folder().join("broker/data"));
    let (key, origin) = (log_key(&root, &data), root.decision_log_origin());
    let [Receipt { checkpoint, decision, .. }, other] = [scene.proven().await, scene.proven().await];
    assert_eq!(scene.backend.asked().len(), 2, "the broker's own requests");
    let [mut first, mut second] =
        [Liar::to(&scene.nodes[0], &root, &data).await, Liar::to(&scene.nodes[1], &root, &data).await];
    let asked = question();
    let true_one = |attempt| permit(checkpoint.clone(), &decision, attempt);

    first.is_refused("no proof", &asked, None, "PERMIT_MISSING").await;
    first.is_refused("another request's", &other_question(), Some(&true_one(2)), "PERMIT_OTHER_ENVELOPE").await;
    second.is_refused("another node's", &asked, Some(&true_one(2)), "PERMIT_OTHER_NODE").await;
    let signed = Checkpoint::open(&checkpoint, &origin, &root.decision_log_verifier()).unwrap();
    let forged = signed.sign(&NoteKey::generate(origin.clone()).unwrap()).unwrap();
    first.is_refused("another key's", &asked, Some(&permit(forged, &decision, 2)), "PERMIT_CHECKPOINT").await;
    assert_eq!(scene.backend.asked().len(), 2, "a lie was run");

    let of_other = permit(other.checkpoint, &other.decision, 2);
    for (truth, place) in [(true_one(2), Place::Head), (of_other, Place::Trailer)] {
        assert_eq!(first.send(&asked, Some(&truth), place).await.0, Code::Ok, "{place:?}");
    }
    assert_eq!(scene.backend.asked().len(), 4, "the truth runs");
    first.is_refused("one that was used", &asked, Some(&true_one(2)), "PERMIT_REPLAYED").await;
    first.is_refused("a further try of what was answered", &asked, Some(&true_one(3)), "PERMIT_REPLAYED").await;

    // From here on with the log's own key, over trees that the log never was.
    let (leaf, record) = long_ago(&decision);
    let (tree, stale) = another_tree(&origin, &leaf.to_bytes(), 1);
    let (tree, stale) = (tree.sign(&key).unwrap(), Proven { record: Some(record.disclose(|_| true)), ..stale });
    first.is_refused("a stale one", &asked, Some(&permit(tree.clone(), &stale, 1)), "PERMIT_STALE").await;
    first.is_refused("in no such tree", &asked, Some(&permit(tree, &decision, 1)), "PERMIT_NOT_IN_LOG").await;
    let (other, _) = another_tree(&origin, &decision.leaf, 2);
    let other = permit(other.sign(&key).unwrap(), &decision, 1);
    first.is_refused("two histories", &asked, Some(&other), "LOG_CONTRADICTED").await;
    first.is_refused("the truth, of one who was caught", &asked, Some(&true_one(1)), "LOG_CONTRADICTED").await;
    assert_eq!(scene.backend.asked().len(), 4, "a lie was run");
}
