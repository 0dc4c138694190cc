//! No position is signed twice: what has no answer is handed in again before anything else is said.

use super::*;
use crate::testing::{NODE, facts, run_until};

/// The log until somebody publishes at epoch 3.
const BEFORE: u64 = 2;

/// Answers, more than a test waits for.
const MANY: usize = 10_000;

/// A node that knows the log as far as it is a member, and nothing of what it publishes.
struct Scene {
    world: World,
    broker: Broker,
    replica: Replica,
}

impl Scene {
    async fn new() -> Self {
        let (world, broker) = Broker::start(&Arc::default()).await;
        let replica = member(&world).publisher.replica;
        world.history_with_node().parts(&[1, BEFORE]).iter().for_each(|part| replica.take(part).unwrap());
        Self { world, broker, replica }
    }

    /// A process of the node, which reads what the last one has kept; the second configuration has another licence.
    fn process(&self, licence: &str) -> Member {
        let mut member = member(&self.world);
        member.publisher.replica = self.replica.clone();
        member.publication.offers[0].licence = Some(comity_policy::Claim::always(licence.to_owned()));
        member
    }

    fn signed(&self) -> Vec<Envelope> {
        self.broker.script.signed.lock().unwrap().clone()
    }

    /// Publishes until the broker was asked so often, and is gone then.
    async fn until_asked(&self, member: Member, times: usize) {
        let work = async {
            member.publish().await;
            std::future::pending::<()>().await;
        };
        run_until(work, || self.signed().len() >= times).await;
    }
}

/// Which version was signed, and the licence in it.
fn said(envelope: &Envelope) -> (u64, String) {
    let Payload { version, statement, .. } = Payload::peek(envelope).unwrap();
    let Statement::OffersPublished { offers, .. } = statement else { panic!("{statement:?}") };
    (version, serde_json::to_string(&offers[0].licence).unwrap())
}

#[tokio::test]
async fn a_node_that_starts_with_other_offers_before_it_heard_its_last_ones_signs_no_position_twice() {
    let scene = Scene::new().await;
    scene.broker.script.publishing.lock().unwrap().extend(vec![Status::unavailable("the answer is lost"); MANY]);
    scene.until_asked(scene.process("MIT"), 1).await;
    scene.broker.script.publishing.lock().unwrap().clear();
    // Another process, with another configuration, that knows no more of the log.
    scene.until_asked(scene.process("Apache-2.0"), scene.signed().len() + 1).await;
    let signed = scene.signed();
    assert!(
        signed.iter().all(|one| *one == signed[0]),
        "what had no answer, byte for byte, and nothing else is signed there"
    );
    assert_eq!(said(&signed[0]).0, 1);
    // Once the log is known to have it, what is wanted is next.
    let mut history = scene.world.history_with_node();
    history.say(Payload::peek(&signed[0]).unwrap().statement, &["org-a.example"]);
    for name in ["b", "c", "d", "e"] {
        history.admit(facts(&format!("org-{name}.example"), "DE"), &format!("spiffe://org-{name}.example/node/n1"));
    }
    let fresh = scene.world.replica(Arc::clone(&scene.process("MIT").publisher.clock));
    history.all().iter().for_each(|part| fresh.take(part).unwrap());
    let mut last = scene.process("Apache-2.0");
    last.publisher.replica = fresh;
    let epoch = last.publish().await;
    let signed = scene.signed();
    let (version, licence) = said(signed.last().unwrap());
    assert!(epoch == EPOCH && version == 2 && licence.contains("Apache-2.0"), "{version} {licence}");
    assert_eq!(signed.iter().filter(|one| said(one).0 == 1 && **one != signed[0]).count(), 0);
}

#[tokio::test]
async fn a_position_that_the_broker_refused_is_free_for_offers_that_were_mended() {
    let scene = Scene::new().await;
    let failure = Failure::new(Code::InvalidArgument, "INVALID_FIELD", "offers[0].licence: is none");
    scene.broker.script.publishing.lock().unwrap().push_back(failure.with("field", "offers[0].licence").into());
    // Until it has heard the answer, and has kept it: what has none is handed in again.
    let kept = scene.world.folder.path().join("last-word.json");
    let member = scene.process("none");
    let work = async {
        member.publish().await;
        std::future::pending::<()>().await;
    };
    run_until(work, || std::fs::read_to_string(&kept).is_ok_and(|kept| kept.contains("refused"))).await;
    assert_eq!(scene.process("MIT").publish().await, EPOCH);
    let (version, licence) = said(scene.signed().last().unwrap());
    assert!(version == 1 && licence.contains("MIT"), "{version} {licence}");
}

#[tokio::test]
async fn a_refusal_of_the_caller_of_rate_or_of_the_moment_frees_no_position_whose_first_answer_was_lost() {
    for (code, reason) in [
        (Code::PermissionDenied, "MEMBER_SUSPENDED"),
        (Code::PermissionDenied, "ORGANISATION_SUSPENDED"),
        (Code::ResourceExhausted, "PUBLISH_RATE"),
        (Code::FailedPrecondition, "STATEMENT_REFUSED"),
    ] {
        let scene = Scene::new().await;
        let lost = Status::unavailable("the answer is lost");
        let refused = Status::from(Failure::new(code, reason, "not now"));
        scene.broker.script.publishing.lock().unwrap().extend([vec![lost], vec![refused; MANY]].concat());
        // Asked a third time, it has heard the refusal and kept what follows from it.
        scene.until_asked(scene.process("MIT"), 3).await;
        scene.broker.script.publishing.lock().unwrap().clear();
        // Another process, with another configuration, that knows no more of the log.
        scene.until_asked(scene.process("Apache-2.0"), scene.signed().len() + 1).await;
        let signed = scene.signed();
        assert!(signed.iter().all(|one| *one == signed[0]), "{reason}: another statement was signed at the position");
    }
}

#[tokio::test]
async fn a_node_that_has_not_heard_of_the_log_asks_and_signs_no_position() {
    let (world, broker) = Broker::start(&Arc::default()).await;
    member(&world).publish().await;
    let signed = broker.script.signed.lock().unwrap().clone();
    assert_eq!(signed.iter().map(|one| said(one).0).collect::<Vec<_>>(), [NO_VERSION]);
}

#[tokio::test]
async fn a_node_whose_offers_stand_there_signs_nothing() {
    let scene = Scene::new().await;
    let member = scene.process("MIT");
    let mut history = scene.world.history_with_node();
    history.say(member.publication.statement(), &["org-a.example"]);
    let fresh = scene.world.replica(Arc::clone(&member.publisher.clock));
    history.all().iter().for_each(|part| fresh.take(part).unwrap());
    let member = Member { publisher: Publisher { replica: fresh, ..member.publisher }, ..member };
    assert_eq!((member.publish().await, scene.signed().len()), (BEFORE + 1, 0));
    assert_eq!(member.publication.node, NODE.parse().unwrap());
}
