//! What a new organisation means to offer: its node signs it when it joins, operators see its terms before they sign, and
//! what is published otherwise is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use comity_tests::clients::comity;
use comity_tests::federation::{EU_BODY, Federation, PENDING};
use comity_tests::node::NodeSpec;
use comity_tests::program::{built, run, said};
use serde_json::Value;
use tempfile::TempDir;

/// A node of a new organisation that waits for operators, with its enrolment.
struct Newcomer {
    federation: Federation,
    folder: TempDir,
    invite: String,
    enrolment: String,
}

impl Newcomer {
    /// Joins with this configuration.
    fn asks(toml: &str) -> Self {
        let (federation, folder) = (Federation::start(), tempfile::tempdir().unwrap());
        federation.write_facts(EU_BODY, &folder.path().join("organisation.toml"));
        let invited = federation.govern_json(&["invite", EU_BODY.domain, "--kind", "node", "--name", "n1"]);
        let [invite, enrolment] = ["invite", "inviteId"].map(|key| invited[key].as_str().unwrap().to_owned());
        let newcomer = Self { federation, folder, invite, enrolment };
        std::fs::write(newcomer.config(), toml).unwrap();
        let asked = run(&mut newcomer.join());
        assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));
        newcomer
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("node.toml")
    }

    fn join(&self) -> Command {
        let mut join = Command::new(built("comity-node"));
        join.args(["join", &self.invite, "--config"]).arg(self.config());
        join.arg("--organisation").arg(self.folder.path().join("organisation.toml"));
        join
    }

    /// What an operator sees who approves without a terminal and without `--yes`: all, and signs nothing.
    fn shown_before_approval(&self) -> String {
        let operator = self.federation.operator().identity;
        let asked = run(comity().arg("--identity").arg(operator).args(["approve", &self.enrolment]));
        assert_eq!(asked.status.code(), Some(2), "{}", said(&asked));
        assert!(said(&asked).contains("nothing was signed"), "{}", said(&asked));
        said(&asked)
    }

    fn diff(&self) -> Value {
        self.federation.govern_json(&["organisation", "diff", &self.enrolment])
    }
}

fn toml() -> String {
    NodeSpec::openai("n1", "http://127.0.0.1:9", "DE").toml()
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap()
}

/// The fields that differ.
fn fields(diff: &Value) -> Vec<&str> {
    diff["changes"].as_array().unwrap().iter().map(|change| change["field"].as_str().unwrap()).collect()
}

#[test]
fn terms_are_shown_before_approval_as_they_were_signed_and_what_is_published_otherwise_is_told() {
    let newcomer = Newcomer::asks(&toml());
    let (federation, id) = (&newcomer.federation, newcomer.enrolment.as_str());
    let shown = federation.govern(&["enrolment", "show", id]);
    for told in [shown, newcomer.shown_before_approval()] {
        for words in
            ["means to publish", &format!("{}/n1/chat", EU_BODY.domain), "trained on", "never", "none is in force"]
        {
            assert!(told.contains(words), "no {words:?} in {told}");
        }
    }
    let json = federation.govern_json(&["enrolment", "show", id]);
    assert_eq!(json["offers"][0]["terms"]["trainingUse"][0]["trainingUse"], "TRAINING_USE_NEVER", "{json}");
    let before = newcomer.diff();
    assert!(fields(&before).contains(&"offers.n1/chat.terms.training_use"), "{before}");

    let _approved = federation.govern(&["approve", "--yes", id]);
    let unpublished = newcomer.diff();
    assert_eq!((&unpublished["state"], fields(&unpublished)), (&"unpublished".into(), vec![]), "{unpublished}");
    let config = newcomer.config();
    let mut node = federation.run_joined(&format!("spiffe://{}/node/n1", EU_BODY.domain), folder(&config), &[]);
    node.wait_until_ready();
    let kept = newcomer.diff();
    assert_eq!((&kept["state"], fields(&kept)), (&"published".into(), vec![]), "{kept}");

    assert!(node.program.stop().success());
    std::fs::write(&config, toml().replace("training_use = \"never\"", "training_use = \"opt-in\"")).unwrap();
    let _node = federation.run_node_with(&node, &[]);
    let broken = newcomer.diff();
    assert_eq!(fields(&broken), ["offers.n1/chat.terms.training_use"], "{broken}");
    let organisation = federation.govern(&["organisation", "show", EU_BODY.domain]);
    assert!(organisation.contains("published otherwise (1 field in all)"), "{organisation}");
}

#[test]
fn operators_decide_on_the_offers_that_came_first_and_whoever_names_none_is_shown_so() {
    let newcomer = Newcomer::asks(&toml());
    std::fs::write(newcomer.config(), toml().replace("training_use = \"never\"", "training_use = \"opt-in\"")).unwrap();
    let again = run(&mut newcomer.join());
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(said(&again).contains("offers (--config)"), "{}", said(&again));

    let (without, _) = toml().split_once("[terms.standard]").map(|(head, rest)| (head.to_owned(), rest.len())).unwrap();
    let newcomer = Newcomer::asks(&without);
    let shown = newcomer.shown_before_approval();
    assert!(shown.contains("it applied without naming any"), "{shown}");
}
