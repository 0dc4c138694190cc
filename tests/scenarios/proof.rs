//! Everybody verifies: who has the root document and the log needs nobody's word, and notices when it was changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use comity_identity::KeyPair;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::comity;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, OrganisationSpec, US_VENDOR};
use comity_tests::folder::copy;
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said};
use comity_tests::wait;
use comity_transparency::Envelope;
use serde_json::Value;

/// Every how many bytes of a log one is changed.
const STRIDE: usize = 211;

/// Who joins last, and is suspended by a word that is forgotten.
const LATE: OrganisationSpec = OrganisationSpec { domain: "late.example", seat: "DE", controller: None };

/// A node that follows a federation with some past.
struct Past {
    node: Node,
    federation: Federation,
    backend: Backend,
    /// The state as it was shown when it was the last.
    then: BTreeMap<u64, Value>,
}

impl Past {
    fn lived() -> Self {
        let backend = Backend::start(Behaviour::Answer);
        let federation = Federation::start();
        let node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
        let mut past = Self { backend, federation, node, then: BTreeMap::new() };
        past.note();
        let _app = past.federation.app(EU_OWNED, "assistant");
        past.note();
        let _other = past.federation.app(US_VENDOR, "assistant");
        past.note();
        for words in [
            &["suspend", EU_OWNED.domain, "--reason", "a test"][..],
            &["lift", EU_OWNED.domain],
            &["suspend", "spiffe://eu-owned.example/app/assistant", "--reason", "another"],
            &["evict", US_VENDOR.domain, "--reason", "a third"],
        ] {
            let _said = past.federation.govern(words);
            past.note();
        }
        past
    }

    fn note(&mut self) {
        let shown = self.federation.govern_json(&["federation", "show"]);
        self.then.insert(shown["epoch"].as_u64().unwrap(), shown);
    }

    fn last(&self) -> u64 {
        *self.then.keys().last().unwrap()
    }

    /// The node's copy of the log, once it is whole.
    fn on_disk(&self) -> PathBuf {
        let path = self.node.folder.join("data/federation.log");
        wait::until("the node has the whole log", || (lines(&path).len() as u64 == self.last()).then_some(()));
        path
    }

    fn verify(&self, file: &Path) -> Output {
        let root = self.node.folder.join("data/identity/root.json");
        run(comity().args(["log", "verify"]).arg(file).arg("--root").arg(root).args(["-o", "json"]))
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_epoch_is_shown_as_it_was_then_and_verifies_from_the_broker_and_from_a_nodes_disk() {
    let past = Past::lived();
    let log = lines(&past.on_disk());
    assert_eq!(past.then.len(), 7);
    let file = past.federation.folder().join("beginning.log");
    for epoch in 1..=past.last() {
        let shown = past.federation.govern_json(&["federation", "show", "--at-epoch", &epoch.to_string()]);
        if let Some(then) = past.then.get(&epoch) {
            assert_eq!(shown, *then);
        }
        std::fs::write(&file, log[..usize::try_from(epoch).unwrap()].join("\n")).unwrap();
        let verified = json(&past.verify(&file));
        assert_eq!((&verified["epoch"], &verified["root"]), (&epoch.into(), &shown["root"]));
    }
    let online = past.federation.govern_json(&["log", "verify"]);
    let offline = json(&past.verify(&past.on_disk()));
    assert_eq!(online, offline, "the checkpoint beside the log agrees as well");
    assert_eq!((&online["epoch"], &online["checkpointAgrees"]), (&past.last().into(), &true.into()));
}

#[test]
fn a_log_with_a_changed_byte_a_missing_line_swapped_lines_or_a_forged_signature_is_refused() {
    let past = Past::lived();
    let original = past.on_disk();
    let copy = past.federation.folder().join("copy/federation.log");
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    let checkpoint = "federation.checkpoint.json";
    std::fs::copy(original.with_file_name(checkpoint), copy.with_file_name(checkpoint)).unwrap();
    let refuse = |what: &str, bytes: &[u8]| {
        std::fs::write(&copy, bytes).unwrap();
        let verified = past.verify(&copy);
        assert_eq!(verified.status.code(), Some(1), "{what}: {}", said(&verified));
    };
    let text = std::fs::read(&original).unwrap();
    for place in (0..text.len()).step_by(STRIDE).filter(|place| text[*place] != b'\n') {
        let mut changed = text.clone();
        changed[place] = if changed[place] == b'7' { b'8' } else { b'7' };
        refuse(&format!("byte {place}"), &changed);
    }
    let log = lines(&original);
    for place in 0..log.len() {
        let mut missing = log.clone();
        let line = missing.remove(place);
        refuse(&format!("line {place} is missing"), missing.join("\n").as_bytes());
        let mut twice = log.clone();
        twice.insert(place, line);
        refuse(&format!("line {place} twice"), twice.join("\n").as_bytes());
        if place > 0 {
            let mut swapped = log.clone();
            swapped.swap(place - 1, place);
            refuse(&format!("line {place} swapped"), swapped.join("\n").as_bytes());
            let mut forged = log.clone();
            forged[place] = forge(&log[place]);
            refuse(&format!("line {place} forged"), forged.join("\n").as_bytes());
        }
    }
    std::fs::write(&copy, &text).unwrap();
    assert!(past.verify(&copy).status.success());
}

/// The same statement, signed by somebody else in the name of its signers.
fn forge(line: &str) -> String {
    let mut entry: Value = serde_json::from_str(line).unwrap();
    let signed: Envelope = serde_json::from_value(entry["body"]["signed"].clone()).unwrap();
    let mut forged = Envelope { signatures: Vec::new(), ..signed.clone() };
    forged.sign(&KeyPair::generate().unwrap()).unwrap();
    let forgery = forged.signatures.pop().unwrap().sig;
    forged.signatures = signed.signatures;
    for signature in &mut forged.signatures {
        signature.sig.clone_from(&forgery);
    }
    entry["body"]["signed"] = serde_json::to_value(forged).unwrap();
    entry.to_string()
}

#[test]
fn a_broker_that_was_restored_from_an_older_copy_and_went_on_is_noticed_by_operators_and_nodes_who_keep_the_proof() {
    let mut past = Past::lived();
    for text in ["not believed", "equivocated", "broker", "serves nobody", "not whole", "shorter than it was"] {
        past.node.program.expect_log(text);
    }
    past.federation.expect_log("a try failed");
    let app = past.federation.app(LATE, "assistant");
    past.note();
    let data = past.federation.folder().join("broker/data");
    let older = past.federation.folder().join("older");
    assert!(past.federation.broker.take().unwrap().stop().success());
    copy(&data, &older);
    past.federation.start_broker();
    let _said = past.federation.govern(&["suspend", LATE.domain, "--reason", "to be forgotten"]);
    past.note();
    let _whole = past.on_disk();
    assert!(past.federation.broker.take().unwrap().stop().success());
    std::fs::remove_dir_all(&data).unwrap();
    copy(&older, &data);
    past.federation.start_broker();
    past.federation.expect_log("a try failed");
    // The operator remembers, and signs nothing for a log that is shorter than it was.
    let operator = past.federation.operator().identity;
    let suspend = ["suspend", EU_OWNED.domain, "--reason", "instead"];
    let refused = run(comity().arg("--identity").arg(&operator).args(suspend));
    assert!(said(&refused).contains("shorter than before") && !refused.status.success(), "{}", said(&refused));
    assert_eq!(json(&past.verify(&operator.join("rollback.json")))["verified"], "rollback");
    // The same operator on a machine that remembers nothing goes on, and there are two logs.
    let elsewhere = past.federation.folder().join("elsewhere");
    copy(&operator, &elsewhere);
    for kept in ["federation.log", "federation.checkpoint.json", "rollback.json"] {
        std::fs::remove_file(elsewhere.join(kept)).unwrap();
    }
    let _said = past.federation.say_as(&elsewhere, &suspend);
    for _ in 0..2 {
        let refused = run(comity().arg("--identity").arg(&operator).args(["operator", "list"]));
        assert!(said(&refused).contains("two pasts") && !refused.status.success(), "{}", said(&refused));
    }
    let evidence = past.node.folder.join("data/equivocation.json");
    let _kept = wait::for_file(&evidence);
    for evidence in [&evidence, &operator.join("equivocation.json")] {
        let found = json(&past.verify(evidence));
        assert_eq!((&found["verified"], &found["before"]["size"]), (&Value::from("fork"), &found["then"]["size"]));
    }
    let chat = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"];
    let refused = past.federation.ask(&app, &chat);
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(past.backend.asked().is_empty());
}
