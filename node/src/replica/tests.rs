//! The copy takes what fits, refuses what does not, and says how far it is.

use comity_membership::Statement;
use comity_types::Timestamp;

use super::*;

mod following;

fn root() -> Digest {
    Digest::of(b"root")
}

fn at() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn founded(root_sha256: Digest) -> Vec<u8> {
    let operators = ["spiffe://federation.example/operator/alice".parse().unwrap()].into();
    let statement = Statement::Founded { federation: "federation.example".parse().unwrap(), root_sha256, operators };
    Entry { epoch: 1, at: at(), by: None, statement }.to_json().unwrap()
}

#[tokio::test]
async fn a_request_waits_for_the_statement_that_it_was_decided_on() {
    let replica = Replica::new(root());
    let waiting = replica.clone();
    let waiting = async move { waiting.wait_for(1, Duration::from_secs(10)).await };
    let (found, taken) = tokio::join!(waiting, async { replica.take(1, &founded(root())) });
    taken.unwrap();
    assert_eq!(found.unwrap().epoch(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_does_not_come_in_time_leaves_the_node_behind() {
    let behind = Replica::new(root()).wait_for(3, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(behind, Behind { known: 0, needed: 3 });
}

#[test]
fn statements_that_do_not_fit_change_nothing() {
    let replica = Replica::new(root());
    assert!(matches!(replica.take(1, b"{}"), Err(ReplicaError::Malformed { epoch: 1, .. })));
    assert!(matches!(replica.take(2, &founded(root())), Err(ReplicaError::Misplaced { sent: 2, found: 1 })));
    assert!(matches!(replica.take(1, &founded(Digest::of(b"other"))), Err(ReplicaError::OtherRoot)));
    assert_eq!(replica.federation().epoch(), 0);
    replica.take(1, &founded(root())).unwrap();
    assert!(matches!(replica.take(1, &founded(root())), Err(ReplicaError::Refused { .. })));
    assert_eq!(replica.federation().epoch(), 1);
}
