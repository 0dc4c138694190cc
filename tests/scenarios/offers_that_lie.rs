//! A node whose offer is not what its terms say: the broker refuses what it can see, the node what it cannot.

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;

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
fn a_node_that_published_more_than_its_terms_allow_refuses_and_only_eligible_nodes_are_tried_instead() {
    let [inside, outside, other] = [(); 3].map(|()| Backend::start(Behaviour::Answer));
    let mut federation = Federation::start();
    federation.expect_log("a try failed");
    // Its terms serve callers of the US alone, and it publishes that it serves everyone.
    let node = federation.node(EU_BODY, &NodeSpec::openai("n1", &inside.url(), "DE").serving(r#"["US"]"#));
    let lie = with_the_key_of(&node, &federation).python("publish_laxer", "test-model");
    assert!(lie["epoch"].is_u64(), "{lie}");
    let _outside = federation.node(US_VENDOR, &NodeSpec::openai("n1", &outside.url(), "US"));
    let app = federation.app(EU_BODY, "assistant");
    let question = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "--processing", "DE", "hello"];
    let refused = federation.ask(&app, &question);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("PERMIT_OTHER_OFFER"), "{}", said(&refused));
    let _honest = federation.node(EU_OWNED, &NodeSpec::openai("n1", &other.url(), "DE"));
    for _ in 0..4 {
        let answer = federation.ask(&app, &question);
        assert!(said(&answer).contains("Paris"), "{}", said(&answer));
    }
    assert!(inside.asked().is_empty(), "the node served whom its terms do not");
    assert!(outside.asked().is_empty(), "the ineligible node's backend was asked");
}
