//! A node's place, taken by somebody who has its key: takes no connection, takes them and says nothing, or speaks HTTP/2 frame by
//! frame as it is told.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use comity_client::Identity;
use comity_identity::{StaticAnchors, tls};
use comity_proto::inference::ChatStreamResponse;
use prost::Message as _;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::raw::{END_HEADERS, END_STREAM, FIRST, Kind, frame, headers};

/// A connection to this machine that takes longer does not come about.
const FULL: Duration = Duration::from_millis(300);
/// `NO_ERROR` of HTTP/2 (RFC 9113, section 7).
pub const NO_ERROR: u32 = 0;
/// `INTERNAL_ERROR`.
pub const INTERNAL_ERROR: u32 = 2;

/// What is done with whoever connects.
#[derive(Debug, Clone, Copy)]
pub enum Does {
    /// No connection is ever completed, as behind a router that drops packets.
    Drops,
    /// Connections are taken, and never a byte is said.
    Nothing,
    /// TLS as it should be, and then this.
    Says(Says),
}

/// What is said of a request: of the one of this number, from 0 and over all connections, on this stream of its own.
pub type Says = fn(number: usize, stream: u32) -> Said;

/// Frames, and whether the connection is closed behind them.
#[derive(Debug)]
pub struct Said {
    /// The frames.
    pub frames: Vec<u8>,
    /// Whether that was all.
    pub hangs_up: bool,
}

/// Somebody in a node's place, until it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    asked: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Endpoint {
    /// Takes the place of the node that listened at this address, with its identity.
    ///
    /// # Panics
    /// If it is not free, or the identity is none.
    #[must_use]
    pub fn start(address: &str, identity: &Path, does: Does) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let config = {
            let _inside = runtime.enter();
            server_config(&Identity::open(identity).unwrap())
        };
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address.parse().unwrap()).unwrap();
        runtime.block_on(async {
            match does {
                Does::Drops => {
                    let listener = socket.listen(1).unwrap();
                    let waiting = fill(&listener).await;
                    spawn(async move {
                        let _kept = (listener, waiting);
                        std::future::pending::<()>().await;
                    });
                }
                Does::Nothing => spawn(keep(socket.listen(1024).unwrap())),
                Does::Says(says) => spawn(serve(socket.listen(1024).unwrap(), config, says, Arc::clone(&asked))),
            }
        });
        Self { asked, _runtime: runtime }
    }

    /// Counts requests from 0 again.
    pub fn begin_anew(&self) {
        self.asked.store(0, Ordering::SeqCst);
    }
}

#[expect(clippy::disallowed_methods, reason = "a hostile node is no part of the programs")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    let anchors: StaticAnchors = [identity.root().organisation_anchors().unwrap()].into_iter().collect();
    let clock = Arc::clone(identity.clock());
    tls::server_config(Arc::clone(identity.credentials()), Arc::new(anchors), clock).unwrap()
}

/// Fills the queue of connections that nobody takes.
async fn fill(listener: &TcpListener) -> Vec<TcpStream> {
    let (address, mut waiting) = (listener.local_addr().unwrap(), Vec::new());
    while let Ok(connected) = tokio::time::timeout(FULL, TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
    }
    waiting
}

async fn keep(listener: TcpListener) {
    let mut kept = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        kept.push(stream);
    }
}

async fn serve(listener: TcpListener, config: Arc<ServerConfig>, says: Says, asked: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, asked) = (TlsAcceptor::from(Arc::clone(&config)), Arc::clone(&asked));
        spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _broken = converse(&mut stream, says, &asked).await;
        });
    }
}

/// Says what is to be said of each whole request, and reads on until the broker hangs up.
async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    says: Says,
    asked: &AtomicUsize,
) -> io::Result<()> {
    stream.write_all(&frame(Kind::Settings, 0, 0, &[])).await?;
    stream.read_exact(&mut [0; FIRST.len()]).await?;
    loop {
        let (kind, flags, number) = next(stream).await?;
        let ends = (kind == Kind::Data as u8 || kind == Kind::Headers as u8) && flags & END_STREAM != 0;
        if ends {
            let said = says(asked.fetch_add(1, Ordering::SeqCst), number);
            stream.write_all(&said.frames).await?;
            if said.hangs_up {
                return stream.shutdown().await;
            }
        }
    }
}

/// The kind, the flags and the stream of the frame that comes next.
async fn next(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, number @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await?;
    Ok((kind, flags, u32::from_be_bytes(number)))
}

/// The head of an answer.
#[must_use]
pub fn head(stream: u32) -> Vec<u8> {
    let fields = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
    frame(Kind::Headers, END_HEADERS, stream, &fields)
}

/// The bytes of one message of a stream, which has this text.
///
/// # Panics
/// If it is too long for a frame.
#[must_use]
pub fn message(text: &str) -> Vec<u8> {
    let message = ChatStreamResponse { text: text.to_owned(), ..ChatStreamResponse::default() }.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], &message].concat()
}

/// Bytes of an answer.
#[must_use]
pub fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(Kind::Data, 0, stream, bytes)
}

/// Its end, when all went well.
#[must_use]
pub fn ok(stream: u32) -> Vec<u8> {
    frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &headers(&[("grpc-status", "0")]))
}

/// The connection is left, or given up for this error; `last` is the last stream that was looked at.
#[must_use]
pub fn goaway(last: u32, error: u32) -> Vec<u8> {
    frame(Kind::GoAway, 0, 0, &[last.to_be_bytes(), error.to_be_bytes()].concat())
}

/// The stream is given up for this error.
#[must_use]
pub fn reset(stream: u32, error: u32) -> Vec<u8> {
    frame(Kind::RstStream, 0, stream, &error.to_be_bytes())
}
