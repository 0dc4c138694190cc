//! Enrolment by hand: two commands of the operator and two of the member, in empty directories, and nothing else.

use std::path::Path;
use std::process::Command;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::comity;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, PENDING};
use comity_tests::node::NodeSpec;
use comity_tests::program::{Program, built, run, said};
use comity_tests::wait;
use serde_json::Value;

/// What there is in a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

#[test]
fn an_organisation_is_enrolled_by_two_commands_of_the_operator_and_two_of_the_member() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let member = tempfile::tempdir().unwrap();
    let [config, facts] = ["node.toml", "organisation.toml"].map(|file| member.path().join(file));
    std::fs::write(&config, NodeSpec::openai("n1", &backend.url(), "DE").toml()).unwrap();
    federation.write_facts(EU_BODY, &facts);
    assert_eq!(files(member.path()), ["node.toml", "organisation.toml"], "what it is and what it offers, and no more");

    // The operator's first.
    let invited = federation.govern_json(&["invite", EU_BODY.domain, "--kind", "node", "--name", "n1"]);
    // The member's first.
    let mut join = Command::new(built("comity-node"));
    join.args(["join", invited["invite"].as_str().unwrap(), "--config"]).arg(&config).arg("--organisation").arg(&facts);
    let asked = run(&mut join);
    assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));
    // A mistake in the file is found now, and not once operators have decided.
    let (toml, spoiled) = (std::fs::read_to_string(&config).unwrap(), member.path().join("spoiled.toml"));
    std::fs::write(&spoiled, toml.replace("DE", "Atlantis")).unwrap();
    let ended = run(Command::new(built("comity-node")).args(["run", "--config"]).arg(&spoiled));
    assert!(ended.status.code() == Some(2) && said(&ended).contains("Atlantis"), "{}", said(&ended));
    std::fs::remove_file(&spoiled).unwrap();
    // The member's second: it waits, says so, and serves nobody.
    let mut run_node = Command::new(built("comity-node"));
    let node = Program::start("node", run_node.args(["run", "--config"]).arg(&config), member.path());
    let health = || run(Command::new(built("comity-node")).args(["health", "--config"]).arg(&config));
    wait::until("its health says what it waits for", || {
        said(&health()).contains("waits for the federation's operators").then_some(())
    });
    assert!(!member.path().join("data/ready").exists() && !node.listens());
    // The operator's second: the id and the fingerprint are those that both were told.
    let id = invited["inviteId"].as_str().unwrap();
    assert!(said(&asked).contains(id), "{}", said(&asked));
    let shown = run(comity().arg("--identity").arg(federation.operator().identity).args(["approve", "--yes", id]));
    assert!(shown.status.success(), "{}", said(&shown));
    let fingerprint = fingerprint(&said(&asked));
    assert!(said(&shown).contains(&fingerprint), "{fingerprint} is not in {}", said(&shown));
    let _ready = wait::for_file(&member.path().join("data/ready"));

    let app = federation.app(EU_OWNED, "assistant");
    let answer = federation.ask(&app, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"]);
    assert!(said(&answer).contains("Paris"), "{}", said(&answer));
    let entries = federation.govern_json(&["log", "show"]);
    let of_it: Vec<&Value> =
        entries.as_array().unwrap().iter().filter(|entry| entry.to_string().contains(EU_BODY.domain)).collect();
    let kinds: Vec<_> = of_it.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["organisation_admitted", "offers_published"]);
}

/// What the member reads to the operator.
fn fingerprint(said: &str) -> String {
    let line = said.lines().find(|line| line.contains("fingerprint of this node's key")).unwrap();
    line.split(": ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn a_node_that_operators_turn_down_while_it_runs_ends_with_their_reason() {
    let federation = Federation::start();
    let member = tempfile::tempdir().unwrap();
    let [config, facts] = ["node.toml", "organisation.toml"].map(|file| member.path().join(file));
    std::fs::write(&config, NodeSpec::openai("n1", "http://127.0.0.1:9", "DE").toml()).unwrap();
    federation.write_facts(EU_BODY, &facts);
    let invited = federation.govern_json(&["invite", EU_BODY.domain, "--kind", "node", "--name", "n1"]);
    let mut join = Command::new(built("comity-node"));
    join.args(["join", invited["invite"].as_str().unwrap(), "--config"]).arg(&config).arg("--organisation").arg(&facts);
    assert_eq!(run(&mut join).status.code(), Some(PENDING));
    let _said = federation.govern(&["reject", invited["inviteId"].as_str().unwrap(), "--reason", "nobody knows you"]);
    let ended = run(Command::new(built("comity-node")).args(["run", "--config"]).arg(&config));
    assert!(ended.status.code() == Some(1) && said(&ended).contains("nobody knows you"), "{}", said(&ended));
}
