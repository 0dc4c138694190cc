//! Who may call what: every RPC by every kind of peer, over the wire, as `matrix.golden` has it. A new RPC, or a rule
//! that has changed, shows as a line that differs. Where it depends on whose thing is asked for, there is a row with one.

mod owned;

use std::fmt::Write as _;

use comity_identity::KeyPair;
use comity_membership::{By, Statement};
use comity_proto::error::Detail;
use comity_proto::membership::Kind;
use comity_proto::methods::METHODS;
use comity_types::Clock as _;
use tonic::Code;
use tonic::transport::Channel;

use super::authorisation::call;
use crate::testing::{Scene, issued_by, organisation, suspended as said_suspended};

/// What the edge can say, by its mark in the table; everything else is a service's word, which the edge let through.
const OUTCOMES: &[(char, Code, &str)] = &[
    ('m', Code::PermissionDenied, "METHOD_NOT_PERMITTED"),
    ('c', Code::Unauthenticated, "NO_CERTIFICATE"),
    ('s', Code::PermissionDenied, "MEMBER_SUSPENDED"),
    ('o', Code::PermissionDenied, "ORGANISATION_SUSPENDED"),
    ('x', Code::PermissionDenied, "CERTIFICATE_SUSPENDED"),
    ('e', Code::PermissionDenied, "EVICTED"),
    ('w', Code::PermissionDenied, "WITHDRAWN"),
    ('u', Code::PermissionDenied, "UNKNOWN_MEMBER"),
    ('k', Code::PermissionDenied, "KEY_NOT_ADMITTED"),
];

const ADMITTED: char = '+';
/// The organisation of the first columns.
const OWN: &str = "own.example";

/// Somebody, and how they are connected.
type Peer = (&'static str, Channel);

/// Peers of every kind, each with a connection that stands. What became of them since is what they are called by.
async fn peers(scene: &Scene) -> (Vec<Peer>, owned::Things) {
    let own = OWN;
    let mut peers = vec![("anonymous", scene.connect_to_enrol().await)];
    let members = [
        ("app", scene.admit_demanding(organisation(own), Kind::App, "a1", owned::demands()).await),
        ("node", scene.admit(own, Kind::Node, "n1").await),
        ("operator", scene.admit(own, Kind::Operator, "o1").await),
        ("operator of another organisation", scene.admit("other.example", Kind::Operator, "o1").await),
        ("member of a suspended organisation", scene.admit("out.example", Kind::Operator, "o1").await),
        ("suspended member", scene.admit(own, Kind::Node, "suspended").await),
        ("member with a suspended certificate", scene.admit(own, Kind::Node, "stolen").await),
        ("evicted member", scene.admit("evicted.example", Kind::Node, "n1").await),
        ("withdrawn member", scene.admit(own, Kind::Node, "withdrawn").await),
        ("member suspended by its own organisation", scene.admit(own, Kind::Node, "lost").await),
        ("member of an organisation that paused itself", scene.admit("paused.example", Kind::Node, "n1").await),
    ];
    for (name, member) in &members {
        peers.push((name, scene.connect(member).await.unwrap()));
    }
    peers.push(("operator of the federation", scene.connect(&scene.operator).await.unwrap()));
    let (now, key) = (scene.clock.now(), KeyPair::generate().unwrap());
    let foreign = [
        ("broker", "fed.example", "spiffe://fed.example/broker/b1"),
        ("never admitted", own, "spiffe://own.example/node/n9"),
        ("certificate for another key", own, "spiffe://own.example/node/n1"),
    ];
    for (name, authority, id) in foreign {
        let member = issued_by(&scene.authority(authority), id, &key, now);
        peers.push((name, scene.connect(&member).await.unwrap()));
    }
    let [(_, app), (_, node), .., suspended, stolen, _, withdrawn, lost, _] = &members;
    let things = owned::Things::new(scene, app, node, peers.len()).await;
    scene.suspend("out.example").await;
    scene.suspend(suspended.1.id.as_str()).await;
    scene.suspend(&stolen.1.certificate_subject().to_string()).await;
    scene.say_of(own, said_suspended(lost.1.id.as_str(), By::Organisation)).await.unwrap();
    scene.say_of("paused.example", said_suspended("paused.example", By::Organisation)).await.unwrap();
    let evicted = Statement::Evicted { organisation: "evicted.example".parse().unwrap(), reason: "a breach".into() };
    scene.govern(evicted).await.unwrap();
    let withdrawn = Statement::MemberWithdrawn { id: withdrawn.1.id.clone(), reason: "sold".into() };
    scene.say_of(own, withdrawn).await.unwrap();
    (peers, things)
}

/// What the edge says to an empty message.
async fn outcome(channel: &Channel, path: &'static str) -> char {
    let Err(status) = call(channel, path).await else { return ADMITTED };
    assert_ne!(status.code(), Code::Unimplemented, "{path} is a row of the table that nobody serves: {status}");
    let Some(detail) = Detail::of(&status) else { return ADMITTED };
    let known = OUTCOMES.iter().find(|(_, _, reason)| *reason == detail.reason);
    let Some((mark, code, _)) = known else { return ADMITTED };
    assert_eq!(status.code(), *code, "{path}: {status}");
    *mark
}

async fn table() -> String {
    let scene = Scene::new().await;
    let (peers, things) = peers(&scene).await;
    let mut table = format!("{ADMITTED} admitted\n");
    for (mark, code, reason) in OUTCOMES {
        writeln!(table, "{mark} {code:?} {reason}").unwrap();
    }
    table.push('\n');
    for (column, (name, _)) in peers.iter().enumerate() {
        writeln!(table, "{}+ {name}", "| ".repeat(column)).unwrap();
    }
    for method in METHODS {
        for (_, channel) in &peers {
            write!(table, "{} ", outcome(channel, method.path).await).unwrap();
        }
        writeln!(table, "{}", method.path).unwrap();
    }
    table.push_str(&owned::rows(&peers, &things).await);
    table
}

#[tokio::test]
async fn every_rpc_by_every_kind_of_peer_ends_as_the_table_says() {
    let (table, golden) = (table().await, include_str!("matrix.golden"));
    assert!(table == golden, "the table is now, if that is what it should be, copy it to matrix.golden:\n{table}");
}
