//! An organisation with a certificate authority of its own: valid for its own trust domain alone, and its key stays where
//! it is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use comity_identity::{Authority, SigningRequest, pem};
use comity_runtime::clock::SystemClock;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, Certificate};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, PENDING};
use comity_tests::node::NodeSpec;
use comity_tests::program::{Program, built, run, said, succeed, workspace};
use comity_tests::wait;
use comity_types::{Clock as _, Digest, Secret};
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// How long the certificates last that the other program signs.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How far the machines' clocks may be apart.
const SKEW: Duration = Duration::from_secs(300);

/// A federation, and an organisation with an authority that is about to join with a node.
struct Scene {
    federation: Federation,
    backend: Backend,
    folder: PathBuf,
    authority: Authority,
}

impl Scene {
    fn set() -> Self {
        let (backend, federation) = (Backend::start(Behaviour::Answer), Federation::start());
        let folder = federation.folder().join(EU_BODY.domain).join("n1");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("node.toml"), NodeSpec::openai("n1", &backend.url(), "DE").toml()).unwrap();
        federation.write_facts(EU_BODY, &folder.join("organisation.toml"));
        let authority = Authority::generate(EU_BODY.domain.parse().unwrap(), SystemClock.now()).unwrap();
        std::fs::write(folder.join("own-ca.pem"), pem::encode(&[authority.anchor()])).unwrap();
        Self { federation, backend, folder, authority }
    }

    /// `comity-node join`, with these words.
    fn joining(&self, words: &[&str]) -> impl Fn() -> Command + use<> {
        let invite = self.federation.invite(EU_BODY, "node", "n1");
        let (folder, words): (_, Vec<String>) = (self.folder.clone(), words.iter().map(ToString::to_string).collect());
        move || {
            let mut join = Command::new(built("comity-node"));
            join.current_dir(&folder).args(["join", &invite, "--config", "node.toml"]);
            join.args(["--organisation", "organisation.toml", "--ca", "own-ca.pem"]).args(&words);
            join
        }
    }

    /// The node serves any client.
    fn serves(&self) -> Program {
        let mut command = Command::new(built("comity-node"));
        let node =
            Program::start("node", command.args(["run", "--config"]).arg(self.folder.join("node.toml")), &self.folder);
        let _ready = wait::for_file(&self.folder.join("data/ready"));
        let app = self.federation.app(EU_OWNED, "assistant");
        let answer =
            self.federation.ask(&app, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"]);
        assert!(said(&answer).contains("Paris"), "{}", said(&answer));
        assert!(!self.backend.asked().is_empty());
        node
    }

    fn issuer(&self) -> Issuer<'static, KeyPair> {
        let key = KeyPair::from_pem(self.authority.key_pem().reveal()).unwrap();
        Issuer::from_ca_cert_der(&self.authority.anchor(), key).unwrap()
    }
}

/// The command of the README that begins so.
fn readme_line(begins: &str) -> String {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap().replace('\n', " ");
    readme.split('`').find(|code| code.starts_with(begins)).unwrap().to_owned()
}

/// The body of a key's PEM.
fn body(pem: &Secret<String>) -> String {
    pem.reveal().lines().filter(|line| !line.starts_with("-----")).collect()
}

#[test]
fn a_node_whose_authority_signs_on_its_machine_serves_and_no_key_of_it_is_with_the_broker() {
    let mut scene = Scene::set();
    let key = scene.folder.join("own-ca.key");
    std::fs::write(&key, scene.authority.key_pem().reveal()).unwrap();
    scene.federation.join(scene.joining(&["--ca-key", "own-ca.key"]));
    let _node = scene.serves();
    let secret = body(&scene.authority.key_pem());
    for file in files_below(&scene.federation.folder().join("broker")) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).replace('\n', "");
        assert!(!text.contains(&secret), "{} holds the authority's key", file.display());
    }
    scene.federation.expect_log("peer refused");
    // What the broker keeps ready for whoever joins without an authority is none of this organisation's.
    let kept = scene.federation.folder().join("broker/data/ca").join(EU_BODY.domain);
    let [anchor, key] =
        ["pem", "key.pem"].map(|end| std::fs::read(kept.with_file_name(format!("{}.{end}", EU_BODY.domain))));
    let anchor = pem::decode(&anchor.unwrap()).unwrap().remove(0);
    let kept = Authority::from_pem(&Secret::new(String::from_utf8(key.unwrap()).unwrap()), &anchor).unwrap();
    let stolen = scene.federation.app(EU_OWNED, "stolen");
    let id = format!("spiffe://{}/node/n1", EU_BODY.domain).parse().unwrap();
    let own = comity_identity::KeyPair::generate().unwrap();
    let request = SigningRequest::parse(&own.signing_request(&id).unwrap()).unwrap();
    let forged = kept.issue(&request, &id, &[], LIFE, SystemClock.now()).unwrap();
    show(&stolen, &pem::encode(&forged.chain), own.to_pem().reveal());
    refused(&stolen);
}

/// The caller shows this certificate.
fn show(caller: &Caller, certificate: &str, key: &str) {
    std::fs::write(caller.identity.join("cert.pem"), certificate).unwrap();
    std::fs::write(caller.identity.join("key.pem"), key).unwrap();
}

/// The handshake fails.
fn refused(caller: &Caller) {
    let seen = caller.tls("1.3", Certificate::Shown);
    assert!(seen["alert"].as_str().is_some_and(|alert| alert.contains("_ALERT_")), "{seen}");
}

#[test]
fn without_its_key_join_writes_a_request_which_another_program_signs_and_joins_with_what_comes_back() {
    let scene = Scene::set();
    let join = scene.joining(&[]);
    let asked = run(&mut join());
    assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));
    scene.federation.approve_all();
    let (request, certificate) =
        (scene.folder.join("data/identity/request.pem"), scene.folder.join("data/identity/cert.pem"));
    for _ in 0..2 {
        let waits = run(&mut join());
        assert_eq!(waits.status.code(), Some(PENDING), "{}", said(&waits));
        assert!(said(&waits).contains("request.pem") && request.exists() && !certificate.exists(), "{}", said(&waits));
    }
    let asked_for = std::fs::read_to_string(&request).unwrap();
    let mut asked_for = CertificateSigningRequestParams::from_pem(&asked_for).unwrap();
    leaf(&mut asked_for.params);
    std::fs::write(&certificate, asked_for.signed_by(&scene.issuer()).unwrap().pem()).unwrap();
    let _joined = succeed(&mut join());
    let _node = scene.serves();
}

#[test]
fn an_authority_and_a_certificate_that_openssl_makes_by_the_words_of_the_readme_serve() {
    let scene = Scene::set();
    let by_the_readme = |begins: &str| {
        let line = readme_line(begins).replace("org-a.example", EU_BODY.domain);
        succeed(Command::new("sh").args(["-ec", &line]).current_dir(&scene.folder))
    };
    let _made = by_the_readme("openssl req -x509");
    let join = scene.joining(&[]);
    assert_eq!(run(&mut join()).status.code(), Some(PENDING));
    let (identity, beside) = (scene.folder.join("data/identity"), |file: &str| scene.folder.join(file));
    std::fs::copy(identity.join("request.pem"), beside("request.pem")).unwrap();
    let _signed = by_the_readme("openssl x509 -req");
    std::fs::copy(beside("cert.pem"), identity.join("cert.pem")).unwrap();
    scene.federation.approve_all();
    let _joined = succeed(&mut join());
    let _node = scene.serves();
}

#[test]
fn an_authority_made_by_the_words_of_the_readme_is_taken_and_one_that_does_not_sign_is_told_what_it_lacks() {
    let mut scene = Scene::set();
    scene.federation.expect_log("peer refused");
    let openssl = |line: &str| succeed(Command::new("sh").args(["-ec", line]).current_dir(&scene.folder));
    let line = readme_line("openssl req -x509").replace("org-a.example", EU_BODY.domain);
    let join = scene.joining(&["--ca-key", "own-ca.key"]);
    let without = |extension: &str| {
        let words: Vec<_> = line.split(" -addext ").filter(|word| !word.starts_with(extension)).collect();
        words.join(" -addext ")
    };
    for (lacks, named) in [("keyUsage", "keyUsage = critical, keyCertSign"), ("subjectAltName", "URI:spiffe://DOMAIN")]
    {
        let _made = openssl(&without(lacks));
        let refused = run(&mut join());
        assert!(!refused.status.success() && said(&refused).contains(named), "{lacks}: {}", said(&refused));
    }
    let _made = openssl(&line);
    scene.federation.join(join);
    let _node = scene.serves();
}

#[test]
fn whoever_asks_for_a_hosted_authority_gets_one_of_its_own_trust_domain_and_not_beside_an_own_one() {
    let scene = Scene::set();
    let invite = scene.federation.invite(EU_BODY, "node", "n1");
    let joining = |words: &[&str]| {
        let mut join = Command::new(built("comity-node"));
        join.current_dir(&scene.folder).args(["join", &invite, "--config", "node.toml"]);
        join.args(["--organisation", "organisation.toml", "--hosted"]).args(words);
        join
    };
    let both = run(&mut joining(&["--ca", "own-ca.pem"]));
    assert!(both.status.code() == Some(2) && said(&both).contains("cannot be used with"), "{}", said(&both));
    scene.federation.join(|| joining(&[]));
    let _node = scene.serves();
    let anchor = |path: PathBuf| pem::decode(&std::fs::read(path).unwrap()).unwrap().remove(0);
    let hosted = anchor(scene.federation.folder().join(format!("broker/data/ca/{}.pem", EU_BODY.domain)));
    let stated = [Digest::of(&hosted).to_string()];
    let node = scene.folder.join("data/identity");
    let listed = scene.federation.say_as(&node, &["organisation", "anchors", "list", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["sha256"], serde_json::json!(stated), "the broker's for this organisation alone");
}

#[test]
fn its_certificate_for_an_id_of_another_organisation_is_refused() {
    let mut scene = Scene::set();
    std::fs::write(scene.folder.join("own-ca.key"), scene.authority.key_pem().reveal()).unwrap();
    scene.federation.join(scene.joining(&["--ca-key", "own-ca.key"]));
    let victim = scene.federation.app(EU_OWNED, "assistant");
    assert_eq!(victim.tls("1.3", Certificate::Shown)["version"], "TLSv1.3");
    scene.federation.expect_log("peer refused");
    let key = KeyPair::generate().unwrap();
    for id in
        [format!("spiffe://{}/app/assistant", EU_OWNED.domain), "spiffe://federation.example/operator/alice".into()]
    {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(id.as_str().try_into().unwrap())];
        leaf(&mut params);
        let forged = params.signed_by(&key, &scene.issuer()).unwrap();
        show(&victim, &forged.pem(), &key.serialize_pem());
        refused(&victim);
    }
}

/// What every leaf has.
fn leaf(params: &mut CertificateParams) {
    let now = UNIX_EPOCH + Duration::from_millis(SystemClock.now().as_millis().unsigned_abs());
    params.not_before = (now - SKEW).into();
    params.not_after = (now + LIFE).into();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
