//! A program that is asked to stop before it has begun to serve stops, and says by its status that all is well.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::federation::{EU_BODY, Federation, PENDING};
use comity_tests::node::NodeSpec;
use comity_tests::program::{Program, built, run, said};
use comity_tests::wait;

fn run_node(folder: &Path) -> Program {
    let mut command = Command::new(built("comity-node"));
    Program::start("node", command.args(["run", "--config"]).arg(folder.join("node.toml")), folder)
}

/// Starts the node, and asks it to stop once it has said this once more than before.
fn stops_while_it_says(folder: &Path, text: &str) {
    let log = folder.join("node.log");
    let times = || std::fs::read_to_string(&log).unwrap_or_default().matches(text).count();
    let before = times();
    let mut node = run_node(folder);
    wait::until(text, || (times() > before).then_some(()));
    assert!(node.stop().success(), "{text}: {}", node.log());
    assert!(!folder.join("data/ready").exists());
}

#[test]
fn a_node_that_waits_to_be_admitted_ends_with_status_0_when_it_is_asked_to_stop_and_goes_on_waiting_later() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    let folder = federation.folder().join(EU_BODY.domain).join("n1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("node.toml"), NodeSpec::openai("n1", &backend.url(), "DE").toml()).unwrap();
    let facts = folder.join("organisation.toml");
    federation.write_facts(EU_BODY, &facts);
    let invite = federation.invite(EU_BODY, "node", "n1");
    let mut join = Command::new(built("comity-node"));
    join.args(["join", &invite, "--config"]).arg(folder.join("node.toml")).arg("--organisation").arg(&facts);
    let asked = run(&mut join);
    assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));

    stops_while_it_says(&folder, "this node has no identity yet, and waits for it");
    federation.stop_broker();
    stops_while_it_says(&folder, "the broker is away, asking again");
    federation.start_broker();
    stops_while_it_says(&folder, "this node has no identity yet, and waits for it");
    federation.approve_all();
    let _node = run_node(&folder);
    let _ready = wait::for_file(&folder.join("data/ready"));
}

#[test]
fn a_node_whose_broker_is_away_and_one_whose_agent_says_nothing_end_with_status_0_when_they_are_asked_to_stop() {
    let backend = Backend::start(Behaviour::Answer);
    let mut federation = Federation::start();
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    assert!(node.program.stop().success());
    federation.stop_broker();
    std::fs::remove_file(node.folder.join("data/ready")).unwrap();
    stops_while_it_says(&node.folder, "the broker cannot be reached, offers are not published yet");

    let socket = node.folder.join("agent.sock");
    let agent = UnixListener::bind(&socket).unwrap();
    agent.set_nonblocking(true).unwrap();
    let toml = std::fs::read_to_string(node.folder.join("node.toml")).unwrap();
    let source = format!("[identity]\nworkload_api = \"unix://{}\"\n", socket.display());
    std::fs::write(node.folder.join("node.toml"), format!("{toml}\n{source}")).unwrap();
    let mut node = run_node(&node.folder);
    let _asked = wait::until("the agent is asked", || agent.accept().ok());
    assert!(node.stop().success(), "{}", node.log());
}
