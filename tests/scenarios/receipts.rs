//! P6: every answer and every refusal carries a proof that anybody checks offline, with tools that are not ours; what is
//! recorded can be shown in part and erased, and the log verifies as before.

use std::path::PathBuf;
use std::process::Command;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity, python};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said, succeed};
use comity_tests::{readme, wait};
use comity_transparency::leaf::{Kind, Leaf};
use comity_transparency::tile::unbundle;
use serde_json::{Value, json};

/// What only the request contains.
const SECRET: &str = "the-patient-is-seventeen";

/// Nodes end before the federation does, whose folder they live in.
struct Scene {
    nodes: [Node; 2],
    _backends: [Backend; 2],
    app: Caller,
    federation: Federation,
}

impl Scene {
    fn new() -> Self {
        let backends = [Behaviour::Answer, Behaviour::Answer].map(Backend::start);
        let federation = Federation::start();
        let inside = federation.node(EU_BODY, &NodeSpec::openai("n1", &backends[0].url(), "DE"));
        let outside = federation.node(US_VENDOR, &NodeSpec::openai("n1", &backends[1].url(), "US"));
        let app = federation.app(EU_OWNED, "assistant");
        Self { federation, nodes: [inside, outside], _backends: backends, app }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.federation.folder().join(name)
    }

    /// Asks for an answer from Germany; gives the decision.
    fn asked(&self) -> String {
        let words = [
            "chat",
            "--model",
            "test-model",
            "--purpose",
            "dpv:CustomerCare",
            "--processing",
            "DE",
            "-o",
            "json",
            SECRET,
        ];
        let answer = self.federation.ask(&self.app, &words);
        assert!(answer.status.success(), "{}", said(&answer));
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
        answer["decisionId"].as_str().unwrap().to_owned()
    }

    /// Fetches a receipt as `caller`, and keeps it.
    fn receipt(&self, caller: &Caller, decision: &str, name: &str) -> Value {
        let file = self.file(name);
        let shown = run(comity()
            .arg("--identity")
            .arg(&caller.identity)
            .args(["receipt", "show", decision, "-o", "json", "--save"])
            .arg(file));
        assert!(shown.status.success(), "{}", said(&shown));
        serde_json::from_slice(&shown.stdout).unwrap()
    }

    fn verify(&self, name: &str, log: Option<&str>) -> std::process::Output {
        let mut command = comity();
        command.args(["receipt", "verify", "-o", "json"]).arg(self.file(name));
        command.arg("--root").arg(self.app.identity.join("root.json"));
        if let Some(log) = log {
            command.arg("--log").arg(self.file(log));
        }
        run(&mut command)
    }

    fn operator(&self) -> Caller {
        self.federation.operator()
    }

    fn export_log(&self) {
        let log = self.file("federation.log");
        let _written = self.federation.govern(&["log", "export", log.to_str().unwrap()]);
    }
}

/// What was proven, and what was not.
fn findings(output: &std::process::Output, proven: bool) -> String {
    assert!(output.status.success(), "{}", said(output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of_kind = report["findings"].as_array().unwrap().iter().filter(|finding| finding["proven"] == proven);
    of_kind.map(|finding| finding["what"].as_str().unwrap().to_owned() + "\n").collect()
}

#[test]
fn a_receipt_verifies_offline_says_who_where_and_under_which_terms_and_its_eligibility_is_evaluated_again() {
    let scene = Scene::new();
    let decision = scene.asked();
    let shown = scene.receipt(&scene.operator(), &decision, "whole.tlog-proof");
    assert_eq!(
        (&shown["caller"], &shown["jurisdiction"][0]),
        (&"spiffe://eu-owned.example/app/assistant".into(), &"DE".into())
    );
    assert_eq!((&shown["operator"], &shown["status"]), (&EU_BODY.domain.into(), &"0".into()));
    scene.export_log();
    let verified = scene.verify("whole.tlog-proof", Some("federation.log"));
    let proven = findings(&verified, true);
    for claim in [
        "is leaf",
        "its outcome of",
        "ML-DSA-44",
        "every signature of which holds",
        "signed by its key",
        "under terms that eu-body",
        "evaluated again at epoch",
    ] {
        assert!(proven.contains(claim), "{claim:?} is missing: {proven}");
    }
    // What the record has as bytes and as a digest, in the contract's own form.
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(report["asked"]["requirements"]["allowedProcessingLocations"][0]["places"][0], "DE", "{report}");
    assert_eq!(report["offer"]["name"], shown["offer"], "{report}");
    assert!(report["offer"]["offer"]["terms"].is_object(), "{report}");
    let unproven = findings(&verified, false);
    assert!(unproven.contains("no policy"), "{unproven}");
    assert!(unproven.contains("who asked for what, which is the broker's word"), "{unproven}");
    // That the federation had not come further when it was decided takes the entry behind.
    assert!(unproven.contains("the log that was given ends there"), "{unproven}");
    let _app = scene.federation.app(EU_BODY, "later");
    scene.export_log();
    let verified = findings(&scene.verify("whole.tlog-proof", Some("federation.log")), true);
    assert!(verified.contains("it was decided while epoch"), "{verified}");
    // Without the log, less is proven, and said so.
    let alone = scene.verify("whole.tlog-proof", None);
    assert!(findings(&alone, false).contains("evaluated again"), "{}", said(&alone));
    let alone: Value = serde_json::from_slice(&alone.stdout).unwrap();
    assert_eq!(alone.get("offer"), None, "{alone}");
}

#[test]
fn where_requests_travel_ahead_of_their_permits_nodes_run_and_prove_the_same() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::found();
    let config = federation.broker_config();
    let text = std::fs::read_to_string(&config).unwrap();
    // Above the first table: it is a line of the file itself.
    std::fs::write(config, format!("commit = \"overlapped\"\n{text}")).unwrap();
    federation.start_broker();
    let dialled = NodeSpec::openai("n1", &backend.url(), "DE");
    let tunnel = NodeSpec::openai("n2", &backend.url(), "DE").model("behind-a-tunnel").dialling_out();
    let nodes = [&dialled, &tunnel].map(|spec| federation.node(EU_BODY, spec));
    let app = federation.app(EU_OWNED, "assistant");
    for (spec, asked) in [(&dialled, 1), (&tunnel, 2)] {
        // `comity` counts no answer without a receipt that holds.
        let words = ["chat", "--model", &spec.model, "--purpose", "dpv:CustomerCare", SECRET];
        let answer = federation.ask(&app, &words);
        assert!(answer.status.success(), "{}", said(&answer));
        assert_eq!(backend.asked().len(), asked, "it runs once");
    }
    drop(nodes);
}

#[test]
fn a_receipt_of_which_anything_was_changed_is_not_believed() {
    let scene = Scene::new();
    let decision = scene.asked();
    let _shown = scene.receipt(&scene.app, &decision, "own.tlog-proof");
    let whole = std::fs::read_to_string(scene.file("own.tlog-proof")).unwrap();
    assert!(scene.verify("own.tlog-proof", None).status.success());
    for (number, line) in whole.lines().enumerate().filter(|(_, line)| line.len() > 20) {
        let middle = line.len() / 2;
        let other = if &line[middle..=middle] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &line[..middle], &line[middle + 1..]);
        // ML-DSA-44's signature is one beside another: without it the log's word still counts, and it is not called proven.
        let lines: Vec<_> =
            whole.lines().enumerate().map(|(at, kept)| if at == number { changed.as_str() } else { kept }).collect();
        std::fs::write(scene.file("changed.tlog-proof"), lines.join("\n") + "\n").unwrap();
        let verified = scene.verify("changed.tlog-proof", None);
        let post_quantum = line.len() > 2_500 && line.starts_with('\u{2014}');
        assert!(
            !verified.status.success() || (post_quantum && !findings(&verified, true).contains("ML-DSA")),
            "line {number}: {line}"
        );
    }
}

#[test]
fn forty_lines_of_python_verify_a_receipt_as_the_document_has_them() {
    let scene = Scene::new();
    let decision = scene.asked();
    let _shown = scene.receipt(&scene.app, &decision, "own.tlog-proof");
    let script = scene.file("verify.py");
    std::fs::write(&script, readme::block_of("docs/decision-log.md", "receipt_in_python")).unwrap();
    let verify = |name: &str| {
        run(Command::new(python()).arg(&script).arg(scene.file(name)).arg(scene.app.identity.join("root.json")))
    };
    let verified = verify("own.tlog-proof");
    assert!(verified.status.success() && said(&verified).contains("eu-body.example"), "{}", said(&verified));
    let text = std::fs::read_to_string(scene.file("own.tlog-proof")).unwrap();
    std::fs::write(scene.file("other.tlog-proof"), text.replacen("\nindex 1\n", "\nindex 0\n", 1)).unwrap();
    assert!(!verify("other.tlog-proof").status.success());
}

/// What calls the document's lines, with the parts of a leaf as JSON.
const REBUILD: &str = r#"
import json, sys
parts, raw = json.loads(sys.argv[1]), bytes.fromhex
ids = {name: raw(parts.pop(name)) for name in ["decision", "epoch_root", "record"]}
print(leaf(**parts, **ids).hex())
"#;

#[test]
fn a_leaf_is_rebuilt_from_its_parts_by_the_lines_of_python_in_the_document() {
    let scene = Scene::new();
    let _decision = scene.asked();
    let folder = scene.file("exported");
    wait::until("the outcome is published", || {
        let exported = scene.federation.govern_json(&["log", "export", "--decisions", folder.to_str().unwrap()]);
        (exported["leaves"] == 2).then_some(())
    });
    let bundle = std::fs::read(folder.join("tile/entries/000.p/2")).unwrap();
    let lines = readme::block_of("docs/decision-log.md", "leaf_in_python") + REBUILD;
    for bytes in unbundle(&bundle).unwrap() {
        let Leaf { kind, at, decision, epoch, engine, record } = Leaf::from_bytes(bytes).unwrap();
        let (kind, of) = match kind {
            Kind::Decision => (1, None),
            Kind::Outcome { decision } => (2, Some(decision)),
            Kind::Abort { decision } => (3, Some(decision)),
        };
        let parts = json!({
            "kind": kind, "at": at.as_millis(), "decision": decision.to_string(), "epoch_size": epoch.size,
            "epoch_root": epoch.root.to_string(), "engine": engine, "record": record.to_string(), "of": of,
        });
        let rebuilt = succeed(Command::new(python()).args(["-c", &lines, &parts.to_string()]));
        let exported: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(rebuilt.trim(), exported);
    }
}

#[test]
fn a_field_is_shown_alone_and_the_rest_stays_hidden() {
    let scene = Scene::new();
    let decision = scene.asked();
    let _shown = scene.receipt(&scene.app, &decision, "own.tlog-proof");
    let disclosed = run(comity()
        .args(["receipt", "disclose", "--field", "jurisdiction", "--field", "operator"])
        .arg(scene.file("own.tlog-proof"))
        .arg("--save")
        .arg(scene.file("part.tlog-proof")));
    assert!(disclosed.status.success(), "{}", said(&disclosed));
    assert!(said(&disclosed).contains("which fields are empty"), "what is told all the same: {}", said(&disclosed));
    let shown = run(comity()
        .args(["receipt", "verify"])
        .arg(scene.file("part.tlog-proof"))
        .arg("--root")
        .arg(scene.app.identity.join("root.json")));
    let said = said(&shown);
    assert!(
        shown.status.success()
            && said.contains("[\"DE\"]")
            && said.contains("what is shown is what the log committed to then")
            && !said.contains("eu-owned")
            && !said.contains("test-model"),
        "{said}"
    );
}

#[test]
fn a_refusal_is_recorded_with_every_reason_and_proven_as_an_answer_is() {
    let scene = Scene::new();
    let words = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "--processing", "FR", SECRET];
    let answer = scene.federation.ask(&scene.app, &words);
    assert_eq!(answer.status.code(), Some(1), "{}", said(&answer));
    let report = scene.federation.govern(&["audit", "--from", "2026-01-01", "-o", "json"]);
    let rows: Value = serde_json::from_str(&report).unwrap();
    let refused: Vec<_> = rows.as_array().unwrap().iter().filter(|row| row["result"] == "refused").collect();
    assert_eq!(refused.len(), 1, "{report}");
    let shown = scene.receipt(&scene.operator(), refused[0]["decision"].as_str().unwrap(), "refused.tlog-proof");
    assert!(shown["refused"].to_string().contains("PROCESSING_LOCATION_NOT_ALLOWED"), "{shown}");
    // The others' rules are not the caller's to read (decision 9).
    let own = scene.receipt(&scene.app, refused[0]["decision"].as_str().unwrap(), "own.tlog-proof");
    assert!(own.get("refused").is_none(), "{own}");
}

#[test]
fn who_neither_asked_nor_answered_sees_no_receipt() {
    let scene = Scene::new();
    let decision = scene.asked();
    let stranger = scene.federation.app(US_VENDOR, "curious");
    let refused = scene.federation.ask(&stranger, &["receipt", "show", &decision]);
    assert!(!refused.status.success() && said(&refused).contains("there is no decision"), "{}", said(&refused));
    let answered = scene.federation.app(EU_BODY, "auditor");
    let shown = scene.receipt(&answered, &decision, "answered.tlog-proof");
    assert!(shown.get("eligible").is_none() && shown["offer"].as_str().unwrap().starts_with(EU_BODY.domain), "{shown}");
}

#[test]
fn an_erased_record_cannot_be_read_or_computed_again_and_the_log_still_verifies() {
    let scene = Scene::new();
    let (erased, kept) = (scene.asked(), scene.asked());
    let _before = scene.receipt(&scene.operator(), &erased, "before.tlog-proof");
    let refused = scene.federation.ask(&scene.app, &["record", "erase", &erased, "--yes"]);
    assert!(!refused.status.success(), "an app erases nothing: {}", said(&refused));
    let refused = scene.federation.ask(&scene.app, &["record", "erase", &erased, "--dry-run"]);
    assert!(!refused.status.success() && said(&refused).contains("is no operator"), "{}", said(&refused));
    let dry = scene.federation.govern_json(&["record", "erase", &erased, "--dry-run"]);
    assert_eq!(dry, scene.receipt(&scene.operator(), &erased, "still.tlog-proof"), "it is all there still");
    let _done = scene.federation.govern(&["record", "erase", &erased, "--yes"]);
    let after = scene.receipt(&scene.operator(), &erased, "after.tlog-proof");
    assert_eq!((&after["recordErased"], after.get("caller")), (&true.into(), None));
    let verified = scene.verify("after.tlog-proof", None);
    assert!(findings(&verified, false).contains("has been erased"), "{}", said(&verified));
    // What is kept is not written over by less.
    let whole = scene.file("before.tlog-proof");
    let less = ["receipt", "show", &erased, "--save", whole.to_str().unwrap()];
    let refused = scene.federation.ask(&scene.operator(), &less);
    assert!(refused.status.code() == Some(1) && said(&refused).contains("shows more of this decision"));
    // Whoever kept a receipt keeps what it proves, also with a newer proof; another record is as it was.
    let before = scene.file("before.tlog-proof");
    let _upgraded = scene.federation.govern(&["receipt", "upgrade", before.to_str().unwrap()]);
    let kept_by_its_holder = scene.verify("before.tlog-proof", None);
    assert!(findings(&kept_by_its_holder, true).contains("names eu-body.example"), "{}", said(&kept_by_its_holder));
    assert_eq!(scene.receipt(&scene.app, &kept, "kept.tlog-proof")["jurisdiction"][0], "DE");
    // What is on the broker's disk has the other decision's caller, and not the prompt of either.
    let data = scene.federation.broker_config().with_file_name("data").join("decisions");
    let all: Vec<u8> = files(&data).iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!contains(&all, SECRET) && contains(&all, "eu-owned.example/app/assistant"));
}

#[test]
fn an_audit_reports_every_decision_in_three_forms_each_row_with_its_leaf() {
    let scene = Scene::new();
    let first = scene.asked();
    // Each is held against the federation as it was when it was decided.
    let _app = scene.federation.app(EU_BODY, "later");
    let decisions = [first, scene.asked()];
    let csv = scene.federation.govern(&["audit", "--from", "2026-01-01"]);
    let page = scene.federation.govern(&["audit", "--from", "2026-01-01", "--format", "html"]);
    for decision in &decisions {
        assert!(csv.contains(decision) && page.contains(decision), "{csv}");
    }
    assert!(csv.lines().next().unwrap().ends_with(",node_signed,completeness,contradiction"), "{csv}");
    assert!(csv.lines().skip(1).all(|row| row.ends_with(",yes,log,")), "nothing is contradicted: {csv}");
    assert!(csv.lines().skip(1).all(|row| row.contains(",dpv:CustomerCare,")), "for which purpose: {csv}");
    assert!(page.contains("No row contradicts"), "{page}");
    assert!(csv.lines().nth(1).unwrap().contains(",answered,spiffe://eu-owned.example/app/assistant,"), "{csv}");
    let none = scene.federation.govern(&["audit", "--from", "2026-01-01", "--organisation", US_VENDOR.domain]);
    assert_eq!(none.lines().count(), 1, "the vendor neither asked nor answered: {none}");
}

#[test]
fn a_damaged_record_is_a_row_of_its_own_in_every_list_and_hides_no_other() {
    let mut scene = Scene::new();
    let (damaged, whole) = (scene.asked(), scene.asked());
    // It is published, and whole.
    let _listed = scene.federation.govern(&["log", "show", "--decisions"]);
    let records = scene.federation.broker_config().with_file_name("data").join("decisions").join("records");
    let [file] = <[_; 1]>::try_from(files(&records)).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let caller = bytes.windows(17).position(|window| window == b"spiffe://eu-owned").unwrap();
    bytes[caller] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    scene.federation.expect_log("the record of a leaf is damaged");
    let operator = scene.operator();
    for (words, says) in [
        (&["audit", "--from", "2026-01-01"][..], "1 of 2 decisions contradict"),
        (&["log", "show", "--decisions"][..], "1 of 2 decisions are not as the log commits to them"),
    ] {
        let listed = scene.federation.ask(&operator, words);
        let (report, why) = (String::from_utf8_lossy(&listed.stdout).into_owned(), said(&listed));
        assert_eq!(listed.status.code(), Some(1), "{why}");
        assert!(why.contains(says) && why.contains("its record of leaf 0 is damaged"), "{why}");
        assert!(report.contains(&damaged) && report.contains(&whole) && report.contains("damaged"), "{report}");
    }
    let shown = scene.federation.ask(&operator, &["receipt", "show", &damaged]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(said(&shown).contains("damaged, not erased"), "{}", said(&shown));
}

#[test]
fn what_was_erased_is_in_the_audit_of_every_organisation_since_nobody_knows_whose_it_was() {
    let scene = Scene::new();
    let (erased, _kept) = (scene.asked(), scene.asked());
    let _done = scene.federation.govern(&["record", "erase", &erased, "--yes"]);
    for (organisation, rows) in [(EU_OWNED, 2), (US_VENDOR, 1)] {
        let words = ["audit", "--from", "2026-01-01", "--organisation", organisation.domain];
        let audit = scene.federation.ask(&scene.operator(), &words);
        let report = String::from_utf8_lossy(&audit.stdout).into_owned();
        assert!(audit.status.success() && report.lines().count() == rows + 1, "{}", said(&audit));
        assert!(report.contains(&erased), "{report}");
        assert!(said(&audit).contains("1 rows are of erased records: nobody can tell"), "{}", said(&audit));
    }
}

#[test]
fn a_copy_of_the_log_of_which_a_tile_is_gone_or_cut_is_not_verified() {
    let scene = Scene::new();
    let _shown = scene.receipt(&scene.operator(), &scene.asked(), "own.tlog-proof");
    let dir = scene.file("copy");
    let _exported = scene.federation.govern(&["log", "export", "--decisions", dir.to_str().unwrap()]);
    let verify = || scene.federation.ask(&scene.operator(), &["log", "verify", dir.to_str().unwrap()]);
    assert!(verify().status.success(), "{}", said(&verify()));
    let [tile] = <[_; 1]>::try_from(files(&dir.join("tile").join("0"))).unwrap();
    let whole = std::fs::read(&tile).unwrap();
    std::fs::write(&tile, &whole[..32]).unwrap();
    assert!(verify().status.code() == Some(1) && said(&verify()).contains("is not what the leaves make"));
    std::fs::remove_file(&tile).unwrap();
    assert_eq!(verify().status.code(), Some(1));
    std::fs::write(&tile, &whole).unwrap();
    let policy = scene.file("nobody.policy");
    std::fs::write(&policy, "quorum none\n").unwrap();
    let by_policy = ["log", "verify", dir.to_str().unwrap(), "--policy", policy.to_str().unwrap()];
    let verified = scene.federation.ask(&scene.operator(), &by_policy);
    assert!(verified.status.success(), "{}", said(&verified));
}

#[test]
fn an_audit_marks_what_was_decided_by_another_state_than_the_federations_log_has_and_fails() {
    let mut scene = Scene::new();
    let journal = scene.federation.broker_config().with_file_name("data").join("registry.journal");
    let old = scene.file("old.journal");
    scene.federation.stop_broker();
    std::fs::copy(&journal, &old).unwrap();
    scene.federation.start_broker();
    scene.nodes.iter().for_each(Node::wait_until_ready);
    let _app = scene.federation.app(EU_BODY, "forgotten");
    let decision = scene.asked();
    scene.federation.stop_broker();
    for node in &mut scene.nodes {
        let _status = node.program.stop();
    }
    // Who was let in is forgotten, and somebody else is let in in its place.
    std::fs::copy(&old, &journal).unwrap();
    scene.federation.start_broker();
    let operator = scene.operator();
    for kept in ["federation.log", "federation.checkpoint.json"] {
        // Whoever has followed the log notices without an audit.
        std::fs::remove_file(operator.identity.join(kept)).unwrap();
    }
    let _app = scene.federation.app(EU_BODY, "instead");
    let audit = scene.federation.ask(&operator, &["audit", "--from", "2026-01-01"]);
    assert_eq!(audit.status.code(), Some(1), "{}", said(&audit));
    let report = String::from_utf8_lossy(&audit.stdout);
    let row = report.lines().find(|row| row.starts_with(&decision)).expect("the row is reported");
    assert!(row.contains("by another log of the federation"), "{row}");
    let why = said(&audit);
    assert!(why.contains("1 of 1 decisions contradict") && why.contains("hint: "), "{why}");
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn files(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
