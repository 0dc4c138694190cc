//! What an organisation demands of its own requests binds its apps, whatever they send: asked of a whole broker.

use comity_identity::KeyPair;
use comity_membership::{Application, Statement};
use comity_proto::catalog::catalog_client::CatalogClient;
use comity_proto::catalog::{ExplainRequest, ExplainResponse};
use comity_proto::enrolment::join_response::State;
use comity_proto::error::Detail;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, ListOrganisationsRequest};
use comity_proto::policy::{AppLayer, Capability, Layer, Layers, LicenceSet, PlaceSet, Requirements};
use comity_transparency::Signer;
use tonic::{Code, Status};

use crate::access::tests::node::{Node, answers};
use crate::access::tests::stage::{chat, envelope, node};
use crate::testing::{Member, Scene, organisation, reason, updated};

const ORG: &str = "org-a.example";

/// An organisation with an app, and nodes of others: one in the United States, and one in Germany where asked for.
struct Stage {
    scene: Scene,
    app: Member,
    abroad: Node,
}

impl Stage {
    async fn new(layers: Option<Layers>) -> Self {
        let scene = Scene::new().await;
        let app = scene.admit_demanding(organisation(ORG), Kind::App, "a1", layers).await;
        let abroad = node(&scene, "us.example", "US", 1, answers("from abroad")).await;
        Self { scene, app, abroad }
    }

    async fn update(&self, layers: Option<Layers>) -> Result<u64, Status> {
        self.scene.update(organisation(ORG), stated(layers)).await
    }

    /// What the flow says to a request of `app`: the answer of scripted nodes is no message, which is not asked about.
    async fn ask(&self, app: &Member, requirements: Requirements) -> Result<(), Status> {
        let before = self.abroad.seen().len();
        let answer = InferenceClient::new(self.scene.connect(app).await.unwrap()).chat(chat(requirements)).await;
        if self.abroad.seen().len() > before { Ok(()) } else { Err(answer.unwrap_err()) }
    }

    async fn explain(&self, app: &Member, requirements: Requirements) -> ExplainResponse {
        let request = ExplainRequest {
            envelope: Some(envelope(requirements)),
            capability: Capability::Chat.into(),
            ..Default::default()
        };
        let mut catalog = CatalogClient::new(self.scene.connect(app).await.unwrap());
        catalog.explain(request).await.unwrap().into_inner()
    }
}

/// As the organisation signs it.
fn stated(layers: Option<Layers>) -> comity_policy::Layers {
    layers.unwrap_or_default().try_into().unwrap()
}

fn within(places: &[&str]) -> Requirements {
    let places = PlaceSet { places: places.iter().map(ToString::to_string).collect() };
    Requirements { allowed_processing_locations: vec![places], ..Default::default() }
}

fn of_all(requirements: Requirements) -> Option<Layers> {
    Some(Layers { organisation: Some(requirements), apps: vec![] })
}

fn of_app(app: &str, requirements: Requirements) -> Option<Layers> {
    Some(Layers { organisation: None, apps: vec![AppLayer { app: app.into(), requirements: Some(requirements) }] })
}

/// Everything that an app which means harm might try.
fn attempts() -> Vec<Requirements> {
    let forbidden = |places: Vec<String>| Some(PlaceSet { places });
    vec![
        Requirements::default(),
        within(&[]),
        within(&["US"]),
        within(&["EU", "US"]),
        Requirements { forbidden_processing_locations: forbidden(vec![]), ..Default::default() },
        Requirements { forbidden_processing_locations: forbidden(vec!["EU".into()]), ..within(&["US"]) },
    ]
}

async fn assert_bound(stage: &Stage, app: &Member) {
    for attempt in attempts() {
        let refused = stage.ask(app, attempt.clone()).await.expect_err("the node abroad was asked");
        assert_eq!(reason(&refused), "NO_ELIGIBLE_OFFER", "{attempt:?}");
        let refusal = Detail::of(&refused).unwrap().refusal.unwrap();
        assert_eq!(refusal.layer_demands[0].constraints, ["allowed_processing_locations"]);
        assert!(stage.explain(app, attempt).await.verdicts.iter().all(|verdict| !verdict.eligible));
    }
}

#[tokio::test]
async fn an_app_whose_organisation_demands_the_eu_reaches_no_offer_elsewhere_whatever_it_sends() {
    let stage = Stage::new(of_all(within(&["EU"]))).await;
    assert_bound(&stage, &stage.app).await;
    assert_eq!(stage.abroad.connections(), 0);
    let at_home = node(&stage.scene, "de.example", "DE", 2, answers("from home")).await;
    let mut inference = InferenceClient::new(stage.scene.connect(&stage.app).await.unwrap());
    drop(inference.chat(chat(Requirements::default())).await);
    assert_eq!((at_home.seen().len(), stage.abroad.connections()), (1, 0));
}

#[tokio::test]
async fn an_update_counts_from_the_next_request_on_in_both_directions() {
    let stage = Stage::new(None).await;
    stage.ask(&stage.app, Requirements::default()).await.unwrap();
    stage.update(of_all(within(&["EU"]))).await.unwrap();
    assert_bound(&stage, &stage.app).await;
    stage.update(None).await.unwrap();
    stage.ask(&stage.app, Requirements::default()).await.unwrap();
}

#[tokio::test]
async fn the_layer_of_an_app_binds_that_app_and_no_other() {
    let stage = Stage::new(of_app("a1", within(&["EU"]))).await;
    let other = stage.scene.admit(ORG, Kind::App, "a2").await;
    assert_bound(&stage, &stage.app).await;
    stage.ask(&other, Requirements::default()).await.unwrap();
}

#[tokio::test]
async fn what_is_demanded_is_still_demanded_after_a_restart() {
    let stage = Stage::new(of_all(within(&["EU"]))).await;
    stage.scene.stop().await;
    stage.scene.start().await.unwrap();
    assert_bound(&stage, &stage.app).await;
    stage.update(of_app("a1", within(&["EU"]))).await.unwrap();
    stage.scene.stop().await;
    stage.scene.start().await.unwrap();
    assert_bound(&stage, &stage.app).await;
}

#[tokio::test]
async fn explain_tells_who_set_what_stands_in_the_way() {
    let stage = Stage::new(of_all(within(&["EU"]))).await;
    let set = async |requirements| {
        let answer = stage.explain(&stage.app, requirements).await;
        let demand = &answer.layer_demands[0];
        assert_eq!((demand.layer(), demand.subject.as_str()), (Layer::Organisation, ORG));
        let relaxation = answer.relaxations.into_iter().find(|one| one.constraint == "allowed_processing_locations");
        relaxation.unwrap().layers().collect::<Vec<_>>()
    };
    assert_eq!(set(Requirements::default()).await, [Layer::Organisation]);
    assert_eq!(set(within(&["DE"])).await, [Layer::Organisation, Layer::Request]);
    stage.update(of_app("a1", within(&["EU"]))).await.unwrap();
    let answer = stage.explain(&stage.app, Requirements::default()).await;
    assert_eq!(answer.layer_demands[0].subject, stage.app.id.to_string());
    assert_eq!(answer.relaxations[0].layers().collect::<Vec<_>>(), [Layer::App]);
}

#[tokio::test]
async fn an_update_that_was_said_twice_stands_once_and_one_that_is_wrong_names_its_field() {
    let stage = Stage::new(of_all(within(&["EU"]))).await;
    let (scene, key) = (&stage.scene, stage.scene.key_of(ORG));
    let said = scene.signed(updated(organisation(ORG), stated(of_all(within(&["EU"])))), &[&*key]);
    let first = scene.submit(&scene.operator, &said).await.unwrap();
    assert_eq!(scene.submit(&scene.operator, &said).await.unwrap(), first);

    let long = LicenceSet { licences: (0..256).map(|n| format!("LicenseRef-{n:0>200}")).collect() };
    let long = Requirements { allowed_licences: vec![long], ..Default::default() };
    let cases = [(within(&["EUU"]), "layers.organisation.allowed_processing_locations"), (long, "layers")];
    for (demanded, field) in cases {
        let layers = comity_policy::Layers { organisation: demanded.try_into().unwrap(), ..Default::default() };
        let refused = scene.update(organisation(ORG), layers).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{refused}");
        assert_eq!(Detail::of(&refused).unwrap().metadata["field"], field);
    }
    let refused = scene.update(organisation("x.example"), stated(None)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NOT_A_MEMBER"));
    assert_bound(&stage, &stage.app).await;
}

#[tokio::test]
async fn only_an_organisations_own_key_updates_it() {
    let stage = Stage::new(of_all(within(&["EU"]))).await;
    let (scene, stranger) = (&stage.scene, KeyPair::generate().unwrap());
    let statement = || updated(organisation(ORG), stated(None));
    let signers: [&dyn Signer; 3] = [&scene.operator.key, &stage.app.key, &stranger];
    for signer in signers {
        let refused = scene.say(statement(), &[signer]).await.unwrap_err();
        let expected = (Code::PermissionDenied, "SIGNATURE_REFUSED");
        assert_eq!((refused.code(), reason(&refused).as_str()), expected, "{refused}");
    }
    assert_bound(&stage, &stage.app).await;
    // Nor does it count beside the right one: nobody signs who has no say.
    let refused = scene.say(statement(), &[&*scene.key_of(ORG), &scene.operator.key]).await.unwrap_err();
    assert_eq!(reason(&refused), "SIGNATURE_REFUSED");
}

#[tokio::test]
async fn operators_see_what_is_demanded_before_they_approve_and_it_cannot_be_another_afterwards() {
    let scene = Scene::new().await;
    let (invites, keys) = (
        [scene.invite(ORG, Kind::App, "a1").await, scene.invite(ORG, Kind::App, "a2").await],
        [KeyPair::generate().unwrap(), KeyPair::generate().unwrap()],
    );
    let facts = organisation(ORG);
    let demands = [of_all(within(&["EU"])), of_all(within(&["US"]))];
    for ((invite, key), layers) in invites.iter().zip(&keys).zip(&demands) {
        let asked = scene.join_stating(&[Kind::App], invite, key, Some(&facts), layers.clone()).await;
        assert!(matches!(asked, Ok(State::Pending(_))), "{asked:?}");
    }
    for (invite, layers) in invites.iter().zip(&demands) {
        let shown = scene.waiting_application(&invite.id_text()).await;
        assert_eq!(Application::open(&shown).unwrap().layers, stated(layers.clone()));
    }
    let mut forged = scene.waiting_application(&invites[0].id_text()).await;
    let text = String::from_utf8(forged.payload.clone()).unwrap();
    assert!(text.contains("\"EU\""), "{text}");
    forged.payload = text.replace("\"EU\"", "\"US\"").into_bytes();
    let refused = scene.govern(Statement::OrganisationAdmitted { application: forged }).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{refused}");
    scene.approve(&invites[0].id_text()).await.unwrap();
    let refused = scene.approve(&invites[1].id_text()).await.unwrap_err();
    assert_eq!(reason(&refused), "MEMBER_EXISTS");
}

#[tokio::test]
async fn what_an_organisation_demands_is_shown_to_operators_and_to_its_own_members() {
    let stage = Stage::new(of_all(within(&["EU"]))).await;
    let stranger = stage.scene.admit("org-b.example", Kind::App, "a1").await;
    let shown = async |member: &Member| {
        let mut membership = MembershipClient::new(stage.scene.connect(member).await.unwrap());
        let all = membership.list_organisations(ListOrganisationsRequest {}).await.unwrap().into_inner().organisations;
        all.into_iter().find(|one| one.organisation.as_ref().unwrap().trust_domain == ORG).unwrap().layers
    };
    assert_eq!(shown(&stage.scene.operator).await, of_all(within(&["EU"])));
    assert_eq!(shown(&stage.app).await, of_all(within(&["EU"])));
    assert_eq!(shown(&stranger).await, None);
}
