//! The backend of all proxies: gRPC over HTTP/2 and TLS, which reads a request whole and answers fixed bytes. It looks at
//! nothing that it is asked, but for whether the stream is to be paced.
//!
//! Called with a permit, it answers as a node does at the end: with what the request used, and with the outcome, signed once
//! per answer. The permit is taken at its word, so that the figures have as little as can be of what is not the proxy's.
//!
//! Every message of a stream is a frame of its own: none are merged.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use comity_identity::KeyPair;
use comity_proto::convert::wire_instant;
use comity_proto::inference::{ChatStreamRequest, Usage, content_part};
use comity_proto::metadata::{OUTCOME, OUTCOME_CONTEXT, PERMIT, USAGE};
use comity_proto::permit::{NodeOutcome, Outcome, Permit};
use comity_runtime::clock::SystemClock;
use comity_runtime::tasks::Tasks;
use comity_transparency::Signer as _;
use comity_transparency::leaf::Leaf;
use comity_types::Clock as _;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Interval};
use tokio_rustls::TlsAcceptor;

use crate::cases::{BURST, PACE, PACED, PACED_TEXT, PREFIX, TOKEN};

/// Bytes of one request, and of all of a connection, that may be on their way unread: more than any case has.
pub(crate) const WINDOWS: [u32; 2] = [1024 * 1024, 16 * 1024 * 1024];
/// Calls that a connection may have in flight.
const STREAMS: u32 = 1024;

/// Who signs outcomes.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) key: KeyPair,
    pub(crate) offer: String,
}

/// Nanoseconds since the measurement began, for whoever sends a message and whoever gets it: they are one process.
pub(crate) fn now() -> u64 {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGUN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap()
}

/// A free port, where calls wait until they are served; and its address.
pub(crate) fn listen() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves, on a thread of its own, until the process ends.
pub(crate) fn serve(listener: std::net::TcpListener, tls: Arc<ServerConfig>, node: Option<Arc<Node>>) {
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (listener, tasks) = (TcpListener::from_std(listener).unwrap(), Tasks::new());
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (tls, node) = (TlsAcceptor::from(Arc::clone(&tls)), node.clone());
                tasks.spawn("connection", async move { drop(connection(tcp, tls, node).await) });
            }
        });
    });
}

async fn connection(tcp: TcpStream, tls: TlsAcceptor, node: Option<Arc<Node>>) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let tls = tls.accept(tcp).await?;
    let serve = service_fn(move |request| answer(request, node.clone()));
    let mut server = http2::Builder::new(TokioExecutor::new());
    server.max_concurrent_streams(STREAMS).initial_stream_window_size(WINDOWS[0]);
    server.initial_connection_window_size(WINDOWS[1]);
    server.serve_connection(TokioIo::new(tls), serve).await.map_err(std::io::Error::other)
}

async fn answer(request: Request<Incoming>, node: Option<Arc<Node>>) -> Result<Response<Answer>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?;
    // Ahead of the message, or behind it where the message travelled while the decision became durable.
    let permit = head.headers.get(PERMIT).or_else(|| body.trailers()?.get(PERMIT)).cloned();
    let message = body.to_bytes().split_off(PREFIX);
    let work = match head.uri.path().ends_with("Stream") {
        true if is_paced(&message) => Work { left: PACED, length: TOKEN, pace: Some(tokio::time::interval(PACE)) },
        true => Work { left: BURST, length: TOKEN, pace: None },
        false => Work { left: 1, length: message.len(), pace: None },
    };
    let mut response = Response::new(Answer { work, end: Some(End { node, permit }) });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

fn is_paced(mut message: &[u8]) -> bool {
    let payload = ChatStreamRequest::decode(&mut message).unwrap().payload.unwrap();
    matches!(&payload.messages[0].content[0].part, Some(content_part::Part::Text(text)) if text == PACED_TEXT)
}

/// Messages that are still to be sent.
struct Work {
    left: u32,
    length: usize,
    pace: Option<Interval>,
}

/// What an answer ends with.
struct End {
    node: Option<Arc<Node>>,
    permit: Option<HeaderValue>,
}

/// The body of an answer.
struct Answer {
    work: Work,
    end: Option<End>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.work.left == 0 {
            return Poll::Ready(self.end.take().map(|end| Ok(Frame::trailers(end.trailers()))));
        }
        if let Some(pace) = &mut self.work.pace {
            let _tick = ready!(pace.poll_tick(cx));
        }
        self.work.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(message(self.work.length)))))
    }
}

/// A message of so many bytes that begins with the time.
fn message(length: usize) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap());
    frame.put_u64(now());
    frame.put_bytes(b'x', length - size_of::<u64>());
    frame.freeze()
}

impl End {
    fn trailers(self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let signed = || self.node.as_ref()?.outcome(self.permit.as_ref()?);
        if let Some(outcome) = signed() {
            let usage = Usage { input_tokens: 256, output_tokens: 256 };
            for (name, value) in [(OUTCOME, outcome.encode_to_vec()), (USAGE, usage.encode_to_vec())] {
                let value = HeaderValue::try_from(STANDARD_NO_PAD.encode(value)).unwrap();
                trailers.insert(HeaderName::from_static(name), value);
            }
        }
        trailers
    }
}

impl Node {
    /// What a node says of a request that it ran; nothing where the permit names no decision.
    fn outcome(&self, permit: &HeaderValue) -> Option<NodeOutcome> {
        let permit = Permit::decode(STANDARD_NO_PAD.decode(permit).ok()?.as_slice()).ok()?;
        if permit.checkpoint.is_empty() {
            return None;
        }
        let decision = permit.decision?;
        let leaf = Leaf::from_bytes(&decision.leaf).ok()?;
        let outcome = Outcome {
            decision_id: leaf.decision.as_bytes().to_vec().into(),
            decision_index: decision.index,
            attempt: permit.attempt,
            offer: self.offer.clone(),
            status: 0,
            input_tokens: Some(256),
            output_tokens: Some(256),
            ended_at: Some(wire_instant(SystemClock.now())),
            epoch: leaf.epoch.size,
            state_age_ms: 0,
        };
        let outcome = outcome.encode_to_vec();
        let signature = self.key.sign(&[OUTCOME_CONTEXT, &outcome].concat()).ok()?;
        Some(NodeOutcome { outcome: outcome.into(), signature: signature.into() })
    }
}
