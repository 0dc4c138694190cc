//! Private terms and private owners, as an attacker meets them: an app of another organisation asks for everything that
//! the broker says of them, and reads all of it.

use comity_policy::{Offer, Organisation};
use comity_proto::membership::ListOrganisationsRequest;

use super::as_of::publish;
use super::*;
use crate::testing::decision_log;

const OPERATOR: &str = r#"
trust_domain = "op.example"
name = "OP"
seat = "FR"
disclosure = "code-only"
ultimate_controllers = [{ name = "Hidden Hand", seat = "BR" }]
ownership = { parties = { Whale = { seat = "BR" } }, stakes = [{ holder = "Whale", share = { percent = 77 } }] }
"#;
const APP: &str = r#"
trust_domain = "app.example"
name = "APP"
seat = "DE"
disclosure = "code-only"
ultimate_controllers = [{ name = "Silent Partner", seat = "CN" }]
ownership = { parties = { "Silent Partner" = { seat = "CN" } }, stakes = [{ holder = "Silent Partner", share = { percent = 60 } }] }
"#;
const TERMS: &str = r#"
version = 3
retention = []
training_use = "never"
disclosure = "code-only"
allowed_purposes = ["dpv:ServiceProvision"]
prohibited_purposes = ["dpv:CustomerCare"]
classification_ceilings = { UK-GSC = { level = "OFFICIAL" } }
accepted_data_categories = ["dpv-pd:Contact"]
[caller_rules]
served = ["JP", "NZ"]
denied_lists = ["OFAC-SDN"]
min_terms_version = 2
[[caller_rules.ownership]]
id = "secret-rule"
target = ["CN"]
threshold_bp = 3700
"#;
/// What only the offer's own organisation may read, or only the operator's, in whatever answer.
const SECRETS: &[&str] = &[
    "secret-rule",
    "3700",
    "37.00",
    "\"JP\"",
    "\"NZ\"",
    "JP,",
    "OFAC-SDN",
    "ServiceProvision",
    "OFFICIAL",
    "Contact",
    "Hidden Hand",
    "Whale",
    "\"BR\"",
    "770000",
];

/// A broker, an offer with private terms of an organisation with private owners, and two apps that ask.
struct Private {
    scene: Scene,
    own: Member,
    other: Member,
}

impl Private {
    async fn new() -> Self {
        let scene = Scene::new().await;
        offered(&scene, OPERATOR, TERMS).await;
        let own = scene.admit("op.example", Kind::App, "a1").await;
        let other = scene.admit_of(toml::from_str(APP).unwrap(), Kind::App, "a1").await;
        Self { scene, own, other }
    }

    /// All that the broker answers to `app`, as text.
    async fn all_that_is_told(&self, app: &Member) -> String {
        let channel = self.scene.connect(app).await.unwrap();
        let (mut catalog, mut inference) = (CatalogClient::new(channel.clone()), InferenceClient::new(channel.clone()));
        let refused = inference.chat(chat(asked())).await.unwrap_err();
        let refusal = Detail::of(&refused).unwrap();
        assert_eq!(refusal.reason, "NO_ELIGIBLE_OFFER", "{refused}");
        let explained = catalog.explain(explain(asked())).await.unwrap().into_inner();
        let offers = catalog.list_offers(ListOffersRequest::default()).await.unwrap().into_inner();
        let models = catalog.list_models(ListModelsRequest {}).await.unwrap().into_inner();
        let mut membership = MembershipClient::new(channel);
        let members = membership.list_organisations(ListOrganisationsRequest {}).await.unwrap().into_inner();
        format!("{refused:?}\n{refusal:?}\n{explained:?}\n{offers:?}\n{models:?}\n{members:?}")
    }

    async fn reasons(&self, app: &Member) -> Vec<policy::Reason> {
        let mut catalog = CatalogClient::new(self.scene.connect(app).await.unwrap());
        catalog.explain(explain(asked())).await.unwrap().into_inner().verdicts.remove(0).reasons
    }
}

/// Brings in an organisation whose node offers, in France, under these terms.
async fn offered(scene: &Scene, operator: &str, terms: &str) {
    let node = scene.admit_of(toml::from_str::<Organisation>(operator).unwrap(), Kind::Node, "n1").await;
    let mut offer: Offer = crate::access::tests::world::offer(&node.id, "FR", 1);
    offer.terms = Some(toml::from_str(terms).unwrap());
    publish(scene, &node, &offer).await;
}

/// Requirements that read the operator's owners as well.
fn asked() -> policy::Requirements {
    let places = |place: &str| policy::PlaceSet { places: vec![place.into()] };
    policy::Requirements { forbidden_controller_seats: Some(places("BR")), ..in_places(&["DE"]) }
}

#[tokio::test]
async fn an_app_of_another_organisation_learns_no_rule_no_place_and_no_threshold() {
    let stage = Private::new().await;
    let told = stage.all_that_is_told(&stage.other).await;
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret} is told: {told}");
    }
}

#[tokio::test]
async fn the_offers_own_organisation_reads_all_of_it() {
    let stage = Private::new().await;
    let told = stage.all_that_is_told(&stage.own).await;
    for secret in ["\"JP\"", "OFAC-SDN", "ServiceProvision", "secret-rule", "Hidden Hand", "Whale"] {
        assert!(told.contains(secret), "{secret} is not told: {told}");
    }
}

#[tokio::test]
async fn another_caller_gets_every_code_and_the_reasons_of_its_own_demands_whole() {
    let stage = Private::new().await;
    let reasons = stage.reasons(&stage.other).await;
    let text = |reason: &policy::Reason| format!("{}({})", reason.code, reason.subject);
    let told: Vec<_> = reasons.iter().map(text).collect();
    let expected = [
        "CALLER_OWNERSHIP_RESTRICTED()",
        "CALLER_PLACE_NOT_SERVED()",
        "CALLER_TERMS_NOT_ACCEPTED()",
        "CLAIM_MISSING()",
        "CONTROLLER_NOT_ALLOWED()",
        "PROCESSING_LOCATION_NOT_ALLOWED(FR)",
        "PURPOSE_PROHIBITED()",
    ];
    assert!(expected.iter().all(|text| told.iter().any(|found| found == text)), "{told:?}");
    assert!(reasons.iter().all(|reason| !reason.hint.is_empty()), "{reasons:#?}");
}

#[tokio::test]
async fn a_callers_own_owners_are_shown_to_it_and_to_no_other_member() {
    let stage = Private::new().await;
    let own = stage.all_that_is_told(&stage.other).await;
    assert!(own.contains("Silent Partner"), "{own}");
    let others = stage.all_that_is_told(&stage.own).await;
    assert!(!others.contains("Silent Partner"), "{others}");
}

#[tokio::test]
async fn the_journal_keeps_the_reasons_whole() {
    let stage = Private::new().await;
    let _told = stage.all_that_is_told(&stage.other).await;
    stage.scene.stop().await;
    let (decisions, _) = decision_log::read(&stage.scene.file("decisions"));
    let journal = decisions.into_iter().map(|decision| decision.refused).collect::<String>();
    assert!(journal.contains("CALLER_OWNERSHIP_RESTRICTED(secret-rule)"), "{journal}");
    assert!(journal.contains("CALLER_PLACE_NOT_SERVED(DE)"), "{journal}");
}

#[tokio::test]
async fn who_governs_reads_the_facts_whole_since_they_admit_on_them() {
    let stage = Private::new().await;
    let members = stage.scene.operator().await.list_organisations(ListOrganisationsRequest {}).await.unwrap();
    let told = format!("{members:?}");
    assert!(told.contains("Hidden Hand") && told.contains("Silent Partner"), "{told}");
}

#[tokio::test]
async fn neither_order_nor_number_tells_how_many_rules_terms_have() {
    let stage = Private::new().await;
    // A name that comes first, and a rule more, which refuses as well.
    let more = format!("{TERMS}[[caller_rules.ownership]]\nid = 'another'\ntarget = ['CN']\nthreshold_bp = 3701\n");
    offered(&stage.scene, &OPERATOR.replace("op.example", "a.example"), &more).await;
    let channel = stage.scene.connect(&stage.other).await.unwrap();
    let explained = CatalogClient::new(channel.clone()).explain(explain(asked())).await.unwrap().into_inner().verdicts;
    let refused = InferenceClient::new(channel).chat(chat(asked())).await.unwrap_err();
    for verdicts in [explained, Detail::of(&refused).unwrap().refusal.unwrap().verdicts] {
        let [first, second] = &verdicts[..] else { panic!("{verdicts:?}") };
        assert_eq!((first.offer.as_str(), second.offer.as_str()), ("a.example/n1/o1", "op.example/n1/o1"));
        assert_eq!(first.reasons, second.reasons);
    }
}
