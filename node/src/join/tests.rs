//! What comes of an invite: an identity, a wait, or a no that says why.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_identity::{IdentityDir, SigningRequest};
use comity_membership::Application;
use comity_policy::node_file::{MAX_OFFERS, OfferEntry};
use comity_proto::enrolment::join_response::State;
use comity_proto::enrolment::{JoinResponse, Pending, Rejected};
use comity_proto::error::{Detail, Failure};
use tonic::{Code, Status};

use super::*;
use crate::testing::{Broker, NODE, World};

struct Newcomer {
    world: World,
    broker: Broker,
    config: Config,
    invite: String,
}

async fn newcomer() -> Newcomer {
    let (world, broker) = Broker::start(&Arc::default()).await;
    let (config, invite) = (world.newcomer(), world.invite(&broker.address.to_string()));
    Newcomer { world, broker, config, invite }
}

impl Newcomer {
    fn answer(&self, answer: Result<State, Status>) {
        let answer = answer.map(|state| JoinResponse { state: Some(state) });
        self.broker.script.joining.lock().unwrap().push_back(answer);
    }

    async fn join(&self) -> Result<Joined, JoinError> {
        join(&self.config, &self.invite, Papers::default()).await
    }

    fn has_joined(&self) -> bool {
        IdentityDir::create(self.config.identity_dir()).unwrap().is_joined()
    }
}

#[tokio::test]
async fn a_node_waits_for_operators_and_asks_again_with_the_same_key_until_it_has_an_identity() {
    let node = newcomer().await;
    let pending = Pending { enrolment_id: "e1".into(), fingerprint: "ab-cd".into() };
    node.answer(Ok(State::Pending(pending)));
    let waiting = Joined::Pending { enrolment_id: "e1".into(), fingerprint: "ab-cd".into() };
    assert_eq!(node.join().await.unwrap(), waiting);
    assert!(!node.has_joined());
    let error = crate::Node::build(&node.config).await.unwrap_err();
    assert!(matches!(error, crate::node::NodeError::Waiting), "{error}");
    assert_eq!(node.join().await.unwrap(), Joined::Issued(NODE.parse().unwrap()));
    assert!(node.has_joined());
    let asked = node.broker.script.joined.lock().unwrap().clone();
    let keys = asked.iter().map(|request| SigningRequest::parse(&request.csr_der).unwrap().public_key_digest());
    let keys: BTreeSet<_> = keys.collect();
    assert_eq!((asked.len(), keys.len()), (2, 1));
}

#[tokio::test]
async fn a_node_that_has_joined_asks_nobody() {
    let node = newcomer().await;
    node.join().await.unwrap();
    assert_eq!(node.join().await.unwrap(), Joined::Issued(NODE.parse().unwrap()));
    assert_eq!(node.broker.script.joined.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_node_that_operators_turn_down_is_told_why() {
    let node = newcomer().await;
    node.answer(Ok(State::Rejected(Rejected { reason: "nobody knows you".into() })));
    let error = node.join().await.unwrap_err();
    let is_told = |error: &JoinError| matches!(error, JoinError::Rejected { reason } if reason == "nobody knows you");
    assert!(is_told(&error), "{error:?}");
    assert!(!node.has_joined());
    // Also by `run` afterwards, until another invite is taken up.
    for _ in 0..2 {
        let error = settle(&node.config).await.unwrap_err();
        assert!(is_told(&error) && error.to_string().contains("hint: settle that with them"), "{error}");
    }
    node.join().await.unwrap();
    settle(&node.config).await.unwrap();
}

#[tokio::test]
async fn an_invite_that_another_key_took_up_gives_no_identity() {
    let node = newcomer().await;
    let refused = Failure::new(Code::PermissionDenied, "INVITE_BOUND_TO_ANOTHER_KEY", "taken");
    node.answer(Err(refused.into()));
    let JoinError::Enrol(EnrolError::Call(status)) = node.join().await.unwrap_err() else { panic!("not refused") };
    assert_eq!(Detail::of(&status).unwrap().reason, "INVITE_BOUND_TO_ANOTHER_KEY");
    assert!(!node.has_joined());
}

#[tokio::test]
async fn a_broker_that_is_away_gives_no_identity_and_the_same_invite_works_later() {
    let node = newcomer().await;
    node.answer(Err(Status::unavailable("later")));
    assert!(matches!(node.join().await, Err(JoinError::Enrol(EnrolError::Call(_)))));
    assert!(matches!(node.join().await, Ok(Joined::Issued(_))));
}

#[tokio::test]
async fn a_certificate_that_is_not_a_nodes_is_refused_by_name_and_not_stored() {
    let node = newcomer().await;
    *node.broker.script.named.lock().unwrap() = Some("spiffe://org-a.example/app/a1".to_owned());
    let error = node.join().await.unwrap_err();
    assert!(matches!(error, JoinError::Enrol(EnrolError::OtherKind { .. })), "{error:?}");
    assert!(error.to_string().contains("app/a1") && !node.has_joined(), "{error}");
}

#[tokio::test]
async fn what_is_no_invite_and_facts_that_cannot_be_read_reach_nobody() {
    let node = newcomer().await;
    assert!(matches!(join(&node.config, "nonsense", Papers::default()).await, Err(JoinError::Invite(_))));
    let missing = node.world.folder.path().join("no-such.toml");
    let error = join(&node.config, &node.invite, Papers { organisation: Some(&missing), ..Papers::default() })
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::Organisation(_)), "{error:?}");
    assert!(node.broker.script.joined.lock().unwrap().is_empty());
}

impl Newcomer {
    /// Joins as the first node of a new organisation.
    async fn found(&self) -> Result<Joined, JoinError> {
        let facts = self.world.folder.path().join("organisation.toml");
        std::fs::write(&facts, "trust_domain = \"org-a.example\"\nname = \"A\"\nseat = \"DE\"\n").unwrap();
        join(&self.config, &self.invite, Papers { organisation: Some(&facts), ..Papers::default() }).await
    }

    /// The application that it handed in.
    fn applied(&self) -> Application {
        let asked = self.broker.script.joined.lock().unwrap().clone();
        Application::open(&serde_json::from_slice(&asked.last().unwrap().application).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn the_first_node_of_an_organisation_signs_the_offers_that_it_means_to_publish_as_it_would_publish_them() {
    let node = newcomer().await;
    node.found().await.unwrap();
    let planned = node.config.plan(&NODE.parse().unwrap(), &node.config.tables().unwrap()).unwrap();
    let planned: Vec<_> = planned.into_iter().map(|planned| planned.offer).collect();
    let applied = node.applied();
    assert!(!planned.is_empty() && applied.offers == planned && applied.offers[0].terms.is_some(), "{applied:?}");
}

#[tokio::test]
async fn a_configuration_without_offers_joins_as_one() {
    let mut node = newcomer().await;
    node.config.offers.clear();
    node.found().await.unwrap();
    assert_eq!(node.applied().offers, []);
}

#[tokio::test]
async fn offers_that_could_not_be_shown_are_refused_before_anybody_is_asked() {
    let mut node = newcomer().await;
    node.config.offers[0].sub_processors = None;
    let error = node.found().await.unwrap_err();
    assert!(matches!(error, JoinError::Offers { .. }), "{error:?}");
    assert!(error.to_string().contains("offers.embed.sub_processors"), "{error}");
    let entry = &node.world.config.offers[0];
    let named = |n| OfferEntry { id: format!("o{n}").parse().unwrap(), ..entry.clone() };
    node.config.offers = (0..MAX_OFFERS).map(named).collect();
    let error = node.found().await.unwrap_err();
    assert!(matches!(error, JoinError::TooLong { .. }) && error.to_string().contains("(hint: "), "{error:?}");
    assert!(node.broker.script.joined.lock().unwrap().is_empty());
}
