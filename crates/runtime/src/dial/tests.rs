use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::testing::World;

fn tls() -> Arc<ClientConfig> {
    let world = World::new();
    world.client(&world.member, "app/x")
}

#[tokio::test]
async fn an_address_without_a_listener_is_refused_at_once() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = connect(&unused.to_string(), tls()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_is_given_up_at_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let before = Instant::now();
    let refused = connect(&address, tls()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    assert_eq!(refused.to_string(), format!("no connection to {address} within 10 s"));
    assert!(before.elapsed() >= DEADLINE);
}
