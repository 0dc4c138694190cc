//! The JSON that `comity` reads and prints is protobuf's own: Python's `json_format`, which we did not write, writes
//! the one and reads the other, and nothing is lost on the way.

use std::path::Path;
use std::process::{Command, Output};

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{comity, python};
use comity_tests::federation::{EU_BODY, Federation};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said, succeed, workspace};
use serde_json::Value;

/// Runs Python's side of the JSON form; gives what it printed.
fn json_format(arguments: &[&str]) -> String {
    let stubs = tempfile::tempdir().unwrap();
    let mut command = Command::new(python());
    command.arg(workspace().join("tests/clients/python/json_form.py")).args(arguments);
    command.arg("--stubs").arg(stubs.path()).arg("--schema").arg(workspace().join("proto/schema"));
    succeed(&mut command)
}

/// Reads what was printed as this message with Python; gives what Python writes of it.
fn through_python(message: &str, printed: &str) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), printed).unwrap();
    serde_json::from_str(&json_format(&["read", message, file.path().to_str().unwrap()])).unwrap()
}

/// `comity policy check` of the files that Python wrote into a folder, their names ending so.
fn check(folder: &Path, ending: &str) -> Output {
    let mut command = comity();
    command.args(["policy", "check", "-o", "json", "--as-of", "2026-11-22"]);
    for name in ["offer", "caller", "request"] {
        command.arg(format!("--{name}")).arg(folder.join(format!("{name}{ending}.json")));
    }
    run(&mut command)
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn what_python_writes_is_read_and_python_reads_what_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let _written = json_format(&["write", folder.path().to_str().unwrap()]);
    let answers = ["", "-by-proto"].map(|ending| check(folder.path(), ending));
    for answer in &answers {
        assert_eq!(answer.status.code(), Some(0), "{}", said(answer));
        let json: Value = serde_json::from_str(&printed(answer)).unwrap();
        assert_eq!(json["verdicts"][0]["offer"], "org-a.example/n1/chat", "{json}");
        assert_eq!(json["verdicts"][0]["expiresAt"], "2027-12-31T01:02:03.450Z", "{json}");
        assert_eq!(through_python("comity.catalog.v1.ExplainResponse", &printed(answer)), json);
    }
    assert_eq!(printed(&answers[0]), printed(&answers[1]), "both names of a field say the same");
}

#[test]
fn a_refusal_and_a_preset_are_read_by_python_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    let _written = json_format(&["write", folder.path().to_str().unwrap()]);
    let strict = folder.path().join("request.json");
    let preset = succeed(comity().args(["preset", "show", "eu-sovereign", "-o", "json"]));
    std::fs::write(&strict, &preset).unwrap();
    let json: Value = serde_json::from_str(&preset).unwrap();
    assert_eq!(through_python("comity.inference.v1.Envelope", &preset), json);
    let refused = check(folder.path(), "");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let json: Value = serde_json::from_str(&printed(&refused)).unwrap();
    assert!(json["verdicts"][0]["reasons"].as_array().is_some_and(|reasons| reasons.len() > 1), "{json}");
    assert_eq!(through_python("comity.catalog.v1.ExplainResponse", &printed(&refused)), json);
}

#[test]
fn lists_are_printed_as_python_writes_what_the_broker_answers() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let operator = federation.operator();
    for (noun, case) in [("offer", "offers"), ("organisation", "organisations")] {
        let listed = federation.govern_json(&[noun, "list"]);
        assert_eq!(operator.python(case, ""), listed);
        assert!(listed[case].as_array().is_some_and(|all| !all.is_empty()), "{listed}");
    }
    let offers = federation.folder().join("offers.json");
    std::fs::write(&offers, federation.govern(&["offer", "list", "-o", "json"])).unwrap();
    let request = federation.folder().join("request.json");
    std::fs::write(&request, r#"{ "purposes": ["dpv:CustomerCare"] }"#).unwrap();
    let checked = run(comity().args(["policy", "check", "--offer"]).arg(&offers).arg("--request").arg(&request));
    assert!(printed(&checked).contains("eu-body.example/n1/chat"), "{}", said(&checked));
}
