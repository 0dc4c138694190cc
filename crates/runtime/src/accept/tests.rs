use std::sync::Arc;
use std::time::Duration;

use comity_types::{Clock, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_stream::StreamExt as _;
use tonic::transport::server::Connected as _;

use super::{Connection, HANDSHAKE_DEADLINE, Incoming, Listener, Places};
use crate::clock::SystemClock;
use crate::dial;
use crate::socket::Socket;
use crate::tasks::{Closed, Tasks};
use crate::testing::{LIFETIME, Log, Organisation, PATIENCE, World, eventually, listen};

async fn next(incoming: &mut Incoming) -> Connection {
    timeout(PATIENCE, incoming.next()).await.expect("a connection").unwrap().unwrap()
}

/// The server's first word, without which a dialler does not know that it was taken.
async fn greet(connection: &mut Connection) {
    connection.write_all(b"hello").await.unwrap();
    connection.flush().await.unwrap();
}

/// A connection from both sides.
async fn pair(world: &World, address: &str, incoming: &mut Incoming) -> (Connection, TlsStream<Socket>) {
    let client = dial::connect(address, world.client(&world.member, "app/x"));
    let server = async {
        let mut server = next(incoming).await;
        greet(&mut server).await;
        server
    };
    let (client, server) = tokio::join!(client, server);
    (server, client.unwrap())
}

#[tokio::test]
async fn a_member_is_known_by_its_certificate() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, mut incoming) = listen(world.acceptor(), &tasks).await;
    let (server, mut client) = pair(&world, &address.to_string(), &mut incoming).await;
    let mut word = [0; 5];
    client.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"hello");
    assert_eq!(*server.connect_info().peer.unwrap().id(), world.member.id("app/x"));
}

#[tokio::test]
async fn a_stalled_handshake_does_not_hold_up_another() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, mut incoming) = listen(world.acceptor(), &tasks).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(&[0x16, 3, 1]).await.unwrap();
    drop(pair(&world, &address.to_string(), &mut incoming).await);
    drop((silent, half));
}

#[tokio::test]
async fn an_address_that_stalls_all_its_handshakes_leaves_room_for_others() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, mut incoming) = listen(world.acceptor(), &tasks).await;
    let mut silent = Vec::new();
    for _ in 0..super::MAX_HANDSHAKES_PER_ADDRESS {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut one_too_many = TcpStream::connect(address).await.unwrap();
    let ended = timeout(HANDSHAKE_DEADLINE / 2, one_too_many.read_u8()).await.expect("the server hangs up at once");
    assert!(ended.is_err());
    // Any address of 127.0.0.0/8 is this machine's.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let other = other.connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(world.client(&world.member, "app/x"));
    let (client, _server) = tokio::join!(connector.connect("broker".try_into().unwrap(), other), next(&mut incoming));
    client.unwrap();
}

#[tokio::test]
async fn an_address_whose_strangers_stay_leaves_room_for_others_and_gets_it_back_when_they_go() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, mut incoming) = listen(world.acceptor(), &tasks).await;
    let (address, mut strangers) = (address.to_string(), Vec::new());
    for _ in 0..super::MAX_HANDSHAKES_PER_ADDRESS {
        strangers.push(unless_refused(&address, world.enrolling(), &mut incoming).await.expect("its share"));
    }
    assert!(unless_refused(&address, world.enrolling(), &mut incoming).await.is_none(), "one too many is taken");
    drop(strangers);
    drop(unless_refused(&address, world.enrolling(), &mut incoming).await.expect("they are given back"));
}

/// A connection from both sides, unless the server hangs up on whoever dials.
async fn unless_refused(
    address: &str,
    client: Arc<rustls::ClientConfig>,
    incoming: &mut Incoming,
) -> Option<(Connection, TlsStream<Socket>)> {
    let mut client = std::pin::pin!(dial::connect(address, client));
    let server = async {
        let mut server = next(incoming).await;
        greet(&mut server).await;
        server
    };
    tokio::select! {
        server = server => Some((server, client.await.unwrap())),
        refused = &mut client => {
            assert!(refused.is_err(), "taken before the server said a word");
            None
        }
    }
}

#[tokio::test]
async fn an_organisation_has_its_share_of_connections_and_gets_them_back_when_they_end() {
    let (world, tasks) = (World::new(), Tasks::new());
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().to_string();
    let (mut incoming, _tunnels) =
        listener.incoming_of(Places::new(3 * super::MAX_ORGANISATIONS_PART), world.acceptor(), &tasks);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(pair(&world, &address, &mut incoming).await);
    }
    let one_too_many = unless_refused(&address, world.client(&world.member, "app/x"), &mut incoming).await;
    assert!(one_too_many.is_none(), "one too many is taken");
    held.pop();
    drop(pair(&world, &address, &mut incoming).await);
}

#[tokio::test]
async fn organisations_that_take_all_connections_they_can_get_leave_some_for_one_that_has_none() {
    let hostile: Vec<_> = (0..9).map(|i| Organisation::new(&format!("h{i}.example"))).collect();
    let (world, tasks) = (World::trusting(&hostile), Tasks::new());
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().to_string();
    let (mut incoming, _tunnels) = listener.incoming_of(Places::new(32), world.acceptor(), &tasks);
    let mut held = Vec::new();
    for organisation in &hostile {
        let client = world.client(organisation, "app/x");
        while let Some(connection) = unless_refused(&address, Arc::clone(&client), &mut incoming).await {
            held.push(connection);
        }
    }
    assert!(held.len() >= 24, "those who want many have most: {}", held.len());
    drop(pair(&world, &address, &mut incoming).await);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_handshake_ends_at_its_deadline() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, _incoming) = listen(world.acceptor(), &tasks).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let ended = timeout(HANDSHAKE_DEADLINE * 2, silent.read_u8()).await.expect("the server hangs up");
    assert!(ended.is_err());
}

#[tokio::test]
async fn a_stranger_is_refused_with_an_alert_and_logged_once_and_the_listener_goes_on() {
    let log = Log::default();
    let _collecting = log.collect();
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, mut incoming) = listen(world.acceptor(), &tasks).await;
    let address = address.to_string();
    let stranger = Organisation::new("stranger.example");
    let refused = dial::connect(&address, world.client(&stranger, "app/x")).await.unwrap_err();
    assert!(refused.to_string().contains("received fatal alert"), "{refused}");
    eventually(|| !log.lines_with("peer refused").is_empty()).await;
    drop(pair(&world, &address, &mut incoming).await);
    let lines = log.lines_with("peer refused");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("stranger.example is not a member in good standing"), "{lines:?}");
    assert!(log.lines_with("panicked").is_empty());
}

#[tokio::test]
async fn a_peer_without_a_certificate_is_refused_with_an_alert() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, _incoming) = listen(world.acceptor(), &tasks).await;
    // Enrolment's configuration shows no certificate; with h2, that is an ordinary client without one.
    let mut config = (*world.enrolling()).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let refused = dial::connect(&address.to_string(), Arc::new(config)).await.unwrap_err();
    assert!(refused.to_string().contains("CertificateRequired"), "{refused}");
}

#[tokio::test]
async fn enrolment_has_no_peer() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, mut incoming) = listen(world.acceptor(), &tasks).await;
    let address = address.to_string();
    let server = async {
        let mut server = next(&mut incoming).await;
        greet(&mut server).await;
        server
    };
    let (client, server) = tokio::join!(dial::connect(&address, world.enrolling()), server);
    assert_eq!(client.unwrap().get_ref().1.alpn_protocol(), Some(super::ENROLMENT_ALPN));
    assert!(server.connect_info().peer.is_none());
}

#[tokio::test]
async fn a_tunnel_comes_apart_from_calls_and_both_its_sides_are_known() {
    let (world, tasks) = (World::new(), Tasks::new());
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().to_string();
    let (mut calls, mut tunnels) = listener.incoming_and_tunnels(world.acceptor(), &tasks);
    let broker = async {
        let mut broker = next(&mut tunnels).await;
        greet(&mut broker).await;
        broker
    };
    let dialled = dial::tunnel(&address, world.tunnel(&world.member, "node/n1"), &SystemClock);
    let (broker, node) = tokio::join!(broker, dialled);
    let node = node.unwrap();
    assert_eq!(*broker.connect_info().peer.unwrap().id(), world.member.id("node/n1"));
    assert_eq!(*node.connect_info().peer.unwrap().id(), world.federation.id("broker/b1"));
    let gone = node.gone();
    assert!(!gone.is_cancelled());
    drop(node);
    assert!(gone.is_cancelled());
    drop(pair(&world, &address, &mut calls).await);
}

#[tokio::test]
async fn a_stranger_opens_no_tunnel() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, _incoming) = listen(world.acceptor(), &tasks).await;
    let stranger = Organisation::new("stranger.example");
    let refused = dial::tunnel(&address.to_string(), world.tunnel(&stranger, "node/n1"), &SystemClock).await;
    assert!(refused.unwrap_err().to_string().contains("received fatal alert"));
}

/// The acceptor's clock, just before the certificates of tests end.
#[derive(Debug)]
struct ShortlyBefore(Timestamp);

impl Clock for ShortlyBefore {
    fn now(&self) -> Timestamp {
        self.0
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let (world, tasks) = (World::new(), Tasks::new());
    let end = SystemClock.now().plus(LIFETIME).minus(Duration::from_secs(1));
    let acceptor = world.acceptor().with_clock(Arc::new(ShortlyBefore(end)));
    let (address, mut incoming) = listen(acceptor, &tasks).await;
    let (mut server, _client) = pair(&world, &address.to_string(), &mut incoming).await;
    let ended = timeout(PATIENCE, server.read_u8()).await.expect("the connection ends").unwrap_err();
    assert_eq!(ended.to_string(), "a certificate of the connection has ended");
    assert!(server.write_u8(1).await.is_err());
}

#[tokio::test]
async fn a_connection_is_cut_while_its_server_waits() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, mut incoming) = listen(world.acceptor(), &tasks).await;
    let (mut server, _client) = pair(&world, &address.to_string(), &mut incoming).await;
    let info = server.connect_info();
    let (read, ()) = tokio::join!(timeout(PATIENCE, server.read_u8()), async { info.cut.cancel() });
    assert_eq!(read.expect("the connection ends").unwrap_err().to_string(), "the connection was cut");
}

#[tokio::test]
async fn the_listener_ends_with_the_tasks_and_its_connections_do_not() {
    let (world, tasks) = (World::new(), Tasks::new());
    let (address, mut incoming) = listen(world.acceptor(), &tasks).await;
    let (mut server, mut client) = pair(&world, &address.to_string(), &mut incoming).await;
    let _stalled = TcpStream::connect(address).await.unwrap();
    assert_eq!(tasks.close(PATIENCE).await, Closed::Drained);
    assert!(incoming.next().await.is_none());
    assert!(TcpStream::connect(address).await.is_err());
    client.write_all(b"x").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(timeout(PATIENCE, server.read_u8()).await.unwrap().unwrap(), b'x');
}
