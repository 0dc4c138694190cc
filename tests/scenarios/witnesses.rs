//! P6, against the broker itself: other organisations' nodes cosign its decision log and the federation's log, so that it can
//! neither show two histories of one nor forget one.

use std::path::{Path, PathBuf};
use std::process::Command;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{Caller, comity};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, US_VENDOR, free_address};
use comity_tests::folder::copy;
use comity_tests::node::NodeSpec;
use comity_tests::program::{Program, built, run, said, succeed};
use comity_tests::wait;
use serde_json::Value;

mod third_party;

/// Three organisations, whose nodes are witnesses, and a policy by which two of them are enough.
struct Scene {
    nodes: Vec<Node>,
    _backends: Vec<Backend>,
    app: Caller,
    federation: Federation,
}

impl Scene {
    /// The broker runs, and knows of no witnesses yet.
    fn without_policy() -> Self {
        let federation = Federation::start();
        let backends: Vec<_> = (0..3).map(|_| Backend::start(Behaviour::Answer)).collect();
        let places = [(EU_BODY, "DE"), (US_VENDOR, "US"), (EU_OWNED, "IE")];
        let nodes = places.into_iter().zip(&backends).map(|((organisation, place), backend)| {
            let spec = NodeSpec::openai("n1", &backend.url(), place);
            let folder = federation.folder().join(organisation.domain).join("n1");
            std::fs::create_dir_all(&folder).unwrap();
            let witness = format!("\n[witness]\nlisten = \"{}\"\n", free_address());
            std::fs::write(folder.join("node.toml"), spec.toml() + &witness).unwrap();
            let node = federation.start_node_in(organisation, "n1", folder);
            node.wait_until_ready();
            node
        });
        let nodes = nodes.collect();
        let app = federation.app(EU_OWNED, "assistant");
        Self { nodes, _backends: backends, app, federation }
    }

    /// The broker was started again with the policy.
    fn new() -> Self {
        let scene = Self::without_policy();
        scene.write_policy(2);
        scene.with_its_policy()
    }

    /// The same with the policy that is written.
    fn with_its_policy(mut self) -> Self {
        let scene = &mut self;
        let config = scene.federation.broker_config();
        let text = std::fs::read_to_string(&config).unwrap() + "\n[witnesses]\npolicy = \"witnesses.policy\"\n";
        std::fs::write(config, text).unwrap();
        scene.federation.stop_broker();
        scene.federation.start_broker();
        self
    }

    /// The broker is down, and its log is an old copy: what was decided and cosigned since is not in it.
    fn restored() -> Self {
        let mut scene = Self::new();
        let _cosigned = scene.cosigned(&scene.asked());
        scene.federation.stop_broker();
        let (log, old) = (scene.log_dir(), scene.file("old"));
        copy(&log, &old);
        scene.federation.start_broker();
        let _cosigned = scene.cosigned(&scene.asked());
        scene.federation.stop_broker();
        std::fs::remove_dir_all(&log).unwrap();
        copy(&old, &log);
        scene
    }

    fn policy(&self) -> PathBuf {
        self.federation.broker_config().with_file_name("witnesses.policy")
    }

    /// What the nodes say of themselves.
    fn seats(&self) -> String {
        let lines = self.nodes.iter().map(|node| {
            succeed(Command::new(built("comity-node")).args(["witness", "--config"]).arg(node.folder.join("node.toml")))
        });
        lines.collect()
    }

    /// By that, any so many of them.
    fn write_policy(&self, needed: usize) {
        let lines = self.seats();
        let names = lines.lines().filter_map(|line| line.strip_prefix("witness ")?.split(' ').next());
        let names = names.collect::<Vec<_>>().join(" ");
        std::fs::write(self.policy(), format!("{lines}group enough {needed} {names}\nquorum enough\n")).unwrap();
    }

    /// Asks for an answer from Germany; gives the decision.
    fn asked(&self) -> String {
        let answer = self.ask();
        assert!(answer.status.success(), "{}", said(&answer));
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
        answer["decisionId"].as_str().unwrap().to_owned()
    }

    fn ask(&self) -> std::process::Output {
        let words = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "--processing", "DE"];
        self.federation.ask(&self.app, &[&words[..], &["-o", "json", "hello"]].concat())
    }

    /// Checks evidence against the decision log as a stranger does.
    fn checked(&self, evidence: &Path) -> std::process::Output {
        let root = self.app.identity.join("root.json");
        run(comity().args(["log", "verify"]).arg(evidence).arg("--root").arg(root))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.federation.folder().join(name)
    }

    fn as_app(&self, words: &[&str], file: &Path) -> std::process::Output {
        run(comity().arg("--identity").arg(&self.app.identity).args(words).arg(file))
    }

    /// Fetches the receipt of a decision, and upgrades it until it holds by the policy.
    fn cosigned(&self, decision: &str) -> PathBuf {
        let file = self.file("cosigned.tlog-proof");
        let shown = self.as_app(&["receipt", "show", decision, "--save"], &file);
        assert!(shown.status.success(), "{}", said(&shown));
        wait::until("the receipt is cosigned", || {
            let upgraded = self.as_app(&["receipt", "upgrade"], &file);
            assert!(upgraded.status.success(), "{}", said(&upgraded));
            self.verified(&file).status.success().then_some(())
        });
        file
    }

    fn verified(&self, file: &Path) -> std::process::Output {
        let mut command = comity();
        command.args(["receipt", "verify"]).arg(file).arg("--root").arg(self.app.identity.join("root.json"));
        run(command.arg("--policy").arg(self.policy()))
    }

    fn log_dir(&self) -> PathBuf {
        self.federation.broker_config().with_file_name("data").join("decisions")
    }

    /// The federation's log as the broker shows it, and with the cosignatures that this policy of the app's asks for.
    fn federation_verified(&self) -> std::process::Output {
        self.as_app(&["log", "verify", "--policy"], &self.policy())
    }

    /// The broker is down, and its log of statements is an old copy: who was let in since is not in it.
    fn with_old_statements() -> Self {
        let mut scene = Self::new();
        scene.federation.stop_broker();
        let (journal, old) = (scene.statements(), scene.file("old.journal"));
        std::fs::copy(&journal, &old).unwrap();
        scene.federation.start_broker();
        let _app = scene.federation.app(EU_OWNED, "forgotten");
        let cosigned = scene.federation_verified();
        assert!(cosigned.status.success(), "{}", said(&cosigned));
        scene.federation.stop_broker();
        std::fs::copy(&old, &journal).unwrap();
        scene
    }

    fn statements(&self) -> PathBuf {
        self.federation.broker_config().with_file_name("data").join("registry.journal")
    }

    /// Starts the broker, which does not come up: what it says at its end.
    fn broker_refuses(&self) -> String {
        let mut command = Command::new(built("comity-broker"));
        let mut broker = Program::start(
            "refused",
            command.args(["run", "--config"]).arg(self.federation.broker_config()),
            self.federation.folder(),
        );
        for word in ["error: ", "WARN", "ERROR"] {
            broker.expect_log(word);
        }
        let status = wait::until("the broker has ended", || broker.ended());
        assert!(!status.success());
        broker.log()
    }
}

#[test]
fn a_receipt_gains_the_cosignatures_of_other_organisations_and_holds_by_the_policy() {
    let scene = Scene::new();
    let decision = scene.asked();
    let file = scene.cosigned(&decision);
    let verified = scene.verified(&file);
    assert!(said(&verified).contains("enough witnesses of the policy cosigned"), "{}", said(&verified));
    // By a policy that wants all three, with one gone, the same receipt does or does not hold: it is the verifier's to say.
    let names = std::fs::read_to_string(&file).unwrap();
    assert!(names.matches("/n1/witness").count() >= 2, "{names}");
    let policy = std::fs::read_to_string(scene.policy()).unwrap();
    let own = policy.replacen("eu-body.example/n1/witness", "federation.example/witness", 1);
    std::fs::write(scene.policy(), own).unwrap();
    let refused = scene.verified(&file);
    assert!(!refused.status.success(), "a key under another name is another key: {}", said(&refused));
}

#[test]
fn a_policy_of_groups_in_groups_wants_a_witness_of_each_jurisdiction() {
    let scene = Scene::without_policy();
    let seats = scene.seats();
    let of = |domain: &str| {
        let name = format!("{domain}/n1");
        let there: Vec<_> = seats.lines().filter_map(|line| line.strip_prefix("witness ")?.split(' ').next()).collect();
        there.into_iter().find(|there| there.starts_with(&name)).unwrap().to_owned()
    };
    let [germany, ireland, america] = [EU_BODY, EU_OWNED, US_VENDOR].map(|organisation| of(organisation.domain));
    let groups = format!("group europe any {germany} {ireland}\ngroup elsewhere all {america}\n");
    let policy = format!("{seats}{groups}group everywhere all europe elsewhere\nquorum everywhere\n");
    std::fs::write(scene.policy(), policy).unwrap();
    let mut scene = scene.with_its_policy();
    let file = scene.cosigned(&scene.asked());
    // One of Europe's is enough, and none of America's is not, however many there are of Europe's.
    let receipt = std::fs::read_to_string(&file).unwrap();
    let without = |names: &[&str]| {
        let kept: Vec<_> = receipt.lines().filter(|line| !names.iter().any(|name| line.contains(name))).collect();
        std::fs::write(&file, kept.join("\n") + "\n").unwrap();
        scene.verified(&file)
    };
    let european =
        [germany.as_str(), ireland.as_str()].into_iter().filter(|name| receipt.contains(name)).collect::<Vec<_>>();
    if let [one, _] = european[..] {
        let enough = without(&[one]);
        assert!(enough.status.success(), "{}", said(&enough));
    }
    for names in [&european[..], &[&america]] {
        let refused = without(names);
        assert!(!refused.status.success(), "without {names:?}: {}", said(&refused));
    }
    // The broker counts by it too: with America's away, it says that nobody is to wait for cosignatures.
    scene.federation.expect_log("witness");
    assert!(scene.nodes[1].program.stop().success());
    let _asked = scene.asked();
    let broker = scene.federation.broker.as_ref().unwrap();
    wait::until("too few cosign", || broker.log().contains("too few witnesses cosign").then_some(()));
}

#[test]
fn a_broker_that_was_restored_from_an_old_copy_is_stopped_by_what_others_saw() {
    let scene = Scene::restored();
    let said = scene.broker_refuses();
    assert!(said.contains("leaves, and has signed") && said.contains("bring back the newest copy"), "{said}");
    // The operator knows. Nobody else can tell it from a checkpoint that was shown late: the file says so, and so does the broker.
    let (_, rest) = said.split_once(" shows it, see ").unwrap();
    let checked = scene.checked(Path::new(rest.split_once(" (hint: ").unwrap().0));
    let checked = (checked.status.code(), comity_tests::program::said(&checked));
    assert!(checked.0 == Some(1) && checked.1.contains("was true once"), "{checked:?}");
    assert!(said.contains("was true once: `comity log verify FILE` says"), "{said}");
    // Nor does one that has lost everything begin anew.
    std::fs::remove_dir_all(scene.log_dir()).unwrap();
    let said = scene.broker_refuses();
    assert!(said.contains("the decision log has 0 leaves"), "{said}");
}

#[test]
fn a_broker_that_went_on_from_an_old_copy_is_convicted_by_its_own_signatures() {
    let mut scene = Scene::restored();
    // Whoever runs it does without witnesses for a while, and decides something else.
    let config = scene.federation.broker_config();
    let with = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, with.replace("[witnesses]\npolicy = \"witnesses.policy\"\n", "")).unwrap();
    scene.federation.start_broker();
    for node in &mut scene.nodes {
        node.program.expect_log("the decision log has signed two histories");
    }
    scene.federation.expect_log("a try failed");
    // The node that was asked before has seen the other history, and runs nothing of this one.
    let refused = scene.ask();
    assert!(said(&refused).contains("LOG_CONTRADICTED"), "{}", said(&refused));
    let evidence = scene.nodes[0].folder.join("data/decision-log.evidence");
    let checked = scene.checked(&evidence);
    assert!(checked.status.success() && said(&checked).contains("fork"), "{}", said(&checked));
    scene.federation.stop_broker();
    std::fs::write(&config, with).unwrap();
    let said_at_end = scene.broker_refuses();
    assert!(said_at_end.contains("has signed two histories"), "{said_at_end}");
    // Each witness has what a stranger can check, with the root document alone.
    for node in &scene.nodes {
        let evidence = wait::until("the witness has evidence", || {
            let dir = node.folder.join("data/witness/evidence");
            std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).find(|path| path.extension().is_none())
        });
        let checked = scene.checked(&evidence);
        assert!(checked.status.success() && said(&checked).contains("fork"), "{}", said(&checked));
    }
    let text = std::fs::read_to_string(&evidence).unwrap();
    std::fs::write(&evidence, text.replacen("claimed ", "claimed 0", 1)).unwrap();
    let damaged = scene.checked(&evidence);
    assert!(!damaged.status.success(), "{}", said(&damaged));
    for node in &mut scene.nodes {
        node.program.expect_log("a log contradicts itself");
    }
}

#[test]
fn a_broker_serves_nobody_before_enough_witnesses_have_confirmed_its_log_and_then_does_with_one_away() {
    let mut scene = Scene::new();
    let _cosigned = scene.cosigned(&scene.asked());
    scene.federation.stop_broker();
    for node in &mut scene.nodes[1..] {
        let _status = node.program.stop();
    }
    let mut command = Command::new(built("comity-broker"));
    let address = scene.federation.broker_config().with_file_name("data").join("address");
    let _gone = std::fs::remove_file(&address);
    command.args(["run", "--config"]).arg(scene.federation.broker_config());
    let mut broker = Program::start("waiting", &mut command, scene.federation.folder());
    broker.expect_log("witness");
    wait::until("the broker says whom it waits for", || {
        broker.log().contains("waits for enough witnesses").then_some(())
    });
    assert!(!broker.listens(), "{}", broker.log());
    let _status = broker.stop();
    scene.nodes[1] = scene.federation.run_node(&scene.nodes[1]);
    scene.federation.start_broker();
    scene.federation.expect_log("witness");
    for node in &scene.nodes[..2] {
        node.wait_until_ready();
    }
    let _cosigned = scene.cosigned(&scene.asked());
}

#[test]
fn a_node_that_counts_witnesses_runs_nothing_while_too_few_of_them_cosign_and_goes_on_when_enough_do() {
    let mut scene = Scene::new();
    let config = scene.nodes[0].folder.join("node.toml");
    let counts = format!("\n[decision_log]\npolicy = {:?}\n", scene.policy());
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &counts).unwrap();
    let _status = scene.nodes[0].program.stop();
    scene.nodes[0] = scene.federation.run_node(&scene.nodes[0]);
    scene.federation.expect_log("witness");
    scene.federation.expect_log("a try failed");
    let is_answered = || scene.ask().status.success().then_some(());
    wait::until("the node answers by what witnesses cosign", is_answered);
    for node in &mut scene.nodes[1..] {
        let _status = node.program.stop();
    }
    let is_refused = || said(&scene.ask()).contains("LOG_UNPUBLISHED").then_some(());
    wait::until("the node has waited long enough", is_refused);
    // A restart gives nobody more time.
    let _status = scene.nodes[0].program.stop();
    scene.nodes[0] = scene.federation.run_node(&scene.nodes[0]);
    wait::until("the node refuses at once", || {
        let answer = scene.ask();
        assert!(!answer.status.success(), "{}", said(&answer));
        said(&answer).contains("LOG_UNPUBLISHED").then_some(())
    });
    scene.nodes[1] = scene.federation.run_node(&scene.nodes[1]);
    wait::until("enough cosign, and the node goes on", || scene.ask().status.success().then_some(()));
}

#[test]
fn the_federations_log_gains_the_cosignatures_of_other_organisations_and_holds_by_the_policy() {
    let scene = Scene::new();
    let _app = scene.federation.app(EU_OWNED, "another");
    let verified = scene.federation_verified();
    assert!(verified.status.success() && said(&verified).contains("cosigned by"), "{}", said(&verified));
    // What a node keeps has them too, for whoever gets the file.
    let log = scene.nodes[0].folder.join("data/federation.log");
    wait::until("the node has kept a checkpoint that enough cosigned", || {
        let mut command = comity();
        command.args(["log", "verify"]).arg(&log).arg("--root").arg(scene.app.identity.join("root.json"));
        let verified = run(command.arg("--policy").arg(scene.policy()));
        verified.status.success().then_some(())
    });
    // A witness that is nobody's makes a policy that nobody meets.
    let policy = std::fs::read_to_string(scene.policy()).unwrap();
    std::fs::write(scene.policy(), policy.replace("group enough 2", "group enough 4")).unwrap();
    let refused = scene.federation_verified();
    assert!(!refused.status.success(), "{}", said(&refused));
}

#[test]
fn a_broker_that_has_forgotten_whom_it_let_in_is_stopped_by_what_others_saw() {
    let mut scene = Scene::with_old_statements();
    let refusal = scene.broker_refuses();
    assert!(refusal.contains("the membership log has") && refusal.contains("bring back the newest copy"), "{refusal}");
    // Whoever runs it does without witnesses for a while, and lets in somebody else.
    for node in &mut scene.nodes {
        let _status = node.program.stop();
    }
    let config = scene.federation.broker_config();
    let with = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, with.replace("[witnesses]\npolicy = \"witnesses.policy\"\n", "")).unwrap();
    scene.federation.start_broker();
    let _app = scene.federation.app(EU_OWNED, "instead");
    scene.federation.stop_broker();
    std::fs::write(&config, with).unwrap();
    scene.nodes = scene.nodes.iter().map(|node| scene.federation.run_node(node)).collect();
    for node in &mut scene.nodes {
        for word in ["WARN", "ERROR"] {
            node.program.expect_log(word);
        }
        wait::until("the witness listens", || node.program.log().contains("witness").then_some(()));
    }
    let convicted = scene.broker_refuses();
    assert!(convicted.contains("the membership log has signed two histories"), "{convicted}");
    let evidence = scene.statements().with_file_name("registry.evidence");
    let evidence = std::fs::read_dir(evidence).unwrap().map(|file| file.unwrap().path());
    let fork = evidence.filter_map(|file| {
        let checked = scene.checked(&file);
        (checked.status.success() && said(&checked).contains("fork")).then_some(file)
    });
    assert!(fork.count() >= 1, "a stranger can check it");
}
