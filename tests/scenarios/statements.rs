//! What organisations accept, what auditors countersign and by which tables the federation decides: each counts at the
//! broker and at the nodes from the epoch at which it is signed, and no longer than that.

use std::path::{Path, PathBuf};

use comity_policy::tables::TableName;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, OrganisationSpec, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said};
use comity_tests::wait;
use serde_json::Value;

/// A set of places that no table that ships has.
const ZONE: &str = "\n[[bloc]]\nbloc = \"OUR-ZONE\"\nmember = \"DE\"\ninstrument = \"a treaty\"\nsource = \"the board\"\n\
                    recorded_at = 2026-01-01\nverified = true\n";

/// The identity that has the key of an organisation.
fn signer(federation: &Federation, organisation: OrganisationSpec) -> PathBuf {
    federation.organisation_dir(organisation.domain).unwrap()
}

/// What somebody says, as JSON.
fn says(federation: &Federation, identity: &Path, words: &[&str]) -> Value {
    serde_json::from_str(&federation.say_as(identity, &[words, &["-o", "json"]].concat())).unwrap()
}

/// What somebody is told who may not say so.
fn is_refused(identity: &Path, words: &[&str]) -> String {
    let output = run(comity().arg("--identity").arg(identity).args(words));
    assert!(!output.status.success(), "{words:?}: {}", said(&output));
    said(&output)
}

/// Asks for an answer; gives whether there was one, and what was said.
fn ask(federation: &Federation, app: &Caller, more: &[&str]) -> (bool, String) {
    let question = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "hello"];
    let answer = federation.ask(app, &[&question, more].concat());
    (answer.status.success(), said(&answer))
}

#[track_caller]
fn is_answered(federation: &Federation, app: &Caller, more: &[&str]) {
    let (answered, text) = ask(federation, app, more);
    assert!(answered && text.contains("Paris"), "{text}");
    is_decided_again(federation);
}

/// Whoever has the log and the receipt of the last answer comes to the same verdict.
#[track_caller]
fn is_decided_again(federation: &Federation) {
    let operator = federation.operator().identity;
    let rows: Value =
        serde_json::from_str(&federation.govern(&["audit", "--from", "2026-01-01", "--format", "json"])).unwrap();
    let answered = rows.as_array().unwrap().iter().rfind(|row| row["result"] == "answered").unwrap();
    let [receipt, log] = ["last.tlog-proof", "last.log"].map(|name| federation.folder().join(name));
    let (receipt, log, root) = (receipt.to_str().unwrap(), log.to_str().unwrap(), operator.join("root.json"));
    let decision = answered["decision"].as_str().unwrap();
    let _shown = federation.govern(&["receipt", "show", decision, "--save", receipt]);
    let _written = federation.govern(&["log", "export", log]);
    let verified = federation.govern(&["receipt", "verify", receipt, "--log", log, "--root", root.to_str().unwrap()]);
    assert!(verified.contains("evaluated again at epoch"), "{verified}");
}

#[track_caller]
fn is_turned_down(federation: &Federation, app: &Caller, more: &[&str], code: &str) {
    let (answered, text) = ask(federation, app, more);
    assert!(!answered && text.contains(code), "{text}");
}

/// Terms of a version that callers have to have accepted.
fn under_terms(name: &str, backend: &Backend, version: u32) -> String {
    let text = NodeSpec::openai(name, &backend.url(), "DE").toml();
    let versioned = text.replace("[terms.standard]\n", &format!("[terms.standard]\nversion = {version}\n"));
    versioned.replace("ownership = []\n", &format!("ownership = []\nmin_terms_version = {version}\n"))
}

#[test]
fn terms_accepted_count_at_once_and_no_longer_when_withdrawn() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    let folder = federation.folder().join(EU_BODY.domain).join("n1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("node.toml"), under_terms("n1", &backend, 3)).unwrap();
    let node = federation.start_node_in(EU_BODY, "n1", folder);
    node.wait_until_ready();
    let own = NodeSpec::openai("n1", &backend.url(), "US").model("another-model");
    let _own_node = federation.node(US_VENDOR, &own);
    let (app, us) = (federation.app(US_VENDOR, "assistant"), signer(&federation, US_VENDOR));
    is_turned_down(&federation, &app, &[], "CALLER_TERMS_NOT_ACCEPTED");

    // What nobody states is not accepted, nor by whom it is not about.
    let told = is_refused(&us, &["terms", "accept", EU_BODY.domain, "--version", "4"]);
    assert!(told.contains("no offer of it states this version"), "{told}");
    let told = is_refused(&federation.operator().identity, &["terms", "accept", EU_BODY.domain]);
    assert!(told.contains("only the organisation itself"), "{told}");
    let dry = says(&federation, &us, &["terms", "accept", EU_BODY.domain, "--dry-run"]);
    let signed = &dry["wouldSign"][0]["statement"]["terms_accepted"];
    assert_eq!((&signed["version"], signed["terms"].as_array().unwrap().len()), (&3.into(), 1), "{dry}");
    is_turned_down(&federation, &app, &[], "CALLER_TERMS_NOT_ACCEPTED");

    let accepted = says(&federation, &us, &["terms", "accept", EU_BODY.domain]);
    assert!(accepted["epoch"].is_u64(), "{accepted}");
    is_answered(&federation, &app, &[]);
    let listed = says(&federation, &federation.operator().identity, &["terms", "list"]);
    let row = listed.as_array().unwrap().iter().find(|row| row["organisation"] == US_VENDOR.domain).unwrap();
    assert_eq!((&row["of"], &row["accepted"], &row["terms"]), (&EU_BODY.domain.into(), &3.into(), &signed["terms"]));
    federation.cut_broker_and_restart();
    wait::until("the app is answered again", || ask(&federation, &app, &[]).0.then_some(()));

    // An update of the facts changes nothing of it, and says nothing of it.
    let facts = federation.folder().join("facts.toml");
    federation.write_facts(US_VENDOR, &facts);
    let text = std::fs::read_to_string(&facts).unwrap();
    let file = facts.to_str().unwrap();
    let update = says(&federation, &us, &["organisation", "update", file, "--dry-run"]);
    assert_eq!(update["changes"], serde_json::json!([]), "{update}");
    std::fs::write(&facts, format!("{text}accepted_terms = {{ \"{}\" = 9 }}\n", EU_BODY.domain)).unwrap();
    let told = is_refused(&us, &["organisation", "update", file]);
    assert!(told.contains("accepted_terms") && told.contains("comity terms accept"), "{told}");

    let before = backend.asked().len();
    let _withdrawn = federation.say_as(&us, &["terms", "withdraw", EU_BODY.domain]);
    is_turned_down(&federation, &app, &[], "CALLER_TERMS_NOT_ACCEPTED");
    assert_eq!(backend.asked().len(), before, "nothing reached the node");
}

/// A federation of an organisation that serves, one that asks and one that audits.
struct Audited {
    /// First, so that they end before their folder is removed.
    nodes: [Node; 3],
    federation: Federation,
    app: Caller,
    /// What an app demands that asks for an audited seat and place.
    demands: String,
    /// The report that the auditor keeps.
    report: String,
}

impl Audited {
    fn start(backend: &Backend) -> Self {
        let federation = Federation::start();
        let node = |organisation, model| {
            federation.node(organisation, &NodeSpec::openai("n1", &backend.url(), "DE").model(model))
        };
        let nodes = [node(EU_BODY, "test-model"), node(US_VENDOR, "another-model"), node(EU_OWNED, "third-model")];
        let app = federation.app(US_VENDOR, "assistant");
        let file = |name: &str, text: &str| {
            let path = federation.folder().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let levels = "min_assurance = { \"operator.seat\" = \"audited\", processing_locations = \"audited\" }\n";
        let (demands, report) = (file("demands.toml", levels), file("report.pdf", "what was looked at"));
        Self { federation, app, demands, report, nodes }
    }

    fn operator(&self, words: &[&str]) -> Value {
        says(&self.federation, &self.federation.operator().identity, words)
    }

    fn auditor(&self) -> PathBuf {
        signer(&self.federation, EU_OWNED)
    }

    fn recognise(&self) {
        let claims = ["--claim", "operator.seat", "--claim", "processing_locations"];
        let words = ["auditor", "recognise", EU_OWNED.domain, "--until", "2099-01-01"];
        let said = self.operator(&[&words[..], &claims].concat());
        assert!(said["epoch"].is_u64(), "{said}");
    }

    fn audit(&self, of: &str, path: &str) -> Vec<String> {
        let words = ["claim", "audit", of, path, "--level", "audited", "--evidence", &self.report];
        [&words[..], &["--valid-until", "2098-01-01"]].concat().into_iter().map(str::to_owned).collect()
    }

    /// The auditor signs for the seat, and for the place of the offer.
    fn audit_both(&self) {
        for (of, path) in [(EU_BODY.domain, "operator.seat"), ("eu-body.example/n1/chat", "processing_locations")] {
            let words = self.audit(of, path);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let said = says(&self.federation, &self.auditor(), &words);
            assert!(said["epoch"].is_u64(), "{said}");
        }
    }

    fn level_of_seat(&self) -> String {
        let claims = self.operator(&["claim", "list", EU_BODY.domain]);
        let seat = claims.as_array().unwrap().iter().find(|claim| claim["path"] == "operator.seat").unwrap();
        seat["level"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn counts(&self) {
        is_answered(&self.federation, &self.app, &["--require", &self.demands]);
        assert_eq!(self.level_of_seat(), "audited");
    }

    #[track_caller]
    fn counts_no_more(&self) {
        let more = ["--require", self.demands.as_str()];
        is_turned_down(&self.federation, &self.app, &more, "ASSURANCE_TOO_LOW(operator.seat)");
        assert_eq!(self.level_of_seat(), "self-declared");
    }
}

#[test]
fn an_organisation_that_calls_itself_audited_is_not() {
    let backend = Backend::start(Behaviour::Answer);
    let stage = Audited::start(&backend);
    stage.counts_no_more();
    let facts = stage.federation.folder().join("facts.toml");
    stage.federation.write_facts(EU_BODY, &facts);
    let text = std::fs::read_to_string(&facts).unwrap();
    let seat = r#"seat = { value = "DE", assurance = "audited", issuer = "eu-owned.example" }"#;
    std::fs::write(&facts, text.replace("seat = \"DE\"", seat)).unwrap();
    let own = signer(&stage.federation, EU_BODY);
    let told = is_refused(&own, &["organisation", "update", facts.to_str().unwrap()]);
    assert!(told.contains("seat") && told.contains("comity claim audit"), "{told}");
    // Nor does it audit itself, and who is not recognised audits nobody.
    let words = stage.audit(EU_BODY.domain, "operator.seat");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for identity in [&own, &stage.auditor()] {
        let told = is_refused(identity, &words);
        assert!(told.contains("is not recognised as an auditor"), "{told}");
    }
    stage.counts_no_more();
    assert!(backend.asked().is_empty());
}

#[test]
fn an_audit_ends_with_its_auditor() {
    let backend = Backend::start(Behaviour::Answer);
    let mut stage = Audited::start(&backend);
    stage.recognise();
    stage.audit_both();
    stage.counts();
    // The auditor's own node is told so.
    stage.nodes[2].program.expect_log("ORGANISATION_SUSPENDED");
    // It is void while the auditor is suspended, and outlives the broker.
    let _suspended = stage.operator(&["suspend", EU_OWNED.domain, "--reason", "under review"]);
    stage.counts_no_more();
    let _lifted = stage.operator(&["lift", EU_OWNED.domain]);
    stage.counts();
    stage.federation.cut_broker_and_restart();
    let demands = stage.demands.clone();
    wait::until("the app is answered again", || {
        ask(&stage.federation, &stage.app, &["--require", &demands]).0.then_some(())
    });
    let _revoked = stage.operator(&["auditor", "revoke", EU_OWNED.domain, "--reason", "it is done"]);
    stage.counts_no_more();
    // Recognised again, it has to look again.
    stage.recognise();
    stage.counts_no_more();
    stage.audit_both();
    stage.counts();
    let _withdrawn = says(
        &stage.federation,
        &stage.auditor(),
        &["claim", "withdraw", EU_BODY.domain, "operator.seat", "--reason", "an error"],
    );
    stage.counts_no_more();
}

#[test]
fn tables_that_operators_adopt_decide_from_that_epoch_on() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start_governed(&["bob"], 2);
    // The node's own terms name the zone, so that its word on the caller rests on the adopted row as well; its program has
    // been started before, and knows none.
    let folder = federation.folder().join("ours");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("blocs.toml"), format!("{}{ZONE}", TableName::Blocs.builtin())).unwrap();
    let ours = folder.to_str().unwrap();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    let in_zone = ["--processing", "OUR-ZONE", "--tables", ours];
    is_turned_down(&federation, &app, &in_zone, "OUR-ZONE");
    let (alice, bob) = (federation.operator().identity, federation.operator_named("bob").identity);
    let told = is_refused(&alice, &["table", "diff", "--adopted"]);
    assert!(told.contains("adopted no tables"), "{told}");

    let dry = says(&federation, &alice, &["table", "adopt", ours, "--dry-run"]);
    let blocs = dry["tables"].as_array().unwrap().iter().find(|one| one["table"] == "blocs").unwrap();
    assert_eq!(blocs["added"].as_array().unwrap().len(), 1, "{dry}");
    let proposed = says(&federation, &alice, &["table", "adopt", ours]);
    let id = proposed["proposal"]["id"].as_str().unwrap();
    is_turned_down(&federation, &app, &in_zone, "OUR-ZONE");
    let shown = run(comity().arg("--identity").arg(&bob).args(["approve", id, "--dry-run"]));
    assert!(said(&shown).contains("+ OUR-ZONE DE"), "{}", said(&shown));
    let approved = says(&federation, &bob, &["approve", id, "--yes"]);
    let epoch = approved["epoch"].as_u64().unwrap();
    is_answered(&federation, &app, &in_zone);

    // The tables of that epoch are in the log, for whoever decides again.
    let exported = federation.folder().join("exported");
    let _said = federation.say_as(&bob, &["table", "export", exported.to_str().unwrap()]);
    let exported_digest = says(&federation, &bob, &["table", "list", "--tables", exported.to_str().unwrap()]);
    let adopted = says(&federation, &bob, &["table", "list", "--adopted"]);
    assert_eq!(adopted["tables_sha256"], exported_digest["tables_sha256"]);
    let explained =
        federation.ask(&app, &["explain", "--model", "test-model", "--purpose", "dpv:CustomerCare", "-o", "json"]);
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    let decided_by = explained["tablesSha256"].as_str().unwrap();
    assert_eq!(decoded(decided_by), adopted["tables_sha256"].as_str().unwrap());
    assert!(explained["epoch"].as_str().unwrap().parse::<u64>().unwrap() >= epoch, "{explained}");
    let before = (epoch - 1).to_string();
    let told = is_refused(&bob, &["table", "export", exported.to_str().unwrap(), "--at-epoch", &before]);
    assert!(told.contains("adopted no tables"), "{told}");
    let nothing_new = says(&federation, &alice, &["table", "diff", "--adopted", "--tables", ours]);
    assert!(nothing_new["tables"].as_array().unwrap().iter().all(|one| one["added"] == serde_json::json!([])));
}

/// Bytes of the JSON form of a message, in hexadecimal digits.
fn decoded(base64: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
