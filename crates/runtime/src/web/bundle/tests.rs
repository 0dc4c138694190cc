//! Files, and servers that answer well, too much, something else, or never. Their TLS is the client's own, which the
//! scenario of a member that joins by a bundle's URL tries: here a plain server stands for the other end.

use std::convert::Infallible;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Gives whoever comes first these bytes, and nothing after them.
async fn serve(listener: TcpListener, answer: &str) -> Infallible {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut asked = [0; 1024];
    let _read = tcp.read(&mut asked).await.unwrap();
    // Whoever has enough hangs up in the middle.
    let _cut_off = tcp.write_all(answer.as_bytes()).await.is_err();
    std::future::pending().await
}

/// What is fetched from a server that answers so.
async fn fetched(answer: &str) -> Result<Vec<u8>, BundleSourceError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/bundle", listener.local_addr().unwrap());
    let client = client(None).unwrap();
    tokio::select! {
        fetched = fetch(&client, &url) => fetched,
        never = serve(listener, answer) => match never {},
    }
}

fn problem(fetched: Result<Vec<u8>, BundleSourceError>) -> String {
    let Err(BundleSourceError::Server { problem, .. }) = fetched else { panic!("{fetched:?}") };
    problem
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_bundle_is_what_the_server_answers_with_200_and_nothing_else_is() {
    assert_eq!(fetched(&http("200 OK", "{}")).await.unwrap(), b"{}");
    assert_eq!(problem(fetched(&http("404 Not Found", "{}")).await), "it answers 404 Not Found");
    // A redirect leads to somebody who was not named.
    assert_eq!(
        problem(fetched(&http("302 Found\r\nlocation: http://127.0.0.1:9/", "{}")).await),
        "it answers 302 Found"
    );
}

#[tokio::test]
async fn an_answer_of_the_largest_size_is_taken_and_one_byte_more_is_refused() {
    let largest = fetched(&http("200 OK", &" ".repeat(MAX_BUNDLE_BYTES))).await.unwrap();
    assert_eq!(largest.len(), MAX_BUNDLE_BYTES);
    let larger = fetched(&http("200 OK", &" ".repeat(MAX_BUNDLE_BYTES + 1))).await;
    assert_eq!(problem(larger), format!("it is larger than {MAX_BUNDLE_BYTES} bytes"));
}

#[tokio::test]
async fn a_server_that_takes_the_question_and_never_answers_is_given_up_after_20_seconds() {
    // Time goes by itself wherever everybody waits.
    tokio::time::pause();
    assert_eq!(problem(fetched("").await), "no answer within 20 s");
}

#[tokio::test]
async fn what_comes_by_plain_http_is_refused_before_anybody_is_asked_and_a_file_is_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/bundle", listener.local_addr().unwrap());
    let refused = load(&url).await.unwrap_err();
    assert!(matches!(&refused, BundleSourceError::Insecure { url: named } if *named == url), "{refused}");
    let nobody = std::future::poll_fn(|context| std::task::Poll::Ready(listener.poll_accept(context).is_pending()));
    assert!(nobody.await, "somebody was asked");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle.json");
    let missing = load(path.to_str().unwrap()).await.unwrap_err();
    assert!(
        matches!(&missing, BundleSourceError::File { .. }) && missing.to_string().contains("https://"),
        "{missing}"
    );
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(load(path.to_str().unwrap()).await.unwrap(), b"{}");
}
