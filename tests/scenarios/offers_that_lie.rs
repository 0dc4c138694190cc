//! A node whose offer is not what its terms say: the broker refuses what it can see, the node what it cannot.

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::wait;
use serde_json::Value;

/// Somebody with the node's key: what it publishes, the node publishes.
fn with_the_key_of(node: &Node, federation: &Federation) -> Caller {
    Caller { address: federation.address().to_owned(), identity: node.folder.join("data/identity") }
}

#[test]
fn an_offer_that_names_another_node_is_refused_by_its_field_and_the_nodes_own_stays() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let before = federation.govern_json(&["offer", "list"]);
    let seen = with_the_key_of(&node, &federation).python("publish_anothers", "test-model");
    assert_eq!(seen["code"], "INVALID_ARGUMENT", "{seen}");
    assert!(seen["message"].as_str().is_some_and(|said| said.contains("offers[0].node")), "{seen}");
    assert_eq!(federation.govern_json(&["offer", "list"]), before);
}

#[test]
fn what_somebody_else_publishes_under_a_nodes_name_is_told_and_taken_back_and_serves_nobody() {
    let [inside, outside, other] = [(); 3].map(|()| Backend::start(Behaviour::Answer));
    let mut federation = Federation::start();
    // What reaches the node before it has noticed has a permit for an offer that it does not make.
    federation.expect_log("a try failed");
    // Its terms serve callers of the US alone, and somebody publishes that it serves everyone.
    let mut node = federation.node(EU_BODY, &NodeSpec::openai("n1", &inside.url(), "DE").serving(r#"["US"]"#));
    node.program.expect_log("this node's offers are not its own");
    let before = federation.govern_json(&["offer", "list"]);
    let lie = with_the_key_of(&node, &federation).python("publish_laxer", "test-model");
    assert!(lie["epoch"].is_u64(), "{lie}");
    let _outside = federation.node(US_VENDOR, &NodeSpec::openai("n1", &outside.url(), "US"));
    let app = federation.app(EU_BODY, "assistant");
    let question = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "--processing", "DE", "hello"];
    let refused = federation.ask(&app, &question);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    wait::until("the node's offer is its own again", || {
        let [now, before] = [federation.govern_json(&["offer", "list"]), before.clone()].map(|list| of(&node, &list));
        (now == before).then_some(())
    });
    let _honest = federation.node(EU_OWNED, &NodeSpec::openai("n1", &other.url(), "DE"));
    for _ in 0..4 {
        let answer = federation.ask(&app, &question);
        assert!(said(&answer).contains("Paris"), "{}", said(&answer));
    }
    assert!(inside.asked().is_empty(), "the node served whom its terms do not");
    assert!(outside.asked().is_empty(), "the ineligible node's backend was asked");
}

#[test]
fn what_a_node_changed_of_its_offer_is_shown_field_by_field_and_so_is_what_another_offers() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let spec = NodeSpec::openai("n1", &backend.url(), "DE");
    let mut node = federation.node(EU_BODY, &spec);
    let _other = federation.node(EU_OWNED, &NodeSpec::openai("n1", &backend.url(), "FR"));
    let [own, other] = [EU_BODY, EU_OWNED].map(|organisation| format!("{}/n1/chat", organisation.domain));
    let fields = |shown: &Value| -> Vec<String> {
        shown["fields"].as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap().to_owned()).collect()
    };
    let places = ["access_locations", "processing_locations", "storage_locations"];
    let shown = federation.govern_json(&["offer", "diff", &own, &other]);
    assert_eq!(fields(&shown), places, "{shown}");

    let epoch = federation.govern_json(&["federation", "show"])["epoch"].to_string();
    assert!(node.program.stop().success());
    std::fs::write(node.folder.join("node.toml"), spec.granting(7).toml()).unwrap();
    let _again = federation.run_node_with(&node, &[]);
    let since = ["offer", "diff", &own, "--since", &epoch];
    let shown = wait::until("the node has published its offer", || {
        Some(federation.govern_json(&since)).filter(|shown| !fields(shown).is_empty())
    });
    assert_eq!(fields(&shown), ["terms.quota"], "{shown}");
    assert!(federation.govern(&since).contains("terms.quota"));
    let refused = federation.ask(&federation.operator(), &["offer", "diff", &own, "--since", "1"]);
    assert!(said(&refused).contains("was not offered at epoch 1"), "{}", said(&refused));
}

/// A node's offers in a list of all.
fn of(node: &Node, list: &Value) -> Vec<Value> {
    let name = node.id.trim_start_matches("spiffe://").replace("/node/", "/");
    let offers = list["offers"].as_array().into_iter().flatten();
    offers.filter(|row| row["name"].to_string().contains(&name)).map(|row| row["offer"].clone()).collect()
}
