//! What is served to everybody is not kept from them by one.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use super::*;
use crate::testing::PATIENCE;

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// What comes until the connection ends.
async fn rest(mut tcp: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is closed with something unread is reset.
    let _reset = timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.expect("an end").is_err();
    String::from_utf8(answer).unwrap()
}

async fn ask(from: &str, to: SocketAddr) -> String {
    let mut tcp = connect(from, to).await;
    let _closed = tcp.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.is_err();
    rest(tcp).await
}

#[tokio::test]
async fn whoever_holds_connections_keeps_out_nobody_of_another_address() {
    let (tasks, endpoint) = (Tasks::new(), Endpoint::bind("127.0.0.1:0".parse().unwrap()).await.unwrap());
    let address = endpoint.local_addr();
    endpoint.serve("test", &tasks, |_| async { Answer::text(StatusCode::OK, "hello\n") });
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS_OF_ONE {
        let mut tcp = connect("127.0.0.1:0", address).await;
        tcp.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        held.push(tcp);
    }
    assert_eq!(ask("127.0.0.1:0", address).await, "", "one too many of the same");
    assert!(ask("127.0.0.2:0", address).await.ends_with("hello\n"));
    drop(held);
    let again = async {
        while ask("127.0.0.1:0", address).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.expect("a place is free again when its holder has left");
}
