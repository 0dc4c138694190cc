//! A server that is down, slow, stalls, lies, refuses or says too much: a typed fault, and never an answer.

use super::super::http::{MAX_ANSWER_BYTES, TransferError};
use super::*;

/// Longer than any of these tests takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn texts() -> EmbedPayload {
    EmbedPayload { texts: vec!["a".to_owned(), "b".to_owned()] }
}

fn body() -> ForwardPayload {
    ForwardPayload { format: "openai/chat.completions".into(), body: r#"{"messages":[]}"#.into() }
}

/// What each way to ask the server gives for the same answer of it.
async fn every_fault(answer: &str) -> Vec<Fault> {
    let url = async || server(answer, Then::Close).await.url;
    vec![
        backend(&url().await).chat("m", hello()).await.unwrap_err(),
        backend(&url().await).chat_stream("m", hello()).await.err().unwrap(),
        backend(&url().await).embed("m", texts()).await.unwrap_err(),
        backend(&url().await).models().await.unwrap_err(),
    ]
}

/// The pieces of a forwarded answer, and what ended it.
async fn forward(answer: String, then: Then) -> (Vec<ForwardResponse>, Option<Fault>) {
    let server = server(answer, then).await;
    let mut pieces = match backend(&server.url).forward("m", body()).await {
        Ok(pieces) => pieces,
        Err(fault) => return (vec![], Some(fault)),
    };
    let mut read = vec![];
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => read.push(piece),
            Err(fault) => return (read, Some(fault)),
        }
    }
    (read, None)
}

#[tokio::test]
async fn a_server_that_is_down_is_unreachable_however_it_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = backend(&format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    drop(listener);
    assert_eq!(backend.chat("m", hello()).await.unwrap_err(), Fault::Unreachable);
    assert_eq!(backend.chat_stream("m", hello()).await.err(), Some(Fault::Unreachable));
    assert_eq!(backend.embed("m", texts()).await.unwrap_err(), Fault::Unreachable);
    assert_eq!(backend.forward("m", body()).await.err(), Some(Fault::Unreachable));
    assert_eq!(backend.models().await.unwrap_err(), Fault::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_slow_but_within_the_limits_is_waited_for() {
    let patience = Patience { first: IDLE * 3, idle: IDLE };
    let words = async_stream::stream! {
        tokio::time::sleep(patience.first - Duration::from_millis(1)).await;
        for word in ["a", "b", "c", "d", "e", "f"] {
            yield Ok::<_, TransferError>(Bytes::from(delta(word)));
            tokio::time::sleep(patience.idle - Duration::from_millis(1)).await;
        }
        yield Ok(Bytes::from(format!("{FINISH}data: [DONE]\n\n")));
    };
    let pieces: Vec<_> = stream::pieces(words, patience).map(Result::unwrap).collect().await;
    let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!((text.as_str(), pieces.last().unwrap().finish_reason()), ("abcdef", FinishReason::Stop));
}

#[tokio::test]
async fn a_stream_that_stalls_is_given_up_and_its_connection_closed() {
    let server = server(format!("{SSE}{}", delta("Hel")), Then::Hold).await;
    let mut pieces = backend(&server.url).chat_stream("m", hello()).await.unwrap();
    assert_eq!(pieces.next().await.unwrap().unwrap().text, "Hel");
    assert_eq!(pieces.next().await.unwrap(), Err(Fault::Stalled { after: IDLE }));
    assert!(pieces.next().await.is_none());
    tokio::time::timeout(PATIENCE, server.request).await.expect("the server sees its caller leave").unwrap();
}

#[tokio::test]
async fn an_answer_that_stalls_in_the_middle_is_given_up() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"choices\":";
    let held = server(half, Then::Hold).await;
    assert_eq!(backend(&held.url).chat("m", hello()).await.unwrap_err(), Fault::Stalled { after: IDLE });
    tokio::time::timeout(PATIENCE, held.request).await.expect("the server sees its caller leave").unwrap();
    let (read, fault) = forward(half.to_owned(), Then::Hold).await;
    assert_eq!((read.len(), fault), (2, Some(Fault::Stalled { after: IDLE })));
}

#[tokio::test]
async fn an_answer_that_is_shorter_than_it_said_is_cut() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"choices\":";
    assert_eq!(chat(half.to_owned()).await.unwrap_err(), Fault::Truncated);
    let (_, fault) = forward(half.to_owned(), Then::Close).await;
    assert_eq!(fault, Some(Fault::Truncated));
}

#[tokio::test]
async fn json_that_is_no_answer_is_malformed() {
    let bodies = ["", "{", "[]", "null", "{}", r#"{"choices":[]}"#, r#"{"choices":[{}]}"#, r#"{"data":[{}]}"#];
    for body in bodies {
        let answer = whole("200 OK", "", body);
        assert!(matches!(chat(answer.clone()).await, Err(Fault::Malformed { .. })), "{body}");
        let embedded = backend(&server(answer.clone(), Then::Close).await.url).embed("m", texts()).await;
        assert!(matches!(embedded, Err(Fault::Malformed { .. })), "{body}: {embedded:?}");
        let models = backend(&server(answer, Then::Close).await.url).models().await;
        assert!(matches!(models, Err(Fault::Malformed { .. })), "{body}: {models:?}");
    }
    let unknown_end = r#"{"choices":[{"message":{"content":"x"},"finish_reason":"sunset"}]}"#;
    assert!(matches!(chat(whole("200 OK", "", unknown_end)).await, Err(Fault::Malformed { .. })));
    let one_of_two = r#"{"data":[{"index":0,"embedding":[1.0]}]}"#;
    let embedded = backend(&server(whole("200 OK", "", one_of_two), Then::Close).await.url).embed("m", texts()).await;
    assert!(matches!(embedded, Err(Fault::Malformed { .. })), "{embedded:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_finished_is_cut_and_never_an_answer() {
    let unfinished = r#"{"choices":[{"message":{"content":"half an"},"finish_reason":null}]}"#;
    assert_eq!(chat(whole("200 OK", "", unfinished)).await.unwrap_err(), Fault::Truncated);
}

#[tokio::test]
async fn each_status_is_the_same_fault_however_the_server_is_asked() {
    let limited = whole("429 Too Many Requests", "retry-after: 7\r\n", "{}");
    assert_eq!(every_fault(&limited).await, vec![Fault::RateLimited { retry_after_seconds: Some(7) }; 4]);
    let dated = whole("429 Too Many Requests", "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n", "{}");
    assert_eq!(every_fault(&dated).await, vec![Fault::RateLimited { retry_after_seconds: None }; 4]);
    assert_eq!(every_fault(&whole("500 Oops", "", "{}")).await, vec![Fault::Failed { status: 500 }; 4]);
}

#[tokio::test]
async fn a_redirect_is_a_fault_and_nobody_else_is_asked() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = elsewhere.local_addr().unwrap();
    for status in [301, 302, 307, 308] {
        let answer = whole(&format!("{status} Moved"), &format!("location: http://{place}/v1/x\r\n"), "{}");
        assert_eq!(every_fault(&answer).await, vec![Fault::Failed { status }; 4]);
        assert_eq!(forward(answer, Then::Close).await, (vec![], Some(Fault::Failed { status })));
    }
    let mut asked = std::pin::pin!(elsewhere.accept());
    assert!(futures::poll!(&mut asked).is_pending(), "the redirect was followed, with this node's key");
}

#[tokio::test]
async fn what_a_server_says_of_this_nodes_key_is_not_forwarded_and_its_other_failures_are() {
    for (status, line) in [(401, "401 Unauthorized"), (403, "403 Forbidden")] {
        let answer = whole(line, "", r#"{"error":"Incorrect API key provided: k1"}"#);
        assert_eq!(forward(answer, Then::Close).await, (vec![], Some(Fault::Unauthorised { status })));
    }
    let (pieces, fault) = forward(whole("429 Too Many Requests", "", "{\"error\":1}"), Then::Close).await;
    assert_eq!((pieces[0].status, &pieces[1].body[..], fault), (429, &b"{\"error\":1}"[..], None));
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_not_read_to_its_end() {
    let answer = whole("200 OK", "", &"x".repeat(MAX_ANSWER_BYTES + 1));
    let too_large = Fault::TooLarge { limit_bytes: MAX_ANSWER_BYTES };
    assert_eq!(chat(answer.clone()).await.unwrap_err(), too_large);
    assert_eq!(forward(answer, Then::Close).await.1, Some(too_large));
}
