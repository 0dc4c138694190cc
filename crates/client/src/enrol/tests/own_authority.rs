//! A certificate that the organisation's own authority signed is held against all that members will, at once.

use std::path::PathBuf;

use comity_identity::{Authority, KeyPair, pem};
use comity_runtime::clock::SystemClock;
use comity_types::Clock as _;

use super::*;

/// A member whose organisation's authority is elsewhere, and has been asked to sign.
struct Scene {
    world: World,
    invite: Invite,
    ca: PathBuf,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        world.desk.leave_signing_to_the_organisation();
        let ca = world.dir.path().join("own-ca.pem");
        std::fs::write(&ca, pem::encode(&[world.desk.anchor().into()])).unwrap();
        let invite = world.invite();
        Self { world, invite, ca }
    }

    async fn join(&self) -> Result<JoinState, EnrolError> {
        let (own, dir) = (OwnAuthority::read(&self.ca, None).unwrap(), self.world.member_dir());
        let joining = Joining { authority: Some(&own), ..Joining::new(&self.invite, &[Kind::App], None, &dir) };
        join(joining).await
    }

    fn key(&self) -> KeyPair {
        IdentityDir::create(self.world.member_dir()).unwrap().key().unwrap()
    }

    fn give(&self, chain: &[CertificateDer<'static>]) {
        std::fs::write(self.world.member_dir().join("cert.pem"), pem::encode(chain)).unwrap();
    }

    async fn refused(&self) -> String {
        let refused = self.join().await.unwrap_err();
        assert!(matches!(refused, EnrolError::Given(_)), "{refused:?}");
        let said = refused.to_string();
        assert!(said.contains("request.pem") && said.contains(MEMBER) && said.contains("hint"), "{said}");
        said
    }
}

#[tokio::test]
async fn the_request_is_there_to_be_signed_while_operators_decide() {
    let scene = Scene::new().await;
    assert!(matches!(scene.join().await.unwrap(), JoinState::Pending { .. }));
    let (request, certificate) = to_be_signed(&scene.world.member_dir()).unwrap();
    assert!(request.exists() && !certificate.exists());
    scene.give(&scene.world.desk.issue_for(&scene.key()));
    assert!(matches!(scene.join().await.unwrap(), JoinState::Pending { .. }));
    assert_eq!(to_be_signed(&scene.world.member_dir()), None);
    scene.world.desk.approve();
    let dir = scene.world.member_dir();
    assert!(matches!(resume(&Resuming::new(&[Kind::App], &dir)).await.unwrap(), JoinState::Issued(_)));
    assert_eq!(Identity::open(&dir).unwrap().id().as_str(), MEMBER);
}

#[tokio::test]
async fn a_certificate_that_members_would_refuse_is_refused_where_it_is_given_before_and_after_the_approval() {
    let scene = Scene::new().await;
    assert!(matches!(scene.join().await.unwrap(), JoinState::Pending { .. }));
    let (desk, now, key) = (&scene.world.desk, SystemClock.now(), scene.key());
    let stranger = World::new().await;
    let wrong = [
        (stranger.desk.issue_for(&key), "none of the organisation's certificate authorities"),
        (desk.issue_as("spiffe://org-a.example/app/other", &key, now), "app/other"),
        (desk.issue_for(&KeyPair::generate().unwrap()), "private key"),
        (desk.issue_as(MEMBER, &key, now.minus(LIFETIME * 2)), "has ended"),
        (desk.issue_as(MEMBER, &key, now.plus(LIFETIME)), "does not hold yet"),
    ];
    for approved in [false, true] {
        if approved {
            scene.world.desk.approve();
        }
        for (chain, why) in &wrong {
            scene.give(chain);
            let said = scene.refused().await;
            assert!(said.contains(why), "{said}");
            assert!(!IdentityDir::create(scene.world.member_dir()).unwrap().is_joined());
        }
    }
    scene.give(&desk.issue_for(&key));
    assert!(matches!(scene.join().await.unwrap(), JoinState::Issued(_)));
}

#[tokio::test]
async fn a_refused_application_does_not_take_the_place_of_the_one_that_waits() {
    let scene = Scene::new().await;
    let (folder, dir) = (scene.world.dir.path(), scene.world.member_dir());
    let authority = |name: &str| {
        let own = Authority::generate("org-a.example".parse().unwrap(), SystemClock.now()).unwrap();
        let (ca, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&ca, pem::encode(&[own.anchor()])).unwrap();
        std::fs::write(&key, own.key_pem().reveal()).unwrap();
        OwnAuthority::read(&ca, Some(&key)).unwrap()
    };
    let join_with = async |own: Option<&OwnAuthority>| {
        join(Joining { authority: own, ..Joining::new(&scene.invite, &[Kind::App], None, &dir) }).await
    };
    let source = || IdentityDir::create(&dir).unwrap().source().unwrap();
    let refusal = || Failure::new(Code::FailedPrecondition, "OTHER_ANCHORS", "taken up with other authorities");
    // Of a first one that is refused nothing stays.
    scene.world.desk.refuse_next(refusal());
    join_with(Some(&authority("first"))).await.unwrap_err();
    assert_eq!(source(), None);
    assert!(matches!(join_with(Some(&authority("right"))).await.unwrap(), JoinState::Pending { .. }));
    let waits = source().unwrap();
    assert!(waits.ca.ends_with("right.pem"));
    for other in [Some(authority("wrong")), None] {
        scene.world.desk.refuse_next(refusal());
        join_with(other.as_ref()).await.unwrap_err();
        assert_eq!(source().as_ref(), Some(&waits), "{other:?}");
    }
}

#[tokio::test]
async fn an_authority_whose_certificates_nobody_takes_is_not_remembered_for_renewals() {
    for hosted in [true, false] {
        let world = World::new().await;
        if !hosted {
            world.desk.leave_signing_to_the_organisation();
        }
        let (folder, dir, invite) = (world.dir.path(), world.member_dir(), world.invite());
        let unstated = Authority::generate("org-a.example".parse().unwrap(), SystemClock.now()).unwrap();
        let (ca, key) = (folder.join("unstated.pem"), folder.join("unstated.key"));
        std::fs::write(&ca, pem::encode(&[unstated.anchor()])).unwrap();
        std::fs::write(&key, unstated.key_pem().reveal()).unwrap();
        let own = OwnAuthority::read(&ca, Some(&key)).unwrap();
        let join_with_it =
            async || join(Joining { authority: Some(&own), ..Joining::new(&invite, &[Kind::App], None, &dir) }).await;
        assert!(matches!(join_with_it().await.unwrap(), JoinState::Pending { .. }));
        world.desk.approve();
        match join_with_it().await {
            Ok(joined) => assert!(hosted && matches!(joined, JoinState::Issued(_)), "{joined:?}"),
            Err(refused) => assert!(!hosted && matches!(refused, EnrolError::Given(_)), "{refused:?}"),
        }
        assert_eq!(IdentityDir::create(&dir).unwrap().source().unwrap(), None, "hosted: {hosted}");
    }
}
