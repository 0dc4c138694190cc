//! The offers that a new organisation applies with: signed, bounded, and seen by whoever decides.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{Invite, KeyPair};
use comity_membership::federation::MAX_APPLIED_OFFERS_BYTES;
use comity_membership::{Application, Statement};
use comity_policy::Offer;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::enrolment::{GetInviteRequest, JoinRequest};
use comity_proto::error::Detail;
use comity_proto::membership::Kind;
use comity_transparency::Envelope;
use tonic::{Code, Status};

use crate::testing::{Scene, assert_refused, csr, json, member_id, offer, organisation, reason};

const ORG: &str = "org-a.example";

/// Somebody with an invite for the first node of a new organisation.
struct Newcomer {
    scene: Scene,
    invite: Invite,
    key: KeyPair,
}

impl Newcomer {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let (invite, key) = (scene.invite(ORG, Kind::Node, "n1").await, KeyPair::generate().unwrap());
        Self { scene, invite, key }
    }

    fn offer(id: &str, licence: &str) -> Offer {
        offer(&member_id(ORG, Kind::Node, "n1"), id, licence)
    }

    /// What it signs to apply with these.
    async fn application(&self, offers: Vec<Offer>) -> Envelope {
        let question =
            GetInviteRequest { invite_id: self.invite.id_text(), secret: self.invite.secret.reveal().to_vec().into() };
        let mut client = EnrolmentClient::new(self.scene.connect_to_enrol().await);
        let described = client.get_invite(question).await.unwrap().into_inner();
        let (facts, member) = (organisation(ORG), member_id(ORG, Kind::Node, "n1"));
        let anchors = vec![STANDARD.encode(&described.hosted_anchor_der)];
        let plain = self.scene.application(&self.invite, &facts, Default::default(), member, &self.key, anchors);
        let application = Application { offers, ..Application::open(&plain).unwrap() };
        application.sign(&[&*self.scene.key_of(ORG), &self.key]).unwrap()
    }

    async fn hand_in(&self, application: &Envelope) -> Result<State, Status> {
        let request = JoinRequest {
            invite_id: self.invite.id_text(),
            secret: self.invite.secret.reveal().to_vec().into(),
            csr_der: csr(&self.key).into(),
            application: json(application),
            kinds: vec![Kind::Node.into()],
            ..JoinRequest::default()
        };
        let mut client = EnrolmentClient::new(self.scene.connect_to_enrol().await);
        client.join(request).await.map(|answer| answer.into_inner().state.unwrap())
    }

    async fn join(&self, offers: Vec<Offer>) -> Result<State, Status> {
        self.hand_in(&self.application(offers).await).await
    }
}

/// The application with another licence in it, under the signatures of the first.
fn forged(honest: &Envelope) -> Envelope {
    let text = String::from_utf8(honest.payload.clone()).unwrap();
    assert!(text.contains("\"MIT\""), "{text}");
    Envelope { payload: text.replace("\"MIT\"", "\"Apache-2.0\"").into_bytes(), ..honest.clone() }
}

#[tokio::test]
async fn operators_are_shown_the_offers_that_were_signed_and_a_changed_one_is_refused_everywhere() {
    let newcomer = Newcomer::new().await;
    let honest = newcomer.application(vec![Newcomer::offer("chat", "MIT")]).await;
    let refused = newcomer.hand_in(&forged(&honest)).await;
    assert_refused(refused, Code::InvalidArgument, "INVALID_FIELD");
    assert!(matches!(newcomer.hand_in(&honest).await, Ok(State::Pending(_))));
    let scene = &newcomer.scene;
    let shown = scene.waiting_application(&newcomer.invite.id_text()).await;
    assert_eq!(Application::open(&shown).unwrap().offers, [Newcomer::offer("chat", "MIT")]);
    let refused = scene.govern(Statement::OrganisationAdmitted { application: forged(&shown) }).await;
    assert_refused(refused, Code::InvalidArgument, "INVALID_FIELD");
    scene.approve(&newcomer.invite.id_text()).await.unwrap();
    assert_eq!(scene.federation().offers().count(), 0, "what is applied with is not in force");
}

#[tokio::test]
async fn operators_decide_on_the_offers_that_came_first() {
    let newcomer = Newcomer::new().await;
    let first = newcomer.join(vec![Newcomer::offer("chat", "MIT")]).await.unwrap();
    let refused = newcomer.join(vec![Newcomer::offer("chat", "Apache-2.0")]).await;
    assert!(refused.as_ref().unwrap_err().message().contains("offers (--config)"), "{refused:?}");
    assert_refused(refused, Code::FailedPrecondition, "OTHER_APPLICATION");
    assert_eq!(newcomer.join(vec![Newcomer::offer("chat", "MIT")]).await.unwrap(), first);
}

#[tokio::test]
async fn offers_that_could_not_be_published_are_refused_by_their_field_and_take_no_invite_up() {
    let newcomer = Newcomer::new().await;
    let elsewhere = offer(&member_id(ORG, Kind::Node, "n2"), "chat", "MIT");
    let long = Newcomer::offer("chat", &"M".repeat(10_000));
    let twice = vec![Newcomer::offer("chat", "MIT"); 2];
    let large = "x".repeat(MAX_APPLIED_OFFERS_BYTES / 100);
    let large: Vec<_> = (0..101).map(|n| Newcomer::offer(&format!("o{n}"), &large)).collect();
    for (offers, field) in [
        (vec![elsewhere], "offers[0].node"),
        (vec![Newcomer::offer("o1", "MIT"), long], "offers[1]"),
        (twice, "application"),
        (large, "offers"),
    ] {
        let refused = newcomer.join(offers).await.unwrap_err();
        let detail = Detail::of(&refused).unwrap();
        assert_eq!(
            (reason(&refused).as_str(), detail.metadata["field"].as_str()),
            ("INVALID_FIELD", field),
            "{refused}"
        );
    }
    let another = Newcomer { key: KeyPair::generate().unwrap(), ..newcomer };
    assert!(matches!(another.join(vec![]).await, Ok(State::Pending(_))), "the invite is still anybody's who holds it");
}
