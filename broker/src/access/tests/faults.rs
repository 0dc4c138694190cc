//! What becomes of a request when its first node fails, fault by fault: `docs/faults.md`, which is held against what happens.
//!
//! Each fault is met twice, in either mode of commit: with another eligible node, and alone. Beside what the table shows, in
//! each case: nobody outside the eligible set is connected to, the node's call has ended when the caller's has, what the
//! caller was told is what the record says, and the receipt is there.

mod connections;
mod raw;

use std::fmt::Write as _;
use std::sync::Mutex;

use comity_proto::error::{RETRY_AFTER_SECONDS, retry_after};
use futures::StreamExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use self::raw::Says;
use super::node::{Answering, Script, bytes, spawn};
use super::world::soon;
use super::*;

/// How long callers wait for what never comes.
const DEADLINE: &str = "1500m";
/// How long they wait otherwise: longer than it takes to give up an address.
const PATIENT: &str = "9S";
/// How many rows are tried at once.
const AT_ONCE: usize = 8;
/// Where nobody listens: the discard port, below those that are given out.
const NOBODY: &str = "127.0.0.1:9";
/// A name that no server of names has (RFC 6761).
const NO_NAME: &str = "node.invalid:443";

/// Four bytes of a message of nine.
const HALF: &[u8] = b"\0\0\0\0\x09half";
/// A message that says of itself that it is compressed.
const COMPRESSED: &[u8] = b"\x01\0\0\0\x01x";

/// A fault, as it is made.
enum Fault {
    /// A node whose answers are these.
    Answers(fn() -> Script),
    /// A node whose frames are these.
    Frames(Says),
    /// An address that is this.
    At(&'static str),
    /// An address where somebody takes connections and says nothing.
    Mute,
    /// An address where connections are never completed, as behind a router that drops packets.
    Dropped,
}

struct Row {
    /// As it stands in the table.
    name: &'static str,
    method: Method,
    fault: Fault,
    timeout: &'static str,
    /// Whether a connection to the node stands when the request comes.
    is_linked: bool,
}

const fn row(name: &'static str, fault: Fault) -> Row {
    Row { name, method: Method::ChatStream, fault, timeout: PATIENT, is_linked: false }
}

/// Where one message makes an answer.
const fn unary(name: &'static str, fault: Fault) -> Row {
    Row { method: Method::Chat, ..row(name, fault) }
}

/// Where the node has been asked before.
const fn linked(name: &'static str, fault: Fault) -> Row {
    Row { is_linked: true, ..row(name, fault) }
}

const fn endless(name: &'static str, fault: Fault) -> Row {
    Row { timeout: DEADLINE, ..row(name, fault) }
}

const ROWS: &[Row] = &[
    row("HTTP 429 of its backend, without `Retry-After`", Fault::Answers(|| declines(rate_limited()))),
    row(
        "HTTP 429 of its backend, with `Retry-After: 7`",
        Fault::Answers(|| declines(rate_limited().with(RETRY_AFTER_SECONDS, 7))),
    ),
    row("HTTP 500 of its backend", Fault::Answers(|| declines(failed(500)))),
    row("HTTP 503 of its backend", Fault::Answers(|| declines(failed(503)))),
    row("HTTP 503 of the node itself, or of a proxy before it", Fault::Frames(raw::status_503)),
    row("connection refused", Fault::At(NOBODY)),
    row("no such name", Fault::At(NO_NAME)),
    row("packets are dropped: the connection never stands", Fault::Dropped),
    row("black hole: connected, and never a byte", Fault::Mute),
    row("answer reset before its first byte", Fault::Answers(|| once(|| says(vec![reset()])))),
    row("answer reset before its first byte, each time", Fault::Answers(|| each(|| vec![reset()]))),
    row("connection closed before the first byte", Fault::Frames(raw::hung_up)),
    row("answer ended before its first byte", Fault::Answers(|| each(Vec::new))),
    row("answer reset after its first byte", Fault::Frames(raw::reset_in_the_middle)),
    row("answer ended without a status", Fault::Answers(|| each(|| vec![Ok(data("half"))]))),
    row("OK inside a message", Fault::Answers(|| each(|| vec![Ok(bytes(HALF)), Ok(ok())]))),
    row(
        "OK inside the prefix of a second message",
        Fault::Answers(|| each(|| vec![Ok(data("half")), Ok(bytes(&[0, 0, 0])), Ok(ok())])),
    ),
    row("compressed message, and no encoding named", Fault::Answers(|| each(|| vec![Ok(bytes(COMPRESSED)), Ok(ok())]))),
    row(
        "compressed second message, and no encoding named",
        Fault::Answers(|| each(|| vec![Ok(data("half")), Ok(bytes(COMPRESSED)), Ok(ok())])),
    ),
    unary("OK without the one message", Fault::Answers(|| each(|| vec![Ok(ok())]))),
    unary(
        "OK after two messages, where one makes an answer",
        Fault::Answers(|| each(|| vec![Ok(data("half")), Ok(data("more")), Ok(ok())])),
    ),
    endless("stall before the first byte", Fault::Answers(|| held(None))),
    endless("stall in the middle", Fault::Answers(|| held(Some("half")))),
    row("malformed frame before the first byte", Fault::Frames(raw::malformed)),
    row("malformed frame in the middle", Fault::Frames(raw::malformed_in_the_middle)),
    linked("GOAWAY, the request not looked at", Fault::Frames(raw::goaway_before_the_request)),
    row(
        "GOAWAY on a connection that was made for the request, which is not looked at",
        Fault::Frames(raw::goaway_before_the_request),
    ),
    row("GOAWAY in the middle, what runs is finished", Fault::Frames(raw::goaway_gracefully)),
    row("GOAWAY with an error before the first byte", Fault::Frames(raw::goaway_in_error)),
    row("GOAWAY with an error in the middle", Fault::Frames(raw::goaway_in_error_in_the_middle)),
    row("stream refused (`REFUSED_STREAM`)", Fault::Frames(raw::refused_stream)),
];

fn rate_limited() -> Failure {
    Failure::new(Code::ResourceExhausted, "BACKEND_RATE_LIMITED", "the backend is rate-limited")
}

fn failed(status: u16) -> Failure {
    Failure::new(Code::Unavailable, "BACKEND_FAILED", "the backend failed").with("http_status", status)
}

type Frames = Vec<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>;

/// The same frames for each request.
fn each(frames: fn() -> Frames) -> Script {
    Arc::new(move |answering| frames().into_iter().for_each(|frame| answering.try_send(frame).unwrap()))
}

/// That for the first request, and an answer for the others.
fn once(first: fn() -> Script) -> Script {
    let first = Mutex::new(Some(first()));
    Arc::new(move |answering| match first.lock().unwrap().take() {
        Some(first) => first(answering),
        None => answers("hello")(answering),
    })
}

/// Says this, and then nothing for as long as somebody listens.
fn held(text: Option<&'static str>) -> Script {
    Arc::new(move |answering: Answering| {
        if let Some(text) = text {
            answering.try_send(Ok(data(text))).unwrap();
        }
        spawn(async move { answering.closed().await });
    })
}

/// What was seen of one request.
struct Seen {
    told: String,
    tries: String,
}

/// An address where no connection is ever completed: the queue of those that nobody takes is full. It has to be kept.
async fn full_queue() -> (String, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let (listener, mut waiting) = (socket.listen(1).unwrap(), Vec::new());
    while let Ok(connected) = tokio::time::timeout(FULL, TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
    }
    (address.to_string(), listener, waiting)
}

/// The address of somebody who takes connections, keeps them, and says nothing.
async fn mute() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    address
}

/// A connection to this machine that takes longer does not come about.
const FULL: std::time::Duration = std::time::Duration::from_millis(300);

/// Meets a fault: the node that has it is the cheapest, so that it is asked first.
async fn meet(row: &Row, commit: Commit, has_other: bool) -> Seen {
    let log = |path: &std::path::Path, key, clock| DecisionLog::open(&path.join("decisions"), key, clock).unwrap().0;
    let world = World::with(log, commit).await;
    let never: Script = Arc::new(|_| panic!("an address that is no node's was asked"));
    let script = if let Fault::Answers(script) = row.fault { script() } else { never };
    let failing = world.node("a.example", "DE", 1, script).await;
    let (address, _kept) = match row.fault {
        Fault::Answers(_) => (failing.address.clone(), None),
        Fault::Frames(says) => (raw::serve(&world, &failing.id, says).await.0, None),
        Fault::At(address) => (address.to_owned(), None),
        Fault::Mute => (mute().await, None),
        Fault::Dropped => {
            let (address, listener, waiting) = full_queue().await;
            (address, Some((listener, waiting)))
        }
    };
    if address != failing.address {
        world.publish(&failing, &address, "DE", 1).await;
    }
    if row.is_linked {
        world.links.connect(&failing.id).await.unwrap();
    }
    let other = if has_other { Some(world.node("b.example", "DE", 2, answers("other")).await) } else { None };
    let abroad = world.node("c.example", "US", 1, answers("from abroad")).await;

    let timeout = [("grpc-timeout", row.timeout)];
    let (bytes, trailers) = read(world.call(row.method, framed(&message(in_germany())), &timeout).await).await;
    let (code, _) = ended(&trailers);
    assert!(trailers.contains_key("comity-receipt-bin"), "{}: no receipt", row.name);
    assert_eq!(abroad.connections(), 0, "{}: somebody who is not eligible was connected to", row.name);
    let outcome = world.journal(1).await.1.remove(0);
    assert_eq!((outcome.grpc_code, outcome.cancelled), (i32::from(code), false), "{}", row.name);
    for node in [Some(&failing), other.as_ref()].into_iter().flatten() {
        soon("the node's call ends", || (world.links.in_flight(&node.id) == 0).then_some(())).await;
    }
    Seen { told: told(&bytes, &trailers), tries: tries(&outcome.tries) }
}

/// What the caller is told, as the table has it.
fn told(bytes: &[u8], trailers: &http::HeaderMap) -> String {
    let (code, reason) = ended(trailers);
    let text = String::from_utf8_lossy(bytes);
    if code == Code::Ok {
        return format!("answered: {text}");
    }
    let mut told = if text.is_empty() { String::new() } else { format!("\"{text}\", then ") };
    write!(told, "`{code:?}` `{reason}`").unwrap();
    if let Some(after) = Status::from_header_map(trailers).as_ref().and_then(retry_after) {
        write!(told, ", again after {} s", after.as_secs()).unwrap();
    }
    told
}

/// The tries of a record, as the table has them: which node, and why it was not the last.
fn tries(record: &str) -> String {
    let tries: Vec<serde_json::Value> = serde_json::from_str(record).unwrap();
    let one = |tried: &serde_json::Value| {
        let node = if tried["offer"] == "a.example/n1/o1" { "it" } else { "other" };
        tried["failed"].as_str().map_or_else(|| node.to_owned(), |failed| format!("{node} ({failed})"))
    };
    tries.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A row of the table, as it happens.
async fn happens(row: &Row, commit: Commit) -> String {
    let (with_other, alone) =
        futures::future::join(Box::pin(meet(row, commit, true)), Box::pin(meet(row, commit, false))).await;
    format!("| {} | {} | {} | {} | {} |", row.name, with_other.told, with_other.tries, alone.told, alone.tries)
}

async fn table(commit: Commit) -> Vec<String> {
    futures::stream::iter(ROWS).map(|row| happens(row, commit)).buffered(AT_ONCE).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_has_the_outcome_that_the_document_promises_in_either_mode_of_commit() {
    let document = include_str!("../../../../docs/faults.md");
    let promised: Vec<_> = document.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    for commit in [Commit::Strict, Commit::Overlapped] {
        let happened = table(commit).await;
        let differ: Vec<_> = happened.iter().filter(|row| !promised.contains(&row.as_str())).collect();
        assert!(
            differ.is_empty() && happened.len() == promised.len(),
            "with {commit:?} this is what happens; mend it, or docs/faults.md:\n{}",
            happened.join("\n")
        );
    }
}
