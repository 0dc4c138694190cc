//! Bad input gets a typed error that names the field; nothing is guessed.

use std::process::Command;

use comity_tests::backend::{Backend, Behaviour, NOBODY};
use comity_tests::federation::{EU_BODY, Federation, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::{built, run, said};

/// The broken lines of a `node.toml`, and the words that its refusal must contain.
const BROKEN: &[(&str, &str, &[&str])] = &[
    ("listen = \"127.0.0.1:0\"", "listen = 7", &["line 2", "listen"]),
    ("processing_locations = [\"DE\"]", "processing_locations = [\"Germany\"]", &["processing_locations", "Germany"]),
    ("training_use = \"never\"", "training_use = \"sometimes\"", &["training_use", "sometimes"]),
    ("backend = \"server\"", "backend = \"nowhere\"", &["backend", "nowhere"]),
    ("[terms.standard]\n", "[terms.standard]\ncolour = \"blue\"\n", &["colour"]),
];

#[test]
fn a_broken_node_toml_is_refused_with_its_line_and_its_field() {
    let good = NodeSpec::openai("n1", NOBODY, "DE").toml();
    for (right, wrong, words) in BROKEN {
        assert!(good.contains(right), "{right} is not in the file");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.toml");
        std::fs::write(&path, good.replacen(right, wrong, 1)).unwrap();
        let output = run(Command::new(built("comity-node")).args(["check", "--config"]).arg(&path));
        assert!(!output.status.success(), "{wrong} was accepted");
        for word in *words {
            assert!(said(&output).contains(word), "{wrong}: no {word:?} in {}", said(&output));
        }
    }
}

#[test]
fn a_backend_that_is_down_is_found_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    std::fs::write(&path, NodeSpec::openai("n1", NOBODY, "DE").toml()).unwrap();
    let output = run(Command::new(built("comity-node")).args(["check", "--config"]).arg(&path));
    assert!(!output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("server"), "{}", said(&output));
}

#[test]
fn an_app_may_not_govern() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    let output = federation.ask(&app, &["suspend", EU_BODY.domain, "--reason", "because"]);
    let told = said(&output);
    assert!(told.contains("has no organisation.key.pem"), "an app suspended its organisation: {told}");
    let output = federation.ask(&app, &["invite", US_VENDOR.domain, "--kind", "app", "--name", "a1"]);
    assert!(said(&output).contains("METHOD_NOT_PERMITTED"), "an app invited an organisation: {}", said(&output));
    assert_eq!(app.python("health", "")["status"], "SERVING");
}

#[test]
fn an_unknown_place_is_refused_with_its_name() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    let output = federation.ask(
        &app,
        &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "--processing", "Atlantis", "hello"],
    );
    assert!(!output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("Atlantis"), "{}", said(&output));
    assert!(backend.asked().is_empty());
}

#[test]
fn requests_that_say_something_impossible_are_refused_by_name_and_reach_no_node() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let app = federation.app(EU_BODY, "assistant");
    for (case, code, word) in [
        ("empty_list", "FAILED_PRECONDITION", "PROCESSING_LOCATION_NOT_ALLOWED"),
        ("unknown_place", "INVALID_ARGUMENT", "Atlantis"),
        ("unspecified_enum", "INVALID_ARGUMENT", "required_capabilities"),
    ] {
        let seen = app.python(case, "test-model");
        assert_eq!(seen["code"], code, "{case}: {seen}");
        assert!(seen.to_string().contains(word), "{case}: no {word} in {seen}");
    }
    let seen = app.python("too_large", "test-model");
    let code = seen["code"].as_str();
    assert!(matches!(code, Some("OUT_OF_RANGE" | "RESOURCE_EXHAUSTED")), "too_large: {seen}");
    assert!(backend.asked().is_empty());
}

#[test]
fn a_second_node_under_a_name_that_is_taken_is_not_let_in() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let invited = federation.ask(&federation.operator(), &["invite", EU_BODY.domain, "--kind", "node", "--name", "n1"]);
    assert!(said(&invited).contains("MEMBER_EXISTS"), "a name was given twice: {}", said(&invited));
}
