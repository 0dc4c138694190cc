//! What is told about offers is what the flow would do with them: asked of a whole broker.

use comity_proto::catalog::catalog_client::CatalogClient;
use comity_proto::error::Detail;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::Kind;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::policy;
use tonic::Code;
use tonic::transport::Channel;

use super::*;
use crate::access::tests::node::{Node, answers};
use crate::access::tests::stage::{self, chat, envelope};
use crate::access::tests::world::{MODEL, in_germany};
use crate::testing::{Member, Scene, reason};

mod as_of;
mod disclosure;

/// A broker with an app, and two nodes: a cheap one in the United States, a dear one in Germany.
struct Stage {
    scene: Scene,
    app: Member,
    _abroad: Node,
    at_home: Option<Node>,
}

impl Stage {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let app = scene.admit("app.example", Kind::App, "a1").await;
        let abroad = stage::node(&scene, "a.example", "US", 1, answers("never")).await;
        let at_home = stage::node(&scene, "b.example", "DE", 2, answers("never")).await;
        Self { scene, app, _abroad: abroad, at_home: Some(at_home) }
    }

    async fn channel(&self) -> Channel {
        self.scene.connect(&self.app).await.unwrap()
    }

    async fn catalog(&self) -> CatalogClient<Channel> {
        CatalogClient::new(self.channel().await)
    }

    /// Name and state of every offer of `model`.
    async fn offers(&self, model: &str) -> Vec<(String, String)> {
        let request = ListOffersRequest { model: model.into() };
        let offers = self.catalog().await.list_offers(request).await.unwrap().into_inner().offers;
        offers.into_iter().map(|offer| (offer.name, offer.state)).collect()
    }

    async fn explain(&self, requirements: policy::Requirements) -> Vec<policy::Verdict> {
        let request = explain(requirements);
        self.catalog().await.explain(request).await.unwrap().into_inner().verdicts
    }

    async fn explained(&self, request: ExplainRequest) -> Status {
        self.catalog().await.explain(request).await.unwrap_err()
    }

    /// What the flow answers to a request with the same envelope.
    async fn ask(&self, requirements: policy::Requirements) -> Status {
        InferenceClient::new(self.channel().await).chat(chat(requirements)).await.unwrap_err()
    }
}

const CHAT: i32 = policy::Capability::Chat as i32;

fn explain(requirements: policy::Requirements) -> ExplainRequest {
    ExplainRequest { envelope: Some(envelope(requirements)), capability: CHAT, as_of: None }
}

fn listed(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

fn in_places(places: &[&str]) -> policy::Requirements {
    let places = policy::PlaceSet { places: places.iter().map(ToString::to_string).collect() };
    policy::Requirements { allowed_processing_locations: vec![places], ..Default::default() }
}

#[tokio::test]
async fn a_model_is_one_row_whoever_offers_it() {
    let stage = Stage::new().await;
    let models = stage.catalog().await.list_models(ListModelsRequest {}).await.unwrap().into_inner().models;
    let [model] = &models[..] else { panic!("{models:?}") };
    assert_eq!((model.name.as_str(), model.offers), (MODEL, 2));
    assert_eq!(model.processing_locations, ["DE", "US"]);
    assert_eq!(model.capabilities.len(), 3);
}

#[tokio::test]
async fn offers_are_listed_by_name_with_their_terms_and_operator_and_by_model_if_that_is_asked() {
    let stage = Stage::new().await;
    let both = listed(&[("a.example/n1/o1", "serving"), ("b.example/n1/o1", "serving")]);
    assert_eq!(stage.offers("").await, both);
    assert_eq!(stage.offers(MODEL).await, both);
    assert!(stage.offers("another-model").await.is_empty());
    let offers = stage.catalog().await.list_offers(ListOffersRequest::default()).await.unwrap().into_inner().offers;
    assert_eq!(offers[0].offer.as_ref().unwrap().model, MODEL);
    assert_eq!(offers[0].operator.as_ref().unwrap().trust_domain, "a.example");

    let no_name = ListOffersRequest { model: "no model's name".into() };
    let refused = stage.catalog().await.list_offers(no_name).await.unwrap_err();
    assert_eq!((refused.code(), refused.message().starts_with("model: ")), (Code::InvalidArgument, true), "{refused}");
}

#[tokio::test]
async fn an_offer_is_told_to_be_unreachable_or_suspended_once_it_is() {
    let mut stage = Stage::new().await;
    // Nothing answers at its address any more.
    drop(stage.at_home.take());
    assert_eq!(reason(&stage.ask(in_germany()).await), "NODES_UNAVAILABLE");
    stage.scene.suspend("a.example").await;
    let expected = listed(&[("a.example/n1/o1", "suspended"), ("b.example/n1/o1", "unreachable")]);
    assert_eq!(stage.offers("").await, expected);
}

#[tokio::test]
async fn verdicts_come_in_the_order_of_preference_and_refused_offers_last() {
    let stage = Stage::new().await;
    let verdicts = async |requirements| {
        let verdicts = stage.explain(requirements).await;
        verdicts.into_iter().map(|verdict| (verdict.offer, verdict.eligible)).collect::<Vec<_>>()
    };
    let (abroad, at_home) = ("a.example/n1/o1".to_owned(), "b.example/n1/o1".to_owned());
    let cheapest_first = [(abroad.clone(), true), (at_home.clone(), true)];
    assert_eq!(verdicts(in_places(&["DE", "US"])).await, cheapest_first);
    assert_eq!(verdicts(in_germany()).await, [(at_home, true), (abroad, false)]);
}

#[tokio::test]
async fn what_is_explained_is_what_the_flow_would_refuse() {
    let stage = Stage::new().await;
    let refused = Detail::of(&stage.ask(in_places(&["FR"])).await).unwrap().refusal.unwrap();
    assert_eq!((refused.considered, refused.verdicts.len()), (2, 2));
    assert_eq!(stage.explain(in_places(&["FR"])).await, refused.verdicts);
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_with_its_field() {
    let stage = Stage::new().await;
    let good = explain(in_germany());
    let wrong_place = Some(envelope(in_places(&["UK"])));
    let table = [
        (ExplainRequest { envelope: None, ..good.clone() }, "envelope"),
        (ExplainRequest { capability: 0, ..good.clone() }, "capability"),
        (ExplainRequest { capability: 77, ..good.clone() }, "capability"),
        (ExplainRequest { capability: policy::Capability::Tools as i32, ..good.clone() }, "capability"),
        (ExplainRequest { envelope: wrong_place, ..good }, "envelope.requirements.allowed_processing_locations"),
    ];
    for (request, field) in table {
        let refused = stage.explained(request).await;
        let detail = Detail::of(&refused).unwrap();
        assert_eq!((refused.code(), detail.reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{refused}");
        assert_eq!(detail.metadata["field"], field);
    }
}
