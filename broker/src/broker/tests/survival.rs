//! What was acknowledged is there after the broker was killed.

use comity_identity::{Invite, KeyPair};
use comity_proto::catalog::ListOffersRequest;
use comity_proto::catalog::catalog_client::CatalogClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::error::Detail;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{ChatRequest, Envelope};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{
    Kind, ListAppsRequest, ListEnrolmentsRequest, ListNodesRequest, ListOrganisationsRequest, RejectRequest,
    WatchRequest,
};
use comity_proto::policy::{PlaceSet, Requirements};

use crate::testing::{Member, Scene, decision_log, offer, organisation};

const ORG: &str = "org-a.example";
/// The beginning of a frame of 100 bytes, which was not written to its end.
const TORN: &[u8] = b"\x64\0\0\0\x01\x02\x03\x04{\"event\":\"inv";

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost_when_the_broker_is_killed() {
    survives(b"").await;
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost_when_the_broker_is_killed_while_it_writes() {
    survives(TORN).await;
}

async fn survives(tail: &[u8]) {
    let scene = Scene::new().await;
    let handed_out = govern(&scene).await;
    let decisions = handed_out.ask(&scene).await;
    let before = Told::of(&scene).await;

    let again = scene.killed(tail);
    scene.stop().await;
    again.start().await.unwrap();
    assert_eq!(Told::of(&again).await, before);
    handed_out.still_count(&again).await;

    again.stop().await;
    let kept: Vec<_> = decision_log::read(&again.file("decisions")).0.iter().map(|kept| kept.id.to_string()).collect();
    assert_eq!(kept, decisions);
}

/// What the members hold in their hands.
struct HandedOut {
    app: Member,
    open: Invite,
    unasked: Invite,
    waiting: (Invite, KeyPair),
    rejected: (Invite, KeyPair),
    revoked: Invite,
}

/// Two organisations, one of them suspended; a node with offers; invites in every state.
async fn govern(scene: &Scene) -> HandedOut {
    let node = scene.admit(ORG, Kind::Node, "n1").await;
    let app = scene.admit(ORG, Kind::App, "chat").await;
    let lifted = scene.admit(ORG, Kind::App, "lifted").await;
    scene.admit("org-b.example", Kind::Node, "n1").await;

    let offers = ["o1", "o2"].map(|id| offer(&node.id, id, "MIT")).to_vec();
    scene.publish(&node, "n1.org-a.example:7444", offers).await.unwrap();
    for member in ["org-b.example", lifted.id.as_str()] {
        scene.suspend(member).await;
    }
    scene.lift(lifted.id.as_str()).await;

    let open = scene.invite(ORG, Kind::App, "open").await;
    let [waiting, rejected] = [asked(scene, "org-c.example").await, asked(scene, "org-d.example").await];
    let (unasked, revoked) =
        (scene.invite("org-f.example", Kind::App, "a1").await, scene.invite("org-e.example", Kind::App, "a1").await);
    let mut operator = scene.operator().await;
    for invite in [&rejected.0, &revoked] {
        let reject = RejectRequest { enrolment_id: invite.id_text(), reason: "not this year".into() };
        operator.reject(reject).await.unwrap();
    }
    HandedOut { app, open, unasked, waiting, rejected, revoked }
}

/// An invite of a new organisation that was taken up.
async fn asked(scene: &Scene, domain: &str) -> (Invite, KeyPair) {
    let (invite, key) = (scene.invite(domain, Kind::Node, "n1").await, KeyPair::generate().unwrap());
    let state = scene.join(&invite, &key, Some(&organisation(domain))).await.unwrap();
    assert!(matches!(state, State::Pending(_)), "{state:?}");
    (invite, key)
}

impl HandedOut {
    /// The decisions about some requests of the app, as it was told them.
    async fn ask(&self, scene: &Scene) -> Vec<String> {
        let mut client = InferenceClient::new(scene.connect(&self.app).await.unwrap());
        let abroad = vec![PlaceSet { places: vec!["US".into()] }];
        let requirements = Some(Requirements { allowed_processing_locations: abroad, ..Default::default() });
        let purposes = vec!["dpv:CustomerCare".into()];
        let envelope = Some(Envelope { model: "m".into(), requirements, purposes, ..Default::default() });
        let mut decisions = Vec::new();
        for _ in 0..3 {
            let request = ChatRequest { envelope: envelope.clone(), ..Default::default() };
            let refused = client.chat(request).await.unwrap_err();
            decisions.push(Detail::of(&refused).and_then(|detail| detail.refusal).expect("a refusal").decision_id);
        }
        decisions
    }

    /// Invites are worth after the kill what they were worth before.
    async fn still_count(&self, scene: &Scene) {
        let fresh = KeyPair::generate().unwrap();
        let joined = scene.join(&self.open, &fresh, None).await.unwrap();
        assert!(matches!(joined, State::Issued(_)), "{joined:?}");
        let asked = scene.join(&self.unasked, &fresh, Some(&organisation("org-f.example"))).await.unwrap();
        assert!(matches!(asked, State::Pending(_)), "{asked:?}");
        let pending = scene.join(&self.waiting.0, &self.waiting.1, Some(&organisation("org-c.example"))).await.unwrap();
        assert!(matches!(pending, State::Pending(_)), "{pending:?}");
        for (invite, key) in [(&self.rejected.0, &self.rejected.1), (&self.revoked, &fresh)] {
            let State::Rejected(rejected) = scene.join(invite, key, None).await.unwrap() else {
                panic!("not rejected")
            };
            assert_eq!(rejected.reason, "not this year");
        }
    }
}

/// Everything that an operator is told: what the lists say, and every statement of the registry.
#[derive(Debug, PartialEq)]
struct Told {
    lists: [String; 5],
    statements: Vec<Vec<u8>>,
}

impl Told {
    async fn of(scene: &Scene) -> Self {
        let channel = scene.connect(&scene.operator).await.unwrap();
        let (mut membership, mut catalog) = (MembershipClient::new(channel.clone()), CatalogClient::new(channel));
        let organisations = membership.list_organisations(ListOrganisationsRequest {}).await.unwrap().into_inner();
        let nodes = membership.list_nodes(ListNodesRequest {}).await.unwrap().into_inner();
        let apps = membership.list_apps(ListAppsRequest {}).await.unwrap().into_inner();
        let offers = catalog.list_offers(ListOffersRequest::default()).await.unwrap().into_inner();
        let enrolments = membership.list_enrolments(ListEnrolmentsRequest::default()).await.unwrap().into_inner();
        // A list that is empty would be the same before and after, whatever was lost.
        let counts = (organisations.organisations.len(), nodes.nodes.len(), apps.apps.len(), offers.offers.len());
        assert_eq!((counts, enrolments.enrolments.len()), ((2, 2, 2, 2), 2));

        let mut watched = membership.watch(WatchRequest { after_epoch: 0 }).await.unwrap().into_inner();
        let mut statements = Vec::new();
        // The checkpoint after the last of them as well: it is signed anew, and is the same.
        for _ in 0..=organisations.epoch {
            let part = watched.message().await.unwrap().unwrap();
            statements.push([part.entry.to_vec(), part.checkpoint.into_bytes()].concat());
        }
        let lists = [
            format!("{organisations:?}"),
            format!("{nodes:?}"),
            format!("{apps:?}"),
            format!("{offers:?}"),
            format!("{enrolments:?}"),
        ];
        Self { lists, statements }
    }
}
