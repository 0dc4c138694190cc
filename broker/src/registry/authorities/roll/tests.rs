use std::sync::{Arc, Mutex};

use comity_identity::{Credentials, KeyPair, OrganisationAnchors, SigningRequest, tls};
use comity_types::{Clock, SpiffeId};
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::registry::authorities::{Authorities, KEY_END};

const DAY: Duration = Duration::from_secs(86_400);

/// What members believe, and whether it can be told to them.
struct Registry {
    anchors: Mutex<Vec<CertificateDer<'static>>>,
    is_down: Mutex<bool>,
}

impl Registry {
    fn publish(&self, anchors: &[CertificateDer<'static>]) -> Result<(), AuthorityError> {
        if *self.is_down.lock().unwrap() {
            return Err(AuthorityError::Io { path: "registry".into(), source: io::ErrorKind::Other.into() });
        }
        *self.anchors.lock().unwrap() = anchors.to_vec();
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

struct Scene {
    dir: tempfile::TempDir,
    authorities: Authorities,
    registry: Registry,
    organisation: TrustDomain,
}

impl Scene {
    fn new() -> Self {
        let (dir, organisation) = (tempfile::tempdir().unwrap(), "org-a.example".parse().unwrap());
        let authorities = Authorities::new(dir.path());
        let first = authorities.find_or_create(&organisation, start()).unwrap();
        let registry = Registry { anchors: Mutex::new(vec![first.anchor()]), is_down: Mutex::default() };
        Self { dir, authorities, registry, organisation }
    }

    /// As after a restart: nothing is known but what is on disk.
    fn restart(&mut self) {
        self.authorities = Authorities::new(self.dir.path());
    }

    /// The organisation signs what is due.
    fn roll(&self, now: Timestamp) -> Result<(), AuthorityError> {
        let anchors = self.authorities.due(&self.organisation, &self.published(), now)?;
        self.registry.publish(&anchors)?;
        self.authorities.follow(&self.organisation, &anchors, DAY, now)
    }

    /// The same at the end of a roll.
    fn retire(&self, now: Timestamp) {
        match self.roll(now) {
            Ok(()) | Err(AuthorityError::Rolling { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn published(&self) -> Vec<CertificateDer<'static>> {
        self.registry.anchors.lock().unwrap().clone()
    }

    fn signs(&self) -> CertificateDer<'static> {
        self.authorities.find(&self.organisation).unwrap().anchor()
    }

    /// A node of the organisation, with a leaf of whatever authority signs.
    fn node(&self, now: Timestamp) -> Arc<Credentials> {
        let (id, key) = (node(), KeyPair::generate().unwrap());
        let request = SigningRequest::parse(&key.signing_request(&id).unwrap()).unwrap();
        let authority = self.authorities.find(&self.organisation).unwrap();
        Arc::new(Credentials::new(authority.issue(&request, &id, &[], DAY, now).unwrap().chain, &key).unwrap())
    }

    /// Whether somebody who believes what is published takes `credentials` for the node.
    fn is_believed(&self, credentials: &Arc<Credentials>, now: Timestamp) -> bool {
        let (clock, anchors) =
            (Arc::new(Still(now)), OrganisationAnchors::new(self.organisation.clone(), &self.published()));
        let (anchors, members) = (Arc::new(anchors.unwrap()), Arc::new(comity_identity::SharedAnchors::default()));
        members.replace(std::iter::once((*anchors).clone()).collect());
        let server = tls::server_config(Arc::clone(credentials), members, clock.clone()).unwrap();
        let client = tls::client_config(Arc::clone(credentials), node(), anchors, clock).unwrap();
        shake_hands(
            ClientConnection::new(client, "any.example".try_into().unwrap()).unwrap(),
            ServerConnection::new(server).unwrap(),
        )
    }
}

fn start() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

fn node() -> SpiffeId {
    "spiffe://org-a.example/node/n1".parse().unwrap()
}

fn shake_hands(mut client: ClientConnection, mut server: ServerConnection) -> bool {
    while client.wants_write() || server.wants_write() {
        let (mut out, mut back) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut out).unwrap();
        }
        let _read = server.read_tls(&mut out.as_slice()).unwrap();
        if server.process_new_packets().is_err() {
            return false;
        }
        while server.wants_write() {
            server.write_tls(&mut back).unwrap();
        }
        let _read = client.read_tls(&mut back.as_slice()).unwrap();
        if client.process_new_packets().is_err() {
            return false;
        }
    }
    !client.is_handshaking() && !server.is_handshaking()
}

#[test]
fn leaves_of_the_old_and_of_the_new_authority_are_believed_until_the_last_old_one_has_ended() {
    let scene = Scene::new();
    let (old, first) = (scene.node(start()), scene.signs());
    scene.roll(start()).unwrap();
    let (new, second) = (scene.node(start()), scene.signs());
    assert_ne!(first, second);
    assert_eq!(scene.published(), [first.clone(), second.clone()]);
    assert!(scene.is_believed(&old, start()) && scene.is_believed(&new, start()));
    scene.retire(start().plus(DAY).minus(Duration::from_secs(1)));
    assert_eq!(scene.published().len(), 2, "too early");
    scene.retire(start().plus(DAY));
    assert_eq!((scene.published(), scene.signs()), (vec![second.clone()], second));
    assert!(!scene.is_believed(&old, start()) && scene.is_believed(&new, start()));
}

#[test]
fn nothing_is_signed_by_an_authority_that_nobody_was_told_of() {
    let mut scene = Scene::new();
    let first = scene.signs();
    *scene.registry.is_down.lock().unwrap() = true;
    scene.roll(start()).unwrap_err();
    assert_eq!(scene.signs(), first);
    let made = scene.authorities.due(&scene.organisation, &scene.published(), start()).unwrap();
    scene.restart();
    assert_eq!(scene.signs(), first);
    *scene.registry.is_down.lock().unwrap() = false;
    scene.roll(start()).unwrap();
    assert_eq!(scene.published(), made, "the roll goes on with the key that was made");
    assert_eq!(scene.signs(), made[1]);
}

#[test]
fn what_was_rolled_stays_so_after_a_restart() {
    let mut scene = Scene::new();
    scene.roll(start()).unwrap();
    let (signs, published) = (scene.signs(), scene.published());
    scene.restart();
    assert_eq!(scene.signs(), signs);
    scene.retire(start().plus(DAY));
    scene.restart();
    assert_eq!((scene.signs(), scene.published()), (signs.clone(), vec![signs]));
    assert_eq!(published.len(), 2);
}

#[test]
fn an_authority_rolls_again_once_the_roll_before_is_over() {
    let scene = Scene::new();
    scene.roll(start()).unwrap();
    let refused = scene.roll(start()).unwrap_err();
    assert!(matches!(refused, AuthorityError::Rolling { until, .. } if until == start().plus(DAY)), "{refused}");
    let mut signs = vec![scene.signs()];
    for day in 1..4 {
        let now = start().plus(DAY * day);
        scene.retire(now);
        scene.roll(now).unwrap();
        assert!(!signs.contains(&scene.signs()));
        signs.push(scene.signs());
    }
}

#[test]
fn a_broker_that_is_killed_while_a_roll_ends_goes_on_with_the_authority_that_signs() {
    let mut scene = Scene::new();
    scene.roll(start()).unwrap();
    let signs = scene.signs();
    // The new key is written over the old one, and no more: a key that does not belong to its certificate.
    let key = std::fs::read(scene.dir.path().join("next/org-a.example.key.pem")).unwrap();
    std::fs::write(scene.dir.path().join("org-a.example.key.pem"), key).unwrap();
    scene.restart();
    assert_eq!(scene.signs(), signs);
    scene.retire(start().plus(DAY));
    scene.restart();
    assert_eq!((scene.signs(), scene.published()), (signs.clone(), vec![signs]));
}

#[test]
fn an_authority_of_the_organisations_own_stands_through_a_roll() {
    let scene = Scene::new();
    let own = Authority::generate(scene.organisation.clone(), start()).unwrap().anchor();
    scene.registry.anchors.lock().unwrap().push(own.clone());
    scene.roll(start()).unwrap();
    assert_eq!(scene.published().len(), 3);
    scene.retire(start().plus(DAY));
    assert_eq!(scene.published(), [own, scene.signs()]);
}

#[test]
fn an_organisation_whose_authorities_are_all_its_own_gets_none_of_the_brokers() {
    let scene = Scene::new();
    let own = Authority::generate(scene.organisation.clone(), start()).unwrap().anchor();
    *scene.registry.anchors.lock().unwrap() = vec![own.clone()];
    let refused = scene.roll(start()).unwrap_err();
    assert!(matches!(refused, AuthorityError::NotHosted { .. }), "{refused}");
    assert_eq!(scene.published(), [own]);
}

#[test]
fn an_authority_that_is_lost_while_it_is_rolled_is_replaced_by_one_that_the_organisation_has_signed() {
    for asked in [1, 3] {
        let mut scene = Scene::new();
        scene.roll(start()).unwrap();
        let lost = scene.signs();
        std::fs::remove_file(scene.dir.path().join("next").join(format!("{}{KEY_END}", scene.organisation))).unwrap();
        scene.restart();
        let due: Vec<_> = (0..asked)
            .map(|_| {
                let due = scene.authorities.due(&scene.organisation, &scene.published(), start()).unwrap();
                scene.restart();
                // What nobody has signed signs nothing, and is told of.
                let found = scene.authorities.find(&scene.organisation);
                assert!(matches!(found, Err(AuthorityError::Missing { .. })), "{found:?}");
                due
            })
            .collect();
        assert!(due.iter().all(|one| one == &due[0]), "asked again, it is the same that there is to sign");
        scene.roll(start()).unwrap();
        assert!(scene.published().contains(&scene.signs()) && scene.signs() != lost);
        scene.restart();
        assert!(scene.published().contains(&scene.signs()));
        scene.retire(start().plus(2 * DAY));
        assert!(scene.published().contains(&scene.signs()));
    }
}
