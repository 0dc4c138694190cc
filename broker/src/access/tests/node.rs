//! A node that does what a script says, and remembers every byte that it got.

use std::convert::Infallible;
use std::io;
use std::sync::Mutex;

use bytes::{Bytes, BytesMut};
use comity_identity::{OrganisationAnchors, StaticAnchors, tls};
use comity_proto::{convert, permit as wire};
use comity_runtime::accept::{Connection, Http2, serve_one};
use comity_runtime::calm::Allowance;
use comity_runtime::clock::SystemClock;
use comity_runtime::dial;
use comity_transparency::receipt::VerifiedLeaf;
use comity_transparency::record::{CANDIDATES, Field, RecordKind};
use comity_transparency::{Checkpoint, NoteVerifier};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::world::{LOG, SOON, caller_of, framed};
use super::*;

/// Requests on one connection at once, as of a real node.
const MAX_STREAMS: u32 = 1024;

/// Where a script writes the frames of its answer; an error resets the stream.
pub(crate) type Answering = mpsc::Sender<Result<Frame<Bytes>, io::Error>>;
/// What to answer to each request.
pub(crate) type Script = Arc<dyn Fn(Answering) + Send + Sync>;

/// What is done with each request, and how it is answered.
pub(crate) type Handler = Arc<dyn Fn(Seen, Answering) + Send + Sync>;

/// Is told what came of a request that ended before its end, so that nothing ran.
pub(crate) type Unfinished = Arc<dyn Fn(Seen) + Send + Sync>;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) authority: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// When the first of its bytes came.
    pub(crate) begun: Instant,
    /// Whether its permit came after its bytes.
    pub(crate) travelled_ahead: bool,
}

impl Seen {
    pub(crate) fn permit(&self) -> wire::Permit {
        let value = self.headers.get("comity-permit-bin").expect("there is no permit");
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD_NO_PAD, value).unwrap();
        wire::Permit::decode(bytes.as_slice()).unwrap()
    }

    /// The decision that the permit proves to be in the log.
    pub(crate) fn decision(&self, key: &NoteVerifier) -> VerifiedLeaf {
        let permit = self.permit();
        let checkpoint = Checkpoint::open(&permit.checkpoint, LOG, key).unwrap();
        let proven = convert::proven(&permit.decision.unwrap(), RecordKind::Decision, "decision").unwrap();
        proven.verify(&checkpoint, "decision").unwrap()
    }

    /// The one offer that the permit shows.
    pub(crate) fn candidate(&self, key: &NoteVerifier) -> serde_json::Value {
        let decision = self.decision(key);
        let shown: Vec<_> = (0..CANDIDATES).filter_map(|rank| decision.get(Field::candidate(rank)?)).collect();
        assert_eq!(shown.len(), 1, "a node is shown its own offer and no other");
        serde_json::from_slice(shown[0]).unwrap()
    }
}

pub(crate) struct Node {
    pub(crate) id: SpiffeId,
    pub(crate) address: String,
    /// SHA-256 of the certificate that it shows.
    pub(crate) certificate: Digest,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<Vec<CancellationToken>>>,
    stopping: CancellationToken,
}

impl Node {
    pub(crate) async fn start(
        id: SpiffeId,
        credentials: Arc<Credentials>,
        trusted: StaticAnchors,
        script: Script,
    ) -> Self {
        Self::start_with_clock(id, credentials, trusted, script, Arc::new(SystemClock)).await
    }

    pub(crate) async fn start_with_clock(
        id: SpiffeId,
        credentials: Arc<Credentials>,
        trusted: StaticAnchors,
        script: Script,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let handler = remembering(&seen, script);
        let mut node = Self::handing(id, credentials, trusted, handler, clock).await;
        node.seen = seen;
        node
    }

    /// One that hands each request to the test, and remembers none.
    pub(crate) async fn handing(
        id: SpiffeId,
        credentials: Arc<Credentials>,
        trusted: StaticAnchors,
        handler: Handler,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::handing_all(id, credentials, trusted, (handler, Arc::new(drop)), clock).await
    }

    /// The same, that hands over as well what came of those that ended before their end.
    pub(crate) async fn handing_all(
        id: SpiffeId,
        credentials: Arc<Credentials>,
        trusted: StaticAnchors,
        (handler, unfinished): (Handler, Unfinished),
        clock: Arc<dyn Clock>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let certificate = credentials.leaf().certificate;
        let config = tls::server_config(credentials, Arc::new(trusted), clock).unwrap();
        let node = Self {
            id,
            address,
            certificate,
            seen: Arc::default(),
            connections: Arc::default(),
            stopping: CancellationToken::new(),
        };
        let (connections, stopping) = (Arc::clone(&node.connections), node.stopping.clone());
        spawn(async move {
            while let Some(Ok((stream, _))) = stopping.run_until_cancelled(listener.accept()).await {
                let ending = stopping.child_token();
                connections.lock().unwrap().push(ending.clone());
                let acceptor = TlsAcceptor::from(Arc::clone(&config));
                let (handler, unfinished) = (Arc::clone(&handler), Arc::clone(&unfinished));
                spawn(async move {
                    let _ended = ending.run_until_cancelled(serve(acceptor, stream, handler, unfinished)).await;
                });
            }
        });
        node
    }

    /// A node that listens nowhere, and has not dialled yet.
    pub(crate) fn that_dials(id: SpiffeId) -> Self {
        let address = comity_identity::host::TUNNEL.to_owned();
        Self {
            id,
            address,
            certificate: Digest::of(b"shown by its tunnels"),
            seen: Arc::default(),
            connections: Arc::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Dials the broker, and serves on the connection.
    pub(crate) async fn open_tunnel(
        &self,
        door: &Door,
        credentials: Arc<Credentials>,
        script: Script,
    ) -> io::Result<Tunnel> {
        let broker = "spiffe://fed.example/broker/b1".parse().unwrap();
        let tls =
            tls::tunnel_client_config(credentials, broker, Arc::new(door.federation.clone()), Arc::clone(&door.clock));
        let connection = dial::tunnel(&door.address, tls.unwrap(), door.clock.as_ref()).await?;
        let tunnel = Tunnel { leaving: CancellationToken::new(), gone: connection.gone() };
        let (handler, leaving) = (remembering(&self.seen, script), tunnel.leaving.clone());
        let stopping = self.stopping.child_token();
        self.connections.lock().unwrap().push(stopping.clone());
        spawn(async move {
            let _ended = stopping.run_until_cancelled(serve_tunnel(connection, handler, leaving)).await;
        });
        Ok(tunnel)
    }

    /// Every request that arrived.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// Breaks every connection, as a crash would; new ones are accepted.
    pub(crate) fn break_connections(&self) {
        self.connections.lock().unwrap().iter().for_each(CancellationToken::cancel);
    }
}

/// Where a broker takes tunnels, and by what it is known.
pub(crate) struct Door {
    pub(crate) address: String,
    pub(crate) federation: OrganisationAnchors,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A connection that a node dialled.
pub(crate) struct Tunnel {
    /// Makes the node say GOAWAY.
    pub(crate) leaving: CancellationToken,
    /// Cancelled when the connection has ended.
    pub(crate) gone: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

#[expect(clippy::disallowed_methods, reason = "a scripted node is no part of the broker")]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(future));
}

/// Remembers each request, and answers by the script.
fn remembering(seen: &Arc<Mutex<Vec<Seen>>>, script: Script) -> Handler {
    let seen = Arc::clone(seen);
    Arc::new(move |request, answering| {
        seen.lock().unwrap().push(request);
        script(answering);
    })
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, handler: Handler, unfinished: Unfinished) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    assert_eq!(caller_of(stream.get_ref().1).to_string(), "spiffe://fed.example/broker/b1");
    let service =
        service_fn(move |request: Request<Incoming>| handed(request, Arc::clone(&handler), Arc::clone(&unfinished)));
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(MAX_STREAMS);
    let _broken = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// Serves as a real node does, until the connection ends; once `leaving` is cancelled, says GOAWAY and goes on to the end of
/// what runs.
async fn serve_tunnel(connection: Connection, handler: Handler, leaving: CancellationToken) {
    let http2 = Http2 {
        max_streams: MAX_STREAMS,
        keep_alive: SOON,
        keep_alive_timeout: SOON,
        windows: None,
        allowance: Allowance::DEFAULT,
    };
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = handed(request, Arc::clone(&handler), Arc::new(drop));
        // A request that breaks off has nobody who waits for its answer.
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|_| Response::new(no_answer()))) }
    });
    serve_one(connection, http2, leaving.cancelled_owned(), service).await;
}

/// What is left of an answer.
type Answer = StreamBody<ReceiverStream<Result<Frame<Bytes>, io::Error>>>;

/// Hands a request to the test, which answers it.
async fn handed<B>(request: Request<B>, handler: Handler, unfinished: Unfinished) -> Result<Response<Answer>, B::Error>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let (mut body, mut coming) = (std::pin::pin!(body), Coming::new(head, unfinished));
    // As every gRPC server does: trailers of a request count as its metadata, and nothing runs before they came.
    while let Some(frame) = body.frame().await {
        coming.take(frame?);
    }
    let (answering, frames) = mpsc::channel(16);
    handler(coming.whole(), answering);
    Ok(Response::new(StreamBody::new(ReceiverStream::new(frames))))
}

/// A request as far as it has come; where it is dropped before its end, somebody is told of the bytes that came.
struct Coming {
    seen: Option<Seen>,
    bytes: BytesMut,
    unfinished: Unfinished,
}

impl Coming {
    fn new(head: http::request::Parts, unfinished: Unfinished) -> Self {
        let authority = head.uri.authority().map(ToString::to_string);
        let (path, headers) = (head.uri.path().to_owned(), head.headers);
        let (body, begun) = (Bytes::new(), Instant::now());
        let seen = Some(Seen { path, authority, headers, body, begun, travelled_ahead: false });
        Self { seen, bytes: BytesMut::new(), unfinished }
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        let seen = self.seen.as_mut().unwrap();
        match frame.into_data() {
            Ok(data) => {
                if self.bytes.is_empty() {
                    seen.begun = Instant::now();
                }
                self.bytes.extend_from_slice(&data);
            }
            Err(rest) => {
                let trailers = rest.into_trailers().unwrap_or_default();
                seen.travelled_ahead = trailers.contains_key("comity-permit-bin");
                seen.headers.extend(trailers);
            }
        }
    }

    fn whole(mut self) -> Seen {
        Seen { body: std::mem::take(&mut self.bytes).freeze(), ..self.seen.take().unwrap() }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let Some(seen) = self.seen.take() else { return };
        let body = std::mem::take(&mut self.bytes).freeze();
        if !body.is_empty() {
            (self.unfinished)(Seen { body, ..seen });
        }
    }
}

fn no_answer() -> Answer {
    StreamBody::new(ReceiverStream::new(mpsc::channel(1).1))
}

/// The address of somebody who says `greeting` to whoever connects, whatever that was to be.
pub(crate) async fn somebody_says(greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _broken = tokio::io::AsyncWriteExt::write_all(&mut stream, greeting).await;
        }
    });
    address
}

/// Frames, one after another, that were ready beforehand.
pub(crate) fn says(frames: Vec<Result<Frame<Bytes>, io::Error>>) -> Script {
    let frames = Mutex::new(frames);
    Arc::new(move |answering| {
        for frame in std::mem::take(&mut *frames.lock().unwrap()) {
            answering.try_send(frame).unwrap();
        }
    })
}

/// The same status for every request, without a message.
pub(crate) fn declines(failure: Failure) -> Script {
    Arc::new(move |answering| answering.try_send(Ok(status(failure.clone()))).unwrap())
}

/// One message and OK, for every request.
pub(crate) fn answers(text: &'static str) -> Script {
    Arc::new(move |answering| {
        answering.try_send(Ok(data(text))).unwrap();
        answering.try_send(Ok(ok())).unwrap();
    })
}

/// Hands each answer to the test.
pub(crate) fn waits() -> (Script, mpsc::Receiver<Answering>) {
    let (given, taken) = mpsc::channel(16);
    (Arc::new(move |answering| given.try_send(answering).unwrap()), taken)
}

/// One whole message.
pub(crate) fn data(text: &str) -> Frame<Bytes> {
    bytes(&framed(text.as_bytes()))
}

/// Bytes as they are, which are part of a message, or of none.
pub(crate) fn bytes(part: &[u8]) -> Frame<Bytes> {
    Frame::data(Bytes::copy_from_slice(part))
}

pub(crate) fn ok() -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    // Usage { input_tokens: 3, output_tokens: 4 }
    trailers.insert("comity-usage-bin", "CAMQBA".parse().unwrap());
    trailers.insert("x-internal", "not for callers".parse().unwrap());
    Frame::trailers(trailers)
}

pub(crate) fn status(failure: Failure) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    Status::from(failure).add_header(&mut trailers).unwrap();
    Frame::trailers(trailers)
}

pub(crate) fn reset() -> Result<Frame<Bytes>, io::Error> {
    Err(io::ErrorKind::BrokenPipe.into())
}
