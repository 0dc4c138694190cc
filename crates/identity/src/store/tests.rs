//! Identities in temporary directories.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use comity_types::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::SigningRequest;
use crate::testing::{Organisation, now};

struct Scene {
    temporary: TempDir,
    federation: Organisation,
    org_a: Organisation,
}

/// The keys of the decision log, the same in every root document.
fn decision_log() -> [comity_transparency::Verifier; 2] {
    static KEYS: std::sync::OnceLock<[comity_transparency::Verifier; 2]> = std::sync::OnceLock::new();
    let made = || comity_transparency::LogKey::generate("federation.example/decisions/b1").unwrap().verifiers().clone();
    KEYS.get_or_init(made).clone()
}

impl Scene {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        Self {
            temporary,
            federation: Organisation::new("federation.example"),
            org_a: Organisation::new("org-a.example"),
        }
    }

    fn path(&self) -> PathBuf {
        self.temporary.path().join("deep/identity")
    }

    fn root_json(&self) -> Vec<u8> {
        let root = Root {
            version: crate::root::ROOT_VERSION,
            federation: self.federation.authority.domain().clone(),
            broker: self.federation.id("broker", "b1"),
            addresses: vec![String::from("127.0.0.1:7443")],
            anchors: vec![self.federation.authority.anchor()],
            decision_log: decision_log(),
            log_key: [8; 32],
            operators: vec![crate::root::RootOperator {
                id: self.federation.id("operator", "ada"),
                key: comity_transparency::PublicKey::from_ed25519(&[1; 32]),
            }],
            root_threshold: 1,
            membership_threshold: 1,
            founded_at: now(),
        };
        root.to_json().unwrap()
    }

    /// What the organisation's authority answers to the key in `dir`.
    fn chain_for(&self, dir: &IdentityDir, name: &str, at: Timestamp) -> Vec<CertificateDer<'static>> {
        let id = self.org_a.id("node", name);
        let request = SigningRequest::parse(&dir.pending_key().unwrap().signing_request(&id).unwrap()).unwrap();
        self.org_a.authority.issue(&request, &id, &[], Duration::from_secs(3600), at).unwrap().chain
    }

    fn joined(&self) -> IdentityDir {
        let dir = IdentityDir::create(self.path()).unwrap();
        dir.save(&self.chain_for(&dir, "n1", now()), &self.root_json()).unwrap();
        dir
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_saved_identity_opens_again() {
    let scene = Scene::new();
    scene.joined();
    let dir = IdentityDir::open(scene.path()).unwrap();
    let identity = dir.identity().unwrap();
    assert_eq!(identity.spiffe_id, scene.org_a.id("node", "n1"));
    assert_eq!(identity.brokers, ["127.0.0.1:7443"]);
    assert_eq!(identity.federation_root, Root::digest(&scene.root_json()));
    assert_eq!(dir.credentials().unwrap().leaf().id, identity.spiffe_id);
    assert_eq!(dir.load_root().unwrap().anchors, [scene.federation.authority.anchor()]);
    let authorities = pem::decode(&fs::read(scene.path().join(FEDERATION_CA_FILE)).unwrap()).unwrap();
    assert_eq!(authorities, [scene.federation.authority.anchor()]);
}

#[test]
fn the_same_key_asks_again_after_a_lost_reply() {
    let scene = Scene::new();
    let first = IdentityDir::create(scene.path()).unwrap().pending_key().unwrap();
    let again = IdentityDir::create(scene.path()).unwrap().pending_key().unwrap();
    assert_eq!(first.public_key_digest(), again.public_key_digest());
    assert!(!IdentityDir::create(scene.path()).unwrap().is_joined());
}

#[test]
fn two_that_ask_at_once_get_one_key() {
    let scene = Scene::new();
    let dir = IdentityDir::create(scene.path()).unwrap();
    let digests = std::thread::scope(|scope| {
        let ask = || dir.pending_key().unwrap().public_key_digest();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [KEY_FILE], "nothing else is left behind");
}

#[test]
fn the_key_is_its_owners_alone() {
    let scene = Scene::new();
    let dir = scene.joined();
    assert_eq!((mode(dir.path()), mode(&scene.path().join(KEY_FILE))), (0o700, 0o600));
    for mode in [0o644, 0o640, 0o604, 0o620] {
        fs::set_permissions(scene.path().join(KEY_FILE), fs::Permissions::from_mode(mode)).unwrap();
        let refused = IdentityDir::open(scene.path()).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        assert!(matches!(refused, StoreError::Exposed { mode: found, .. } if found == mode));
        assert!(dir.pending_key().is_err(), "nor is it replaced");
    }
}

#[test]
fn a_directory_that_is_not_there_says_what_to_do() {
    let refused = IdentityDir::open(Scene::new().path()).unwrap_err();
    assert!(matches!(&refused, StoreError::Missing { path } if path.ends_with(IDENTITY_FILE)), "{refused}");
    assert!(refused.to_string().contains("hint: join"), "{refused}");
}

#[test]
fn each_missing_or_broken_file_is_named() {
    for name in [KEY_FILE, CERTIFICATE_FILE, ROOT_FILE, IDENTITY_FILE] {
        let scene = Scene::new();
        let path = scene.joined().path().join(name);
        fs::write(&path, "broken").unwrap();
        let broken = IdentityDir::open(scene.path()).unwrap_err().to_string();
        assert!(broken.contains(name) && !broken.contains("does not exist"), "{broken}");
        fs::remove_file(&path).unwrap();
        let missing = IdentityDir::open(scene.path()).unwrap_err().to_string();
        assert!(missing.contains(name) && missing.contains("does not exist"), "{missing}");
    }
}

#[test]
fn a_root_document_that_was_changed_is_refused() {
    let scene = Scene::new();
    let dir = scene.joined();
    let mut json = scene.root_json();
    json.push(b'\n');
    fs::write(scene.path().join(ROOT_FILE), json).unwrap();
    assert!(
        matches!(dir.load_root(), Err(StoreError::Root { source, .. }) if matches!(*source, RootError::Digest { .. }))
    );
}

#[test]
fn a_certificate_for_another_key_is_not_saved() {
    let scene = Scene::new();
    let dir = IdentityDir::create(scene.path()).unwrap();
    dir.pending_key().unwrap();
    let (chain, _) = scene.org_a.issue("node", "n1", now());
    let refused = dir.save(&chain, &scene.root_json()).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Credentials { source, .. } if **source == CredentialsError::Mismatch),
        "{refused:?}"
    );
    assert!(!dir.is_joined());
}

#[test]
fn a_renewed_certificate_is_saved_for_the_same_id_alone() {
    let scene = Scene::new();
    let dir = scene.joined();
    let before = dir.credentials().unwrap().leaf();
    let refused = dir.save_certificate(&scene.chain_for(&dir, "n2", now())).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Credentials { source, .. } if matches!(**source, CredentialsError::OtherId { .. })),
        "{refused:?}"
    );
    assert_eq!(dir.credentials().unwrap().leaf(), before);
    dir.save_certificate(&scene.chain_for(&dir, "n1", now().plus(Duration::from_secs(60)))).unwrap();
    assert_eq!(dir.credentials().unwrap().leaf().not_after, before.not_after.plus(Duration::from_secs(60)));
}

#[test]
fn a_file_that_is_far_too_large_is_not_read() {
    let scene = Scene::new();
    scene.joined();
    fs::write(scene.path().join(CERTIFICATE_FILE), vec![b' '; 300 * 1024]).unwrap();
    assert!(matches!(IdentityDir::open(scene.path()), Err(StoreError::TooLarge { .. })));
}

#[test]
fn the_organisations_key_is_made_once_and_for_its_owner_alone() {
    let scene = Scene::new();
    let dir = IdentityDir::create(scene.path()).unwrap();
    assert!(dir.organisation_key().unwrap().is_none());
    let made = dir.pending_organisation_key().unwrap().public_key_digest();
    assert_eq!(dir.pending_organisation_key().unwrap().public_key_digest(), made);
    assert_eq!(dir.organisation_key().unwrap().unwrap().public_key_digest(), made);
    assert_ne!(dir.pending_key().unwrap().public_key_digest(), made);
    let file = scene.path().join(ORGANISATION_KEY_FILE);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(dir.organisation_key(), Err(StoreError::Exposed { .. })));
}

#[test]
fn the_next_key_of_an_organisation_is_private_there_before_it_counts_and_takes_the_old_ones_place_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let dir = IdentityDir::create(folder.path()).unwrap();
    let digest = |key: KeyPair| key.public_key_digest();
    let old = digest(dir.pending_organisation_key().unwrap());
    assert!(dir.next_organisation_key().unwrap().is_none() && dir.take_up_next_organisation_key().is_err());
    let next = digest(dir.pending_next_organisation_key().unwrap());
    assert_eq!(digest(dir.pending_next_organisation_key().unwrap()), next, "whoever begins again goes on with it");
    assert_eq!(digest(dir.organisation_key().unwrap().unwrap()), old);
    let mode = fs::metadata(folder.path().join(NEXT_ORGANISATION_KEY_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    dir.take_up_next_organisation_key().unwrap();
    assert_eq!(digest(dir.organisation_key().unwrap().unwrap()), next);
    assert!(dir.next_organisation_key().unwrap().is_none());
}
