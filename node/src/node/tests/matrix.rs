//! Who may call what on a node: every RPC of the contract by every kind of peer, over the wire, as `matrix.golden` has it. A
//! new RPC, or a rule that has changed, shows as a line that differs.

use std::fmt::Write as _;

use comity_identity::Authority;
use comity_proto::methods::METHODS;
use http::uri::PathAndQuery;
use rustls::ClientConfig;
use tonic::Request;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use super::*;
use crate::testing::{Broker, MovedClock, authority};

/// What may come of an empty message, by its mark in the table; everything else is a service's word, which the gate let
/// through.
const OUTCOMES: &[(char, Code, &str)] = &[
    ('b', Code::PermissionDenied, "NOT_A_BROKER"),
    ('p', Code::PermissionDenied, "PERMIT_MISSING"),
    ('-', Code::Unimplemented, "nobody serves it here"),
];
const ADMITTED: char = '+';
/// There is no connection to call over.
const NO_HANDSHAKE: char = 'h';
/// How long the head of an answer may take, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Somebody who calls, or who gets no connection to call over.
type Peer = (&'static str, Option<Channel>);

/// Peers of every kind, as far as they get to a node that listens, and the broker over a tunnel of one that dials.
async fn peers(node: &Running, tunnel: Channel) -> Vec<Peer> {
    let World { federation, organisation, .. } = &node.world;
    let [other_federation, other_organisation, namesake] =
        ["elsewhere.example", "org-b.example", "fed.example"].map(authority);
    let members: [(&'static str, &Authority, &str); 12] = [
        ("broker", federation, BROKER),
        ("broker of the federation that the root does not name", federation, "spiffe://fed.example/broker/b2"),
        ("operator of the federation", federation, "spiffe://fed.example/operator/alice"),
        ("broker of another federation", &other_federation, "spiffe://elsewhere.example/broker/b1"),
        ("the broker's name, from another authority", &namesake, BROKER),
        ("the broker's name, from the node's own organisation", organisation, "spiffe://org-a.example/broker/b1"),
        ("app of the node's organisation", organisation, "spiffe://org-a.example/app/a1"),
        ("another node of its organisation", organisation, "spiffe://org-a.example/node/n2"),
        ("operator of its organisation", organisation, "spiffe://org-a.example/operator/o1"),
        ("app of another organisation", &other_organisation, "spiffe://org-b.example/app/a1"),
        ("node of another organisation", &other_organisation, "spiffe://org-b.example/node/n1"),
        ("operator of another organisation", &other_organisation, "spiffe://org-b.example/operator/o1"),
    ];
    let mut peers = vec![("broker, over a tunnel that the node dialled", Some(tunnel))];
    for (name, authority, id) in members {
        let tls = node.client(authority, id, Arc::new(SystemClock));
        peers.push((name, node.dial_with(tls).await.ok()));
    }
    peers.push(("anonymous", node.dial_with(anonymous(&node.world)).await.ok()));
    peers
}

/// Somebody who shows no certificate, and speaks the protocol of those who do.
fn anonymous(world: &World) -> Arc<ClientConfig> {
    let organisation = &world.organisation;
    let anchors = OrganisationAnchors::new(organisation.domain().clone(), &[organisation.anchor()]).unwrap();
    let config = tls::enrolment_client_config(NODE.parse().unwrap(), Arc::new(anchors), Arc::new(SystemClock)).unwrap();
    let mut config = ClientConfig::clone(&config);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// What is said to an empty message.
async fn outcome(peer: Option<&Channel>, path: &'static str) -> char {
    let Some(channel) = peer else { return NO_HANDSHAKE };
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let answer = grpc.server_streaming(Request::new(()), PathAndQuery::from_static(path), codec);
    let Err(status) = tokio::time::timeout(DEADLINE, answer).await.expect("an answer begins") else { return ADMITTED };
    let reason = Detail::of(&status).map(|detail| detail.reason);
    let is = |(_, code, word): &&(char, Code, &str)| match &reason {
        Some(reason) => reason == word,
        None => status.code() == Code::Unimplemented && *code == Code::Unimplemented,
    };
    let Some((mark, code, _)) = OUTCOMES.iter().find(is) else { return ADMITTED };
    assert_eq!(status.code(), *code, "{path}: {status}");
    *mark
}

async fn table(peers: &[Peer]) -> String {
    let mut table = format!("{ADMITTED} admitted\n{NO_HANDSHAKE} the node does not shake hands\n");
    for (mark, code, reason) in OUTCOMES {
        writeln!(table, "{mark} {code:?} {reason}").unwrap();
    }
    table.push('\n');
    for (column, (name, _)) in peers.iter().enumerate() {
        writeln!(table, "{}+ {name}", "| ".repeat(column)).unwrap();
    }
    for method in METHODS {
        for (_, channel) in peers {
            write!(table, "{} ", outcome(channel.as_ref(), method.path).await).unwrap();
        }
        writeln!(table, "{}", method.path).unwrap();
    }
    table
}

#[tokio::test]
async fn every_rpc_of_a_node_by_every_kind_of_peer_ends_as_the_table_says() {
    let node = run().await;
    let (mut world, broker) = Broker::start(&Arc::<MovedClock>::default()).await;
    (world.config.node.dial_out, world.config.node.listen) = (true, None);
    let dialling = Node::build(&world.config).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = spawn(dialling, stopped);
    let tunnel = broker.tunnel().await;
    let (table, golden) = (table(&peers(&node, tunnel.channel).await).await, include_str!("matrix.golden"));
    assert!(table == golden, "the table is now, if that is what it should be, copy it to matrix.golden:\n{table}");
    stop.send(()).unwrap();
    ended.await.unwrap().unwrap();
}
