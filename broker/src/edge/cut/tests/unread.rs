//! Whoever stalls keeps nothing that it lost: neither with a full window of HTTP/2, nor where it reads no byte. Whoever
//! reads keeps its connection.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use comity_proto::inference::ChatStreamResponse;
use comity_runtime::dial;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::transport::Endpoint;

use super::super::unread::TO_READ;
use super::*;
use crate::access::tests::node::spawn;
use crate::broker::tests::certify::start_counting;
use crate::broker::tests::metrics::scrape;
use crate::testing::decision_log;

/// From the word to the last stream closed.
const PROMISED: Duration = Duration::from_secs(1);
/// When nothing has moved for so long, all between node and reader is full.
const QUIET: Duration = Duration::from_millis(200);
/// No window: bytes wait in the sockets alone.
const WIDE: u32 = 1 << 30;

/// Bytes that are read until somebody says that they are not.
struct Socket<T> {
    io: T,
    frozen: Arc<Mutex<Option<Pin<Box<WaitForCancellationFutureOwned>>>>>,
    _gone: DropGuard,
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(thawed) = self.frozen.lock().unwrap().as_mut() {
            std::task::ready!(thawed.as_mut().poll(cx));
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// One connection of a member.
struct Line {
    channel: Channel,
    frozen: Arc<Mutex<Option<Pin<Box<WaitForCancellationFutureOwned>>>>>,
    thaw: CancellationToken,
    /// Cancelled when the connection is closed.
    gone: CancellationToken,
}

impl Line {
    async fn of(scene: &Scene, member: &Member, window: u32) -> Self {
        let (frozen, thaw, gone) = (Arc::default(), CancellationToken::new(), CancellationToken::new());
        let (address, tls) = (scene.address().to_string(), scene.client(member));
        // The first connection is the line; whatever is dialled after it is another.
        let once = Mutex::new(Some((Arc::clone(&frozen), gone.clone().drop_guard())));
        let connector = tower::service_fn(move |_| {
            let (address, tls, once) = (address.clone(), Arc::clone(&tls), once.lock().unwrap().take());
            async move {
                let (frozen, _gone) = once.ok_or_else(|| io::Error::other("the line is closed"))?;
                Ok::<_, io::Error>(TokioIo::new(Socket { io: dial::connect(&address, tls).await?, frozen, _gone }))
            }
        });
        let endpoint = Endpoint::from_static("http://broker");
        let endpoint = endpoint.initial_stream_window_size(window).initial_connection_window_size(WIDE);
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        Self { channel, frozen, thaw, gone }
    }

    /// Reads nothing more before it is thawed.
    fn freeze(&self) {
        *self.frozen.lock().unwrap() = Some(Box::pin(self.thaw.clone().cancelled_owned()));
    }

    async fn ask(&self) -> Result<Streaming<ChatStreamResponse>, Status> {
        self.ask_within(DEADLINE).await
    }

    async fn ask_within(&self, time: Duration) -> Result<Streaming<ChatStreamResponse>, Status> {
        let mut client = InferenceClient::new(self.channel.clone());
        let mut request = Request::new(stage::chat_stream(in_germany()));
        request.set_timeout(time);
        client.chat_stream(request).await.map(tonic::Response::into_inner)
    }
}

/// A node whose answers go on while anybody takes them.
struct Flood {
    _node: Node,
    said: Arc<AtomicUsize>,
    ended: mpsc::UnboundedReceiver<Instant>,
}

impl Flood {
    async fn of(scene: &Scene) -> Self {
        Self::of_pieces(scene, usize::MAX).await
    }

    /// Which falls silent after so many pieces, and does not end.
    async fn of_pieces(scene: &Scene, pieces: usize) -> Self {
        let (said, (ends, ended)) = (Arc::<AtomicUsize>::default(), mpsc::unbounded_channel());
        // Fields that nobody knows, which a reader passes over.
        let piece = Bytes::from(framed(&[0x78, 0].repeat(8 * 1024)));
        let counted = Arc::clone(&said);
        let script = move |answering: Answering| {
            let (piece, said, ends) = (piece.clone(), Arc::clone(&counted), ends.clone());
            spawn(async move {
                for _ in 0..pieces {
                    if answering.send(Ok(Frame::data(piece.clone()))).await.is_err() {
                        break;
                    }
                    said.fetch_add(1, Ordering::SeqCst);
                }
                answering.closed().await;
                let _over = ends.send(Instant::now());
            });
        };
        let node = stage::node(scene, "a.example", "DE", 1, Arc::new(script)).await;
        Self { _node: node, said, ended }
    }

    /// Until all between the node and a reader is full.
    async fn is_dammed(&self) {
        let quiet = async {
            let mut before = 0;
            loop {
                tokio::time::sleep(QUIET).await;
                let now = self.said.load(Ordering::SeqCst);
                if now == before && now > 0 {
                    return;
                }
                before = now;
            }
        };
        tokio::time::timeout(DEADLINE, quiet).await.expect("the reader stalls");
    }
}

fn assert_in_time(what: &str, how: Loses, took: Duration) {
    assert!(took < PROMISED, "{how:?}: {what} took {took:?}");
}

async fn in_time<F: Future>(what: &str, how: Loses, happens: F) -> F::Output {
    let happened = tokio::time::timeout(DEADLINE, happens).await;
    happened.unwrap_or_else(|_| panic!("{how:?}: {what} does not end"))
}

/// Every outcome in the log says why the answer had to end.
async fn assert_recorded(scene: &Scene, answers: usize) {
    scene.stop().await;
    let (_, outcomes) = decision_log::read(&scene.file("decisions"));
    let outcomes: Vec<_> = outcomes.iter().map(|outcome| (outcome.grpc_code, outcome.cancelled)).collect();
    assert_eq!(outcomes, vec![(Code::PermissionDenied.into(), false); answers]);
}

#[tokio::test]
async fn a_reader_with_a_full_window_has_stream_and_connection_closed_within_a_second() {
    let scene = Scene::new().await;
    let mut flood = Flood::of(&scene).await;
    for (index, (how, _)) in ALL.into_iter().enumerate() {
        let member = scene.admit(ORG, Kind::App, &format!("m{index}")).await;
        let line = Line::of(&scene, &member, WINDOW).await;
        let _unread = line.ask().await.unwrap();
        flood.is_dammed().await;
        let word = Instant::now();
        lose(&scene, &member, how).await;
        in_time("the connection", how, line.gone.cancelled()).await;
        assert_in_time("the connection", how, word.elapsed());
        let ended = in_time("the node's stream", how, flood.ended.recv()).await.unwrap();
        assert_in_time("the node's stream", how, ended - word);
        if matches!(how, Loses::Organisation) {
            scene.lift(ORG).await;
        }
    }
    assert_recorded(&scene, ALL.len()).await;
}

#[tokio::test]
async fn a_reader_that_takes_no_byte_has_stream_and_connection_closed_within_a_second() {
    let scene = Scene::new().await;
    let mut flood = Flood::of(&scene).await;
    let how = Loses::Membership;
    let member = scene.admit(ORG, Kind::App, "m").await;
    let line = Line::of(&scene, &member, WIDE).await;
    let _unread = line.ask().await.unwrap();
    line.freeze();
    flood.is_dammed().await;
    let word = Instant::now();
    lose(&scene, &member, how).await;
    let ended = in_time("the node's stream", how, flood.ended.recv()).await.unwrap();
    assert_in_time("the node's stream", how, ended - word);
    line.thaw.cancel();
    in_time("the connection", how, line.gone.cancelled()).await;
    assert_recorded(&scene, 1).await;
}

#[tokio::test]
async fn a_reader_that_reads_keeps_its_connection_until_it_stalls() {
    let scene = Scene::new().await;
    let mut flood = Flood::of(&scene).await;
    let how = Loses::Organisation;
    let member = scene.admit(ORG, Kind::App, "m").await;
    let line = Line::of(&scene, &member, WINDOW).await;
    let mut read = line.ask().await.unwrap();
    let ((), told) = tokio::join!(lose(&scene, &member, how), async {
        loop {
            if let Err(status) = read.message().await {
                break status;
            }
        }
    });
    assert_told(&told, "ChatStream", how, "ORGANISATION_SUSPENDED");
    tokio::time::sleep(PROMISED).await;
    let refused = line.ask().await.unwrap_err();
    assert_told(&refused, "ChatStream", how, "ORGANISATION_SUSPENDED");
    assert!(!line.gone.is_cancelled(), "it has read all that it was told");
    scene.lift(ORG).await;
    flood.ended.recv().await.unwrap();
    let _unread = line.ask().await.unwrap();
    flood.is_dammed().await;
    lose(&scene, &member, how).await;
    in_time("the connection", how, line.gone.cancelled()).await;
    assert_recorded(&scene, 2).await;
}

#[tokio::test]
async fn who_is_let_back_in_and_loses_its_part_again_at_once_has_as_long_again_to_read_why() {
    let scene = Scene::new().await;
    let mut flood = Flood::of(&scene).await;
    let how = Loses::Organisation;
    let member = scene.admit(ORG, Kind::App, "m").await;
    let line = Line::of(&scene, &member, WINDOW).await;
    lose(&scene, &member, how).await;
    let first = Instant::now();
    scene.lift(ORG).await;
    let mut read = line.ask().await.unwrap();
    flood.is_dammed().await;
    tokio::time::sleep_until(first + TO_READ - QUIET / 2).await;
    lose(&scene, &member, how).await;
    // The time of the first loss is over, and that of the second is not.
    tokio::time::sleep_until(first + TO_READ + QUIET / 2).await;
    let told = loop {
        if let Err(status) = read.message().await {
            break status;
        }
    };
    assert_told(&told, "ChatStream", how, "ORGANISATION_SUSPENDED");
    assert!(!line.gone.is_cancelled());
    flood.ended.recv().await.unwrap();
    assert_recorded(&scene, 1).await;
}

/// What a reader may take before its deadline.
const SHORT: Duration = Duration::from_secs(2);

async fn assert_ended_at_the_deadline(scene: &Scene, line: &Line, flood: &mut Flood) {
    let ended = tokio::time::timeout(DEADLINE, flood.ended.recv()).await;
    assert!(ended.is_ok(), "the node's stream goes on after the deadline");
    wait_for_no_place_taken(scene).await;
    assert!(!line.gone.is_cancelled(), "other calls of the connection go on");
}

async fn wait_for_no_place_taken(scene: &Scene) {
    let free = async {
        while !scrape(scene).await.contains("\ncomity_broker_calls_in_flight 0\n") {
            tokio::time::sleep(QUIET).await;
        }
    };
    tokio::time::timeout(DEADLINE, free).await.expect("the place is free");
}

async fn assert_the_deadline_is_recorded(scene: &Scene) {
    scene.stop().await;
    let (_, outcomes) = decision_log::read(&scene.file("decisions"));
    let outcomes: Vec<_> = outcomes.iter().map(|outcome| (outcome.grpc_code, outcome.cancelled)).collect();
    assert_eq!(outcomes, [(Code::DeadlineExceeded.into(), false)]);
}

#[tokio::test]
async fn a_reader_with_a_full_window_keeps_neither_stream_nor_place_past_its_deadline_and_its_connection_goes_on() {
    for pieces in [usize::MAX, 1] {
        let scene = Scene::founded();
        start_counting(&scene).await;
        let mut flood = Flood::of_pieces(&scene, pieces).await;
        let member = scene.admit(ORG, Kind::App, "m").await;
        let line = Line::of(&scene, &member, WINDOW).await;
        let mut unread = line.ask_within(SHORT).await.unwrap();
        flood.is_dammed().await;
        assert_ended_at_the_deadline(&scene, &line, &mut flood).await;
        let cut_off = loop {
            if let Err(status) = unread.message().await {
                break status;
            }
        };
        assert_ne!(cut_off.code(), Code::Ok);
        assert_the_deadline_is_recorded(&scene).await;
    }
}

#[tokio::test]
async fn a_reader_that_takes_no_byte_keeps_neither_stream_nor_place_past_its_deadline() {
    let scene = Scene::founded();
    start_counting(&scene).await;
    let mut flood = Flood::of(&scene).await;
    let member = scene.admit(ORG, Kind::App, "m").await;
    let line = Line::of(&scene, &member, WIDE).await;
    let _unread = line.ask_within(SHORT).await.unwrap();
    line.freeze();
    flood.is_dammed().await;
    assert_ended_at_the_deadline(&scene, &line, &mut flood).await;
    line.thaw.cancel();
    assert_the_deadline_is_recorded(&scene).await;
}

#[tokio::test]
async fn whoever_reads_on_soon_after_the_deadline_is_told_that_it_has_passed() {
    let scene = Scene::new().await;
    let mut flood = Flood::of(&scene).await;
    let member = scene.admit(ORG, Kind::App, "m").await;
    let line = Line::of(&scene, &member, WINDOW).await;
    let asked = Instant::now();
    let mut read = line.ask_within(SHORT).await.unwrap();
    flood.is_dammed().await;
    tokio::time::sleep_until(asked + SHORT + QUIET / 2).await;
    let told = loop {
        if let Err(status) = read.message().await {
            break status;
        }
    };
    assert_eq!((told.code(), reason(&told).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{told}");
    flood.ended.recv().await.unwrap();
    assert_the_deadline_is_recorded(&scene).await;
}

#[tokio::test]
async fn a_reader_that_leaves_one_piece_unread_while_its_node_is_silent_has_its_connection_closed_within_a_second() {
    let scene = Scene::new().await;
    let mut flood = Flood::of_pieces(&scene, 1).await;
    let how = Loses::Membership;
    let member = scene.admit(ORG, Kind::App, "m").await;
    let line = Line::of(&scene, &member, WINDOW).await;
    let _unread = line.ask().await.unwrap();
    flood.is_dammed().await;
    let word = Instant::now();
    lose(&scene, &member, how).await;
    in_time("the connection", how, line.gone.cancelled()).await;
    assert_in_time("the connection", how, word.elapsed());
    in_time("the node's stream", how, flood.ended.recv()).await.unwrap();
    assert_recorded(&scene, 1).await;
}
