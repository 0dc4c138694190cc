//! How much each may add to the log: what stops harm has a part of its own, and ends as well.

use comity_identity::KeyPair;
use comity_membership::signed::STATEMENT_TYPE;
use comity_membership::{By, Payload, Scope, Statement, Subject, TlsKey};
use comity_proto::membership::Kind;
use comity_transparency::{Envelope, Signer};
use comity_types::{Clock as _, Digest};
use futures::future::join_all;
use tonic::{Code, Status};

use crate::testing::{DEADLINE, Member, Scene, assert_refused, member_id, organisation, reason, suspended, updated};

const ORG: &str = "org-a.example";
/// Longer than the kind of statement has to be: white space is signed as it stands.
const LONG: usize = 600_000;
/// More suspensions than there is room for.
const TOO_MANY: u32 = 400;

/// A certificate of the member that nobody has ever seen.
fn certificate(of: &Member, number: u32) -> Subject {
    Subject::Certificate { member: of.id.clone(), sha256: Digest::of(&number.to_be_bytes()) }
}

/// What the organisation says is a version of.
fn scope() -> Scope {
    Scope::Organisation(ORG.parse().unwrap())
}

/// The anchors of the organisation, once more, at a version of their scope.
fn long(scene: &Scene, version: u64) -> Envelope {
    let organisation = ORG.parse().unwrap();
    let anchors = scene.federation().organisation(&organisation).unwrap().anchors.clone();
    let statement = Statement::AnchorsChanged { organisation, anchors };
    let payload = Payload { federation: scene.root_sha256, version, at: scene.clock.now(), statement };
    let mut bytes = serde_json::to_vec(&payload).unwrap();
    bytes.resize(LONG, b' ');
    let mut envelope = Envelope::new(STATEMENT_TYPE, bytes);
    envelope.sign(&*scene.key_of(ORG)).unwrap();
    envelope
}

/// Suspends one after the other until the broker refuses. Says how many.
async fn suspends_without_end(
    scene: &Scene,
    subjects: impl Iterator<Item = Subject>,
    by: By,
    key: &dyn Signer,
) -> (u32, Status) {
    for (number, subject) in (0..).zip(subjects) {
        let statement = Statement::Suspended { subject, reason: "x".repeat(1024), by };
        if let Err(refused) = scene.say(statement, &[key]).await {
            return (number, refused);
        }
    }
    panic!("nothing holds it up");
}

/// Certificates that nobody has ever seen, of one member after the other.
fn certificates(members: &[Member]) -> impl Iterator<Item = Subject> {
    (0..TOO_MANY).map(|number| certificate(&members[number as usize / 50], number))
}

/// Members of the organisation, by its word alone: an operator brakes one certificate of each, and no more.
async fn many(scene: &Scene) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for number in 0..TOO_MANY {
        let (id, key) = (member_id(ORG, Kind::App, &format!("a{number}")), KeyPair::generate().unwrap());
        let public = key.public_key().unwrap();
        let statement =
            Statement::MemberAdmitted { id: id.clone(), key: public, tls_key: TlsKey::Admitted, invite: None };
        scene.say(statement, &[&*scene.key_of(ORG), &key]).await.unwrap();
        subjects.push(Subject::Member(id));
    }
    subjects
}

async fn nodes(scene: &Scene) -> Vec<Member> {
    let mut nodes = Vec::new();
    for number in 0..8 {
        nodes.push(scene.admit(ORG, Kind::Node, &format!("n{number}")).await);
    }
    nodes
}

#[tokio::test]
async fn an_operator_alone_brakes_so_much_and_no_more_and_the_threshold_goes_on() {
    let scene = Scene::governed_by(&["ada", "bob", "cleo"], 2).await;
    let nodes = nodes(&scene).await;
    let subjects = many(&scene).await.into_iter();
    let (braked, refused) = suspends_without_end(&scene, subjects, By::Brake, &scene.operator.key).await;
    assert_refused(Err::<(), _>(refused), Code::ResourceExhausted, "STATEMENT_RATE");
    assert!((200..300).contains(&braked), "{braked}");
    scene.say(suspended(nodes[0].id.as_str(), By::Brake), &[&scene.co_operators[0].key]).await.unwrap();
    scene.govern(suspended(ORG, By::Federation)).await.unwrap();
}

#[tokio::test]
async fn an_organisation_with_an_empty_budget_suspends_its_own_and_not_without_end() {
    let scene = Scene::new().await;
    let nodes = nodes(&scene).await;
    let key = scene.key_of(ORG);
    let version = |scene: &Scene| scene.federation().next_version(&scope());
    let refused = loop {
        if let Err(refused) = scene.submit(&scene.operator, &long(&scene, version(&scene))).await {
            break refused;
        }
        assert!(scene.federation().epoch() < 100, "nothing holds it up");
    };
    assert_refused(Err::<(), _>(refused), Code::ResourceExhausted, "STATEMENT_RATE");
    scene.say_of(ORG, suspended(nodes[0].id.as_str(), By::Organisation)).await.unwrap();
    // What the long statements left may be spent on suspensions as well: fewer than one of them has.
    let (suspended, refused) = suspends_without_end(&scene, certificates(&nodes), By::Organisation, &*key).await;
    assert_refused(Err::<(), _>(refused), Code::ResourceExhausted, "STATEMENT_RATE");
    assert!(suspended >= 150, "{suspended}");
}

#[tokio::test]
async fn statements_that_wait_behind_each_other_are_charged_each() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let first = scene.federation().next_version(&scope());
    let (before, held_up) = (scene.federation().epoch(), scene.registry().held_up().await);
    // When they are handed in, none but the first is next.
    let envelopes: Vec<_> = (0..31).map(|index| long(&scene, first + index)).collect();
    let submits = envelopes.iter().enumerate().map(|(index, envelope)| {
        let (scene, node) = (&scene, &node);
        async move {
            until_waiting(scene, index).await;
            scene.submit(node, envelope).await
        }
    });
    let let_go = async {
        until_waiting(&scene, envelopes.len()).await;
        drop(held_up);
    };
    let (answers, ()) = tokio::join!(join_all(submits), let_go);
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((25..=29).contains(&taken), "{taken} of {LONG} bytes are in force");
    assert_eq!(scene.federation().epoch(), before + taken as u64);
    assert_eq!(reason(answers[taken].as_ref().unwrap_err()), "STATEMENT_RATE");
}

#[tokio::test]
async fn what_does_not_come_into_force_costs_nothing() {
    let scene = Scene::new().await;
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    for _ in 0..40 {
        assert_refused(scene.submit(&node, &long(&scene, 99)).await, Code::Aborted, "VERSION");
    }
    scene.submit(&node, &long(&scene, scene.federation().next_version(&scope()))).await.unwrap();
    scene.say_of(ORG, updated(organisation(ORG), Default::default())).await.unwrap();
}

async fn until_waiting(scene: &Scene, expected: usize) {
    // Each has the deadline to itself: together they take as long as a busy machine has them take.
    for number in 1..=expected {
        let waiting = async {
            while scene.registry().waiting() < number {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.expect("they wait");
    }
}
