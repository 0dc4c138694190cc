//! P6, by others: Go's checksum database, OpenSSL and three packages of Python take the log of a broker that answered, its
//! tiles, proofs and receipts, and refuse each that was tampered with. Who looks at what is in the table of `negatives`.

mod negatives;
mod newer_python;

pub(crate) use self::negatives::log_key;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_client::{Connection, Identity};
use comity_identity::Root;
use comity_membership::log;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{ChatPayload, ChatRequest, ContentPart, Envelope, Message, Role, content_part};
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{self, Caller};
use comity_tests::exhibit::Exhibit;
use comity_tests::federation::{EU_BODY, EU_OWNED, FEDERATION, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_tests::program::{built, said, succeed, workspace};
use comity_tests::readme;
use comity_tests::verifiers::{go, verdict};
use comity_tests::wait;
use comity_transparency::{CosignatureKind, CosigningKey, Kind, Verifier};
use serde_json::Value;

/// Requests between the two checkpoints: two leaves each, so that the log has a full tile, the level above it, and a part.
const REQUESTS: usize = 150;

/// Nodes end before the federation does, whose folder they live in.
struct Scene {
    node: Node,
    _backend: Backend,
    app: Caller,
    federation: Federation,
}

impl Scene {
    fn new() -> Self {
        let backend = Backend::start(Behaviour::Answer);
        let federation = Federation::start();
        let node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
        let app = federation.app(EU_OWNED, "assistant");
        Self { node, _backend: backend, app, federation }
    }

    /// Asks so often, and gives the decision of the last answer.
    fn ask(&self, times: usize) -> String {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let app = Identity::open(&self.app.identity).unwrap();
            let mut client = InferenceClient::new(Connection::open(&app).unwrap().channel());
            let mut decision = None;
            for _ in 0..times {
                let answer = client.chat(question()).await.unwrap();
                let id = answer.metadata().get("comity-decision-id").unwrap().to_str().unwrap();
                decision = Some(id.to_owned());
            }
            decision.unwrap()
        })
    }

    /// Writes the decision log as `comity log export --decisions` does, and says how much of it was there.
    fn export(&self) -> Value {
        let dir = self.file("exhibit/log");
        self.federation.govern_json(&["log", "export", "--decisions", dir.to_str().unwrap()])
    }

    fn file(&self, name: &str) -> PathBuf {
        self.federation.folder().join(name)
    }

    fn root(&self) -> Root {
        Root::from_json(&std::fs::read(self.app.identity.join("root.json")).unwrap()).unwrap()
    }

    /// The log at two sizes, and a receipt that three witnesses cosigned.
    fn exhibit(&self) -> Exhibit {
        let first = self.receipt(&self.ask(1));
        let exported = self.export();
        assert_eq!((&exported["leaves"], &exported["continues"]), (&2.into(), &Value::Null), "{exported}");
        let folder = self.file("exhibit");
        std::fs::copy(folder.join("log/checkpoint"), folder.join("earlier")).unwrap();
        std::fs::remove_file(first).unwrap();
        let receipt = self.receipt(&self.ask(REQUESTS));
        let exported = self.export();
        assert_eq!(exported["continues"], 2, "{exported}");
        std::fs::rename(receipt, folder.join("receipt")).unwrap();
        std::fs::copy(self.app.identity.join("root.json"), folder.join("root.json")).unwrap();
        let mut exhibit = Exhibit { folder, log: self.root().decision_log, witnesses: vec![] };
        for (name, kind) in [
            ("one.example/w", CosignatureKind::Ed25519),
            ("two.example/w", CosignatureKind::Ed25519),
            ("three.example/w", CosignatureKind::MlDsa44),
        ] {
            exhibit.cosign(CosigningKey::generate(name, kind).unwrap());
        }
        exhibit
    }

    /// A receipt, whose outcome is in the log and published.
    fn receipt(&self, decision: &str) -> PathBuf {
        let file = self.file("receipt");
        let words = ["receipt", "show", decision, "--save", file.to_str().unwrap()];
        let _shown = wait::until("the outcome is in the log", || {
            let shown = self.federation.govern(&words);
            shown.contains("outcome leaf").then_some(shown)
        });
        file
    }
}

/// Where programs are looked for: ours first.
/// Said past the test's captured output: whoever reads what CI printed is to see who looked, and what they said.
pub(crate) fn aloud(text: &str) {
    std::io::stderr().write_all(format!("{}\n", text.trim_end()).as_bytes()).unwrap();
}

fn with_programs() -> OsString {
    let mut path = built("comity").parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

fn question() -> ChatRequest {
    let part = ContentPart { part: Some(content_part::Part::Text("Where?".into())) };
    ChatRequest {
        envelope: Some(Envelope {
            model: "test-model".into(),
            purposes: vec!["dpv:CustomerCare".into()],
            ..Envelope::default()
        }),
        payload: Some(ChatPayload {
            messages: vec![Message { role: Role::User.into(), content: vec![part], ..Message::default() }],
            ..ChatPayload::default()
        }),
    }
}

#[test]
fn verifiers_of_other_makers_take_the_log_its_growth_and_its_receipts_and_refuse_what_was_tampered_with() {
    let scene = Scene::new();
    let (exhibit, tools) = (scene.exhibit(), negatives::installed());
    for tool in &tools {
        let said = tool.judge(&exhibit).unwrap_or_else(|said| panic!("{tool:?} refuses: {said}"));
        aloud(&format!("{tool:?} takes the log and its receipt:\n{said}"));
    }
    // The broker's own folder, which any web server can serve, has the same files as the RPC gives.
    let served = exhibit.copy(scene.file("served"));
    std::fs::remove_dir_all(served.file("log")).unwrap();
    std::os::unix::fs::symlink(scene.file("broker/data/decisions"), served.file("log")).unwrap();
    for tool in &tools {
        let _said = tool.judge(&served).unwrap_or_else(|said| panic!("{tool:?} refuses the broker's files: {said}"));
    }
    let by_hand = readme::block_of("docs/decision-log.md", "verified_by_hand");
    let mut shell = Command::new("sh");
    shell.args(["-euc", &by_hand]).current_dir(workspace()).env("DIR", &exhibit.folder).env("TOOLS", clients::tools());
    shell.env("COMITY_IDENTITY", scene.federation.operator().identity).env("PATH", with_programs());
    let said = succeed(&mut shell);
    assert_eq!(said.matches("leaf 301 of 302 is proven").count(), 2, "{said}");
    let key = log_key(&scene.root(), &scene.file("broker/data"));
    negatives::refused_by_whoever_looks(&exhibit, &key, &tools);
}

#[test]
fn gos_checksum_database_computes_the_root_of_the_membership_log_that_the_broker_signed() {
    let scene = Scene::new();
    let data = scene.node.folder.join("data");
    let kept: Value = serde_json::from_slice(&std::fs::read(data.join("federation.checkpoint.json")).unwrap()).unwrap();
    std::fs::write(scene.file("checkpoint"), kept["checkpoint"].as_str().unwrap()).unwrap();
    let _written = scene.federation.govern(&["log", "export", scene.file("entries").to_str().unwrap()]);
    let origin = log::origin(&FEDERATION.parse().unwrap());
    let key = Verifier::new(&origin, Kind::Note, &scene.root().log_key).unwrap();
    let judged = |entries: &str| {
        let mut command = Command::new(go());
        command.args(["-log-key", &key.to_string()]).arg("-entries").arg(scene.file(entries));
        verdict(command.arg("-checkpoint").arg(scene.file("checkpoint")))
    };
    let said = judged("entries").unwrap();
    assert!(said.contains("have the root that was signed"), "{said}");
    let text = std::fs::read_to_string(scene.file("entries")).unwrap();
    std::fs::write(scene.file("changed"), text.replacen("EU", "US", 1).replacen("DE", "US", 1)).unwrap();
    assert!(judged("changed").unwrap_err().contains("another root"));
}

#[test]
fn a_broker_whose_log_does_not_go_on_from_the_one_in_the_folder_is_found_out() {
    let scene = Scene::new();
    let _receipt = scene.receipt(&scene.ask(1));
    let _exported = scene.export();
    // As many leaves, another past, and signed: whoever has the log's key can say so.
    let key = log_key(&scene.root(), &scene.file("broker/data"));
    let root = STANDARD.encode([7; 32]);
    let other = key.sign(&format!("{}\n2\n{root}\n", key.name())).unwrap();
    std::fs::write(scene.file("exhibit/log/checkpoint"), other).unwrap();
    let folder = scene.file("exhibit/log");
    let words = ["log", "export", "--decisions", folder.to_str().unwrap()];
    let refused = scene.federation.ask(&scene.federation.operator(), &words);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("does not continue the one that is kept here"), "{}", said(&refused));
}
