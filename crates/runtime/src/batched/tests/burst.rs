//! hyper's server over a connection whose writes are recorded: tokens that are there at once leave together, and one that comes
//! alone does not wait.

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::tasks::Tasks;
use crate::testing::PATIENCE;

/// A token with what stands around it: as large as those that h2 flushes one by one.
const TOKEN: &[u8] = &[b'x'; 300];
/// Tokens that are there at once.
const BURST: usize = 100;
/// Writes that they may take: the answer's head may leave before them, and its end after.
const FEW: usize = 4;

/// Records each write.
struct Recorded {
    io: DuplexStream,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl AsyncRead for Recorded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.writes.lock().unwrap().push(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

type Tokens = mpsc::UnboundedReceiver<Bytes>;

/// An answer of these tokens; the writes that its server makes are recorded.
async fn answer(tokens: Tokens) -> (hyper::body::Incoming, Arc<Mutex<Vec<usize>>>, Tasks) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (tasks, writes) = (Tasks::new(), Arc::<Mutex<Vec<usize>>>::default());
    let (io, turns) = batched(Recorded { io: ours, writes: Arc::clone(&writes) }, Allowance::DEFAULT);
    let tokens = Arc::new(Mutex::new(Some(tokens)));
    let service = service_fn(move |_: Request<hyper::body::Incoming>| {
        let tokens = tokens.lock().unwrap().take().expect("it is asked once");
        let frames = UnboundedReceiverStream::new(tokens).map(|token| Ok::<_, Infallible>(Frame::data(token)));
        async move { Ok::<_, Infallible>(Response::new(StreamBody::new(frames))) }
    });
    tasks.spawn("server", async move {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // The connection has its turns, as the server of this crate gives it.
        let _end = turns.run(server.serve_connection(TokioIo::new(io), service)).await;
    });
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(theirs));
    let (mut sender, connection) = client.await.unwrap();
    let (kept, gone) = oneshot::channel::<()>();
    tasks.spawn("client", async move {
        let _kept = kept;
        let _end = connection.await;
    });
    let body = sender.send_request(Request::new(Empty::<Bytes>::new())).await.unwrap().into_body();
    tasks.spawn("sender", async move {
        // Dropped only when the connection is: it would say goodbye.
        let _sender = sender;
        let _gone = gone.await;
    });
    (body, writes, tasks)
}

async fn read(body: &mut hyper::body::Incoming, bytes: usize) {
    let mut read = 0;
    while read < bytes {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("a token").unwrap().unwrap();
        read += frame.into_data().unwrap().len();
    }
}

#[tokio::test]
async fn tokens_that_are_there_at_once_leave_in_few_writes() {
    let (say, tokens) = mpsc::unbounded_channel();
    for _ in 0..BURST {
        say.send(Bytes::from_static(TOKEN)).unwrap();
    }
    let (mut body, writes, _tasks) = answer(tokens).await;
    read(&mut body, BURST * TOKEN.len()).await;
    let with_tokens = writes.lock().unwrap().iter().filter(|written| **written >= TOKEN.len()).count();
    assert!((1..=FEW).contains(&with_tokens), "{:?}", writes.lock().unwrap());
}

#[tokio::test]
async fn a_token_that_comes_alone_leaves_at_once_in_a_write_of_its_own() {
    let (say, tokens) = mpsc::unbounded_channel();
    let (mut body, writes, _tasks) = answer(tokens).await;
    for _ in 0..BURST {
        let before = writes.lock().unwrap().len();
        // The next is not said before this one was read: nothing can have waited for company.
        say.send(Bytes::from_static(TOKEN)).unwrap();
        read(&mut body, TOKEN.len()).await;
        let new = writes.lock().unwrap().split_off(before);
        let with_tokens: Vec<_> = new.iter().filter(|written| **written >= TOKEN.len()).collect();
        assert_eq!(with_tokens.len(), 1, "{new:?}");
    }
}
