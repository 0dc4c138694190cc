//! An organisation that runs SPIRE, or another agent of SPIFFE: it joins by its trust bundle, and its node takes a fresh
//! certificate with a fresh key from the Workload API as often as the agent hands one out.

use std::path::Path;
use std::process::Command;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::python;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, PENDING};
use comity_tests::node::NodeSpec;
use comity_tests::program::{Program, built, run, said, succeed, workspace};
use comity_tests::wait;

/// How many certificates the agent hands out while calls go on.
const ROTATIONS: usize = 4;

fn agent(folder: &Path, id: &str) -> Program {
    let mut command = Command::new(python());
    command.arg(workspace().join("tests/clients/python/agent.py"));
    command.arg("--socket").arg(folder.join("agent.sock")).arg("--bundle").arg(folder.join("bundle.json"));
    Program::start("agent", command.args(["--id", id]), folder)
}

fn handed_out(agent: &Program) -> usize {
    agent.log().lines().filter(|line| line.starts_with("handed out")).count()
}

#[test]
fn a_member_joins_by_its_trust_bundle_and_serves_on_while_its_agent_rotates_certificate_and_key() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let folder = federation.folder().join(EU_BODY.domain).join("n1");
    std::fs::create_dir_all(&folder).unwrap();
    let agent = agent(&folder, "spiffe://eu-body.example/node/n1");
    let bundle = folder.join("bundle.json");
    let _served = wait::for_file(&bundle);
    let source = format!("[identity]\nworkload_api = \"unix://{}\"\n", folder.join("agent.sock").display());
    let toml = NodeSpec::openai("n1", &backend.url(), "DE").toml();
    std::fs::write(folder.join("node.toml"), format!("{toml}\n{source}")).unwrap();
    federation.write_facts(EU_BODY, &folder.join("organisation.toml"));

    let invite = federation.invite(EU_BODY, "node", "n1");
    let join = || {
        let mut join = Command::new(built("comity-node"));
        join.args(["join", &invite, "--config"]).arg(folder.join("node.toml"));
        join.arg("--organisation").arg(folder.join("organisation.toml")).arg("--spiffe-bundle").arg(&bundle);
        join
    };
    let waits = run(&mut join());
    assert_eq!(waits.status.code(), Some(PENDING), "{}", said(&waits));
    federation.approve_all();
    let _joined = succeed(&mut join());
    let certificate = std::fs::read_to_string(folder.join("data/identity/cert.pem")).unwrap_or_default();
    assert_eq!(certificate, "", "the agent's certificates are not kept");

    let mut run_node = Command::new(built("comity-node"));
    let _node = Program::start("node", run_node.args(["run", "--config"]).arg(folder.join("node.toml")), &folder);
    let _ready = wait::for_file(&folder.join("data/ready"));
    let app = federation.app(EU_OWNED, "assistant");
    let question = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "hello"];
    let from = handed_out(&agent);
    wait::until("the agent has rotated", || {
        let answer = federation.ask(&app, &question);
        assert!(answer.status.success() && said(&answer).contains("Paris"), "{}", said(&answer));
        (handed_out(&agent) >= from + ROTATIONS).then_some(())
    });
}
