//! A caller that does not read holds back the model server that writes for it, and nobody else: through a node that the broker
//! dials, and through one that dials the broker.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use comity_client::Identity;
use comity_proto::inference::{ChatPayload, ChatStreamRequest, ContentPart, Envelope, Message, Role, content_part};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation};
use comity_tests::node::NodeSpec;
use comity_tests::raw::{self, Held};
use comity_tests::wait;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use serde_json::json;
use tokio_rustls::TlsConnector;

/// Callers that do not read, on one connection.
const READERS: usize = 16;
/// What such a caller lets come of an answer, in bytes, and of all that come on its connection.
const WINDOWS: [u32; 2] = [64 * 1024, 64 << 20];
/// What a model server says at once, in bytes.
const PIECE: usize = 4096;
/// Most bytes that one can write for a caller that does not read: what sockets between it and its node keep, which is up to 10
/// MiB on Linux, and what is on its way behind them. One that is not held back writes [`ENDLESS`].
const MOST_WRITTEN: usize = 16 << 20;
/// An answer that would never end for a caller, in bytes.
const ENDLESS: usize = 48 << 20;
/// Most memory that one such caller may take of a broker or a node, in bytes: a window, a few frames on both sides of it, and
/// what an allocator keeps.
const MOST_MEMORY: u64 = 768 * 1024;
/// How long a write may take before it counts as held back. Nothing hangs on it but how long the test takes.
const HELD_BACK: Duration = Duration::from_secs(2);
/// What is asked for by who is to get an answer with an end.
const SHORT: &str = "short";

/// A model server that answers without an end, and counts.
#[derive(Debug)]
struct Fountain {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Answers that wait for their reader.
    held: AtomicUsize,
    /// The most that was written of one before it had to wait, in bytes.
    most: AtomicUsize,
    /// Answers whose reader has gone.
    left: AtomicUsize,
    /// Pieces of all that were written after they had waited.
    went_on: AtomicUsize,
}

impl Fountain {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, counts) = (listener.local_addr().unwrap(), Arc::<Counts>::default());
        let shared = Arc::clone(&counts);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counts = Arc::clone(&shared);
                std::thread::spawn(move || drop(answer(&stream, &counts)));
            }
        });
        Self { address, counts }
    }

    fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    fn of(&self, count: impl Fn(&Counts) -> &AtomicUsize) -> usize {
        count(&self.counts).load(Ordering::SeqCst)
    }

    fn wait_until(&self, what: &str, count: impl Fn(&Counts) -> &AtomicUsize, least: usize) {
        wait::until(what, || (self.of(&count) >= least).then_some(()));
    }
}

/// Answers what is asked: which models there are, a short answer, or one without an end.
fn answer(mut stream: &TcpStream, counts: &Counts) -> io::Result<()> {
    let (mut reader, mut line, mut length) = (BufReader::new(stream), String::new(), 0);
    while line.is_empty() || !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
        if line.starts_with("GET ") {
            let models = json!({ "object": "list", "data": [{ "id": "test-model", "object": "model" }] }).to_string();
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
            return write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{models}", models.len());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut asked = vec![0; length];
    reader.read_exact(&mut asked)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
    let said =
        |text: &str| format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }));
    if String::from_utf8_lossy(&asked).contains(SHORT) {
        stream.write_all(said("Paris.").as_bytes())?;
        let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
        return write!(stream, "data: {end}\n\ndata: [DONE]\n\n");
    }
    write_on(stream, said(&"x".repeat(PIECE)).as_bytes(), counts).inspect_err(|_| {
        counts.left.fetch_add(1, Ordering::SeqCst);
    })
}

/// Writes the same again and again, and notes when it has to wait.
fn write_on(mut stream: &TcpStream, piece: &[u8], counts: &Counts) -> io::Result<()> {
    stream.set_write_timeout(Some(HELD_BACK))?;
    let (mut written, mut waited) = (0, false);
    while written < ENDLESS {
        // What a piece has left when a write had to wait.
        let mut rest = piece;
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(some) => {
                    written += some;
                    rest = &rest[some..];
                    if waited {
                        counts.went_on.fetch_add(1, Ordering::SeqCst);
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if !waited {
                        counts.most.fetch_max(written, Ordering::SeqCst);
                        counts.held.fetch_add(1, Ordering::SeqCst);
                    }
                    waited = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
    counts.most.fetch_max(written, Ordering::SeqCst);
    Ok(())
}

type Sender = SendRequest<Full<Bytes>>;

/// A connection of an app to its broker.
async fn connect(app: &Identity, address: &str) -> Sender {
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let tls = TlsConnector::from(raw::member(app)).connect("broker".try_into().unwrap(), tcp).await.unwrap();
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(WINDOWS[0]).initial_connection_window_size(WINDOWS[1]);
    let (sender, connection) = client.handshake(TokioIo::new(tls)).await.unwrap();
    spawn(async move { drop(connection.await) });
    sender
}

#[expect(clippy::disallowed_methods, reason = "an app's connection is no part of the programs")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

/// Asks a model; gives its answer as soon as it begins.
async fn ask(sender: &mut Sender, model: &str, text: &str) -> Response<Incoming> {
    let part = ContentPart { part: Some(content_part::Part::Text(text.into())) };
    let message = Message { role: Role::User.into(), content: vec![part], ..Default::default() };
    let envelope = Envelope { model: model.into(), purposes: vec!["dpv:CustomerCare".into()], ..Default::default() };
    let payload = ChatPayload { messages: vec![message], ..Default::default() };
    let message = ChatStreamRequest { envelope: Some(envelope), payload: Some(payload) }.encode_to_vec();
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(&message);
    let request = Request::post("https://broker/comity.inference.v1.Inference/ChatStream");
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    sender.send_request(request.body(Full::new(framed.freeze())).unwrap()).await.unwrap()
}

/// Asks for a short answer, and reads it to its end.
async fn assert_answered(sender: &mut Sender, model: &str, who: &str) {
    let answered = async { ask(sender, model, SHORT).await.into_body().collect().await.unwrap() };
    let answer = tokio::time::timeout(wait::PATIENCE, answered).await.unwrap_or_else(|_| panic!("{who} is frozen"));
    let trailers = answer.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0", "{who}: {trailers:?}");
}

#[test]
fn callers_who_do_not_read_hold_back_their_own_model_server_cost_little_and_freeze_nobody_else() {
    let fountain = Fountain::start();
    let federation = Federation::start();
    let dialled = NodeSpec::openai("n1", &fountain.url(), "DE").model("dialled");
    let tunnelled = NodeSpec::openai("n2", &fountain.url(), "DE").model("tunnelled").dialling_out();
    let nodes = [dialled, tunnelled].map(|spec| (spec.model.clone(), federation.node(EU_BODY, &spec)));
    let app = federation.app(EU_OWNED, "assistant");
    let broker = federation.broker.as_ref().unwrap().id();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let app = Identity::open(&app.identity).unwrap();
        for (model, node) in &nodes {
            let (counts, node) = (|of: fn(&Counts) -> &AtomicUsize| fountain.of(of), node.program.id());
            let [held, left] = [counts(|counts| &counts.held), counts(|counts| &counts.left)];
            let mut slow = connect(&app, federation.address()).await;
            let mut beside = connect(&app, federation.address()).await;
            assert_answered(&mut slow, model, "the first").await;
            let before = [broker, node].map(Held::by);
            let mut unread = Vec::new();
            for _ in 0..READERS {
                unread.push(ask(&mut slow, model, "endless").await);
            }
            fountain.wait_until("every model server is held back", |counts| &counts.held, held + READERS);
            let most = fountain.of(|counts| &counts.most);
            assert!(most < MOST_WRITTEN, "{model}: {most} bytes could be written for somebody who does not read");
            assert_answered(&mut slow, model, "another call on the same connection").await;
            assert_answered(&mut beside, model, "a call on another connection").await;
            for (program, before) in [broker, node].into_iter().zip(before) {
                let grown = Held::by(program).memory.saturating_sub(before.memory);
                assert!(grown < MOST_MEMORY * READERS as u64, "{model}: {grown} bytes more, of {program}");
            }
            // Who reads on is written on for.
            let went_on = fountain.of(|counts| &counts.went_on);
            let mut reading = unread.pop().unwrap().into_body();
            while fountain.of(|counts| &counts.went_on) == went_on {
                let frame = tokio::time::timeout(wait::PATIENCE, reading.frame()).await.expect("more comes");
                let _data = frame.unwrap().unwrap();
            }
            drop((unread, reading));
            fountain.wait_until("who has left is written for no more", |counts| &counts.left, left + READERS);
        }
    });
}
