//! What a model server can do wrong, over a real socket: each has its fault.

use std::time::Duration;

use comity_proto::inference::content_part::Part;
use comity_proto::inference::{ContentPart, FinishReason, Message, Role};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

mod failing;

const IDLE: Duration = Duration::from_millis(300);
const SSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// A server that answers one request with these bytes, then closes, or holds the connection open.
struct Server {
    url: Url,
    request: JoinHandle<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Close,
    Hold,
}

#[expect(clippy::disallowed_methods, reason = "the test's own server")]
async fn server(answer: impl Into<Vec<u8>>, then: Then) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
    let answer = answer.into();
    let request = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let request = read_request(&mut socket).await;
        socket.write_all(&answer).await.ok();
        if then == Then::Hold {
            // Until the other side has gone: that is how a cancelled call shows.
            let _read = socket.read(&mut [0; 1]).await;
        }
        request
    });
    Server { url, request }
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> String {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = socket.read(&mut buffer).await.unwrap();
        request.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |l| l.parse().unwrap());
            if body.len() >= length {
                return request;
            }
        }
    }
}

fn backend(url: &Url) -> OpenAi {
    let key = Secret::new("k1".to_owned());
    OpenAi::new(url.clone(), Some(&key), None, Patience { first: IDLE * 3, idle: IDLE }).unwrap()
}

fn hello() -> ChatPayload {
    let content = vec![ContentPart { part: Some(Part::Text("a secret prompt".to_owned())) }];
    ChatPayload {
        messages: vec![Message { role: Role::User.into(), content, ..Message::default() }],
        ..ChatPayload::default()
    }
}

fn whole(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn chat(answer: String) -> Result<ChatResponse, Fault> {
    let server = server(answer, Then::Close).await;
    backend(&server.url).chat("m", hello()).await
}

async fn stream(answer: String, then: Then) -> (String, Result<ChatStreamResponse, Fault>) {
    let server = server(answer, then).await;
    let mut pieces = backend(&server.url).chat_stream("m", hello()).await.unwrap();
    let mut text = String::new();
    loop {
        match pieces.next().await {
            Some(Ok(piece)) if piece.finish_reason == 0 => text.push_str(&piece.text),
            Some(end) => return (text, end),
            None => panic!("a stream ended without its end"),
        }
    }
}

fn delta(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

const FINISH: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";

#[tokio::test]
async fn a_stream_is_read_to_its_end_with_usage() {
    let (text, end) =
        stream(format!("{SSE}{}{}{FINISH}{USAGE}data: [DONE]\n\n", delta("Hel"), delta("lo")), Then::Close).await;
    let end = end.unwrap();
    assert_eq!((text.as_str(), end.finish_reason()), ("Hello", FinishReason::Stop));
    assert_eq!(end.usage.map(|usage| (usage.input_tokens, usage.output_tokens)), Some((3, 2)));
}

#[tokio::test]
async fn a_stream_that_is_cut_is_an_error_even_if_it_looks_closed() {
    let (text, end) = stream(format!("{SSE}{}", delta("Hel")), Then::Close).await;
    assert_eq!((text.as_str(), end), ("Hel", Err(Fault::Truncated)));
    let (_, end) = stream(format!("{SSE}{}data: [DONE]\n\n", delta("Hel")), Then::Close).await;
    assert_eq!(end, Err(Fault::Truncated));
    let (_, end) = stream(format!("{SSE}{}data: {{\"choi", delta("Hel")), Then::Close).await;
    assert_eq!(end, Err(Fault::Truncated));
}

#[tokio::test]
async fn a_stream_that_stalls_is_ended() {
    let (text, end) = stream(format!("{SSE}{}", delta("Hel")), Then::Hold).await;
    assert_eq!((text.as_str(), end), ("Hel", Err(Fault::Stalled { after: IDLE })));
}

#[tokio::test]
async fn a_stream_whose_headers_came_has_until_the_first_byte_deadline_to_begin() {
    for silence in ["", ": waiting\n\n", "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n"] {
        let (text, end) = stream(format!("{SSE}{silence}"), Then::Hold).await;
        assert_eq!((text.as_str(), end), ("", Err(Fault::Stalled { after: IDLE * 3 })), "{silence}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let server = server("", Then::Hold).await;
    assert!(matches!(backend(&server.url).chat("m", hello()).await, Err(Fault::Stalled { .. })));
}

#[tokio::test]
async fn malformed_events_are_errors() {
    for events in ["data: {nonsense\n\n", "data: []\n\n", "data: \u{7}\n\n"] {
        let (_, end) = stream(format!("{SSE}{events}{FINISH}data: [DONE]\n\n"), Then::Close).await;
        assert!(matches!(end, Err(Fault::Malformed { .. })), "{events}: {end:?}");
    }
    let (_, end) = stream(format!("{SSE}data: {{\"error\":{{\"message\":\"x\"}}}}\n\n"), Then::Close).await;
    assert_eq!(end, Err(Fault::Failed { status: 500 }));
}

#[tokio::test]
async fn an_event_without_end_is_bounded() {
    let (_, end) = stream(format!("{SSE}data: {}", "x".repeat(3 * 1024 * 1024)), Then::Hold).await;
    assert!(matches!(end, Err(Fault::TooLarge { .. })), "{end:?}");
}

#[tokio::test]
async fn each_status_has_its_fault_and_the_prompt_is_never_echoed() {
    let echo = "{\"error\":\"a secret prompt\"}";
    let limited = chat(whole("429 Too Many Requests", "retry-after: 7\r\n", echo)).await.unwrap_err();
    assert_eq!(limited, Fault::RateLimited { retry_after_seconds: Some(7) });
    assert_eq!(chat(whole("500 Oops", "", echo)).await.unwrap_err(), Fault::Failed { status: 500 });
    assert_eq!(chat(whole("401 No", "", echo)).await.unwrap_err(), Fault::Unauthorised { status: 401 });
    let refused = chat(whole("400 Bad", "", echo)).await.unwrap_err();
    assert_eq!(refused, Fault::Refused { status: 400 });
    assert!(!format!("{refused} {refused:?}").contains("secret"));
}

#[tokio::test]
async fn garbage_is_malformed_and_a_closed_port_unreachable() {
    assert!(matches!(chat("not http at all\r\n\r\n".into()).await, Err(Fault::Malformed { .. })));
    assert!(matches!(chat(whole("200 OK", "", "<html>")).await, Err(Fault::Malformed { .. })));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    assert_eq!(backend(&url).chat("m", hello()).await.unwrap_err(), Fault::Unreachable);
}

#[tokio::test]
async fn dropping_the_answer_closes_the_connection_to_the_server() {
    let server = server(format!("{SSE}{}", delta("Hel")), Then::Hold).await;
    let mut pieces = backend(&server.url).chat_stream("m", hello()).await.unwrap();
    pieces.next().await.unwrap().unwrap();
    drop(pieces);
    let request = tokio::time::timeout(Duration::from_secs(5), server.request).await.unwrap().unwrap();
    assert!(request.starts_with("POST /v1/chat/completions "), "{request}");
    assert!(request.contains("authorization: Bearer k1"));
}

#[tokio::test]
async fn a_forwarded_body_gets_the_offers_model() {
    let server = server(whole("200 OK", "content-type: application/json\r\n", "{\"ok\":1}"), Then::Close).await;
    let payload =
        ForwardPayload { format: "openai/completions".into(), body: r#"{"model":"another","prompt":"x"}"#.into() };
    let mut pieces = backend(&server.url).forward("mine", payload).await.unwrap();
    let first = pieces.next().await.unwrap().unwrap();
    assert_eq!((first.status, first.content_type.as_str()), (200, "application/json"));
    assert_eq!(pieces.next().await.unwrap().unwrap().body, "{\"ok\":1}");
    let request = server.request.await.unwrap();
    assert!(request.contains(r#""model":"mine""#) && !request.contains("another"), "{request}");
}
