//! A model server that speaks OpenAI's API and does as it is told: it answers, is
//! slow, stalls, lies or breaks off. It remembers every byte that it was sent, so
//! that "no leak" can be checked, and whether its caller left.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::wait;

/// What the server does with a request for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers in pieces, as it should.
    Answer,
    /// Answers in pieces, with [`PAUSE`] before each of them.
    Slow,
    /// Answers, in pieces if it is asked to, with [`SHORT_PAUSE`] before each of them, or before the whole.
    Brisk,
    /// Says nothing until its caller leaves.
    Silent,
    /// Sends two pieces of a stream, and the rest once it is told to do something else.
    Held,
    /// Sends two pieces of a stream, then nothing until its caller leaves.
    Stall,
    /// Sends two pieces of a stream, then closes the connection.
    Cut,
    /// Answers 200 with something that is not what was asked for.
    Garbage,
    /// Answers with this HTTP status and an error in JSON.
    Status(u16),
    /// Answers with HTTP status 429 and `Retry-After` of so many seconds.
    RetryAfter(u16),
    /// Answers with this HTTP status and what it was asked, as servers do that say what they did not understand.
    Echo(u16),
}

impl Behaviour {
    /// What comes before each piece.
    fn pause(self) -> Option<Duration> {
        let slow = (self == Self::Slow).then_some(PAUSE);
        slow.or_else(|| (self == Self::Brisk).then_some(SHORT_PAUSE))
    }
}

/// The pieces of every good answer.
pub const PIECES: [&str; 4] = ["The capital ", "of France ", "is ", "Paris."];

/// How long a slow server takes for each of the pieces: the whole answer takes longer than [`SLOW_LIMIT_SECONDS`],
/// no piece does.
pub const PAUSE: Duration = Duration::from_millis(900);

/// How long a brisk server takes for each of the pieces.
pub const SHORT_PAUSE: Duration = Duration::from_millis(350);

/// How often a server that holds back looks whether it still has to.
const GLANCE: Duration = Duration::from_millis(10);

/// Seconds of silence that a node grants a slow server.
pub const SLOW_LIMIT_SECONDS: u32 = 3;

/// Nobody listens there: port 9 is kept for a service that throws away what it gets, and that nobody runs.
pub const NOBODY: &str = "http://127.0.0.1:9/v1";

/// The server; it serves until it is dropped.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    behaviour: Mutex<Behaviour>,
    asked: Mutex<Vec<Vec<u8>>>,
    left: AtomicUsize,
}

impl State {
    fn is_held(&self) -> bool {
        *self.behaviour.lock().unwrap() == Behaviour::Held
    }
}

impl Backend {
    /// Serves on a free port of this machine.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(State { behaviour: Mutex::new(behaviour), asked: Mutex::default(), left: AtomicUsize::new(0) });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || while serve(&stream, &state).is_some() {});
            }
        });
        Self { address, state }
    }

    /// Its base URL, as it stands in a `node.toml`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Does something else from the next request on.
    ///
    /// # Panics
    /// If a serving thread panicked.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    /// The bodies of all requests for an answer.
    ///
    /// # Panics
    /// If a serving thread panicked.
    #[must_use]
    pub fn asked(&self) -> Vec<Vec<u8>> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How many callers left before they had their answer.
    #[must_use]
    pub fn left(&self) -> usize {
        self.state.left.load(Ordering::SeqCst)
    }

    /// Forgets what it was asked, and who left.
    ///
    /// # Panics
    /// If a serving thread panicked.
    pub fn forget(&self) {
        self.state.asked.lock().unwrap().clear();
        self.state.left.store(0, Ordering::SeqCst);
    }

    /// Waits until a caller has left.
    pub fn wait_until_left(&self) {
        wait::until("the backend's caller has left", || (self.left() > 0).then_some(()));
    }
}

/// Serves one request; nothing if the connection is over.
fn serve(mut stream: &TcpStream, state: &State) -> Option<()> {
    let (line, body) = read_request(stream)?;
    if line.starts_with("GET ") {
        let models = json!({ "object": "list", "data": [{ "id": "test-model", "object": "model" }] });
        return respond(stream, 200, "application/json", &models.to_string());
    }
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let echo = json!({ "error": { "message": String::from_utf8_lossy(&body), "type": "test" } }).to_string();
    state.asked.lock().unwrap().push(body);
    let behaviour = *state.behaviour.lock().unwrap();
    match behaviour {
        Behaviour::Echo(status) => respond(stream, status, "application/json", &echo),
        Behaviour::RetryAfter(seconds) => {
            let head = format!("HTTP/1.1 429 Test\r\nretry-after: {seconds}\r\ncontent-length: 2\r\n\r\n{{}}");
            stream.write_all(head.as_bytes()).ok()
        }
        Behaviour::Silent => leave(stream, state),
        Behaviour::Garbage => respond(stream, 200, "text/html", "<html>It works!</html>"),
        Behaviour::Status(status) => {
            respond(stream, status, "application/json", r#"{"error":{"message":"the backend says no","type":"test"}}"#)
        }
        Behaviour::Answer if line.contains("/embeddings") => {
            respond(stream, 200, "application/json", &embeddings(&wanted))
        }
        Behaviour::Answer if wanted.get("stream") != Some(&Value::Bool(true)) => {
            respond(stream, 200, "application/json", &answer())
        }
        Behaviour::Brisk if wanted.get("stream") != Some(&Value::Bool(true)) => {
            std::thread::sleep(SHORT_PAUSE);
            respond(stream, 200, "application/json", &answer())
        }
        Behaviour::Slow
        | Behaviour::Brisk
        | Behaviour::Answer
        | Behaviour::Held
        | Behaviour::Stall
        | Behaviour::Cut => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
                .ok()?;
            let whole = matches!(behaviour, Behaviour::Answer | Behaviour::Slow | Behaviour::Brisk | Behaviour::Held);
            for (sent, piece) in PIECES.iter().enumerate().take(if whole { PIECES.len() } else { 2 }) {
                while behaviour == Behaviour::Held && sent == 2 && state.is_held() {
                    std::thread::sleep(GLANCE);
                }
                if let Some(pause) = behaviour.pause() {
                    std::thread::sleep(pause);
                }
                let event = json!({ "choices": [{ "index": 0, "delta": { "content": piece } }] });
                if send_event(stream, &event).is_none() {
                    // Who closes the connection while there is more to come has left, however early.
                    state.left.fetch_add(1, Ordering::SeqCst);
                    return None;
                }
            }
            if behaviour == Behaviour::Stall {
                return leave(stream, state);
            }
            if whole {
                send_event(stream, &json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }))?;
                send_event(stream, &json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 4 } }))?;
                stream.write_all(b"data: [DONE]\n\n").ok()?;
            }
            stream.shutdown(std::net::Shutdown::Both).ok();
            None
        }
    }
}

/// The request's first line and its body.
fn read_request(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, body))
}

fn respond(mut stream: &TcpStream, status: u16, kind: &str, body: &str) -> Option<()> {
    let head = format!("HTTP/1.1 {status} Test\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).ok()
}

fn send_event(mut stream: &TcpStream, event: &Value) -> Option<()> {
    stream.write_all(format!("data: {event}\n\n").as_bytes()).ok()
}

/// Says nothing until the caller closes the connection, and remembers that it did.
fn leave(mut stream: &TcpStream, state: &State) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(300))).ok()?;
    let gone = !matches!(stream.read(&mut [0; 1]), Ok(1..));
    if gone {
        state.left.fetch_add(1, Ordering::SeqCst);
    }
    None
}

fn answer() -> String {
    let message = json!({ "role": "assistant", "content": PIECES.concat() });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    json!({ "choices": [choice], "usage": { "prompt_tokens": 9, "completion_tokens": 4 } }).to_string()
}

fn embeddings(wanted: &Value) -> String {
    let texts = wanted.get("input").and_then(Value::as_array).map_or(1, Vec::len);
    let rows: Vec<Value> = (0..texts).map(|index| json!({ "index": index, "embedding": [0.6, 0.8] })).collect();
    json!({ "data": rows, "usage": { "prompt_tokens": texts } }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(backend: &Backend) -> String {
        let mut stream = TcpStream::connect(backend.address).unwrap();
        stream.set_read_timeout(Some(wait::PATIENCE)).unwrap();
        let body = r#"{"stream":true}"#;
        write!(stream, "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[test]
    fn it_does_as_it_is_told_and_remembers_what_it_was_asked() {
        let backend = Backend::start(Behaviour::Status(429));
        assert!(ask(&backend).starts_with("HTTP/1.1 429"));
        backend.behave(Behaviour::Garbage);
        assert!(ask(&backend).contains("It works!"));
        assert_eq!(backend.asked().len(), 2);
    }

    #[test]
    fn a_caller_that_leaves_is_noticed() {
        let backend = Backend::start(Behaviour::Stall);
        let _first_bytes = ask(&backend);
        backend.wait_until_left();
        assert_eq!(backend.left(), 1);
    }
}
