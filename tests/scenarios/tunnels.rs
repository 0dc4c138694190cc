//! A node that listens nowhere dials the broker, and is called over the connections that it made: by the same rules,
//! with nothing lost that the network does not lose.

use comity_tests::backend::{Backend, Behaviour, PIECES};
use comity_tests::federation::{EU_BODY, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::wait;
use serde_json::Value;

/// What a node says when a tunnel stands.
const STANDS: &str = "a tunnel to the broker stands";

fn dialling_out(federation: &Federation, backend: &Backend) -> Node {
    federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE").dialling_out())
}

/// What the broker says of its only node.
fn listed(federation: &Federation) -> Value {
    federation.govern_json(&["node", "list"])["nodes"][0].clone()
}

#[allow(dead_code)]
fn wait_for_tunnels(node: &Node, count: usize) {
    wait::until("the tunnels stand", || (node.program.log().matches(STANDS).count() >= count).then_some(()));
}

#[test]
fn a_node_that_listens_nowhere_serves_any_client_and_the_broker_says_how_it_is_reached() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let node = dialling_out(&federation, &backend);
    assert!(!node.program.listens() && !node.folder.join("data/address").exists());
    assert!(federation.broker.as_ref().unwrap().listens(), "what listens is found");
    let app = federation.app(EU_BODY, "assistant");
    for case in ["unary", "streaming"] {
        assert_eq!(app.python(case, "test-model")["text"], PIECES.concat(), "{case}");
    }
    let chat = federation.ask(&app, &["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "Where?"]);
    assert!(chat.status.success() && said(&chat).contains("Paris"), "{}", said(&chat));
    let entry = listed(&federation);
    assert_eq!((&entry["address"], &entry["link"]), (&"tunnel".into(), &"connected".into()), "{entry}");
    let shown = federation.govern(&["node", "show", &node.id]);
    assert!(shown.contains("tunnel") && shown.contains("connected"), "{shown}");
}
