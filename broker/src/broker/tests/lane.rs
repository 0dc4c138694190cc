//! What stops harm waits behind nothing that others say, however much and however long.

use comity_membership::{By, Payload, Statement, signed::STATEMENT_TYPE};
use comity_proto::membership::Kind;
use comity_proto::membership::submit_response::Outcome;
use comity_transparency::Envelope;
use comity_types::Clock as _;
use futures::future::join_all;

use crate::testing::{DEADLINE, Member, Scene, suspended};

/// How long a statement is that is as long as one may be: white space is signed as it stands.
const LONG: usize = 600_000;
/// How many of them wait.
const MANY: usize = 6;

/// The anchors of a member's organisation once more, in a long statement.
fn long(scene: &Scene, member: &Member) -> Envelope {
    let organisation = member.id.trust_domain().clone();
    let anchors = scene.federation().organisation(&organisation).unwrap().anchors.clone();
    let statement = Statement::AnchorsChanged { organisation: organisation.clone(), anchors };
    let version = scene.federation().next_version(&statement.scope().unwrap());
    let payload = Payload { federation: scene.root_sha256, version, at: scene.clock.now(), statement };
    let mut bytes = serde_json::to_vec(&payload).unwrap();
    bytes.resize(LONG, b' ');
    let mut envelope = Envelope::new(STATEMENT_TYPE, bytes);
    envelope.sign(&*scene.key(&organisation)).unwrap();
    envelope
}

async fn until_waiting(scene: &Scene, expected: usize) {
    let waiting = async {
        while scene.registry().waiting() < expected {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("they wait");
}

async fn in_force(scene: &Scene, by: &Member, envelope: &Envelope) -> u64 {
    match scene.submit(by, envelope).await.unwrap() {
        Outcome::Epoch(epoch) => epoch,
        Outcome::Proposal(proposal) => panic!("it waits for operators: {proposal:?}"),
    }
}

#[tokio::test]
async fn a_suspension_is_in_force_before_all_that_waited_before_it() {
    let scene = Scene::governed_by(&["ada", "bob"], 2).await;
    let mut hostile = Vec::new();
    for i in 0..MANY {
        hostile.push(scene.admit(&format!("h{i}.example"), Kind::Node, "n1").await);
    }
    let own = scene.admit("own.example", Kind::Node, "n1").await;
    let (ada, bob) = (&scene.operator, &scene.co_operators[0]);
    // One operator has proposed a suspension, and the other one is to sign it.
    let proposed = scene.signed(suspended("h0.example", By::Federation), &[&ada.key]);
    assert!(matches!(scene.submit(ada, &proposed).await.unwrap(), Outcome::Proposal(_)));
    let mut seconded = Envelope { signatures: Vec::new(), ..proposed };
    seconded.sign(&bob.key).unwrap();
    let braked = scene.signed(suspended("h1.example", By::Brake), &[&ada.key]);
    let of_its_own = scene.signed(suspended(own.id.as_str(), By::Organisation), &[&*scene.key_of("own.example")]);
    let long: Vec<_> = hostile.iter().map(|member| (member, long(&scene, member))).collect();

    let held_up = scene.registry().held_up().await;
    let ordinary = join_all(long.iter().map(|(member, envelope)| in_force(&scene, member, envelope)));
    let stops = async {
        until_waiting(&scene, MANY).await;
        // The least urgent first.
        let own = in_force(&scene, &own, &of_its_own);
        let others = async {
            until_waiting(&scene, MANY + 1).await;
            let release = async {
                until_waiting(&scene, MANY + 3).await;
                drop(held_up);
            };
            tokio::join!(in_force(&scene, ada, &braked), in_force(&scene, bob, &seconded), release)
        };
        tokio::join!(own, others)
    };
    let (ordinary, (own, (braked, seconded, ()))) = tokio::join!(ordinary, stops);
    assert!(braked.max(seconded) < own, "operators before an organisation: {braked}, {seconded}, {own}");
    assert!(ordinary.iter().all(|epoch| own < *epoch), "{own} before {ordinary:?}");
}
