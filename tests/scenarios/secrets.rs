//! No private key leaves the file that it was made in, and none is printed: a whole session, with every log line that
//! there is.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, US_VENDOR, free_address};
use comity_tests::node::NodeSpec;
use comity_tests::program::{said, succeed};
use comity_tests::{clients, wait};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::planted;

/// What comes before the 32 secret bytes of a key in PKCS #8: of P-256 (RFC 5915), of Ed25519 (RFC 8410), and of ML-DSA, whose
/// seed they are (RFC 9881).
const BEFORE_SECRET: [&[u8]; 3] =
    [&[0x02, 0x01, 0x01, 0x04, 0x20], &[0x04, 0x22, 0x04, 0x20], &[0x04, 0x22, 0x80, 0x20]];
/// How long a secret is.
const SECRET_BYTES: usize = 32;
/// Keys of a session at least: the founder's and another operator's, the federation's authority and those that are hosted, the
/// two logs' and their witness's, and those of three members and their organisations.
const KEYS: usize = 16;
/// Those of them that are DER, of which the second log and the witness have one for each kind of signature.
const IN_DER: [&str; 5] =
    ["/log.key", "/decision-log.key", "/decision-log.ml-dsa-44.key", "/ed25519.key", "/ml-dsa-44.key"];
/// What the node's backend asks for, which only the file has and the requests to that backend.
const API_KEY: &str = "sk-planted-4f1d6b0c9e7a";
/// Where that is.
const API_KEY_FILE: &str = "backend-key";

/// A private key, in every form that it could be written in.
pub(crate) struct Key {
    pub(crate) file: PathBuf,
    forms: Vec<Vec<u8>>,
}

impl Key {
    fn of_pem(file: PathBuf, pem: &[u8]) -> Self {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap().secret_pkcs8_der().to_vec();
        let mut key = Self::of_der(file, der);
        let text = String::from_utf8_lossy(pem);
        // The middle of the base64, wherever the lines of it are broken.
        let lines = text.lines().filter(|line| !line.starts_with("-----") && line.len() == 64);
        key.forms.extend(lines.map(|line| line.as_bytes().to_vec()));
        key
    }

    fn of_der(file: PathBuf, der: Vec<u8>) -> Self {
        let place = BEFORE_SECRET.iter().find_map(|before| Some(find(&der, before)? + before.len()));
        let place = place.unwrap_or_else(|| panic!("{} is no key that is known here", file.display()));
        let secret = &der[place..place + SECRET_BYTES];
        let mut forms = planted::forms_of(secret);
        forms.extend([STANDARD.encode(&der).into(), der]);
        Self { file, forms }
    }

    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| find(bytes, form).is_some())
    }
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A file's bytes; none if it has gone.
fn read_if_there(file: &Path) -> Option<Vec<u8>> {
    match std::fs::read(file) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", file.display()),
    }
}

#[test]
fn no_private_key_leaves_its_file_and_none_is_printed_or_logged_in_a_whole_session() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = talkative();
    let printed = session(&mut federation, &backend);
    let files = files_below(federation.folder());
    let keys: Vec<Key> = files.iter().filter_map(|file| private_key(file)).collect();
    let names: Vec<_> = keys.iter().map(|key| key.file.display().to_string()).collect();
    assert!(keys.len() >= KEYS && IN_DER.iter().all(|der| names.iter().any(|name| name.ends_with(der))), "{names:?}");
    for key in &keys {
        let mode = key.file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}: {mode:o}", key.file.display());
    }
    let api_key = planted::forms_of(API_KEY.as_bytes());
    for file in &files {
        // The broker that runs has replaced some of them since they were listed.
        let Some(bytes) = read_if_there(file) else { continue };
        for key in keys.iter().filter(|key| key.file != *file) {
            assert!(!key.is_in(&bytes), "the key {} is in {}", key.file.display(), file.display());
        }
        let is_asked_for = file.ends_with(API_KEY_FILE);
        assert_eq!(api_key.iter().any(|form| find(&bytes, form).is_some()), is_asked_for, "{}", file.display());
    }
    for key in &keys {
        assert!(!printed.iter().any(|text| key.is_in(text.as_bytes())), "{} was printed", key.file.display());
        assert!(!backend.asked().iter().any(|body| key.is_in(body)), "{} reached a backend", key.file.display());
    }
    assert!(!printed.iter().any(|text| api_key.iter().any(|form| find(text.as_bytes(), form).is_some())));
    let log = federation.broker.as_ref().unwrap().log();
    assert!(log.contains("TRACE"), "the broker says all that it can");
    assert!(!log.contains("comity-invite-"), "an invite is a secret until it is taken up");
}

/// A federation of two operators, whose broker logs all that it can.
fn talkative() -> Federation {
    let mut federation = Federation::start_governed(&["bob"], 2);
    assert!(federation.broker.take().unwrap().stop().success());
    let config = federation.broker_config();
    let text = std::fs::read_to_string(&config).unwrap();
    let ours = "comity_broker=trace,comity_client=trace,comity_identity=trace,comity_runtime=trace,tonic=trace,h2=trace,rustls=trace";
    std::fs::write(&config, format!("{text}\n[log]\nfilter = \"{ours}\"\n")).unwrap();
    federation.start_broker();
    federation
}

/// What everybody said in a session of all that members and operators do.
fn session(federation: &mut Federation, backend: &Backend) -> Vec<String> {
    federation.expect_log(" ");
    let mut printed = Vec::new();
    let api_key = federation.folder().join(API_KEY_FILE);
    std::fs::write(&api_key, API_KEY).unwrap();
    std::fs::set_permissions(&api_key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let spec = NodeSpec::openai("n1", &backend.url(), "DE");
    let spec = spec.with_backend(&format!("api_key_file = \"{}\"", api_key.display()));
    let folder = federation.folder().join(EU_BODY.domain).join("n1");
    std::fs::create_dir_all(&folder).unwrap();
    // It is a witness, whose keys are DER as the logs' are.
    let witness = format!("\n[witness]\nlisten = \"{}\"\n", free_address());
    std::fs::write(folder.join("node.toml"), spec.toml() + &witness).unwrap();
    let mut node = federation.start_node_in(EU_BODY, "n1", folder);
    node.wait_until_ready();
    node.program.expect_log("SUSPENDED");
    let app = federation.app(EU_OWNED, "assistant");
    let _vendor = federation.app(US_VENDOR, "assistant");
    let first = federation.organisation_dir(EU_BODY.domain).unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| federation.operator_named(name).identity);
    let mut say = |who: &Path, words: &[&str]| {
        let output = federation.ask(&clients::Caller { address: String::new(), identity: who.to_owned() }, words);
        printed.push(said(&output));
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        printed.last().unwrap().clone()
    };
    let invited: Value =
        serde_json::from_str(&say(&first, &["invite", EU_BODY.domain, "--kind", "app", "--name", "a1", "-o", "json"]))
            .unwrap();
    let own = federation.folder().join(EU_BODY.domain).join("a1");
    let _joined = succeed(clients::comity().args(["join", invited["invite"].as_str().unwrap(), "--dir"]).arg(&own));
    let brake = say(&alice, &["suspend", EU_OWNED.domain, "--reason", "a test", "-o", "json"]);
    let brake: Value = serde_json::from_str(&brake).unwrap();
    say(&bob, &["approve", "--yes", brake["ratification"]["id"].as_str().unwrap()]);
    say(&alice, &["lift", EU_OWNED.domain]);
    let waiting: Value = serde_json::from_str(&say(&bob, &["proposal", "list", "-o", "json"])).unwrap();
    say(&bob, &["approve", "--yes", waiting["proposals"][0]["id"].as_str().unwrap()]);
    for words in [
        &["log", "show", "-o", "json"][..],
        &["log", "verify", "-o", "json"],
        &["federation", "show", "-o", "json"],
        &["operator", "list", "-o", "json"],
        &["enrolment", "list", "-o", "json"],
        &["organisation", "list", "-o", "json"],
        &["node", "list", "-o", "json"],
        &["app", "list", "-o", "json"],
        &["offer", "list", "-o", "json"],
    ] {
        say(&alice, words);
    }
    say(&app.identity, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"]);
    let exported = federation.folder().join("exported.log");
    say(&alice, &["log", "export", exported.to_str().unwrap()]);
    let _kept = wait::for_file(&node.folder.join("data/federation.log"));
    printed
}

/// The private key in a file, if it holds one: in PEM, or by its name, in DER.
pub(crate) fn private_key(file: &Path) -> Option<Key> {
    let bytes = read_if_there(file)?;
    if find(&bytes, b"PRIVATE KEY-----").is_some() {
        return Some(Key::of_pem(file.to_owned(), &bytes));
    }
    file.extension().is_some_and(|ends| ends == "key").then(|| Key::of_der(file.to_owned(), bytes))
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
